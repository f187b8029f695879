"""`atrous predict` on rasters: beside pictures, killed, in shards, and merged."""

import csv
import functools
import http.server
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import atrous
from atrous.data.rasters import headers
from atrous.errors import DataError, RecipeError, RunError
from atrous.predict.raster import plan
from atrous.predict.raster.merging import merge
from predict.rasters import scene, write_exact, write_geotiff
from tiny_models import contents, write_pictures

rasterio = pytest.importorskip("rasterio", reason="the extra geo is not installed")
OPTIONS: dict[str, Any] = {"engine": "onnxruntime", "threads": 1}
# Regions are small, and each takes its time on the way into its part.
SLOW = """
import time
from atrous.predict.raster import journal, plan
from atrous.cli import main

plan.LARGEST = 1024
write = journal.Journal.add
def add(self, at, content):
    half = journal._head(at, content) + content
    time.sleep(0.01)
    self._file.write(half[: len(half) // 2])  # killed now, it is torn
    self._file.flush()
    self._file.seek(-(len(half) // 2), 2)
    time.sleep(0.01)
    write(self, at, content)
journal.Journal.add = add
main()
"""


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    return write_exact(tmp_path_factory.mktemp("models") / "exact.onnx")


@pytest.fixture(scope="module")
def raster(tmp_path_factory):
    picture = scene(2300, 1700)
    picture[600:1300, 300:1200] = 0
    return write_geotiff(tmp_path_factory.mktemp("rasters") / "scene.tif", picture, nodata=0)


@pytest.fixture(scope="module")
def straight(exact, raster, tmp_path_factory):
    """What one run writes that nobody disturbs."""
    out = tmp_path_factory.mktemp("straight")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "LARGEST", 1024)
        masks, failures = atrous.predict(
            exact, raster, out=out, confidence=True, overviews=True, **OPTIONS
        )
    assert len(masks) == 1 and not failures
    found = contents(out)
    assert {*found} == {"scene.tif", "confidence/scene.tif", "predict.json", "shares.csv"}
    return found


def start(exact, raster, out, *more):
    flags = ["--confidence", "--set", "predict.overviews=true", "--engine", "onnxruntime"]
    command = ["predict", exact, raster, "--out", out, *flags, "--threads", "1", *more]
    return subprocess.Popen(
        [sys.executable, "-c", SLOW, *map(str, command)], stderr=subprocess.PIPE, text=True
    )


def size_of_parts(out: Path) -> int:
    return sum(path.stat().st_size for path in out.rglob("*.part"))


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
def test_killed_at_any_moment_it_becomes_the_file_of_a_straight_run(
    exact, raster, straight, tmp_path
):
    out, moments = tmp_path / "out", random.Random()
    for _ in range(3):
        before, process = size_of_parts(out), start(exact, raster, out)
        while process.poll() is None and size_of_parts(out) <= before + 5000:
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.06))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
        assert not (out / "scene.tif").exists()
    process = start(exact, raster, out)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert contents(out) == straight


def test_shards_side_by_side_make_the_file_of_one_run(exact, raster, straight, tmp_path):
    out = tmp_path / "out"
    processes = [start(exact, raster, out, "--shard", f"{i}/3") for i in (1, 2, 3)]
    for process in processes:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    assert contents(out) == straight


