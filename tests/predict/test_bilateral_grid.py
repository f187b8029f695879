"""The laws of the bilateral grid, and parity: with plain NumPy, with the filter that it is."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.errors import DataError, ImageError, RecipeError
from atrous.kernels.grids import lay, means, spread
from atrous.predict.bilateral_grid import bilateral_grid, bilateral_grid_reference, grey_of

SMALL: Any = {"sxy": 5.0, "srgb": 30.0}


def scene(height=24, width=30, labels=3, seed=0, bands=3):
    """A picture of flat regions with noise, and unsure probabilities."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, ((height + 7) // 8, (width + 7) // 8, bands))
    image = np.kron(coarse, np.ones((8, 8, 1)))[:height, :width]
    image = image + random.normal(size=image.shape) * 10
    weights = np.exp(random.normal(size=(labels, height, width)))
    return image.clip(0, 255).astype(np.uint8), (weights / weights.sum(0)).astype(np.float32)


@st.composite
def scenes(draw):
    size = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    return scene(*size, draw(st.sampled_from([1, 2, 3, 5, 9])), draw(st.integers(0, 99)))


@given(scenes(), st.floats(1, 90), st.floats(2, 300), st.floats(-3, 9))
def test_plain_numpy_agrees(case, sxy, srgb, weight):
    how: Any = {"sxy": sxy, "srgb": srgb, "weight": weight}
    made = bilateral_grid(*case, **how)
    assert made.dtype == np.float32 and made.shape == case[1].shape
    assert np.abs(made - bilateral_grid_reference(*case, **how)).max() <= 1e-4


def test_the_grid_is_near_the_filter_of_every_pixel_with_every_pixel():
    """The mean over near pixels of a like grey, by Gaussians of the same widths."""
    image, _ = scene(60, 50)
    values = np.random.default_rng(1).random((60, 50)).astype(np.float32)
    y, x = np.mgrid[:60, :50].reshape(2, -1) / 10.0
    places = np.stack([y, x, grey_of(image).reshape(-1) / 20.0])
    kernel = np.exp(-0.5 * ((places[:, :, None] - places[:, None]) ** 2).sum(0))
    exact = kernel @ values.reshape(-1) / kernel.sum(1)
    grid = lay(grey_of(image), sxy=10.0, sgrey=20.0)
    cells, read = spread(grid, values.reshape(-1), threads=1), means(grid, 1.0, threads=1)
    made = (read.weights * cells[read.corners]).sum(1)
    assert np.abs(made - exact).max() <= 0.1 and np.abs(made - exact).mean() <= 0.01


@given(scenes())
def test_probabilities_stay_normalised(case):
    made = bilateral_grid(*case, **SMALL)
    assert np.abs(made.sum(0) - 1).max() <= 1e-5 and made.min() >= 0


@given(scenes())
def test_the_order_of_labels_does_not_matter(case):
    image, probs = case
    order = np.random.default_rng(0).permutation(len(probs))
    made = bilateral_grid(image, probs, **SMALL)
    assert np.allclose(bilateral_grid(image, probs[order], **SMALL), made[order], atol=1e-5)


@given(scenes(), st.floats(0.991, 1.009))
def test_a_constant_added_to_the_logits_does_not_matter(case, factor):
    image, probs = case
    made = bilateral_grid(image, probs * np.float32(factor), **SMALL)
    assert np.allclose(made, bilateral_grid(image, probs, **SMALL), atol=1e-5)


@given(scenes())
def test_a_weight_of_zero_changes_nothing(case):
    assert np.allclose(bilateral_grid(*case, weight=0.0), case[1], atol=1e-6)


@given(scenes())
def test_a_transposed_picture_is_transposed(case):
    image, probs = case
    turned = bilateral_grid(image.transpose(1, 0, 2), probs.transpose(0, 2, 1), **SMALL)
    assert np.allclose(turned.transpose(0, 2, 1), bilateral_grid(image, probs, **SMALL), atol=1e-5)


@given(scenes(), st.integers(0, 20))
def test_a_brighter_picture_is_the_same_guide(case, brighter):
    image, probs = case
    image = image.clip(0, 235).astype(np.uint8)
    made = bilateral_grid(image, probs, **SMALL)
    other = bilateral_grid(image + np.uint8(brighter), probs, **SMALL)
    assert np.allclose(other, made, atol=1e-4)


