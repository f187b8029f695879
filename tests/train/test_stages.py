"""Staged training: a run goes on from the weights of another (`model.from_run`)."""

import shutil
import signal

import numpy as np
import pytest
from safetensors.torch import save_file

import atrous
from atrous.errors import RecipeError, RunError
from atrous.models.build import at_stride
from atrous.models.encoders import build_encoder
from atrous.recipe import make_recipe
from atrous.runs import RunFolder, read_model
from atrous.train import train_events
from atrous.train.events import Finished, Note, Stepped, Stopped
from atrous.types import Grid

FCN = ("model.encoder=mobilenetv3_small_050", "model.fc_channels=16")


@pytest.fixture(scope="module")
def fcn32s(shapes, tmp_path_factory):
    run = tmp_path_factory.mktemp("stages") / "fcn32s"
    train(shapes, run, "fcn32s")
    return run


def train(data, run, model, *sets, steps=2, resume=False):
    options = ("augment.crop=64", "train.batch=2", "threads=1", "train.ema=0", *FCN, *sets)
    flags = {"model.name": model, "train.steps": steps}
    events = train_events(data, out=run, flags=flags, sets=options, resume=resume)
    return [event.text for event in events if isinstance(event, Note)]


def tensors(run):
    return read_model(RunFolder(run).weights("last")).tensors


def test_fcn16s_goes_on_from_fcn32s_and_says_what_is_new(shapes, fcn32s, tmp_path):
    notes = train(shapes, tmp_path / "r", "fcn16s", f"model.from_run={fcn32s}", "train.lr=1e-9")
    said = next(note for note in notes if note.startswith(f"Weights of {fcn32s}"))
    assert said.endswith("new: head.scores.0.weight, head.scores.0.bias, head.up.0.weight.")
    before, after = tensors(fcn32s), tensors(tmp_path / "r")
    for name in ("head.score_fr.weight", "encoder.body.conv_stem.weight"):
        np.testing.assert_allclose(before[name], after[name], atol=1e-6)
    assert any("Model:" in note and f"weights of {fcn32s}" in note for note in notes)


def test_a_stage_that_is_interrupted_resumes_without_the_run_before(shapes, tmp_path):
    train(shapes, tmp_path / "one", "fcn32s")
    options = (f"model.from_run={tmp_path / 'one'}", "train.validate_every=2")
    train(shapes, tmp_path / "whole", "fcn16s", *options, steps=4)
    stream = train_events(
        shapes,
        out=tmp_path / "cut",
        flags={"model.name": "fcn16s", "train.steps": 4},
        sets=("augment.crop=64", "train.batch=2", "threads=1", "train.ema=0", *FCN, *options),
    )
    events = []
    for event in stream:
        events.append(event)
        if isinstance(event, Stepped) and event.step == 2:
            signal.raise_signal(signal.SIGINT)
    assert isinstance(events[-1], Stopped)
    (tmp_path / "one").rename(tmp_path / "gone")
    train(shapes, tmp_path / "cut", "fcn16s", *options, steps=4, resume=True)
    one, other = tensors(tmp_path / "whole"), tensors(tmp_path / "cut")
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_a_run_that_has_nothing_in_common_is_refused(shapes, fcn32s, tmp_path):
    with pytest.raises(RunError, match="this model stands on a small network"):
        atrous.train(
            shapes,
            out=tmp_path / "r",
            model="fcn_basic",
            set=[f"model.from_run={fcn32s}", "augment.crop=64"],
        )
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    "sets", [["model.encoder=resnet18"], ["model.name=fcn_dilated", "model.origin=torchvision"]]
)
def test_a_run_on_another_encoder_or_by_other_rules_is_refused(shapes, fcn32s, tmp_path, sets):
    options = [*FCN[:1], f"model.from_run={fcn32s}", "augment.crop=64", "model.name=fcn16s", *sets]
    with pytest.raises(RunError, match="by the rules of atrous, but this model stands on"):
        atrous.train(shapes, out=tmp_path / "r", set=options)


