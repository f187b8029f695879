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
    WINDOW = 3


def keyed(seed: int, purpose: Purpose, step: int, slot: int = 0) -> np.random.Generator:
    """The random generator of one (seed, purpose, step, slot)."""
    key = np.array([seed, purpose], np.uint64)
    # The low word counts what is drawn; the others are ours.
    counter = np.array([0, 0, slot, step], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def augment(
    sample: Sample, options: Augment, random: np.random.Generator, *, ignore_index: int
) -> Sample:
    """A random square of the randomly scaled, mirrored, re-lit sample.

    Where the scaled picture is smaller than the square, the rest is ignored, and mid-grey;
    of floats, which have no middle, the mean of each band.
    """
    size = (options.crop, options.crop)
    scale = random.uniform(options.scale_min, options.scale_max)
    image, mask, corner = cut_scaled(sample, size, scale, random)
    mirrored = options.flip and random.random() < 0.5
    image = relight(image, options.photometric, random)
    image = _placed(image, corner, size, _middle(image))
    mask = _placed(mask, corner, size, ignore_index)
    if mirrored:
        image, mask = image[:, ::-1], mask[:, ::-1]
    return Sample(np.ascontiguousarray(image), np.ascontiguousarray(mask), sample.name)


def cut_scaled(
    sample: Sample, size: Size, scale: float, random: np.random.Generator
) -> tuple[Image, Mask, tuple[int, int]]:
    """What a window of `size` sees of the picture scaled by `scale`, in one resampling.

    Also the row and column of the window where it begins: 0, 0 unless the picture is smaller.
    """
    (top, bottom, y, height), (left, right, x, width) = (
        _span(full, crop, scale, random)
        for full, crop in zip(sample.image.shape[:2], size, strict=True)
    )
    box = (left, top, right, bottom)
    image = resample(sample.image, box, (height, width))
    return image, resample_mask(sample.mask, box, (height, width)), (y, x)


def _middle(image: Image) -> int | np.ndarray:
    if image.dtype == np.float32:
        return image.mean(axis=(0, 1), dtype=np.float64)  # float32 would lose digits in the sum
    return (np.iinfo(image.dtype).max + 1) // 2


def _placed(
    part: np.ndarray, corner: tuple[int, int], size: Size, rest: int | np.ndarray
) -> np.ndarray:
    """`part` at `corner` of an array of `size` that is `rest` elsewhere."""
    if part.shape[:2] == size:
        return part
    whole = np.full((*size, *part.shape[2:]), rest, part.dtype)
    y, x = corner
    whole[y : y + part.shape[0], x : x + part.shape[1]] = part
    return whole


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
    if image.dtype == np.uint8 and image.shape[2] in (1, 3):  # of four it takes one for alpha
        return np.asarray(_resized(image, box, size)).reshape(*size, -1)
    wide = image if image.dtype == np.uint8 else image.astype(np.float32)
    bands = [np.asarray(_resized(wide[..., c], box, size)) for c in range(image.shape[2])]
    return _as_type(np.stack(bands, -1), image.dtype)


def _resized(array: np.ndarray, box: tuple[float, float, float, float], size: Size):
    picture = Pillow.fromarray(array[..., 0] if array.shape[2:] == (1,) else array)
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
    """Brightness, contrast and saturation, each by a factor in 1 +- `strength`.

    Values stay within their type's range; floats within that of the picture.
    """
    brightness, contrast, saturation = random.uniform(1 - strength, 1 + strength, 3)
    if strength == 0:
        return image
    pixels = image.astype(np.float32)
    grey = pixels @ LUMA if image.shape[2] == 3 else pixels.mean(-1)
    # One affine map: saturation mixes with grey, contrast with the mean, brightness scales.
    pixels *= np.float32(brightness * contrast * saturation)
    pixels += (grey * np.float32(brightness * contrast * (1 - saturation)))[..., None]
    pixels += np.float32(brightness * (1 - contrast) * grey.mean())
    if image.dtype == np.float32:
        return pixels.clip(image.min(), image.max())
    return _as_type(pixels.clip(0, np.iinfo(image.dtype).max), image.dtype)


def _as_type(pixels: np.ndarray, dtype: np.dtype) -> Image:
    return pixels if pixels.dtype == dtype else pixels.round().astype(dtype)
