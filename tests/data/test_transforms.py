import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.data.transforms import Purpose, augment, cut_scaled, keyed, relight, resample_mask
from atrous.recipe import Augment
from atrous.types import Sample


def checkered(height, width, dtype=np.uint8):
    """A picture whose mask can be told from its pixels: dark is 0, bright is 1."""
    y, x = np.mgrid[:height, :width]
    mask = ((y // 16 + x // 16) % 2).astype(np.uint8)
    bright = np.iinfo(dtype).max * 3 // 4
    image = np.where(mask[..., None] > 0, bright, bright // 6).astype(dtype).repeat(3, 2)
    return Sample(image, mask, "checkered")


@given(st.integers(0, 2**62), st.integers(0, 10**9), st.integers(0, 64))
def test_what_is_drawn_at_a_step_follows_from_seed_step_and_slot_alone(seed, step, slot):
    one = keyed(seed, Purpose.AUGMENT, step, slot)
    keyed(seed, Purpose.AUGMENT, step + 1, slot).random(100)  # others drawn between
    assert np.array_equal(one.random(8), keyed(seed, Purpose.AUGMENT, step, slot).random(8))
    for other in ((step + 1, slot), (step, slot + 1)):
        assert not np.array_equal(
            keyed(seed, Purpose.AUGMENT, step, slot).random(8),
            keyed(seed, Purpose.AUGMENT, *other).random(8),
        )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(40, 50), (100, 300), (301, 97)])
@pytest.mark.parametrize("photometric", [0.0, 0.3])
def test_picture_and_mask_are_changed_alike(dtype, size, photometric):
    sample = checkered(size[0], size[1], dtype)
    options = Augment(crop=96, photometric=photometric)
    for step in range(8):
        image, mask, _ = augment(sample, options, keyed(0, Purpose.AUGMENT, step), ignore_index=255)
        assert image.shape == (96, 96, 3) and mask.shape == (96, 96)
        assert image.dtype == dtype and mask.dtype == np.uint8
        valid = mask != 255
        low, high = np.percentile(image[valid].astype(float), (2, 98))
        seen = (image[..., 0] > (low + high) / 2).astype(np.uint8)
        # Anti-aliased borders of the squares fall to either side.
        assert (seen == mask)[valid].mean() > 0.93
        assert (image[~valid] == (np.iinfo(dtype).max + 1) // 2).all()


@given(st.integers(0, 1000), st.floats(0.3, 3), st.integers(20, 80), st.integers(20, 80))
def test_a_mask_gains_no_labels_but_ignore(step, scale, height, width):
    options = Augment(crop=64, scale_min=scale, scale_max=scale)
    random = keyed(0, Purpose.AUGMENT, step)
    mask = augment(checkered(height, width), options, random, ignore_index=254).mask
    assert set(np.unique(mask)) <= {0, 1, 254}
    fits = min(height, width) * scale >= 64
    assert not (fits and (mask == 254).any())


def test_scale_one_moves_no_label():
    sample = checkered(64, 64)
    assert np.array_equal(resample_mask(sample.mask, (0, 0, 64, 64), (64, 64)), sample.mask)
    image, mask, corner = cut_scaled(sample, (64, 64), 1.0, keyed(0, Purpose.AUGMENT, 0))
    assert np.array_equal(image, sample.image)
    assert np.array_equal(mask, sample.mask)
    assert corner == (0, 0)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1)])
def test_pictures_one_pixel_high_or_wide_can_be_augmented(size, dtype):
    sample = Sample(np.zeros((*size, 3), dtype), np.zeros(size, np.uint8), "thin")
    random = keyed(0, Purpose.AUGMENT, 0)
    assert augment(sample, Augment(crop=64), random, ignore_index=255).image.shape == (64, 64, 3)


def test_relighting_with_no_strength_changes_nothing_and_with_some_stays_in_range():
    image = checkered(20, 20).image
    assert np.array_equal(relight(image, 0, keyed(0, Purpose.AUGMENT, 0)), image)
    lit = relight(image, 0.9, keyed(0, Purpose.AUGMENT, 0))
    assert lit.dtype == np.uint8 and not np.array_equal(lit, image)


def deep(height, width, bands, dtype):
    """A picture of any bands and type, with negative floats, and the mask of `checkered`."""
    sample = checkered(height, width)
    steps = np.linspace(0.3, 1, bands)
    image = sample.image[..., :1] * steps
    image = image * 40.0 - 3000 if dtype == np.float32 else image
    return Sample(image.astype(dtype), sample.mask, "deep")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("bands", [1, 2, 4, 13])
def test_any_bands_are_changed_as_their_mask_is(bands, dtype):
    sample = deep(100, 130, bands, dtype)
    options = Augment(crop=96)
    for step in range(4):
        image, mask, _ = augment(sample, options, keyed(0, Purpose.AUGMENT, step), ignore_index=255)
        assert image.shape == (96, 96, bands) and image.dtype == dtype
        valid = mask != 255
        for band in range(bands):
            low, high = np.percentile(image[..., band][valid].astype(float), (2, 98))
            seen = image[..., band] > (low + high) / 2
            assert (seen == mask)[valid].mean() > 0.93


def test_the_same_is_done_to_floats_as_to_bytes():
    sample = checkered(80, 90)
    floats = sample._replace(image=sample.image.astype(np.float32))
    for step in range(4):
        options = Augment(crop=64, photometric=0)
        one, other = (
            augment(s, options, keyed(0, Purpose.AUGMENT, step), ignore_index=255)
            for s in (sample, floats)
        )
        assert np.array_equal(one.mask, other.mask)
        known = one.mask != 255
        assert np.abs(one.image[known] - other.image[known]).max() <= 1.01  # rounded twice


def test_around_a_small_picture_of_floats_lies_its_mean():
    image = np.full((20, 20, 2), (-3000.5, 0.25), np.float32)
    sample = Sample(image, np.zeros((20, 20), np.uint8), "small")
    options = Augment(crop=64, scale_min=1, scale_max=1, photometric=0)
    padded = augment(sample, options, keyed(0, Purpose.AUGMENT, 0), ignore_index=255)
    assert (padded.mask == 255).any()
    assert np.array_equal(padded.image, np.broadcast_to(image[0, 0], padded.image.shape))


def test_relit_floats_stay_in_the_range_of_their_picture():
    image = deep(40, 40, 5, np.float32).image
    lit = relight(image, 0.9, keyed(0, Purpose.AUGMENT, 0))
    assert lit.dtype == np.float32 and not np.array_equal(lit, image)
    assert image.min() <= lit.min() and lit.max() <= image.max()
    assert (lit != lit.round()).any()
