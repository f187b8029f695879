from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from atrous.kernels import resize
from atrous.kernels.resize import (
    argmax_at_pixels,
    argmax_at_pixels_reference,
    logits_at_pixels,
    taps,
    threshold_at_pixels,
    threshold_at_pixels_reference,
)
from atrous.losses import at_pixels
from atrous.types import Grid, Spread

TIE = 1e-5  # of the logits' scale
DECIDE = (argmax_at_pixels, threshold_at_pixels)
LARGE = 2.0**126  # what infinite logits count as

grids = st.builds(
    Grid,
    st.sampled_from([1, 2, 3, 4, 8, 32]),
    st.sampled_from([0.0, -0.5, -1.25, -0.46875, 0.7, 3.0]),
)
spreads = st.builds(Spread, st.booleans(), st.sampled_from([1, 2, 16]))
placements = st.one_of(grids, spreads)


def smooth(random, shape):
    """Logits as real ones are: a few regions, each with its class, and borders between."""
    k, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    centre = random.uniform(0, 1, (2, shape[0], 1, 1)) * np.reshape(shape[1:], (2, 1, 1, 1))
    return -np.hypot(y - centre[0], x - centre[1]) + 0 * k


def steep(random, shape):
    """Logits that differ by a few roundings, at every scale that float32 has."""
    return (1 + random.integers(-3, 4, shape) * 2.0**-23) * 10.0 ** random.integers(-44, 38)


def twins(random, shape):
    """Classes that are equal but for the last bit, the later one larger."""
    first = random.normal(size=(1, *shape[1:])).astype(np.float32)
    return np.concatenate([first, *[np.nextafter(first, np.float32(9))] * (shape[0] - 1)])


KINDS = {
    "noise": lambda random, shape: random.normal(size=shape),
    "smooth": smooth,
    "whole numbers": lambda random, shape: random.integers(-2, 3, shape),
    "steep": steep,
    "twins": twins,
    "huge": lambda random, shape: random.normal(size=shape) * 2.0**124,
}


@st.composite
def cases(draw, most=300, kinds=tuple(KINDS)):
    classes = draw(st.one_of(st.integers(1, 20), st.integers(1, most))) if most > 20 else None
    classes = classes or draw(st.integers(1, most))
    cells = draw(st.integers(1, 12)), draw(st.integers(1, 40))
    size = draw(st.integers(1, 60)), draw(st.integers(1, 90))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    logits = KINDS[draw(st.sampled_from(kinds))](random, (classes, *cells)).astype(np.float32)
    return logits, draw(placements), size


