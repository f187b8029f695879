"""What a predictor has of threads and of memory: calls at once share them."""

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import numpy as np
import pytest

from atrous.classes import Classes
from atrous.kernels import certainty, resize
from atrous.predict.augmentation import Augmentation
from atrous.predict.predictor import Predictor, load
from atrous.predict.tiles import cuts
from atrous.types import Grid, Tiling


@pytest.mark.parametrize(
    ("threads", "lanes", "each"), [(1, 1, 1), (4, 1, 4), (4, 2, 2), (3, 2, 1), (2, 9, 1)]
)
def test_masks_and_maps_take_the_threads_of_a_lane(threads, lanes, each, tiny, monkeypatch):
    asked = []

    def in_strips(work, rows, *, threads):
        asked.append(threads)
        work(0, rows)

    monkeypatch.setattr(resize, "_ALONE", 0)  # small ones have one thread
    for kernels in (resize, certainty):
        monkeypatch.setattr(kernels, "in_strips", in_strips)
    predictor = load(tiny, engine="onnxruntime", threads=threads, lanes=lanes)
    prediction = predictor(np.zeros((8, 12, 3), np.uint8))
    for measure in (prediction.probabilities, prediction.confidence, prediction.entropy):
        measure()
    assert predictor.threads == each and asked == [each] * 4


class Holding:
    """An engine that counts the pixels that are in it at once; each needs a KiB."""

    name, precision, grid, bands, dtype = "torch", "f32", Grid(64), 1, "uint8"
    tiling = Tiling(64, room=1024)

    def __init__(self, lanes):
        self.lanes = self.threads = lanes
        self.pixels = self.most = 0
        self.lock = Lock()

    def __call__(self, images, means=()):
        _, height, width, _ = images.shape
        with self.lock:
            self.pixels += height * width
            self.most = max(self.most, self.pixels)
        time.sleep(0.01)  # so that others come in
        with self.lock:
            self.pixels -= height * width
        return np.zeros((1, 2, -(-height // 64), -(-width // 64)), np.float32)


@pytest.mark.parametrize("pixels", [200, 300, 600, 1000])  # of 1024 that memory holds
def test_pictures_that_are_whole_in_the_engine_at_once_share_its_memory(pixels, monkeypatch):
    monkeypatch.setattr(cuts, "SMALL", 0)
    engine: Any = Holding(4)
    predictor = Predictor(engine, Classes(("a", "b")), memory=1)
    image = np.zeros((1, pixels), np.uint8)
    assert predictor(image).cut.mode == "whole"
    with ThreadPoolExecutor(6) as pool:
        assert len([*pool.map(predictor, [image] * 24)]) == 24
    assert engine.most * 1024 <= 1 << 20


def test_larger_views_of_a_picture_keep_to_memory_too(monkeypatch):
    monkeypatch.setattr(cuts, "SMALL", 0)
    engine: Any = Holding(1)
    larger = Augmentation(scales=(1.0, 2.0))
    predictor = Predictor(engine, Classes(("a", "b")), memory=100, augmentation=larger)
    image = np.zeros((300, 300), np.uint8)
    assert predictor(image).cut.mode == "exact"
    assert engine.most * 1024 <= 100 << 20
    scene = predictor.scene((300, 300), image[..., None].__getitem__)
    assert scene.cells().shape == (2, 5, 5)
    assert engine.most * 1024 <= 100 << 20
