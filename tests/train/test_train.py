"""Training as a whole, on a small data set with an untrained encoder."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import atrous
from atrous.errors import DataError, RunError
from atrous.runs import RunFolder
from atrous.train import loop, train_events
from atrous.train.events import Finished, Stepped, Stopped, Validated
from atrous.weights import read_weights


@pytest.fixture(scope="module")
def run(shapes, small, tmp_path_factory):
    """A finished run of 4 steps."""
    out = tmp_path_factory.mktemp("runs") / "run"
    atrous.train(shapes, out=out, steps=4, set=small)
    return RunFolder(out)


def test_a_run_folder_holds_what_the_design_says(run):
    names = {path.name for path in run.path.iterdir()}
    assert names == {
        "recipe.toml",
        "dataset.json",
        "state.safetensors",
        "last.safetensors",
        "best.safetensors",
        "log.jsonl",
        "scores.json",
    }
    lines = [json.loads(line) for line in run.log.read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4]
    scores = json.loads(run.scores.read_text())
    assert scores["mIoU"] == lines[-1]["val"]["mIoU"]
    assert scores["num_images"] == 4


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_workers(
    run, shapes, tmp_path, small
):
    again = tmp_path / "again"
    atrous.train(shapes, out=again, steps=4, set=small, workers=2)
    for name in ("last", "best"):
        assert RunFolder(again).weights(name).read_bytes() == run.weights(name).read_bytes()
    other = tmp_path / "other"
    atrous.train(shapes, out=other, steps=4, set=[*small, "seed=1"])
    assert RunFolder(other).weights("last").read_bytes() != run.weights("last").read_bytes()


def test_evaluating_the_run_gives_the_scores_of_its_last_validation(run, shapes):
    evaluation = atrous.evaluate(run.path, shapes)
    assert evaluation.to_dict() == json.loads(run.scores.read_text())


def test_a_taken_folder_is_refused_and_left_alone(run, shapes, small):
    before = run.state.read_bytes()
    with pytest.raises(RunError, match="holds a run already"):
        atrous.train(shapes, out=run.path, steps=4, set=small)
    assert run.state.read_bytes() == before


def test_going_on_with_a_finished_run_says_so(run, shapes):
    found = list(train_events(shapes, out=run.path, resume=True))
    assert isinstance(found[-1], Finished)
    assert any("finished" in getattr(event, "text", "") for event in found)


def test_another_recipe_is_no_continuation(run, shapes):
    with pytest.raises(RunError, match=r"train\.lr: 0\.0015 != 0\.5"):
        atrous.train(shapes, out=run.path, resume=True, set=["train.lr=0.5"])


def test_a_state_of_another_label_space_is_refused(run, shapes, tmp_path):
    import shutil

    other = tmp_path / "other"
    shutil.copytree(shapes, other)
    (other / "dataset.toml").write_text('classes = ["grass", "ball", "square"]\n')
    with pytest.raises(RunError, match=r"another label space.*disc.*ball"):
        atrous.train(other, out=run.path, resume=True)
    with pytest.raises(DataError, match=r"'ball'.*'disc'"):
        atrous.evaluate(run.path, other)


def test_other_files_are_no_continuation(run, shapes, tmp_path):
    import shutil

    from PIL import Image

    other = tmp_path / "other"
    shutil.copytree(shapes, other)
    path = other / "train/images/1.png"
    Image.open(path).transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(path)
    with pytest.raises(RunError, match="other files"):
        atrous.train(other, out=run.path, resume=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_writes_a_checkpoint_and_resuming_gives_the_straight_run(
    run, shapes, tmp_path, number, small
):
    out = tmp_path / "stopped"
    seen = []
    for event in train_events(shapes, out=out, sets=[*small, "train.steps=4"]):
        seen.append(event)
        if isinstance(event, Stepped) and event.step == 2:
            os.kill(os.getpid(), number)
    assert seen[-1] == Stopped(2, number)
    assert read_weights(RunFolder(out).state).about["step"] == 2
    rest = list(train_events(shapes, out=out, resume=True))
    assert [event.step for event in rest if isinstance(event, Stepped)] == [3, 4]
    for name in ("last", "best"):
        assert RunFolder(out).weights(name).read_bytes() == run.weights(name).read_bytes()
    assert signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL)


def test_a_damaged_state_is_found_and_the_one_before_is_used(
    run, shapes, tmp_path, monkeypatch, small
):
    monkeypatch.setattr(loop, "SAVE_STEPS", 1)
    out = RunFolder(tmp_path / "damaged")
    list(train_events(shapes, out=out.path, sets=[*small, "train.steps=4"]))
    content = bytearray(out.state.read_bytes())
    content[len(content) // 2] ^= 1
    out.state.write_bytes(content)
    rest = list(train_events(shapes, out=out.path, resume=True))
    assert [event.step for event in rest if isinstance(event, Stepped)] == [4]
    assert any("is damaged" in getattr(event, "text", "") for event in rest)
    assert out.weights("last").read_bytes() == run.weights("last").read_bytes()


def test_resuming_without_a_state_starts_from_the_beginning(run, shapes, tmp_path, small):
    out = RunFolder(tmp_path / "begun")
    stream = train_events(shapes, out=out.path, sets=[*small, "train.steps=4"])
    next(event for event in stream if isinstance(event, Stepped))
    stream.close()
    assert not out.state.exists()
    list(train_events(shapes, out=out.path, resume=True))
    assert out.weights("last").read_bytes() == run.weights("last").read_bytes()


def test_a_label_outside_stops_the_run_before_the_first_step(shapes, tmp_path, small):
    import shutil

    from PIL import Image

    bad = tmp_path / "bad"
    shutil.copytree(shapes, bad)
    mask = np.zeros((72, 96), np.uint8)
    mask[5, 7] = 9
    Image.fromarray(mask).save(bad / "train/masks/3.png")
    with pytest.raises(DataError) as caught:
        atrous.train(bad, out=tmp_path / "run", set=small)
    for part in ("3.png", "label 9", "row 5, column 7", "3 classes (0-2)"):
        assert part in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_it_learns(shapes, tmp_path, small):
    """A pretrained encoder tells discs and squares from grass within a few steps."""
    learning = ["model.pretrained=true", "train.steps=40", "train.batch=4", "train.ema=0"]
    sets = [*small, *learning, "train.validate_every=40"]
    found = train_events(shapes, out=tmp_path / "run", sets=sets)
    scores = [event.evaluation.scores.miou for event in found if isinstance(event, Validated)]
    assert scores[-1] > 0.45  # nothing but grass would be 0.3


def test_a_log_shorter_than_the_state_knows_is_gone_on_with(run, shapes, small, tmp_path):
    out = RunFolder(tmp_path / "run")
    for event in train_events(shapes, out=out.path, sets=[*small, "train.steps=4"]):
        if isinstance(event, Stepped) and event.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
    out.log.write_bytes(b"")
    list(train_events(shapes, out=out.path, resume=True))
    lines = [json.loads(line) for line in out.log.read_text().splitlines()]
    assert "machine" in lines[0]
    assert [line["step"] for line in lines if "loss" in line] == [3, 4]
    assert out.weights("last").read_bytes() == run.weights("last").read_bytes()


def test_a_split_that_is_missing_leaves_no_folder(shapes, small, tmp_path):
    import shutil

    only = tmp_path / "only"
    shutil.copytree(shapes / "val", only / "val")
    shutil.copy(shapes / "dataset.toml", only)
    with pytest.raises(DataError, match="has no split 'train'"):
        atrous.train(only, out=tmp_path / "run", set=small)
    assert not (tmp_path / "run").exists()


def test_which_weights_answer_is_no_part_of_the_training(run, shapes):
    assert list(train_events(shapes, out=run.path, resume=True, sets=["predict.weights=best"]))


def test_a_finished_run_without_its_scores_gets_them_back(run, shapes):
    before = run.scores.read_text()
    run.scores.unlink()
    list(train_events(shapes, out=run.path, resume=True))
    assert run.scores.read_text() == before


def test_one_process_at_a_time(shapes, small, tmp_path):
    out = tmp_path / "run"
    first = train_events(shapes, out=out, sets=[*small, "train.steps=2"])
    next(event for event in first if isinstance(event, Stepped))
    words = [sys.executable, "-m", "atrous", "train", str(shapes), "--out", str(out), "--resume"]
    second = subprocess.run(words, capture_output=True, text=True)
    assert second.returncode == 2
    assert f"{out}: is being written by another process" in second.stderr
    assert isinstance(list(first)[-1], Finished)


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_of_nothing_but_void_is_refused(shapes, small, tmp_path, split):
    import shutil

    from PIL import Image

    void = tmp_path / "void"
    shutil.copytree(shapes, void)
    for path in (void / split / "masks").iterdir():
        Image.fromarray(np.full((72, 96), 255, np.uint8)).save(path)
    with pytest.raises(DataError, match=f"no pixel of any class in {split}"):
        atrous.train(void, out=tmp_path / "run", set=small)
    assert not (tmp_path / "run").exists()


def test_the_data_set_itself_is_no_run_folder(shapes, small):
    with pytest.raises(RunError, match="is the data set itself"):
        atrous.train(shapes, out=shapes, set=small)


def test_a_precision_chosen_by_timing_is_chosen_once(shapes, small, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "choose_precision", lambda *_: ("bf16", "Precision: bf16"))
    out = RunFolder(tmp_path / "run")
    sets = [*small, "train.steps=2", "train.precision=auto"]
    stream = train_events(shapes, out=out.path, sets=sets)
    next(event for event in stream if isinstance(event, Stepped))
    stream.close()
    monkeypatch.setattr(loop, "choose_precision", lambda *_: 1 / 0)
    list(train_events(shapes, out=out.path, resume=True))
    assert read_weights(out.state).about["precision"] == "bf16"
