"""A Ray cluster makes what one machine makes, whoever is killed, or says why it cannot."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import atrous
from atrous.errors import AtrousError, RecipeError, RunError
from atrous.predict import cluster as of_cluster
from atrous.predict.cluster import connection
from atrous.predict.cluster.worker import CARE, Unit, Worker
from atrous.predict.folders import pictures as found
from atrous.predict.folders import plan
from atrous.predict.jobs import MASKS
from atrous.predict.note import about_masks, mark
from atrous.predict.outcomes import How
from atrous.predict.raster import Asked
from atrous.predict.video.walk import Pace
from predict.rasters import scene, write_exact, write_geotiff
from tiny_models import contents, write_pictures

OPTIONS: dict[str, Any] = {"overlay": True, "engine": "onnxruntime", "threads": 1}
FLAGS = ("--overlay", "--engine", "onnxruntime", "--threads", "1")
needs_ray = pytest.mark.skipif(
    not (find_spec("ray") and sys.platform == "linux"),
    reason="the extra ray is not installed, or its processes are not looked for in /proc",
)
TWO_WORKERS = """
import logging, sys, ray
told = ray.init(num_cpus=2, include_dashboard=False, object_store_memory=100 << 20,
                logging_level=logging.CRITICAL, log_to_driver=False)
