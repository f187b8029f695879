"""The folder that `atrous evaluate --out` wrote gives a page too, and says what answered."""

import json
from dataclasses import replace
from html import escape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as pil

import atrous.report as report_module
from atrous.classes import Classes
from atrous.errors import RunError
from atrous.evaluate import Counted, summed
from atrous.metrics.boundary import BoundaryScores
from atrous.metrics.scores import scored
from atrous.predict.predictor import Prediction
from atrous.report.contents import read_contents
from atrous.types import Grid

CLASSES = Classes(("grass", "disc"))
MODEL = "/models/<b>street.onnx"
DIGEST = "5eed" * 16


def truth(index: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 2, (12, 16)).astype(np.uint8)


def answer(index: int) -> np.ndarray:
    """As the truth, the more rows wrong the larger the index."""
    pred = truth(index)
    pred[:index] ^= 1
    return pred


@pytest.fixture
def evaluation(tmp_path: Path) -> Path:
    """What an evaluation of three pictures leaves, beside the data set that it was made on."""
    data, folder = tmp_path / "data", tmp_path / "scores"
    folder.mkdir()
    for i in range(3):
        for kind, pixels in (("images", np.full((12, 16, 3), i, np.uint8)), ("masks", truth(i))):
            path = data / "val" / kind / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pil.fromarray(pixels).save(path)
    (data / "dataset.toml").write_text('classes = ["grass", "disc"]\n')
    borders = BoundaryScores(CLASSES.names, np.zeros((2, 3), np.int64))
    images = [Counted(str(i), scored(answer(i), truth(i), CLASSES), borders) for i in range(3)]
    whole = summed("val", CLASSES, images, weights="last weights, step 600")
    known = {"root": str(data), "classes": CLASSES.to_dict(), "splits": {"val": 3}}
    model = {
        "model": MODEL,
        "digest": DIGEST,
        "description": "last weights, step 600",
        "options": {"engine": "onnxruntime", "flip": True},
    }
    write(folder, "scores.json", replace(whole, engine="onnxruntime, f32, flip").to_dict())
    write(folder, "dataset.json", known)
    write(folder, "model.json", model)
    return folder


def write(folder: Path, name: str, value: object) -> None:
    (folder / name).write_text(json.dumps(value), encoding="utf-8")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list:
    """What `load` was called with; it gives a predictor that answers as it was scored."""
    calls = []

    class Fake:
        classes = CLASSES
        digest = DIGEST

        def __call__(self, image: np.ndarray) -> Prediction:
            pred = answer(int(image[0, 0, 0]))
            return Prediction(pred, CLASSES, image, np.zeros((2, 12, 16)), Grid(1, 0.0))

    def load(path: str, **options: object) -> Fake:
        calls.append((path, options))
        return Fake()

    monkeypatch.setattr("atrous.predict.predictor.load", load)
    return calls


def test_the_model_that_was_scored_answers_again_as_it_was_asked(evaluation: Path, asked: list):
    html = report_module.report(evaluation).read_text(encoding="utf-8")
    assert asked == [(MODEL, {"engine": "onnxruntime", "flip": True})]
    assert html.count("<figure") == 3 and 'class="notice"' not in html


def test_the_page_says_what_was_scored_and_has_no_training(evaluation: Path, asked: list):
    html = report_module.report(evaluation).read_text(encoding="utf-8")
    scores = json.loads((evaluation / "scores.json").read_text(encoding="utf-8"))
    for text in (
        escape("<b>street.onnx"),
        DIGEST,
        "last weights, step 600",
        "onnxruntime, f32, flip",
    ):
        assert text in html
    assert MODEL not in html
    assert f"{scores['mIoU']:.3f}" in html
    assert ">Confusion<" in html and ">Recipe<" not in html and "raining" not in html


def test_another_model_at_its_path_is_not_taken_for_it(evaluation: Path, asked: list):
    model = json.loads((evaluation / "model.json").read_text(encoding="utf-8"))
    write(evaluation, "model.json", model | {"digest": "0" * 64})
    found = report_module.report(evaluation).read_text(encoding="utf-8")
    assert "Pictures are left out" in found and "had 000000000000" in found
    assert "<figure" not in found


def test_options_of_another_version_are_named(evaluation: Path):
    model = json.loads((evaluation / "model.json").read_text(encoding="utf-8"))
    write(evaluation, "model.json", model | {"options": {"speed": 3}})
    html = report_module.report(evaluation).read_text(encoding="utf-8")
    assert escape("names the option 'speed'") in html and "<figure" not in html


def test_where_the_model_is_gone_the_scores_are_still_shown(evaluation: Path):
    html = report_module.report(evaluation).read_text(encoding="utf-8")
    assert "Pictures are left out" in html and "<figure" not in html


def test_scores_without_a_model_are_still_shown(evaluation: Path):
    (evaluation / "model.json").unlink()
    html = report_module.report(evaluation).read_text(encoding="utf-8")
    assert "No model.json says which model was scored." in html


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"model": 3}', '{"model": "a", "options": 1}']
)
def test_a_damaged_model_file_is_named(evaluation: Path, content: str):
    (evaluation / "model.json").write_text(content, encoding="utf-8")
    with pytest.raises(RunError, match="Make it again with `atrous evaluate") as caught:
        read_contents(evaluation)
    assert caught.value.where == str(evaluation / "model.json")


def test_a_model_file_is_told_to_be_evaluated_first(tmp_path: Path):
    path = tmp_path / "street.onnx"
    path.write_bytes(b"graph")
    with pytest.raises(RunError, match=f"`atrous evaluate {path} DATA --out DIR`") as caught:
        report_module.report(path)
    assert caught.value.where == str(path)
