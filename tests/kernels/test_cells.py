import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from atrous.kernels.cells import cell_means, cell_means_reference

shapes = array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=40)


@st.composite
def images(draw):
    dtype = draw(st.sampled_from(["uint8", "uint16", "int16", "float32", "float64"]))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    image = (random.random(draw(shapes)) * 200).astype(dtype)
    if dtype.startswith("float"):
        image[random.random(image.shape) < draw(st.sampled_from([0, 0.1, 0.9]))] = np.nan
    return image


@given(images(), st.integers(1, 18))
def test_the_kernel_gives_what_numpy_gives(image, cells):
    made, expected = cell_means(image, cells), cell_means_reference(image, cells)
    assert np.allclose(made, expected, rtol=1e-4, atol=1e-4, equal_nan=True)


@given(images(), st.integers(1, 9))
def test_a_flipped_picture_has_flipped_cells(image, cells):
    flipped = cell_means(np.ascontiguousarray(image[::-1, ::-1]), cells)[::-1, ::-1]
    assert np.allclose(flipped, cell_means(image, cells), rtol=1e-4, atol=1e-4, equal_nan=True)


@given(arrays("uint8", (6, 9, 3)), st.integers(1, 5))
def test_each_pixel_drawn_larger_changes_nothing(image, factor):
    larger = np.kron(image, np.ones((factor, factor, 1), np.uint8))
    assert np.allclose(cell_means(larger, 4), cell_means(image, 4), rtol=1e-4, atol=1e-3)


def test_infinite_pixels_are_left_out_and_a_cell_of_none_is_unknown():
    image = np.full((4, 4, 1), 7, np.float32)
    image[:2, :2] = np.inf
    image[3, 3] = -np.inf
    assert np.array_equal(cell_means(image, 2), np.array([[np.nan, 7], [7, 7]]), equal_nan=True)


@pytest.mark.parametrize("bands", [1, 3, 4])
def test_a_grey_picture_keeps_its_grey(bands):
    assert np.allclose(cell_means(np.full((5, 5, bands), 100, np.uint8), 2), 100, rtol=1e-6)
