"""`kill -9` at any moment, then `--resume`: the bytes of the run that was never killed."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from atrous.runs import RunFolder
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
