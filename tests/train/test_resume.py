"""`kill -9` at any moment, then `--resume`: the bytes of the run that was never killed."""

import contextlib
import copy
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from atrous.classes import Classes
from atrous.models.build import build
from atrous.recipe import make_recipe
from atrous.runs import RunFolder
from atrous.train import loop, train_events
from atrous.train.checkpoint import Facts, Training, find_state, restore, save
from atrous.train.events import Stepped
from atrous.train.optim import build_optimizer
from atrous.weights import read_weights

STEPS = 16
# A state every other step, so that kills fall before, between and within saves.
SCRIPT = """
import sys
from atrous.train import loop, train
loop.SAVE_STEPS = 2
data, out, workers, *sets = sys.argv[1:]
train(data, out=out, resume=True, workers=int(workers), set=sets)
"""


def start(data, out, small, workers):
    sets = [*small, f"train.steps={STEPS}", "train.validate_every=5", "train.accumulate=2"]
    arguments = [sys.executable, "-c", SCRIPT, data, out, str(workers), *sets]
    with open(f"{out}.err", "wb") as errors:
        return subprocess.Popen(arguments, stderr=errors)


def finish(process, out):
    assert process.wait(timeout=300) == 0, Path(f"{out}.err").read_text()


def steps_logged(out):
    log = RunFolder(out).log
    return log.read_bytes().count(b'"loss"') if log.exists() else 0


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_a_run_killed_five_times_ends_in_the_bytes_of_the_straight_run(shapes, small, tmp_path):
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    finish(start(shapes, straight, small, workers=0), straight)

    random = np.random.default_rng(time.time_ns())  # any moment must do
    for kill in range(5):
        process = start(shapes, killed, small, workers=kill % 3)
        goal = min(steps_logged(killed) + 1 + int(random.integers(0, 3)), STEPS - 1)
        while process.poll() is None and steps_logged(killed) < goal:
            time.sleep(0.01)
        time.sleep(float(random.uniform(0, 0.25)))
        process.kill()
        process.wait()
    finish(start(shapes, killed, small, workers=1), killed)

    a, b = RunFolder(straight), RunFolder(killed)
    for name in ("last", "best"):
        assert a.weights(name).read_bytes() == b.weights(name).read_bytes()
    one, two = read_weights(a.state), read_weights(b.state)
    assert one.tensors.keys() == two.tensors.keys()
    assert all(one.tensors[n].tobytes() == two.tensors[n].tobytes() for n in one.tensors)
    lines = [line for line in b.log.read_text().splitlines() if '"loss"' in line]
    assert len(lines) == STEPS  # no step is missing or logged twice
    assert not list(killed.glob(".atrous-*"))


def begun(optimizer):
    """A training at step 0, of a network small enough for a moment."""
    recipe = make_recipe(sets=[f"train.optimizer={optimizer}"])
    model = build("fcn_basic", num_classes=2)
    facts = Facts(recipe, Classes(("a", "b")), "uint8", dataset="", threads=1, precision="f32")
    return Training(model, copy.deepcopy(model), build_optimizer(model, recipe.train), {}, facts)


def go_on(training, steps):
    """Steps along gradients that depend on the step alone."""
    for step in steps:
        random = torch.Generator().manual_seed(step)
        for parameter in training.model.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=random)
        training.optimizer.step()


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd", "rmsprop"])
def test_a_restored_optimiser_goes_on_as_the_one_that_never_stopped(optimizer, tmp_path):
    run, straight, resumed = RunFolder(tmp_path), begun(optimizer), begun(optimizer)
    go_on(straight, [1, 2])
    with open(run.log, "wb") as log:
        save(run, straight, log)
    state, _ = find_state(run)
    assert state is not None
    restore(resumed, state)
    for training in (straight, resumed):
        go_on(training, [3, 4])
    pairs = zip(straight.model.parameters(), resumed.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


class Killed(BaseException):
    """Stands for a kill between two operations on files."""


def replace_until(calls):
    """`os.replace` that kills in place of the call after `calls` of them."""
    left = [calls]
    replace = os.replace

    def counted(source, target):
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        replace(source, target)

    return counted


def test_a_kill_between_any_two_renames_leaves_a_state_to_go_on_from(
    shapes, small, tmp_path, monkeypatch
):
    """From a damaged state, so that the one before is all there is."""
    monkeypatch.setattr(loop, "SAVE_STEPS", 1)
    begun = RunFolder(tmp_path / "begun")
    sets = [*small, "train.steps=3", "train.validate_every=3"]
    for event in train_events(shapes, out=begun.path, sets=sets):
        if isinstance(event, Stepped) and event.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
    content = bytearray(begun.state.read_bytes())
    content[-1] ^= 1
    begun.state.write_bytes(content)
    endings = set()
    for calls in range(12):
        out = tmp_path / f"kill {calls}"
        shutil.copytree(begun.path, out)
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", replace_until(calls))
            with contextlib.suppress(Killed):
                list(train_events(shapes, out=out, resume=True))
        list(train_events(shapes, out=out, resume=True))
        endings.add(RunFolder(out).weights("last").read_bytes())
        assert not list(out.glob(".atrous-*"))
    assert len(endings) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="process groups are POSIX")
def test_a_signal_to_the_whole_group_with_workers_writes_a_checkpoint(shapes, small, tmp_path):
    out = RunFolder(tmp_path / "run")
    command = ["train", shapes, "--out", out.path, "--steps", "500", "--workers", "2"]
    words = [sys.executable, "-m", "atrous", *map(str, command)]
    for option in small:
        words += ["--set", option]
    with open(tmp_path / "err", "wb") as errors:
        process = subprocess.Popen(words, stderr=errors, start_new_session=True)
    while process.poll() is None and steps_logged(out.path) < 2:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(timeout=60) == 143, (tmp_path / "err").read_text()
    assert out.state.exists()
    assert "--resume --workers 2" in (tmp_path / "err").read_text()
