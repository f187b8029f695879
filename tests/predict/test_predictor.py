"""What a predictor has of the engine's threads goes to everything that is made of its answer."""

import numpy as np
import pytest

from atrous.kernels import certainty, resize
from atrous.predict.predictor import load


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