print(told.address_info["gcs_address"], flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module", autouse=True)
def alone():
    """Ray reads its environment when it is first imported."""
    with pytest.MonkeyPatch.context() as patch:
        ours = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16)}
        for name, value in (connection.ENVIRONMENT | connection.ALONE | ours).items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def head(alone):
    """The process that has started a cluster of two workers, which this machine alone can reach."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, "-W", "ignore", "-c", TWO_WORKERS]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, **pipes) as process:
        yield process


@pytest.fixture(scope="module")
def address(head):
    return head.stdout.readline().strip()


@pytest.fixture(scope="module")
def ray(address):
    """This process, connected to it."""
    with connection._imported() as ray, connection._session(ray, address):
        yield "auto"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = write_pictures(tmp_path_factory.mktemp("many") / "pictures", 30, size=(180, 250))
    (folder / "a" / "broken.png").write_bytes(b"no picture at all")
    return folder


@pytest.fixture(scope="module")
def straight(tiny, pictures, tmp_path_factory):
    """What one machine writes, and what it leaves out."""
    out = tmp_path_factory.mktemp("straight")
    masks, failures = atrous.predict(tiny, pictures, out=out, **OPTIONS)
    assert len(masks) == 30 and len(failures) == 1
    return contents(out), [*map(str, failures)]


def workers(head: int) -> list[int]:
    """Processes of workers at work, of the cluster that a process has started."""
    found, parents = [], {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parent = (place / "stat").read_text().rpartition(")")[2].split()[1]
            parents[int(place.name)] = int(parent)
            if b"MapWorker" in (place / "cmdline").read_bytes():
                found.append(int(place.name))
        except OSError:
            continue
    return [process for process in found if head in above(process, parents)]


def above(process: int, parents: dict[int, int]) -> list[int]:
    line = []
    while process := parents.get(process, 0):
        line.append(process)
    return line


@needs_ray
@pytest.mark.parametrize("listens", [False, True])
def test_where_no_cluster_is_none_is_taken_instead(tiny, pictures, tmp_path, monkeypatch, listens):
    monkeypatch.setattr(connection, "PATIENCE", 3)
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        if listens:  # to what Ray says there is no answer
            door.listen()
        address = f"127.0.0.1:{door.getsockname()[1]}"
        why = "no answer in 3 s" if listens else "refused"
        with pytest.raises(RunError, match=f"Ray at {address}: cannot be reached.*{why}"):
            atrous.predict(tiny, pictures, out=tmp_path / "out", ray=address, **OPTIONS)
    assert not (tmp_path / "out").exists()


@needs_ray
def test_a_local_cluster_says_nothing_of_its_own(tiny, pictures, straight, tmp_path):
    command = [sys.executable, "-m", "atrous", "predict", tiny, pictures, "--out", tmp_path]
    command += [*FLAGS, "--ray", "local", "--json"]
    told = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert told.returncode == 1, told.stderr
    assert len(json.loads(told.stdout)["masks"]) == 30
    lines = told.stderr.splitlines()
    assert lines[0].startswith("Engine: ") and lines[1].startswith("Ray: ")
    assert [line.split(":")[0].strip() for line in lines[2:] if " left" not in line] == [
        "left out",
        "Left out",
        str(pictures / "a" / "broken.png"),
    ]
    assert contents(tmp_path) == straight[0]


class Listening:
    """Of Ray, what a session of it needs; it listens to other machines."""

    def init(self, **_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def nodes(self):
        return [{"NodeManagerAddress": "192.0.2.7"}]

    def shutdown(self):
        self.ended = True


def test_a_local_cluster_that_others_could_reach_is_ended():
    ray, before = Listening(), signal.getsignal(signal.SIGTERM)
    with (
        pytest.raises(RunError, match=r"listens at 192\.0\.2\.7"),
        connection._session(ray, "local"),
    ):
        pass
    assert ray.ended and signal.getsignal(signal.SIGTERM) == before


@needs_ray
def test_a_killed_driver_and_a_killed_worker_leave_nothing_undone(
    tiny, pictures, straight, head, address, ray, tmp_path
):
    command = [sys.executable, "-m", "atrous", "predict", tiny, pictures, "--out", tmp_path]
    command += [*FLAGS, "--ray", address]
    with subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, text=True) as driver:
        while driver.poll() is None and not [*tmp_path.rglob("*.png")]:
            time.sleep(0.002)
        driver.kill()
        assert driver.wait() == -signal.SIGKILL, driver.communicate()[1]
    final = {name for name in contents(tmp_path) if name[0] != "."}
    assert {name: contents(tmp_path)[name] for name in final}.items() <= straight[0].items()
    for name in sorted(name for name in final if name.endswith(".png"))[2:]:
        (tmp_path / name).unlink()  # the more is left to do
    killed: list[int] = []

    def track(jobs):
        for job in jobs:
            yield job
            if not killed:
                killed.extend(workers(head.pid))
                os.kill(killed[0], signal.SIGKILL)

    lines: list[str] = []
    told = atrous.predict(
        tiny, pictures, out=tmp_path, ray=ray, track=track, tell=lines.append, **OPTIONS
    )
    assert killed and contents(tmp_path) == straight[0]
    assert len(told.masks) == 30 and [*map(str, told.failures)] == straight[1]
    assert "Ray: 2 workers, each of 1 thread." in lines
    assert sum("left out: " in line for line in lines) == 1


@needs_ray
def test_a_raster_by_rows_is_the_file_of_one_run(ray, tmp_path):
    pytest.importorskip("rasterio", reason="the extra geo is not installed")
    model = write_exact(tmp_path / "exact.onnx")
    picture = scene(1300, 700)
    picture[500:900, 100:500] = 0
    source = write_geotiff(tmp_path / "scene.tif", picture, nodata=0)
    options: dict[str, Any] = {"engine": "onnxruntime", "threads": 1, "memory": 4}
    options |= {"confidence": True, "overviews": True}
    seen: list[int] = []

    def watch(rows):
        seen.extend(row.pixels for row in rows)
        return iter(rows)

    one, two = tmp_path / "one", tmp_path / "two"
    atrous.predict(model, source, out=one, **options)
    masks, failures = atrous.predict(model, source, out=two, ray=ray, watch=watch, **options)
    assert masks == (two / "scene.tif",) and not failures
    assert contents(two) == contents(one)
    assert len(seen) == 3 and sum(seen) == 1300 * 700
    again = atrous.predict(model, source, out=two, ray=ray, watch=watch, **options)
    assert again.masks == masks and len(seen) == 3


@needs_ray
def test_another_atrous_on_a_worker_is_refused(tiny, pictures, ray, tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "_version_teller", other_there)
    with pytest.raises(RunError, match=r"has atrous 0\.0\.9.*that of this one, 9\.9"):
        atrous.predict(tiny, pictures, out=tmp_path / "out", ray=ray, **OPTIONS)
    assert not (tmp_path / "out").exists()


def other_there():
    here = os.getpid()

    def version() -> str:
        import os

        return "9.9" if os.getpid() == here else "0.0.9"

    return version


@pytest.mark.parametrize("address", ["ray://head:10001", "head", ":6379", "head:port"])
def test_what_is_no_address_is_refused(tiny, pictures, tmp_path, address):
    with pytest.raises(RecipeError, match="it is local, auto, or HOST:PORT"):
        atrous.predict(tiny, pictures, out=tmp_path / "out", ray=address, **OPTIONS)


def test_without_ray_the_extra_is_named(tiny, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "find_spec", lambda _: None)
    with pytest.raises(RecipeError, match=r"pip install 'atrous\[ray\]'"):
        atrous.predict(tiny, pictures, out=tmp_path / "out", ray="local", **OPTIONS)


def test_shards_beside_a_cluster_are_refused(tiny, pictures, tmp_path):
    with pytest.raises(RecipeError, match="--shard: is 1/2 beside --ray"):
        atrous.predict(tiny, pictures, out=tmp_path / "out", ray="local", shard="1/2", **OPTIONS)


@pytest.fixture
def task(tiny, pictures, tmp_path):
    """What a driver tells workers, with all that it has written by then."""
    out = tmp_path / "out"
    within = out / ".atrous-1-of-1"
    within.mkdir(parents=True)
    options: Any = {"engine": "onnxruntime", "threads": 1}
    predictor = atrous.load(tiny, **options)
    about = about_masks(predictor, 0)
    how = How(MASKS, Asked(), Pace(), about, within)
    mark(out, about, [], MASKS, within=within)
    return of_cluster._task(tiny, options, predictor, how)


def units_of(pictures, task) -> list[Unit]:
    out = task.how.within.parent
    return [*map(Unit, range(31), plan(found([pictures], out), out))]


def test_a_picture_that_kills_each_worker_is_left_out_and_others_are_not(pictures, task):
    units, place = units_of(pictures, task)[:4], task.how.within
    (place / ".atrous-batch-0").write_bytes(b".")  # a worker died of the batch
    (place / ".atrous-unit-2").write_bytes(b"." * CARE)  # and others of this one
    (place / ".atrous-unit-3").write_bytes(b"." * (CARE - 1))
    told = Worker(task).do(units)
    assert [isinstance(one.outcome, AtrousError) for one in told] == [False, False, True, False]
    assert "ended its worker, each time" in str(told[2].outcome) and not told[2].ends
    assert told[2].lines[0].startswith(f"left out: {units[2].job.image}")
    assert not [*place.iterdir()]


def test_a_worker_that_sees_other_files_or_another_model_ends_it_all(pictures, task, tmp_path):
    units = units_of(pictures, task)[:2]
    elsewhere = task.how._replace(within=tmp_path / "elsewhere" / ".atrous-1-of-1")
    for wrong, said in (
        (task._replace(how=elsewhere), "is not the folder that is written to"),
        (task._replace(how=task.how._replace(about={"model": "other"})), "is not the same model"),
    ):
        told = Worker(wrong).do(units)
        assert len(told) == 2 and all(one.ends and said in str(one.outcome) for one in told)
    assert all(one.outcome and not one.ends for one in Worker(task).do(units))
