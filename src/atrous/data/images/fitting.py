"""Arrays that a caller holds already, and pictures as a model takes them."""

import numpy as np
from jaxtyping import Float32, UInt8

from atrous.errors import ImageError
from atrous.types import Image

_LUMA = np.array([19595, 38470, 7471], np.uint32)  # ITU-R 601 in 1/65536, as Pillow's grey


def fit_image(image: Image, *, bands: int, dtype: str) -> Image:
    """The picture as a model of `bands` bands and `dtype` takes it.

    Grey is repeated for three bands; RGB becomes grey by luma (ITU-R 601). uint8 and uint16
    map onto each other by their full range: times 257, or divided by 257 and rounded. As
    float32 they keep their numbers.

    Example:
        >>> fit_image(np.uint8([[[255]]]), bands=3, dtype="uint16").tolist()
        [[[65535, 65535, 65535]]]

    Raises:
        ImageError: the bands are others, or floats are to become integers.
    """
    image = _retyped(image, dtype)
    if image.shape[2] == bands:
        return image
    if image.shape[2] == 1 and bands == 3:
        return np.repeat(image, bands, axis=2)
    if image.shape[2] == 3 and bands == 1:
        return _grey(image)
    raise ImageError(
        "the picture",
        found=f"has {image.shape[2]} bands",
        allowed=f"the model takes {bands}",
        fix="Give pictures with as many bands as the model was trained on.",
    )


def as_shown(image: Image) -> UInt8[np.ndarray, "H W 3"]:
    """The picture for people: 8-bit RGB, of more bands the first three, of two the first.

    Floats have no black and white: each band spans its 2nd to 98th percentile; NaN is black.

    Example:
        >>> as_shown(np.float32([[[-3], [1], [np.nan], [5]]]))[..., 0].tolist()
        [[0, 128, 0, 255]]
    """
    bands = image[..., : 3 if image.shape[2] >= 3 else 1]
    if bands.dtype == np.float32:
        bands = np.stack([_stretched(bands[..., band]) for band in range(bands.shape[2])], -1)
    return fit_image(bands, bands=3, dtype="uint8")


def _stretched(band: Float32[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W"]:
    known = band[np.isfinite(band)]
    low, high = np.percentile(known, (2, 98)) if known.size else (0.0, 1.0)
    share = (band - low) / (high - low) if high > low else (band > low).astype(np.float32)
    return (np.nan_to_num(share).clip(0, 1) * 255).round().astype(np.uint8)


def checked_array(array: np.ndarray) -> Image:
    """An array that a caller hands over, as a picture; not copied.

    Raises:
        ImageError: it is of another type or shape than `as_image` takes.
    """
    allowed = "arrays are H W or H W C of uint8, uint16 or float32"
    where = "the array given as picture"
    if not isinstance(array, np.ndarray):
        kind = type(array).__name__
        fix = "Give a NumPy array, a path or a Pillow picture."
        raise ImageError(where, found=f"is a {kind}", allowed=allowed, fix=fix)
    native = array.dtype.newbyteorder("=")
    if native not in (np.uint8, np.uint16, np.float32):
        fix = "Convert it: 0-255 as uint8, 0-65535 as uint16, anything else as float32."
        raise ImageError(where, found=f"is of {array.dtype}", allowed=allowed, fix=fix)
    image = array[..., None] if array.ndim == 2 else array
    if image.ndim != 3 or image.size == 0:
        shape = " x ".join(map(str, array.shape)) or "a single number"
        fix = "Height and width come first, bands last."
        raise ImageError(where, found=f"has the shape {shape}", allowed=allowed, fix=fix)
    return image.astype(native, copy=False)


def _retyped(image: Image, dtype: str) -> Image:
    match str(image.dtype), dtype:
        case old, new if old == new:
            return image
        case "uint8", "uint16":
            return image.astype(np.uint16) * np.uint16(257)
        case "uint16", "uint8":
            return ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)
        case _, "float32":
            return image.astype(np.float32)
        case old, _:
            raise ImageError(
                "the picture",
                found=f"is of {old}",
                allowed=f"the model takes {dtype}, and floats have no range to map onto it",
                fix=f"Give pictures of {dtype}, or train the model on such as these.",
            )


def _grey(image: Image) -> Image:
    if image.dtype == np.float32:
        return (image @ (_LUMA / np.float32(1 << 16)).astype(np.float32))[..., None]
    luma = (image.astype(np.uint32) @ _LUMA + np.uint32(32768)) >> np.uint32(16)
    return luma.astype(image.dtype)[..., None]