@pytest.fixture(autouse=True, scope="module")
def strips_of_small_pictures():
    """Small ones go to one thread; here, to all that are asked for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resize, "_ALONE", 0)
        yield


@given(cases(), st.integers(1, 3))
def test_the_kernel_is_resize_then_argmax(case, threads):
    """To the last pixel: what rounding could turn is interpolated, as the reference does."""
    logits, grid, size = case
    mask = argmax_at_pixels(logits, grid=grid, size=size, dtype=np.uint16, threads=threads)
    expected = argmax_at_pixels_reference(logits, grid=grid, size=size, dtype=np.uint16)
    assert np.array_equal(mask, expected)


@given(cases(62), st.integers(1, 3))
def test_the_threshold_kernel_is_resize_then_comparison(case, threads):
    logits, grid, size = case
    dtype = np.uint8 if len(logits) < 8 else np.int64
    mask = threshold_at_pixels(logits, grid=grid, size=size, dtype=dtype, threads=threads)
    assert mask.dtype == dtype
    expected = threshold_at_pixels_reference(logits, grid=grid, size=size, dtype=dtype)
    assert np.array_equal(mask, expected)


@given(cases(12), st.data())
def test_strips_laid_together_are_the_whole(case, data):
    logits, grid, size = case
    cuts = data.draw(st.sets(st.integers(0, size[0]), max_size=4))
    bounds = sorted({0, *cuts, size[0]})
    for decide in DECIDE:
        strips = [
            decide(logits, grid=grid, size=size, rows=slice(*pair), dtype=np.int64)
            for pair in pairwise(bounds)
        ]
        whole = decide(logits, grid=grid, size=size, dtype=np.int64)
        assert np.array_equal(np.concatenate(strips), whole)


def test_no_rows_are_an_empty_mask():
    logits = np.zeros((2, 3, 3), np.float32)
    for decide in DECIDE:
        mask = decide(logits, grid=Grid(2), size=(6, 5), rows=slice(4, 4))
        assert mask.shape == (0, 5)


@settings(max_examples=20)
@given(cases(20, kinds=("noise", "smooth")))
def test_wide_pictures_are_the_same_as_narrow_ones(case):
    """Patches are interpolated so many at a time: here there are more in a row."""
    logits, _, _ = case
    wide = np.tile(logits, (1, 1, 400 // logits.shape[2] + 1))
    size = (2 * wide.shape[1], 2 * wide.shape[2])
    mask = argmax_at_pixels(wide, grid=Grid(2), size=size)
    assert np.array_equal(mask, argmax_at_pixels_reference(wide, grid=Grid(2), size=size))


@given(cases(20, kinds=("noise", "smooth")))
def test_training_reads_the_grid_as_prediction_does(case):
    logits, grid, size = case
    if isinstance(grid, Grid):
        grid = Grid(grid.stride, -2 / grid.stride if grid.offset else 0)  # whole pixels
        need = [side // grid.stride + 3 for side in size]
        room = [max(0, n - m) for n, m in zip(need, logits.shape[1:], strict=True)]
        logits = np.pad(logits, ((0, 0), (0, room[0]), (0, room[1])), mode="edge")
    full = at_pixels(torch.from_numpy(logits)[None], grid=grid, size=size)[0].numpy()
    ours = logits_at_pixels(logits, grid=grid, size=size)
    assert np.allclose(full, ours, rtol=1e-4, atol=10 * TIE * np.abs(full).max())


@pytest.mark.parametrize("grid", [Grid(4, -0.25), Grid(1), Spread(), Spread(True, 16)])
def test_taps_lie_in_the_grid_and_go_on(grid):
    for pixels, cells in ((1, 1), (7, 1), (1, 9), (40, 9), (5, 2)):
        low, high, weight = taps(pixels, cells, grid)
        assert low.shape == high.shape == weight.shape == (pixels,)
        assert (low >= 0).all() and (high < cells).all() and (high - low <= 1).all()
        assert (weight >= 0).all() and (weight <= 1).all()
        assert (np.diff(low + weight) >= 0).all()


def test_aligned_corners_are_the_corner_cells():
    low, high, weight = taps(9, 5, Spread(align_corners=True))
    assert (low + (high - low) * weight).tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4]


def test_ties_go_to_the_lower_class():
    logits = np.zeros((3, 2, 2), np.float32)
    assert (argmax_at_pixels(logits, grid=Grid(4), size=(8, 8)) == 0).all()


@pytest.mark.parametrize("decide", DECIDE)
@pytest.mark.parametrize("threads", [1, 2])
@given(data=st.data())
def test_nan_is_refused_with_its_class_and_cell(decide, threads, data):
    """Wherever it lies, also where no pixel reads it."""
    random = np.random.default_rng(0)
    logits = random.normal(size=(11, 5, 6)).astype(np.float32)
    k, y, x = (data.draw(st.integers(0, n - 1)) for n in logits.shape)
    size = data.draw(st.sampled_from([(1, 1), (20, 24), (9, 3), (50, 50)]))
    logits[k, y, x] = np.nan
    with pytest.raises(ValueError, match=rf"NaN.* class {k}, cell \({y}, {x}\)"):
        decide(logits, grid=Grid(4), size=size, dtype=np.int64, threads=threads)


def test_rows_refuse_the_nan_that_they_read():
    logits = np.zeros((2, 9, 3), np.float32)
    logits[1, 8, 2] = np.nan
    argmax_at_pixels(logits, grid=Grid(4), size=(36, 12), rows=slice(0, 30))
    with pytest.raises(ValueError, match=r"class 1, cell \(8, 2\)"):
        argmax_at_pixels(logits, grid=Grid(4), size=(36, 12), rows=slice(30, 36))


@given(cases(12), st.data())
def test_infinite_logits_count_as_the_largest(case, data):
    logits, grid, size = case
    random = np.random.default_rng(data.draw(st.integers(0, 999)))
    share = data.draw(st.sampled_from([0.02, 0.5, 1]))
    places = random.random(logits.shape) < share
    signs = random.choice([-1, 1], logits.shape)
    infinite = np.where(places, signs * np.inf, logits).astype(np.float32)
    finite = np.where(places, signs * LARGE, logits).astype(np.float32)
    for decide in DECIDE:
        mask = decide(infinite, grid=grid, size=size, dtype=np.int64)
        assert np.array_equal(mask, decide(finite, grid=grid, size=size, dtype=np.int64))
    expected = argmax_at_pixels_reference(infinite, grid=grid, size=size)
    assert np.array_equal(argmax_at_pixels(infinite, grid=grid, size=size), expected)


def test_a_class_of_minus_infinity_is_never_there():
    logits = np.random.default_rng(0).normal(size=(4, 6, 6)).astype(np.float32)
    logits[2] = -np.inf
    mask = argmax_at_pixels(logits, grid=Grid(4), size=(24, 24))
    others = argmax_at_pixels(np.delete(logits, 2, 0), grid=Grid(4), size=(24, 24))
    assert np.array_equal(mask, np.array([0, 1, 3])[others])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
def test_the_mask_has_the_type_asked_for(dtype):
    mask = argmax_at_pixels(
        np.eye(3, dtype=np.float32)[:, None], grid=Grid(1), size=(1, 3), dtype=dtype
    )
    assert mask.dtype == dtype
    assert mask.tolist() == [[0, 1, 2]]


def test_300_classes_fit_in_uint16():
    logits = np.eye(300, dtype=np.float32)[:, None]
    mask = argmax_at_pixels(logits, grid=Grid(1), size=(1, 300), dtype=np.uint16)
    assert mask.tolist() == [list(range(300))]


def test_arrays_that_are_read_only_or_in_pieces_are_taken_and_left_alone():
    logits = np.random.default_rng(0).normal(size=(7, 9, 5)).astype(np.float32)
    expected = argmax_at_pixels(logits, grid=Grid(4), size=(28, 36))
    assert logits.flags.writeable
    turned = np.ascontiguousarray(logits.transpose(1, 2, 0)).transpose(2, 0, 1)
    turned.flags.writeable = False
    assert np.array_equal(argmax_at_pixels(turned, grid=Grid(4), size=(28, 36)), expected)


@given(cases(1))
@example((np.array([[[-1e-45, 1e-45, 1e-45]]], np.float32), Grid(2), (2, 6)))
def test_one_logit_decides_as_two_whose_other_is_zero(case):
    """The binary task is the multiclass one with the background's logit held at 0."""
    logits, grid, size = case
    two = np.stack([np.zeros_like(logits[0]), logits[0]])
    binary = threshold_at_pixels(logits, grid=grid, size=size)
    assert np.array_equal(binary, argmax_at_pixels(two, grid=grid, size=size))


def test_zero_is_not_above_zero_and_62_classes_fit():
    logits = np.zeros((62, 1, 1), np.float32)
    logits[0], logits[1], logits[61] = -0.0, 1e-9, 1
    mask = threshold_at_pixels(logits, grid=Grid(2), size=(2, 2), dtype=np.int64)
    assert (mask == (1 << 61) + 2).all()
