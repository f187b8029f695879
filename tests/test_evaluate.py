"""Scores of exported files: many pictures at once count what one after the other counts."""

import json
import shutil

import numpy as np
import pytest

import atrous
from atrous.classes import Classes
from atrous.data.dataset import open_dataset
from atrous.errors import RunError
from atrous.evaluate import score_images, summed
from atrous.report import report
from tiny_models import contents, write_tiny

CLASSES = Classes(("grass", "disc", "square"))
BY_COLOUR = np.array([[0, 1.2, -0.6], [1, 0, 0], [-1, -1, 3.5]])  # green; bright; dark and blue


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "shapes.onnx"
    return write_tiny(path, weights=BY_COLOUR, classes=CLASSES)


@pytest.mark.parametrize("threads", [2, 5])
def test_pictures_in_flight_are_counted_as_one_after_the_other(model, shapes, threads):
    predictor = atrous.load(model, engine="onnxruntime")
    dataset = open_dataset(shapes, classes=predictor.classes)
    one, many = ([*score_images(predictor, dataset, "train", threads=n)] for n in (1, threads))
    assert [image.name for image in one] == [image.name for image in many]
    for a, b in zip(one, many, strict=True):
        assert np.array_equal(a.scores.confusion, b.scores.confusion)
        assert np.array_equal(a.boundary.counts, b.boundary.counts)
    whole = summed("train", CLASSES, one).to_dict()
    found = atrous.evaluate(model, shapes, split="train", engine="onnxruntime", threads=2)
    assert found.scores.miou > 0.3
    told = {"weights": "tiny weights", "engine": "onnxruntime, f32"}
    assert found.to_dict() == whole | told


def test_progress_is_told_picture_by_picture_in_order(model, shapes):
    seen = []

    def track(pairs):
        for pair in pairs:
            yield pair
            seen.append(pair.name)

    found = atrous.evaluate(model, shapes, split="train", engine="onnxruntime", track=track)
    assert seen == [image.name for image in found.images] and len(seen) == 10


def test_what_is_written_makes_a_page_with_the_same_model(model, shapes, tmp_path):
    out = tmp_path / "scores"
    options = {"engine": "onnxruntime", "flip": True, "scales": (1.0, 1.5)}
    found = atrous.evaluate(model, shapes, out=out, **options)
    said = json.loads((out / "model.json").read_text())
    assert said["options"] == options | {"scales": [1.0, 1.5]} and said["model"] == str(
        model.resolve()
    )
    assert atrous.load(said["model"], **said["options"]).digest == said["digest"]
    known = json.loads((out / "dataset.json").read_text())
    assert known["root"] == str(shapes.resolve()) and known["classes"]["names"] == list(
        CLASSES.names
    )
    scores = json.loads((out / "scores.json").read_text())
    assert scores == json.loads(json.dumps(found.to_dict()))
    assert scores["engine"] == "onnxruntime, f32, flip, scales 1, 1.5"
    page = report(out).read_text(encoding="utf-8")
    assert "<figure" in page and "Pictures are left out" not in page


@pytest.mark.parametrize("name", ["file/scores", "run"])
def test_a_folder_that_is_not_for_scores_is_refused_before_the_first_picture(
    model, shapes, tmp_path, name
):
    (tmp_path / "file").touch()
    (tmp_path / "run").mkdir()
    (tmp_path / "run/recipe.toml").touch()
    seen = []
    track = lambda pairs: seen.extend(pairs) or pairs  # noqa: E731
    with pytest.raises(RunError, match=rf"{name}: (holds a run|cannot be made a folder)"):
        atrous.evaluate(model, shapes, out=tmp_path / name, track=track)
    assert not seen and [p.name for p in (tmp_path / "run").iterdir()] == ["recipe.toml"]


def test_scores_of_before_stay_until_all_files_are_there(model, shapes, tmp_path, monkeypatch):
    out, options = tmp_path / "scores", {"engine": "onnxruntime", "threads": 1}
    atrous.evaluate(model, shapes, out=out, **options)
    before = contents(out)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("atrous.evaluate.Evaluation.to_dict", full)
        with pytest.raises(RunError, match="No space left on device"):
            atrous.evaluate(model, shapes, split="train", out=out, **options)
    assert contents(out) == before
    atrous.evaluate(model, shapes, split="train", out=out, **options)
    assert contents(out).keys() == before.keys() and contents(out) != before


def test_an_error_in_one_picture_stops_the_evaluation(model, shapes, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(shapes, data)
    predictor = atrous.load(model, engine="onnxruntime")
    dataset = open_dataset(data, classes=predictor.classes)
    (data / "train/images/5.png").write_bytes(b"")
    images = score_images(predictor, dataset, "train", threads=3)
    with pytest.raises(atrous.AtrousError, match=r"5\.png"):
        list(images)