def test_parts_of_several_machines_are_merged(
    exact, raster, straight, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(plan, "LARGEST", 1024)
    here, there = tmp_path / "here", tmp_path / "there"
    for out, shard in ((here, "1/2"), (there, "2/2")):
        options = OPTIONS | {"confidence": True, "overviews": True, "shard": shard}
        masks, failures = atrous.predict(exact, raster, out=out, **options)
        assert not masks and not failures
    assert str(here / "scene.tif.parts") in str(merge(here).failures[0])
    shutil.copytree(there / "scene.tif.parts", here / "scene.tif.parts", dirs_exist_ok=True)
    assert merge(here) == ((here / "scene.tif",), ())
    assert contents(here) == straight
    with pytest.raises(RunError, match="no parts"):
        merge(here)


def test_pictures_and_rasters_in_one_folder(exact, raster, tmp_path):
    folder = write_pictures(tmp_path / "in", 3)
    shutil.copy(raster, folder / "a/scene.tif")
    shutil.copy(folder / "000.png", folder / "scene.png")
    out = tmp_path / "out"
    masks, failures = atrous.predict(exact, folder, out=out, **OPTIONS)
    names = {path.relative_to(out).as_posix() for path in masks}
    assert names == {"000.png", "a/001.png", "a/b/002.png", "scene.png", "a/scene.tif"}
    with (out / "shares.csv").open() as file:
        rows = {row["picture"]: row for row in csv.DictReader(file)}
    assert int(rows["a/scene.tif"]["pixels"]) == 2300 * 1700 - 700 * 900
    before = contents(out)
    assert atrous.predict(exact, folder, out=out, **OPTIONS) == (masks, failures)
    assert contents(out) == before


def test_without_geotiffs_masks_are_pngs(exact, raster, tmp_path):
    masks, _ = atrous.predict(exact, raster, out=tmp_path, geotiff=False, overlay=True, **OPTIONS)
    assert masks == (tmp_path / "scene.png",)


def test_without_rasterio_masks_are_pngs_and_that_is_told(exact, raster, tmp_path, monkeypatch):
    monkeypatch.setattr("atrous.predict.find_spec", lambda name: None)
    told: list[str] = []
    masks, _ = atrous.predict(exact, raster, out=tmp_path, tell=told.append, **OPTIONS)
    assert masks == (tmp_path / "scene.png",) and any("atrous[geo]" in line for line in told)


@pytest.mark.parametrize("flag", ["overlay", "probabilities"])
def test_what_is_not_made_of_rasters_is_refused_before_any_work(flag, exact, raster, tmp_path):
    with pytest.raises(RecipeError, match=flag):
        atrous.predict(exact, raster, out=tmp_path / "out", **{flag: True}, **OPTIONS)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_picture_too_large_for_memory_is_a_raster(suffix, exact, tmp_path, monkeypatch):
    Image.fromarray(scene(300, 200)).save(source := tmp_path / f"large.{suffix}")
    monkeypatch.setattr(headers, "PIXEL_LIMIT", 1000)
    masks, _ = atrous.predict(exact, source, out=tmp_path / "out", geotiff=False, **OPTIONS)
    assert masks == (tmp_path / "out/large.tif",)
    expected = atrous.load(exact, **OPTIONS)(scene(300, 200)).mask
    assert np.array_equal(np.asarray(Image.open(masks[0])), expected)


@pytest.mark.parametrize(
    "text",
    ["https://127.0.0.1:9/a.tif", "/vsicurl/https://127.0.0.1:9/a.tif", "s3://bucket/a.tif"],
)
def test_addresses_are_refused_unless_they_are_asked_for(text, exact, tmp_path):
    with pytest.raises(DataError, match=r"predict\.remote"):
        atrous.predict(exact, text, out=tmp_path / "out", **OPTIONS)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["GTIFF_DIR:1:scene.tif", "NETCDF:scene.tif", "<VRTDataset/>"])
def test_an_expression_of_a_driver_names_no_picture(text, exact, raster, tmp_path, monkeypatch):
    monkeypatch.chdir(raster.parent)
    for remote in (False, True):
        with pytest.raises(DataError):
            atrous.predict(exact, text, out=tmp_path / "out", remote=remote, **OPTIONS)


class Ranges(http.server.BaseHTTPRequestHandler):
    """Serves one file, whole or in part, as GDAL asks for it."""

    def __init__(self, *args: Any, file: Path) -> None:
        self.content = file.read_bytes()
        super().__init__(*args)

    def do_GET(self) -> None:
        begin, _, end = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        first, last = int(begin), min(int(end or 1 << 40), len(self.content) - 1)
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(self.content)}")
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(self.content[first : last + 1])

    do_HEAD = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_a_raster_on_another_machine_is_predicted_if_asked_for(exact, raster, straight, tmp_path):
    serve = functools.partial(Ranges, file=raster)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}/scene.tif"
        masks, failures = atrous.predict(exact, address, out=tmp_path, remote=True, **OPTIONS)
        server.shutdown()
        thread.join()
    assert not failures and len(masks) == 1
    with rasterio.open(masks[0]) as ours, rasterio.MemoryFile(straight["scene.tif"]) as file:
        assert np.array_equal(ours.read(), file.open().read())
