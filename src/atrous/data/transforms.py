"""Joint random changes of a picture and its mask, drawn from a keyed generator.

`keyed(seed, purpose, step, slot)` is counter-based: what is drawn at a step does not depend
on what was drawn before, so a run can go on from any step with any number of workers.
"""

from enum import IntEnum

import numpy as np
from PIL import Image as Pillow

from atrous.recipe import Augment
from atrous.types import Image, Mask, Sample, Size

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


class Purpose(IntEnum):
    """Streams of random numbers that must not meet."""

    ORDER = 0
    AUGMENT = 1
    DROPOUT = 2


def keyed(seed: int, purpose: Purpose, step: int, slot: int = 0) -> np.random.Generator:
    """The random generator of one (seed, purpose, step, slot)."""
    key = np.array([seed, purpose], np.uint64)
    # The low word counts what is drawn; the others are ours.
    counter = np.array([0, 0, slot, step], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def augment(sample: Sample, options: Augment, random: np.random.Generator) -> Sample:
    """A random square of the randomly scaled, mirrored, re-lit sample.

    Where the scaled picture is smaller than the square, the rest is mid-grey and ignored.
    """
    size = (options.crop, options.crop)
    scale = random.uniform(options.scale_min, options.scale_max)
    image, mask = crop_scaled(sample, size, scale, random)
    if options.flip and random.random() < 0.5:
        image, mask = image[:, ::-1], mask[:, ::-1]
    image = relight(image, options.photometric, random)
    return Sample(np.ascontiguousarray(image), np.ascontiguousarray(mask), sample.name)


def crop_scaled(
    sample: Sample, size: Size, scale: float, random: np.random.Generator
) -> tuple[Image, Mask]:
    """A window of `size` of the picture scaled by `scale`, in one resampling."""
    spans = [
        _span(full, crop, scale, random)
        for full, crop in zip(sample.image.shape[:2], size, strict=True)
    ]
    (top, bottom, y, height), (left, right, x, width) = spans
    box = (left, top, right, bottom)
    image = np.full((*size, sample.image.shape[2]), _middle(sample.image.dtype), sample.image.dtype)
    ignore = np.iinfo(sample.mask.dtype).max
    mask = np.full(size, ignore, sample.mask.dtype)
    image[y : y + height, x : x + width] = resample(sample.image, box, (height, width))
    mask[y : y + height, x : x + width] = resample_mask(sample.mask, box, (height, width))
    return image, mask


def _span(
    full: int, crop: int, scale: float, random: np.random.Generator
) -> tuple[float, float, int, int]:
    """Along one axis: source begin and end, place and length in the window."""
    window = crop / scale
    if window <= full:
        begin = random.uniform(0, full - window)
        return begin, begin + window, 0, crop
    length = max(1, min(crop, round(full * scale)))
    return 0, full, int(random.integers(0, crop - length + 1)), length


def resample(image: Image, box: tuple[float, float, float, float], size: Size) -> Image:
    """The part `box` (left, top, right, bottom) of a picture at `size`, bilinear, anti-aliased."""
    if image.dtype == np.uint8:
        return np.asarray(_resized(image, box, size)).reshape(*size, -1)
    bands = [_resized(image[..., c].astype(np.float32), box, size) for c in range(image.shape[2])]
    return np.stack([np.asarray(band) for band in bands], -1).round().astype(image.dtype)


def _resized(array: np.ndarray, box: tuple[float, float, float, float], size: Size):
    picture = Pillow.fromarray(array.squeeze())
    return picture.resize((size[1], size[0]), Pillow.Resampling.BILINEAR, box=box)


def resample_mask(mask: Mask, box: tuple[float, float, float, float], size: Size) -> Mask:
    """The part `box` of a mask at `size`: each pixel takes the label under its centre."""
    left, top, right, bottom = box
    rows = top + (np.arange(size[0]) + 0.5) * ((bottom - top) / size[0])
    columns = left + (np.arange(size[1]) + 0.5) * ((right - left) / size[1])
    # A centre on the far edge belongs to the last pixel.
    rows = np.minimum(rows.astype(np.int64), mask.shape[0] - 1)
    columns = np.minimum(columns.astype(np.int64), mask.shape[1] - 1)
    return mask[rows[:, None], columns]


def relight(image: Image, strength: float, random: np.random.Generator) -> Image:
    """Brightness, contrast and saturation, each by a factor in 1 +- `strength`."""
    brightness, contrast, saturation = random.uniform(1 - strength, 1 + strength, 3)
    if strength == 0:
        return image
    pixels = image.astype(np.float32)
    grey = pixels @ LUMA if image.shape[2] == 3 else pixels.mean(-1)
    # One affine map: saturation mixes with grey, contrast with the mean, brightness scales.
    pixels *= np.float32(brightness * contrast * saturation)
    pixels += (grey * np.float32(brightness * contrast * (1 - saturation)))[..., None]
    pixels += np.float32(brightness * (1 - contrast) * grey.mean())
    return pixels.clip(0, np.iinfo(image.dtype).max).round().astype(image.dtype)


def _middle(dtype: np.dtype) -> int:
    return (np.iinfo(dtype).max + 1) // 2
