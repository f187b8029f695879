import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atrous.classes import COLOURED, TRANSPARENT
from atrous.kernels.ramps import Ramps, count_ramps, count_ramps_reference

COLOURS = COLOURED + np.array([0, 0x808080, 0xFFFFFF, 0x102030, TRANSPARENT - COLOURED])


@st.composite
def masks(draw):
    """Runs of one to four pixels of numbers near or far apart, or of colours."""
    shape = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    labels = draw(arrays(np.int64, shape, elements=st.integers(0, 4)))
    table, dtype = draw(
        st.sampled_from(
            [
                (np.arange(5), "uint8"),
                (np.array([0, 60, 120, 254, 255]), "uint8"),
                (np.array([-1, 0, 7, 300, 65535]), ">i4"),
                (COLOURS, "int32"),
            ]
        )
    )
    widths = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    return np.kron(table[labels], np.ones(widths, np.int64)).astype(dtype)


@given(masks())
def test_the_kernel_finds_what_python_finds(raw):
    assert count_ramps(raw) == count_ramps_reference(raw)


@given(masks())
def test_rows_and_columns_count_alike(raw):
    assert count_ramps(raw.T)[:4] == count_ramps(raw)[:4]
    assert count_ramps(raw[::-1, ::-1])[:4] == count_ramps(raw)[:4]


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        ([0] * 4 + [9] * 4, (1, 0, 0, 0)),
        ([0] * 4 + [1] * 4, (0, 0, 0, 0)),  # nothing would fit between
        ([0] * 4 + [3, 6] + [9] * 4, (0, 1, 0, 0)),
        ([9] * 4 + [6, 6, 3] + [0] * 4, (0, 1, 0, 0)),
        ([0] * 4 + [4] + [0] * 4, (0, 0, 1, 0)),  # a wire
        ([0] * 4 + [9] + [4] * 4, (0, 0, 1, 0)),  # a rim
        ([0] * 4 + [6, 3] + [9] * 4, (0, 0, 0, 1)),
        ([0] * 4 + [2, 5, 2] + [9] * 4, (0, 0, 0, 1)),
        ([0, 3, 9], (0, 1, 0, 0)),  # what the frame cuts off may go on
    ],
)
def test_crossings_by_hand(line, counts):
    assert count_ramps(np.array([line], np.uint8))[:4] == counts


def test_the_first_ramp_is_the_first_pixel_and_its_label_the_most_frequent():
    raw = np.zeros((6, 12), np.uint8)
    raw[2:, 6:] = 8
    raw[2:, 5] = [4, 4, 4, 1]
    assert count_ramps(raw) == Ramps(6, 4, 1, 0, first=2 * 12 + 5, middle=4, pixels=3)


def test_bands_of_a_colour_are_between_each_for_itself():
    black, white, pink, red = COLOURED + np.array([0, 0xFFFFFF, 0xFF8080, 0xFF0000])
    line = [black] * 4 + [pink] + [white] * 4
    assert count_ramps(np.array([line], np.int32)).ramps == 1
    line = [red] * 4 + [black] + [white] * 4
    assert count_ramps(np.array([line], np.int32)).ramps == 0