@pytest.mark.parametrize("labels", [2, 3, 21])
def test_threads_change_no_bit(labels):
    image, probs = scene(150, 130, labels)
    made = [bilateral_grid(image, probs, **SMALL, threads=threads) for threads in (1, 2)]
    assert np.array_equal(made[0], made[1])


def test_regions_of_another_grey_tell_each_other_nothing():
    image, probs = np.zeros((40, 40, 3), np.uint8), np.full((2, 40, 40), 0.5, np.float32)
    image[:, 20:] = 200
    probs[:, :, :20] = np.array([0.9, 0.1]).reshape(2, 1, 1)
    made = bilateral_grid(image, probs)
    assert np.allclose(made[:, :, 20:], 0.5, atol=1e-5) and made[0, :, :20].min() > 0.98


def test_colours_of_one_grey_mix():
    """As the module says: they are apart for the CRF, not here."""
    image, probs = np.zeros((40, 40, 3), np.uint8), np.full((2, 40, 40), 0.5, np.float32)
    image[:, :20, 0], image[:, 20:, 1] = 226, 115  # red and green of luma 67.5
    probs[:, :, :20] = np.array([0.9, 0.1]).reshape(2, 1, 1)
    assert bilateral_grid(image, probs)[0, :, 20:].min() > 0.6


@pytest.mark.parametrize("bands", [1, 2, 4])
def test_guides_of_any_number_of_bands(bands):
    image, probs = scene(bands=bands)
    mean = np.repeat(image.mean(2, keepdims=True).round(), 3, axis=2).astype(np.uint8)
    made = bilateral_grid(image, probs, **SMALL)
    assert np.abs(made - bilateral_grid(mean, probs, **SMALL)).max() <= 0.05


def test_a_guide_of_16_bits_is_one_of_8_with_a_wider_kernel():
    image, probs = scene()
    made = bilateral_grid(image.astype(np.uint16) * 256, probs, srgb=3 * 256)
    assert np.allclose(made, bilateral_grid(image, probs, srgb=3), atol=1e-5)


def test_it_does_on_a_street_what_the_crf_does(shared_data: Path):
    """97 % of the labels are the same, 95 % without it; it is another model."""
    with np.load(shared_data / "dense_crf" / "q_camvid.npz") as golden:
        image, probs, q = golden["image"], golden["probs"], golden["q"]
    same = (bilateral_grid(image, probs).argmax(0) == q.argmax(0)).mean()
    assert same >= 0.965 > 0.955 > (probs.argmax(0) == q.argmax(0)).mean()


IMAGE, PROBS = scene(6, 8)


@pytest.mark.parametrize(
    ("image", "probs", "error", "said"),
    [
        (IMAGE[:, :, 0], PROBS, ImageError, "(6, 8)"),
        (IMAGE[:0], PROBS[:, :0], ImageError, "(0, 8, 3)"),
        (IMAGE, PROBS[:, :5], DataError, "(3, 5, 8)"),
        (IMAGE, PROBS * 2, DataError, "add up to 2"),
        (IMAGE, PROBS + np.where(np.arange(8) == 3, np.nan, 0), DataError, "pixel (0, 3)"),
    ],
)
def test_wrong_arrays_are_refused(image, probs, error, said):
    with pytest.raises(error) as caught:
        bilateral_grid(image, probs)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"sxy": 0.0}, "sxy: is 0.0"),
        ({"sxy": np.nan}, "sxy: is nan"),
        ({"srgb": -1.0}, "srgb: is -1.0"),
        ({"srgb": np.inf}, "srgb: is inf"),
        ({"weight": np.nan}, "weight: is nan"),
        ({"weight": 1e39}, "weight: is 1e+39"),
        ({"sxy": 1e39}, "sxy: is 1e+39"),
        ({"sxy": 0.01, "srgb": 0.1}, "sxy: is 0.01, and srgb 0.1"),
    ],
)
def test_wrong_options_are_refused(option, said):
    with pytest.raises(RecipeError) as caught:
        bilateral_grid(IMAGE, PROBS, **option)
    assert said in str(caught.value)


def test_a_width_that_is_0_in_single_precision_is_refused():
    """Of a picture of one grey any other will do; cells of no width lie outside the grid."""
    with pytest.raises(RecipeError, match="srgb: is 1e-50"):
        bilateral_grid(np.zeros_like(IMAGE), PROBS, srgb=1e-50)