def test_the_encoder_file_is_not_needed_to_resume(shapes, tmp_path):
    file = tmp_path / "encoder.safetensors"
    save_file(build_encoder("mobilenetv3_small_050", output_stride=32).body.state_dict(), file)
    sets = (f"model.encoder_file={file}", "train.validate_every=9")
    stream = train_events(
        shapes,
        out=tmp_path / "r",
        flags={"model.name": "fcn32s", "train.steps": 3},
        sets=("augment.crop=64", "train.batch=2", "threads=1", *FCN, *sets),
    )
    for event in stream:
        if isinstance(event, Stepped):
            signal.raise_signal(signal.SIGINT)
    file.unlink()
    options = ("augment.crop=64", "train.batch=2", "threads=1", *FCN, *sets)
    flags = {"model.name": "fcn32s", "train.steps": 3}
    events = list(train_events(shapes, out=tmp_path / "r", flags=flags, sets=options, resume=True))
    assert isinstance(events[-1], Finished)
    assert any("weights of this run" in e.text for e in events if isinstance(e, Note))


def test_a_run_that_is_not_there_is_named(shapes, tmp_path):
    with pytest.raises(RunError, match="nowhere"):
        train(shapes, tmp_path / "r", "fcn16s", f"model.from_run={tmp_path / 'nowhere'}")


def test_trained_weights_answer_at_another_output_stride(shapes, tmp_path):
    sets = (*FCN[:1], "model.aspp_channels=16", "model.decoder_channels=16", "augment.crop=64")
    atrous.train(
        shapes,
        out=tmp_path / "r",
        steps=1,
        set=[*sets, "train.batch=2", "model.decoder=false", "threads=1"],
    )
    coarse, fine = (atrous.load(tmp_path / "r", output_stride=stride) for stride in (0, 8))
    assert (coarse.engine.grid, fine.engine.grid) == (Grid(16), Grid(8))
    assert fine.description.endswith("at output stride 8")
    evaluation = atrous.evaluate(tmp_path / "r", shapes, output_stride=8)
    assert "output stride 8" in evaluation.weights
    atrous.predict(tmp_path / "r", shapes / "val" / "images", out=tmp_path / "m")
    with pytest.raises(RunError, match="with output_stride 0, but now it is 8"):  # kinds do not mix
        atrous.predict(
            tmp_path / "r", shapes / "val" / "images", out=tmp_path / "m", output_stride=8
        )


def test_a_model_without_strides_refuses_another(shapes, tmp_path):
    atrous.train(shapes, out=tmp_path / "r", model="fcn_basic", steps=1, set="augment.crop=64")
    with pytest.raises(RecipeError, match=r"model\.output_stride: is not a key"):
        atrous.load(tmp_path / "r", output_stride=8)


def test_rates_that_were_given_follow_the_output_stride():
    recipe = make_recipe(sets=["model.name=deeplabv3", "model.aspp_rates=[4, 8, 12]"])
    assert at_stride(recipe, 8).model.model_dump()["aspp_rates"] == (8, 16, 24)
    assert at_stride(recipe, 16).model == recipe.model


def test_a_rate_that_the_crop_leaves_no_use_for_is_told(shapes, tmp_path):
    sets = ("model.pretrained=false", "augment.crop=64", "train.batch=2", "model.separable=false")
    flags = {"model.name": "deeplabv3plus", "train.steps": 1}
    events = list(train_events(shapes, out=tmp_path / "r", flags=flags, sets=sets))
    notes = [event.text for event in events if isinstance(event, Note)]
    assert any("At crop 64" in n and "rate 18 on 4 x 4 cells" in n for n in notes)
    assert not any("rate 3 on" in n for n in notes)


def test_weights_without_a_state_are_gone_on_with_in_a_run_of_their_own(shapes, fcn32s, tmp_path):
    imported = RunFolder(tmp_path / "imported")
    imported.path.mkdir()
    for file in (imported.recipe, imported.weights("last")):
        shutil.copy(fcn32s / file.name, file)
    before = imported.weights("last").read_bytes()
    with pytest.raises(RunError, match="holds weights, but no state"):
        train(shapes, imported.path, "fcn32s", resume=True)
    assert imported.weights("last").read_bytes() == before
    sets = [f"model.from_run={imported.path}", "train.steps=1"]
    atrous.train(shapes, out=tmp_path / "r", config=imported.recipe, set=sets)
    assert tensors(tmp_path / "r").keys() == tensors(fcn32s).keys()
