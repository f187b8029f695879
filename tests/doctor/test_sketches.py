import io
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as pil

from atrous.doctor.sketches import (
    VARIANTS,
    cells,
    coefficients,
    details,
    hashes,
    sketch,
    variant,
)
from atrous.kernels.hamming import RADIUS


def picture(seed: int, side: int = 96) -> np.ndarray:
    """Blotches of several sizes, as photographs have; a little noise."""
    random = np.random.default_rng(seed)
    image = np.full((side, side, 3), 128.0)
    for grid, strength in ((3, 60), (8, 35), (20, 20)):
        coarse = random.normal(0, strength, (grid, grid, 3)).clip(-127, 127) + 128
        smooth = pil.fromarray(coarse.astype(np.uint8)).resize((side, side), pil.Resampling.BICUBIC)
        image += np.asarray(smooth, float) - 128
    return (image + random.normal(0, 4, image.shape)).clip(0, 255).astype(np.uint8)


def differing_bits(one: int, other: int) -> int:
    return (one ^ other).bit_count()


@given(st.integers(0, 2**32), st.integers(0, VARIANTS - 1))
def test_the_hash_of_a_turned_picture_follows_from_that_of_the_picture(seed, number):
    image = picture(seed, 48)
    turned = np.stack([variant(image[..., band], number) for band in range(3)], -1)
    predicted = hashes(coefficients(cells([sketch(image)])))[0, number]
    assert differing_bits(sketch(turned).hash, int(predicted)) <= 1  # a cell rounded otherwise


@given(st.integers(0, 2**32))
def test_types_bands_and_unknown_pixels_make_no_difference(seed):
    image = picture(seed)[..., :1]
    thumb = np.frombuffer(sketch(image).thumb, np.uint8).astype(int)
    holes = image.astype(np.float32) / 7 - 3
    holes[np.random.default_rng(seed).random(image.shape) < 0.002] = np.nan
    for other in (
        image.astype(np.uint16) * 257,
        image.astype(np.int16) - 100,
        np.repeat(image, 3, 2),
        np.repeat(image, 13, 2),
        holes,
    ):
        made = sketch(other)
        assert abs(np.frombuffer(made.thumb, np.uint8) - thumb).max() <= 6
        assert made.contrast >= sketch(image).contrast * 0.9


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_a_constant_picture_has_no_contrast(dtype):
    made = sketch(np.full((20, 30, 3), 77, dtype))
    assert made.contrast == 0 and made.hash == 0
    assert not details(cells([made])).any()


def test_a_picture_of_nothing_known_has_no_contrast():
    assert sketch(np.full((4, 5, 2), np.nan, np.float32)).contrast == 0


def test_a_dead_pixel_does_not_hide_the_contrast():
    image = picture(1).astype(np.uint16) * 16
    bright = image.copy()
    bright[5, 5] = 65535
    assert sketch(bright).contrast > 0.8 * sketch(image).contrast


def test_a_sketch_takes_less_than_400_bytes():
    made = sketch(picture(2))
    assert sum(map(sys.getsizeof, (made, *made))) < 400


def jpeg(image: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    pil.fromarray(image).save(buffer, "JPEG", quality=50)
    return np.asarray(pil.open(buffer))


def scaled(image: np.ndarray, factor: float) -> np.ndarray:
    size = round(image.shape[1] * factor), round(image.shape[0] * factor)
    return np.asarray(pil.fromarray(image).resize(size))


@pytest.mark.parametrize(
    "change",
    [
        jpeg,
        lambda image: scaled(image, 0.5),
        lambda image: scaled(image, 2),
        lambda image: scaled(image, 0.77),
        lambda image: (image * 1.1).clip(0, 255).astype(np.uint8),
        lambda image: (image * 0.9).astype(np.uint8),
    ],
    ids=["jpeg", "half", "twice", "0.77", "brighter", "darker"],
)
def test_copies_have_nearly_the_same_hash_and_others_have_not(change):
    images = [picture(seed) for seed in range(60)]
    made = [sketch(image).hash for image in images]
    copies = [sketch(change(image)).hash for image in images]
    near = [differing_bits(*pair) <= RADIUS for pair in zip(made, copies, strict=True)]
    assert np.mean(near) >= 0.95
    far = [differing_bits(made[i], made[j]) for i in range(60) for j in range(i)]
    assert min(far) > RADIUS
