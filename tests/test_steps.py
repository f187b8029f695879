"""Steps after the network are of a run, its file, its scores: what one says the others do."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import atrous
from atrous.classes import Classes
from atrous.errors import RecipeError
from atrous.exported import read_exported
from atrous.recipe import (
    from_tables,
    make_recipe,
    make_steps,
    read_steps,
    read_toml,
    steps_to_toml,
    to_toml,
)
from atrous.recipe.postprocessing import PRESETS, Crf, Holes, SmallRegions
from atrous.report import report
from atrous.runs import RunFolder
from atrous.train import train_events
from atrous.train.events import Note
from tiny_models import write_tiny

STEPS = (
    {"step": "bilateral_grid", "sxy": 8, "srgb": 30},
    {"step": "small_regions", "pixels": 40, "into": "grass"},
)
OTHERS = ({"step": "holes", "pixels": 0},)
SET = (
    'postprocess=[{step="bilateral_grid", sxy=8, srgb=30}, '
    '{step="small_regions", pixels=40, into="grass"}]'
)


# Recipes


def test_steps_survive_their_toml(tmp_path):
    recipe = make_recipe(sets=[SET])
    assert recipe.postprocess == make_steps(STEPS, where="here")
    file = tmp_path / "r.toml"
    file.write_text(to_toml(recipe))
    assert "\n[[postprocess]]\n" in file.read_text()
    assert from_tables(read_toml(file), where="") == recipe
    for steps in (recipe.postprocess, ()):
        file.write_text(steps_to_toml(steps))
        assert read_steps(file) == steps


def test_a_preset_stands_for_numbers_and_those_beside_it_go_first():
    (v1,) = make_steps([{"step": "crf", "preset": "deeplabv1"}], where="here")
    assert v1 == PRESETS["deeplabv1"] == Crf(bilateral_sxy=121.0, bilateral_srgb=5.0)
    (v2,) = make_steps([{"step": "crf", "preset": "deeplabv2", "iterations": 5}], where="here")
    assert v2 == PRESETS["deeplabv2"].model_copy(update={"iterations": 5})
    assert "preset" not in steps_to_toml((v2,))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('[{step="crff"}]', ["postprocess[0]", "'crff'", "the steps are crf, bilateral_grid"]),
        ("[{}]", ["postprocess[0]", "names no step", "crf"]),
        ("crf", ["postprocess", "'crf'", "tuple", '[{step = "crf"}]']),
        ('[{step="holes"},{step="crf",modes=3}]', ["[1].crf.modes", "Did you mean mode?"]),
        ('[{step="crf",preset="v9"}]', ["[0].crf", "v9", "deeplabv1 or deeplabv2"]),
        ('[{step="thresholds"}]', ["thresholds.probabilities", "is missing"]),
        ('[{step="thresholds",probabilities=[1.5]}]', ["probabilities.0", "1.5", "less than 1"]),
        ('[{step="holes",pixels=-1}]', ["[0].holes.pixels", "-1", "greater than or equal to 0"]),
    ],
)
def test_a_wrong_step_is_named_with_what_is_allowed(text, parts):
    with pytest.raises(RecipeError) as caught:
        make_recipe(sets=[f"postprocess={text}"])
    for part in parts:
        assert part in str(caught.value)


def test_a_file_of_steps_holds_nothing_else(tmp_path):
    file = tmp_path / "postprocess.toml"
    file.write_text("seed = 3\n")
    with pytest.raises(RecipeError, match=r"postprocess\.toml, seed: is not a step"):
        read_steps(file)


# A run and its file


@pytest.fixture(scope="module")
def run(shapes, tmp_path_factory):
    """A run whose recipe has steps."""
    folder = tmp_path_factory.mktemp("steps") / "run"
    options = ["model.name=fcn_basic", "augment.crop=64", "threads=1", "train.batch=2"]
    atrous.train(shapes, out=folder, steps=16, set=[*options, "train.lr=0.01", SET])
    return folder


@pytest.fixture(scope="module")
def file(run):
    """Its exported file."""
    path = run.parent / "model.onnx"
    atrous.export(run, out=path)
    return path


def test_a_run_and_its_file_take_the_same_steps(run, file, shapes):
    of_run, of_file = atrous.load(run, threads=1), atrous.load(file, engine="onnxruntime")
    assert of_run.postprocess == of_file.postprocess == make_steps(STEPS, where="here")
    assert of_run.note.endswith(" Then: bilateral_grid, small_regions.")
    assert read_exported(file).manifest.to_dict()["postprocess"][1] == STEPS[1]
    for path in sorted((shapes / "val/images").iterdir()):
        ours, theirs = of_run(path), of_file(path)
        assert np.array_equal(ours.mask, theirs.mask)
        assert np.allclose(ours.probabilities(), theirs.probabilities(), atol=1e-4)


def test_training_scores_what_the_run_answers(run, shapes):
    scores = json.loads((run / "scores.json").read_text())
    found = atrous.evaluate(run, shapes, threads=1)
    assert [step["step"] for step in scores["steps"]] == ["bilateral_grid", "small_regions"]
    assert found.scores.confusion.tolist() == scores["confusion"]
    page = report(run, out=run.parent / "page.html").read_text(encoding="utf-8")
    assert "After the network" in page and "small_regions" in page and "now scores" not in page


def test_steps_found_for_a_run_go_before_those_of_its_recipe(run, shapes, tmp_path):
    tuned = tmp_path / "run"
    shutil.copytree(run, tuned)
    RunFolder(tuned).postprocess.write_text(steps_to_toml(make_steps(OTHERS, where="here")))
    expected = (Holes(pixels=0),)
    assert atrous.load(tuned).postprocess == expected
    assert atrous.load(tuned / "last.safetensors").postprocess == expected
    assert atrous.load(run).postprocess != expected
    shutil.copy(tuned / "last.safetensors", tmp_path)
    assert atrous.load(tmp_path / "last.safetensors").postprocess != expected
    page = report(tuned, out=tmp_path / "page.html").read_text(encoding="utf-8")
    assert "now scores" not in page  # it is of the recipe, as the scores beside it
    result = atrous.export(tuned, out=tmp_path / "tuned.onnx")
    assert result.manifest.postprocess == expected and result.manifest.scores is None
    verified = atrous.verify(tmp_path / "tuned.onnx", tuned, shapes, engine="onnxruntime")
    assert verified.passed and any("holes" in note for note in verified.notes)


def test_a_file_with_other_steps_than_the_run_is_not_verified(run, file, shapes, tmp_path):
    tuned = tmp_path / "run"
    shutil.copytree(run, tuned)
    RunFolder(tuned).postprocess.write_text(steps_to_toml(make_steps(OTHERS, where="here")))
    verified = atrous.verify(file, tuned, shapes, engine="onnxruntime")
    (reason,) = verified.reasons
    assert reason.startswith("post-processing is bilateral_grid sxy=8.0")
    assert reason.endswith("in the file, holes pixels=0 in the run")
    assert atrous.verify(file, run, shapes, engine="onnxruntime").passed


@pytest.mark.parametrize(("sets", "said"), [(("postprocess=[]",), True), ((), False)])
def test_a_run_that_goes_on_says_that_it_keeps_its_steps(run, shapes, tmp_path, sets, said):
    again = shutil.copytree(run, tmp_path / "run")
    notes = [
        e.text
        for e in train_events(shapes, out=again, sets=sets, resume=True)
        if isinstance(e, Note)
    ]
    kept = "keeps the steps after the network that it began with: bilateral_grid, small_regions"
    assert any(kept in note for note in notes) == said
    assert atrous.load(again).postprocess == make_steps(STEPS, where="here")


def test_a_run_is_not_begun_with_steps_that_do_not_fit(shapes, tmp_path):
    wrong = 'postprocess=[{step="priority", classes=["dics"]}]'
    with pytest.raises(RecipeError, match=r"names 'dics'.*Did you mean disc"):
        atrous.train(shapes, out=tmp_path / "run", steps=1, set=["model.name=fcn_basic", wrong])
    assert not (tmp_path / "run/recipe.toml").exists()


# Scores, and the command line


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "shapes.onnx"
    weights = np.array([[0, 1.2, -0.6], [1, 0, 0], [-1, -1, 3.5]]) / 40
    return write_tiny(path, weights=weights, classes=Classes(("grass", "disc", "square")))


@pytest.mark.parametrize("threads", [1, 2])
def test_each_step_is_scored_before_and_after(model, shapes, threads):
    options = {"engine": "onnxruntime", "threads": threads}
    found = atrous.evaluate(model, shapes, postprocess=STEPS, **options)
    for count, step in enumerate(found.steps):
        before, after = (
            atrous.evaluate(model, shapes, postprocess=STEPS[:n], **options)
            for n in (count, count + 1)
        )
        for changes, ways in (
            (step.iou, (before.scores, after.scores)),
            (step.boundary, (before.boundary, after.boundary)),
        ):
            assert (changes.miou.before, changes.miou.after) == tuple(way.miou for way in ways)
            assert [change.before for change in changes.classes] == ways[0].iou.tolist()
            assert [change.after for change in changes.classes] == ways[1].iou.tolist()
        assert step.ms > 0
    first = found.steps[0]
    assert first.iou.miou.change and first.boundary.miou.change
    assert {"steps", "interval"} <= found.definitions.keys()
    without = atrous.evaluate(model, shapes, postprocess=(), **options)
    assert "steps" not in without.to_dict() and "interval" not in without.definitions


def test_the_commands_answer_as_python(cli, model, shapes, tmp_path):
    call = ["--engine", "onnxruntime", "--threads", 1, "--set", SET]
    code, out, _ = cli("evaluate", model, shapes, "--json", "--out", tmp_path / "e", *call)
    asked = {"engine": "onnxruntime", "threads": 1, "postprocess": STEPS}
    found, said = atrous.evaluate(model, shapes, **asked).to_dict(), json.loads(out)
    for answer in (found, said):
        for step in answer["steps"]:
            step.pop("ms")
    assert code == 0 and said == json.loads(json.dumps(found))
    assert said["engine"] == "onnxruntime, f32, then bilateral_grid, small_regions"
    page = report(tmp_path / "e").read_text(encoding="utf-8")
    assert "After the network" in page and "now scores" not in page
    table = cli("evaluate", model, shapes, *call)[1]
    assert "\nbilateral_grid, " in table and "\nsmall_regions, " in table
    pictures = shapes / "val/images"
    assert cli("predict", model, pictures, "--out", tmp_path / "p", *call)[0] == 0
    predictor = atrous.load(model, **asked)
    for path in pictures.iterdir():
        with Image.open(tmp_path / "p" / path.name) as mask:
            assert np.array_equal(np.asarray(mask), predictor(path).mask)
    code, _, err = cli("predict", model, pictures, "--out", tmp_path / "p", *call[:4])
    assert code == 2 and "postprocess" in err


def test_a_side_file_has_steps_too(model, shapes, tmp_path):
    manifest = read_exported(model).manifest.to_dict()
    assert manifest["postprocess"] == []
    for table, message in (
        ({"step": "small_regions", "into": "sky"}, "names 'sky'"),
        ({"step": "small_regions", "pixel": 3}, r"postprocess\[0\]\.small_regions\.pixel"),
    ):
        with pytest.raises(RecipeError, match=message):
            _loaded(tmp_path, model, {**manifest, "postprocess": [table]})
    tables = {**manifest, "postprocess": [STEPS[1]], "post_processing": []}  # once its name
    expected = (SmallRegions(pixels=40, into="grass"),)
    assert _loaded(tmp_path, model, tables).postprocess == expected


def _loaded(folder, model, manifest):
    """The predictor of the bare graph of a model with a side file."""
    import onnx

    graph = onnx.load(model)
    del graph.metadata_props[:]
    onnx.save(graph, folder / "bare.onnx")
    (folder / "bare.json").write_text(json.dumps(manifest))
    return atrous.load(folder / "bare.onnx", engine="onnxruntime")


def test_info_names_the_steps_of_a_run_and_of_its_file(run, file, cli):
    for model in (run, file):
        assert "bilateral_grid, small_regions\n" in cli("info", model)[1]
        assert json.loads(cli("info", model, "--json")[1])["postprocess"][1] == STEPS[1]


def test_an_empty_list_turns_the_steps_of_a_file_off(run, file, shapes, cli):
    plain = atrous.load(file, engine="onnxruntime", postprocess=())
    path = next(iter((shapes / "val/images").iterdir()))
    assert np.array_equal(plain(path).mask, atrous.load(run, postprocess=[])(path).mask)
    out = cli("evaluate", file, shapes, "--json", "--set", "postprocess=[]")[1]
    assert "steps" not in json.loads(out)
