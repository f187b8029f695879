import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.kernels.filtering import filtered, scale, spread
from atrous.kernels.lattice import GROUP, READS, lattice
from atrous.kernels.separable import add_filtered, line
from atrous.kernels.simplices import digits

NEAR = 1e-5


@st.composite
def point_clouds(draw):
    """Features of up to 5 dimensions, dense enough that points have neighbours."""
    d, n = draw(st.integers(1, 5)), draw(st.integers(1, 300))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    return (random.normal(size=(d, n)) * draw(st.sampled_from([0, 0.3, 2, 100]))).astype(np.float32)


def values_of(features: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).random(features.shape[1]).astype(np.float32)


def filter_of(features: np.ndarray, values: np.ndarray, **how) -> np.ndarray:
    points = lattice([features], **how)
    return filtered(points, points.kernels[0], values, **how)


@given(point_clouds())
def test_every_pixel_lies_within_its_simplex(features):
    points = lattice([features])
    d, (kernel,) = len(features), points.kernels
    shares = points.weights * (1 + 2.0**-d)
    assert points.corners.shape[1] % READS == 0
    assert np.allclose(shares.sum(1), 1, atol=NEAR * (1 + np.abs(features).max()))
    assert shares.min() > -1e-3 * (1 + np.abs(features).max())
    own = points.corners[:, kernel.columns]
    assert all(len(set(row)) == d + 1 for row in own.tolist()) and own.max() < points.size


@given(point_clouds())
def test_points_hold_the_pixels_that_read_them(features):
    points = lattice([features])
    d, (kernel,) = len(features), points.kernels
    assert (np.diff(kernel.starts) % GROUP == 0).all()
    point = np.repeat(np.arange(points.size), np.diff(kernel.starts))
    held = np.zeros((points.size, features.shape[1]))
    np.add.at(held, (point, kernel.pixels), kernel.shares)
    read = np.zeros_like(held)
    np.add.at(read.T, (np.arange(features.shape[1])[:, None], points.corners), points.weights)
    assert np.allclose(held, read * (1 + 2.0**-d), atol=1e-6 * (1 + np.abs(features).max()))


@given(point_clouds())
def test_chains_hold_a_point_once_and_two_or_more(features):
    points = lattice([features])
    for chains in points.kernels[0].chains:
        assert len(set(chains.points.tolist())) == len(chains.points)
        assert (np.diff(chains.starts) >= 2).all() and chains.starts[-1] == len(chains.points)


@given(point_clouds(), st.integers(1, 9))
def test_lanes_are_filtered_as_each_alone(features, lanes):
    points = lattice([features])
    (kernel,), n = points.kernels, features.shape[1]
    rows = np.random.default_rng(1).random((n, lanes)).astype(np.float32)
    values = np.empty((points.size, lanes), np.float32)
    spread(kernel, rows, values, threads=1)
    for k in range(lanes):
        alone = np.empty(points.size, np.float32)
        spread(kernel, np.ascontiguousarray(rows[:, k]), alone, threads=1)
        assert np.allclose(values[:, k], alone, rtol=NEAR, atol=NEAR)


@given(point_clouds(), st.floats(-3, 3, width=32))
def test_the_filter_is_linear(features, factor):
    values = values_of(features)
    both = filter_of(features, values + np.float32(factor) * values[::-1])
    apart = filter_of(features, values) + factor * filter_of(features, values[::-1].copy())
    assert np.allclose(both, apart, rtol=1e-4, atol=1e-4 * np.abs(apart).max())


@settings(max_examples=20)
@given(point_clouds())
def test_threads_change_no_bit(features):
    features = np.tile(features, (1, 40))
    values = values_of(features)
    one, two = (filter_of(features, values, threads=threads) for threads in (1, 2))
    assert np.array_equal(one, two)


