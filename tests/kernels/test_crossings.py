import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atrous.kernels.crossings import first_crossing, first_crossing_reference

rings = arrays(np.float64, st.tuples(st.integers(0, 9), st.just(2)), elements=st.integers(-5, 5))


@given(rings)
def test_the_kernel_finds_the_crossing_that_numpy_finds(ring):
    found, expected = first_crossing(ring), first_crossing_reference(ring)
    assert (found is None) == (expected is None)
    if found is not None:
        assert found == pytest.approx(expected)


@given(rings, st.integers(0, 8))
def test_whether_a_ring_crosses_itself_depends_on_neither_start_nor_direction(ring, start):
    crosses = first_crossing(ring) is not None
    assert (first_crossing(np.roll(ring, start, 0)) is not None) == crosses
    assert (first_crossing(ring[::-1]) is not None) == crosses


@given(st.lists(st.floats(0.5, 9), min_size=3, max_size=20))
def test_a_star_around_a_point_does_not_cross_itself(radii):
    turn = np.arange(len(radii)) * (2 * np.pi / len(radii))
    assert (
        first_crossing(np.stack([np.cos(turn), np.sin(turn)], 1) * np.array(radii)[:, None]) is None
    )


def test_touching_is_not_crossing():
    assert first_crossing(np.array([[0.0, 0], [4, 0], [4, 4], [2, 0], [0, 4]])) is None
    assert first_crossing(np.array([[0.0, 0], [4, 0], [2, 0], [4, 0], [4, 4]])) is None
