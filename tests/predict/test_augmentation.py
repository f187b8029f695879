"""Pictures shown more than once: laws of the mean over mirror images and scales."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.classes import Classes
from atrous.data.images import resized
from atrous.errors import RecipeError
from atrous.kernels.resize import argmax_at_pixels, positions
from atrous.predict.augmentation import AS_IT_IS, Augmentation, moved, pixel_rows, scaled
from atrous.predict.predictor import Predictor, load
from atrous.types import Grid, Spread

PLACEMENTS = (Grid(4), Grid(8, 0.5), Grid(1), Spread(), Spread(multiple=8), Spread(True))
STRIDE = 4


def noise(height, width, bands=3, dtype=np.uint8, seed=0):
    top = 256 if dtype == np.uint8 else 65536
    return np.random.default_rng(seed).integers(0, top, (height, width, bands)).astype(dtype)


def padded(image, multiple=STRIDE):
    """Float pixels, `C H W`, at the bottom and right repeated up to whole cells."""
    height, width = image.shape[:2]
    more = ((0, -height % multiple), (0, -width % multiple), (0, 0))
    return np.pad(image.astype(np.float64), more, mode="edge").transpose(2, 0, 1)


def means(image):
    """A linear engine: the mean of each cell, each band a logit."""
    bands = padded(image)
    count, height, width = bands.shape
    cells = bands.reshape(count, height // STRIDE, STRIDE, width // STRIDE, STRIDE)
    return cells.mean((2, 4)).astype(np.float32)


def lopsided(image):
    """An engine that looks left only, and is not linear."""
    left = np.roll(means(image), 1, axis=2)
    return np.sqrt(np.abs(means(image) - 0.7 * left)).astype(np.float32)


def ramp(height, width, *, y=2.0, x=3.0):
    """A picture whose value at the pixel centre (r, c) is `y r + x c`."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    return (y * rows + x * columns)[..., None]


def test_without_augmentation_the_engine_is_asked_once_and_its_answer_is_kept():
    asked = []
    answer = np.ones((2, 3, 4), np.float32)
    logits = AS_IT_IS.logits(
        lambda image: asked.append(image) or answer, noise(9, 14), grid=Grid(4)
    )
    assert logits is answer and len(asked) == 1


AUGMENTATIONS = (AS_IT_IS, Augmentation(flip=True), Augmentation(True, (0.5, 1.0, 1.5, 2.0)))


@pytest.mark.parametrize("augmentation", AUGMENTATIONS, ids=str)
@pytest.mark.parametrize("banned", [0, 1, 2])
def test_a_class_of_minus_infinity_is_never_there(augmentation, banned):
    """And no warning, which are errors here: infinity times 0 was one, and NaN."""

    def answer(shown):
        logits = means(shown)
        logits[banned] = -np.inf
        return logits

    image, grid = noise(21, 30), Grid(STRIDE)
    logits = augmentation.logits(answer, image, grid=grid)
    mask = argmax_at_pixels(logits, grid=grid, size=image.shape[:2])
    plain = augmentation.logits(means, image, grid=grid)
    others = argmax_at_pixels(np.delete(plain, banned, 0), grid=grid, size=image.shape[:2])
    assert np.array_equal(mask, np.delete(np.arange(3), banned)[others])


@pytest.mark.parametrize("augmentation", AUGMENTATIONS, ids=str)
def test_nan_stays_nan(augmentation):
    image = noise(8, 12)
    logits = augmentation.logits(lambda shown: means(shown) * np.nan, image, grid=Grid(STRIDE))
    assert np.isnan(logits).all()


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_a_picture_that_is_its_own_mirror_image_is_answered_as_without_flip(height, half, seed):
    left = noise(height, half * STRIDE, seed=seed)
    image = np.concatenate([left, left[:, ::-1]], axis=1)
    flipped = Augmentation(flip=True).logits(means, image, grid=Grid(STRIDE))
    assert np.allclose(flipped, means(image), rtol=1e-6)


@given(st.integers(1, 30), st.integers(1, 9), st.integers(0, 99))
def test_of_whole_cells_the_mirror_image_gets_the_mirrored_mask_to_the_last_bit(
    height, cells, seed
):
    image = noise(height, cells * STRIDE, seed=seed)
    one, other = (
        Augmentation(flip=True).logits(lopsided, picture, grid=Grid(STRIDE))
        for picture in (image, np.ascontiguousarray(image[:, ::-1]))
    )
    assert np.array_equal(one, other[:, :, ::-1])
    masks = [argmax_at_pixels(m, grid=Grid(STRIDE), size=image.shape[:2]) for m in (one, other)]
    assert np.array_equal(masks[0], masks[1][:, ::-1])


