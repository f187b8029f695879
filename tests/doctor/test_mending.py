"""Masks are put right as their findings ask, and no other pixel changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image as pil

from atrous.data.images import turn, turn_array
from atrous.doctor.mending import IGNORED, moved_back, snapped

MASKS = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=9))


@given(MASKS, st.integers(1, 8))
def test_a_mask_is_turned_as_its_picture_is(mask: np.ndarray, orientation: int):
    picture = np.asarray(turn(pil.fromarray(mask), orientation))
    assert np.array_equal(turn_array(mask, orientation), picture)


@given(MASKS, st.integers(-3, 3), st.integers(-3, 3))
def test_what_was_moved_comes_back_and_the_rest_is_ignored(mask: np.ndarray, down: int, right: int):
    height, width = mask.shape
    moved = np.full((height + 6, width + 6), 7, np.int64)
    moved[3 + down : 3 + down + height, 3 + right : 3 + right + width] = mask
    back = moved_back(moved, (down, right))
    assert np.array_equal(back[3 : 3 + height, 3 : 3 + width], mask)
    assert (back == IGNORED).sum() == moved.size - (height + 6 - abs(down)) * (
        width + 6 - abs(right)
    )


def test_blended_pixels_take_the_label_beside_them():
    mask = np.zeros((9, 12), np.uint8)
    mask[:, 6:] = 4
    damaged = mask.copy()
    damaged[:, 5:7] = [1, 3]
    damaged[2, 2] = 2
    assert np.array_equal(snapped(damaged, {0, 4}), mask)


def test_a_border_of_a_label_that_is_meant_elsewhere_is_no_region():
    mask = np.zeros((9, 12), np.uint8)
    mask[:, 6:] = 2
    damaged = mask.copy()
    damaged[:, 6] = 1  # between 0 and 2, as resizing makes it
    damaged[:3, :3] = 1  # a region of class 1
    mask[:3, :3] = 1
    assert set(np.unique(snapped(damaged, {0, 1, 2})[:, 5:8])) == {0, 2}
    assert (snapped(damaged, {0, 1, 2})[:3, :3] == 1).all()


@given(MASKS)
def test_labels_that_are_all_meant_and_solid_stay(mask: np.ndarray):
    solid = np.kron(mask % 3, np.ones((3, 3), np.uint8))
    assert np.array_equal(snapped(solid, {0, 1, 2}), solid)


@pytest.mark.parametrize("labels", [set(), {9}])
def test_a_mask_without_any_label_that_is_meant_is_left_alone(labels: set[int]):
    mask = np.full((4, 4), 3, np.uint8)
    assert np.array_equal(snapped(mask, labels), mask)