def test_two_kernels_side_by_side_are_each_alone():
    random = np.random.default_rng(0)
    clouds = [random.normal(size=(d, 500)).astype(np.float32) for d in (2, 5)]
    values = random.random(500).astype(np.float32)
    both = lattice(clouds)
    for kernel, features in zip(both.kernels, clouds, strict=True):
        assert np.array_equal(filtered(both, kernel, values), filter_of(features, values))


def test_scaling_multiplies_before_and_after():
    random = np.random.default_rng(0)
    features = random.normal(size=(3, 200)).astype(np.float32)
    values, before, after = random.random((3, 200)).astype(np.float32)
    points = lattice([features])
    scale(points, points.kernels[0], before=before, after=after)
    expected = after * filter_of(features, before * values)
    assert np.allclose(filtered(points, points.kernels[0], values), expected, rtol=NEAR)


def test_the_filter_is_near_the_gaussian():
    """Of 2 dimensions, filled densely: within 15 % of the peak, once both sums are the same."""
    y, x = np.mgrid[:40, :40].reshape(2, -1) / np.float32(3)
    features = np.stack([x, y]).astype(np.float32)
    spot = np.zeros(1600, np.float32)
    spot[820] = 1
    exact = np.exp(-0.5 * ((features - features[:, [820]]) ** 2).sum(0))
    made = filter_of(features, spot)
    apart = made / made.sum() - exact / exact.sum()
    assert np.abs(apart).max() <= 0.15 * exact.max() / exact.sum()


def test_room_for_keys_is_counted():
    wide = np.zeros((5, 2), np.float32)
    wide[:, 1] = 30000
    assert digits(wide).bits > 62 > digits(wide / 1000).bits


@given(st.integers(1, 9), st.integers(1, 12), st.integers(1, 3), st.floats(0.2, 9))
def test_the_separable_filter_is_the_exact_gaussian(height, width, lanes, deviation):
    random = np.random.default_rng(0)
    rows = random.random((height * width, lanes)).astype(np.float32)
    logits = random.random((height * width, lanes)).astype(np.float32)
    y, x = np.mgrid[:height, :width].reshape(2, -1) / deviation
    kernel = np.exp(-0.5 * ((y[:, None] - y) ** 2 + (x[:, None] - x) ** 2))
    out = np.empty_like(rows)
    down, across = line(deviation, height), line(deviation, width)
    add_filtered(logits, rows, down, across, out)
    assert np.allclose(out, logits + kernel @ rows, rtol=NEAR, atol=NEAR)
    assert np.allclose(np.outer(down.sums(), across.sums()).ravel(), kernel.sum(1), rtol=NEAR)


def test_the_separable_filter_scales_and_is_the_same_in_strips():
    random = np.random.default_rng(0)
    rows, logits = random.random((2, 40 * 30, 4)).astype(np.float32)
    plain = line(2.0, 40), line(2.0, 30)
    scaled = [
        each._replace(
            before=random.random(n).astype(np.float32), after=random.random(n).astype(np.float32)
        )
        for each, n in zip(plain, (40, 30), strict=True)
    ]
    before, after = (
        np.outer(*(getattr(each, name) for each in scaled)).reshape(-1, 1)
        for name in ("before", "after")
    )
    expected, made, again = (np.empty_like(rows) for _ in range(3))
    add_filtered(
        np.zeros_like(rows), before.astype(np.float32) * rows, plain[0], plain[1], expected
    )
    add_filtered(logits, rows, scaled[0], scaled[1], made, threads=1)
    add_filtered(logits, rows, scaled[0], scaled[1], again, threads=2)
    assert np.allclose(made, logits + after * expected, rtol=NEAR)
    assert np.array_equal(made, again)


@pytest.mark.parametrize("pixels", [1, 7, 8, 9])
def test_few_pixels_are_no_exception(pixels):
    features = np.arange(pixels, dtype=np.float32)[None]
    assert filter_of(features, np.ones(pixels, np.float32)).min() > 0.5
