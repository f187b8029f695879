"""Colours over a picture, against the same sums in NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.kernels.blending import blended


@given(st.integers(0, 2**32), st.sampled_from(["uint8", "uint16", "int64"]))
def test_a_blend_is_that_of_numpy(seed, dtype):
    random = np.random.default_rng(seed)
    height, width, labels = random.integers(1, 12, 3)
    image = random.integers(0, 256, (height, 2 * width, 3), np.uint8)[:, ::2]
    places = random.integers(0, labels, (height, width)).astype(dtype)
    colours = random.integers(0, 256, (labels, 3), np.uint8)
    weights = random.choice([0, 141, 256], labels)
    weight = weights[places][..., None]
    expected = (image.astype(int) * (256 - weight) + colours[places] * weight + 128) >> 8
    assert np.array_equal(blended(image, places, colours, weights), expected)


@pytest.mark.parametrize("place", [-1, 2])
def test_what_is_not_in_the_table_is_refused(place):
    image, colours = np.zeros((1, 1, 3), np.uint8), np.zeros((2, 3), np.uint8)
    with pytest.raises(IndexError, match="a table of 2"):
        blended(image, np.array([[place]]), colours, np.array([0, 256]))
