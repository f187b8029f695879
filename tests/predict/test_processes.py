"""Folders that are predicted by processes which are killed, stopped, or work side by side."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import atrous
from atrous.errors import RunError
from tiny_models import contents, write_pictures

OPTIONS: dict[str, Any] = {
    "overlay": True,
    "confidence": True,
    "engine": "onnxruntime",
    "threads": 2,
}
FLAGS = ("--overlay", "--confidence", "--engine", "onnxruntime", "--threads", "2")
# Each file takes its time on the way to its name: who is stopped is stopped in the middle.
SLOW = """
import os, time
from atrous.cli import main

replace = os.replace
os.replace = lambda *files: (time.sleep(0.03), replace(*files))[1]
main()
"""
HELD = "from atrous.files import claimed; from pathlib import Path; import sys\n"
HELD += "with claimed(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("many") / "pictures", 40, size=(180, 250))


@pytest.fixture(scope="module")
def straight(tiny, pictures, tmp_path_factory):
    """What one run writes that nobody disturbs."""
    out = tmp_path_factory.mktemp("straight")
    masks, failures = atrous.predict(tiny, pictures, out=out, **OPTIONS)
    assert len(masks) == 40 and not failures
    return contents(out)


def start(tiny, pictures, out, *more, slow=False):
    program = ["-c", SLOW] if slow else ["-m", "atrous"]
    command = [sys.executable, *program, "predict", tiny, pictures, "--out", out, *FLAGS]
    return subprocess.Popen([*map(str, command), *more], stderr=subprocess.PIPE, text=True)


def wait_for_masks(process, out: Path, more: int):
    there = len([*out.rglob("*.png")])
    while process.poll() is None and len([*out.rglob("*.png")]) < there + more:
        time.sleep(0.002)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
def test_stopped_and_killed_the_folder_becomes_that_of_a_straight_run(
    tiny, pictures, straight, tmp_path
):
    out, moments = tmp_path / "out", random.Random()
    for way, more in ((signal.SIGINT, 1), (signal.SIGKILL, 4)):
        process = start(tiny, pictures, out, slow=True)
        wait_for_masks(process, out, more)
        time.sleep(moments.uniform(0, 0.03))
        os.kill(process.pid, way)
        _, err = process.communicate(timeout=60)
        found = contents(out)
        final = {name: found[name] for name in found if not name.startswith(".")}
        assert final.items() <= straight.items()
        assert len(final) < len(straight)
        if way == signal.SIGINT:
            assert process.returncode == 130 and "Traceback" not in err
            assert "the same command goes on" in err and "Stopped." in err
            assert found == final  # what was begun was ended
        else:
            assert process.returncode == -9 and found != final
    process = start(tiny, pictures, out)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert contents(out) == straight


def test_shards_side_by_side_make_what_one_run_makes(tiny, pictures, straight, tmp_path):
    process = start(tiny, pictures, tmp_path, "--shard", "1/2")
    wait_for_masks(process, tmp_path, 1)
    atrous.predict(tiny, pictures, out=tmp_path, shard="2/2", **OPTIONS)
    err = process.communicate(timeout=60)[1]
    assert process.returncode == 0, err
    assert contents(tmp_path) == straight


def test_the_same_part_at_the_same_time_is_refused(tiny, pictures, tmp_path):
    atrous.predict(tiny, pictures, out=tmp_path, shard="1/40", engine="onnxruntime")
    place = tmp_path / ".atrous-2-of-40"
    command = [sys.executable, "-c", HELD, str(place)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as other:
        assert other.stdout and other.stdin and other.stdout.readline() == "held\n"
        with pytest.raises(RunError, match="is being written by another process"):
            atrous.predict(tiny, pictures, out=tmp_path, shard="2/40", engine="onnxruntime")
        masks, _ = atrous.predict(tiny, pictures, out=tmp_path, shard="3/40", engine="onnxruntime")
        assert len(masks) == 1
        other.stdin.close()
    atrous.predict(tiny, pictures, out=tmp_path, shard="2/40", engine="onnxruntime")
    names = {name for name in contents(tmp_path) if name.endswith(".png")}
    assert len(names) == 3 and not [*tmp_path.glob(".*")]
