import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from atrous.kernels.resize import (
    argmax_at_pixels,
    argmax_at_pixels_reference,
    threshold_at_pixels,
    threshold_at_pixels_reference,
)
from atrous.losses import at_pixels
from atrous.types import Grid

TIE = 1e-5  # of the logits' scale


@st.composite
def cases(draw):
    classes, cells = draw(st.integers(1, 20)), (draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    stride = draw(st.sampled_from([1, 2, 4, 8]))
    size = tuple(draw(st.integers(1, side * stride)) for side in cells)
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    logits = random.normal(size=(classes, *cells)).astype(np.float32)
    if draw(st.booleans()):  # smooth, as real ones are
        logits = np.round(logits).cumsum(1).cumsum(2).astype(np.float32)
    return logits, Grid(stride, draw(st.sampled_from([0.0, -0.5, -1.25]))), size


def equal_but_for_ties(mask, logits, grid, size):
    """Where a mask differs from full-size arg-max, its class is within rounding of the best."""
    rows = torch.from_numpy(logits)[None]
    other = argmax_at_pixels_reference(logits, grid=grid, size=size)
    differs = mask != other
    if not differs.any():
        return True
    assert grid.offset == 0
    full = at_pixels(rows, grid=grid, size=size)[0].numpy()
    y, x = np.nonzero(differs)
    gap = full[other[y, x], y, x] - full[mask[y, x], y, x]
    return bool((np.abs(gap) <= TIE * np.abs(full).max()).all())


@given(cases())
def test_the_kernel_is_resize_then_argmax(case):
    logits, grid, size = case
    serial = argmax_at_pixels(logits, grid=grid, size=size, parallel=False)
    parallel = argmax_at_pixels(logits, grid=grid, size=size, parallel=True)
    assert np.array_equal(serial, parallel)
    assert equal_but_for_ties(serial, logits, grid, size)


@given(cases())
def test_training_reads_the_grid_as_prediction_does(case):
    logits, grid, size = case
    if grid.offset:
        grid = Grid(grid.stride, -2 / grid.stride)  # whole pixels
    padded = np.pad(logits, ((0, 0), (0, 3), (0, 3)), mode="edge")
    full = at_pixels(torch.from_numpy(padded)[None], grid=grid, size=size)[0].numpy()
    mask = argmax_at_pixels_reference(padded, grid=grid, size=size)
    best = np.take_along_axis(full, mask[None].astype(int), 0)[0]
    assert np.allclose(best, full.max(0), rtol=1e-5, atol=TIE * np.abs(full).max())


def test_ties_go_to_the_lower_class():
    logits = np.zeros((3, 2, 2), np.float32)
    assert (argmax_at_pixels(logits, grid=Grid(4), size=(8, 8)) == 0).all()


def test_nan_never_wins():
    logits = np.zeros((3, 2, 2), np.float32)
    logits[0] = np.nan
    logits[2] = 1
    assert (argmax_at_pixels(logits, grid=Grid(4), size=(8, 8)) == 2).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_mask_has_the_type_asked_for(dtype):
    mask = argmax_at_pixels(
        np.eye(3, dtype=np.float32)[:, None], grid=Grid(1), size=(1, 3), dtype=dtype
    )
    assert mask.dtype == dtype
    assert mask.tolist() == [[0, 1, 2]]


@given(cases())
def test_the_threshold_kernel_is_resize_then_comparison(case):
    logits, grid, size = case
    dtype = np.uint8 if len(logits) < 8 else np.int64
    serial = threshold_at_pixels(logits, grid=grid, size=size, dtype=dtype, parallel=False)
    parallel = threshold_at_pixels(logits, grid=grid, size=size, dtype=dtype, parallel=True)
    assert serial.dtype == dtype and np.array_equal(serial, parallel)
    assert np.array_equal(
        serial, threshold_at_pixels_reference(logits, grid=grid, size=size, dtype=dtype)
    )


@given(cases())
def test_one_logit_decides_as_two_whose_other_is_zero(case):
    """The binary task is the multiclass one with the background's logit held at 0."""
    logits, grid, size = case
    one, two = logits[:1], np.stack([np.zeros_like(logits[0]), logits[0]])
    binary = threshold_at_pixels(one, grid=grid, size=size)
    assert np.array_equal(binary, argmax_at_pixels(two, grid=grid, size=size))


def test_zero_and_nan_are_not_above_zero_and_62_classes_fit():
    logits = np.zeros((62, 1, 1), np.float32)
    logits[0], logits[1], logits[61] = np.nan, 1e-9, 1
    mask = threshold_at_pixels(logits, grid=Grid(2), size=(2, 2), dtype=np.int64)
    assert (mask == (1 << 61) + 2).all()