@pytest.mark.parametrize("width", [29, 30, 31, 32])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("scales", [(1.0,), (0.5, 1.0), (1.0, 1.5), (0.75, 1.0, 1.25, 2.0)])
def test_views_of_a_ramp_by_a_linear_engine_agree_where_no_edge_is_near(width, flip, scales):
    image = ramp(41, width)
    logits = Augmentation(flip, scales).logits(means, image, grid=Grid(STRIDE))
    inside = np.s_[:, 2:-3, 2:-3]
    # A pixel is 2 or 3; Pillow's shrinking moves things by hundredths of one.
    assert np.abs(logits - means(image))[inside].max() < 0.03
    assert logits.shape == means(image).shape and logits.dtype == np.float32


def test_a_view_laid_one_pixel_beside_its_place_would_be_seen():
    image = ramp(41, 31)
    wrong = Augmentation(flip=True).logits(
        lambda shown: means(np.roll(shown, 1, axis=1)), image, grid=Grid(STRIDE)
    )
    assert np.abs(wrong - means(np.roll(image, 1, axis=1)))[:, 2:-3, 2:-3].max() > 1


@pytest.mark.parametrize("grid", [Spread(), Spread(multiple=STRIDE)])
def test_logits_that_are_stretched_over_the_picture_are_averaged_in_place(grid):
    image = ramp(40, 32)  # whole cells: all three rules lay them alike
    logits = Augmentation(True, (1.0, 1.5)).logits(means, image, grid=grid)
    assert np.abs(logits - means(image))[:, 2:-2, 2:-2].max() < 1e-3


@pytest.mark.parametrize("grid", PLACEMENTS)
@pytest.mark.parametrize(("pixels", "cells"), [(33, 9), (8, 2), (5, 1), (100, 13)])
def test_a_cell_lies_at_the_row_that_reads_it_alone(grid, pixels, cells):
    rows = pixel_rows(pixels, cells, grid)
    assert np.abs(positions(rows, pixels, cells, grid) - np.arange(cells)).max() < 1e-9


@given(st.integers(1, 5), st.integers(1, 5))
def test_logits_at_their_own_cells_stay_and_beyond_the_edge_are_held(height, width):
    logits = np.random.default_rng(0).normal(size=(2, height, width)).astype(np.float32)
    own = np.arange(height, dtype=float), np.arange(width, dtype=float)
    assert np.array_equal(moved(logits, own), logits)
    held = moved(logits, (np.array([-3.0, height + 2.0]), own[1]))
    assert np.array_equal(held, logits[:, [0, -1]])


@pytest.mark.parametrize(
    ("dtype", "bands"), [("uint8", 3), ("uint8", 5), ("uint16", 1), ("uint16", 4), ("float32", 2)]
)
def test_resizing_keeps_bands_and_type_and_even_areas(dtype, bands):
    image = np.full((7, 9, bands), 201, dtype) + np.arange(bands).astype(dtype)
    for size in ((7, 9), (3, 4), (15, 19), (1, 1)):
        other = resized(image, size)
        assert other.shape == (*size, bands) and other.dtype == image.dtype
        assert np.array_equal(other, np.broadcast_to(image[0, 0], other.shape))


def test_sixteen_bits_are_resized_as_finely_as_they_are():
    image = np.array([[[0], [60000]]], np.uint16)
    assert resized(image, (1, 4))[..., 0].tolist() == [[0, 15000, 45000, 60000]]


@pytest.mark.parametrize(
    ("size", "scale", "found"), [((1, 3), 0.125, (1, 1)), ((33, 21), 1.5, (50, 32))]
)
def test_scaled_sizes_are_whole_and_never_empty(size, scale, found):
    assert scaled(size, scale) == found


@pytest.mark.parametrize(
    "scales", [(), (0.5,), (1.0, 1.0), (1.0, 0.0), (1.0, 100.0), (1.0, float("nan"))]
)
def test_scales_that_cannot_be_averaged_are_named(scales):
    with pytest.raises(RecipeError, match=r"predict\.scales: is \["):
        Augmentation(scales=scales)


class Watched:
    """An engine that knows what it was shown."""

    def __init__(self, engine):
        self.engine, self.shown = engine, []

    def __getattr__(self, name):
        return getattr(self.engine, name)

    def __call__(self, images):
        self.shown.append(images.shape)
        return self.engine(images)


@pytest.mark.parametrize("engine", ["torch", "onnxruntime", "openvino"])
def test_every_engine_is_asked_for_every_view(engine, tiny):
    pytest.importorskip(engine)
    if engine == "torch":
        from atrous.models.build import build
        from atrous.predict.engines.torch import TorchEngine

        model = TorchEngine(build("fcn_basic", num_classes=3))
        predictor = Predictor(model, Classes(("a", "b", "c")))
    else:
        predictor = load(tiny, engine=engine, threads=1)
    watched, augmentation = Watched(predictor.engine), Augmentation(True, (0.5, 1.0))
    predictor = replace(predictor, engine=watched, augmentation=augmentation)  # pyright: ignore[reportArgumentType]
    assert predictor(noise(9, 13)).mask.shape == (9, 13)
    assert augmentation.views == 4
    assert sorted(watched.shown) == [(1, 4, 6, 3)] * 2 + [(1, 9, 13, 3)] * 2
