"""Colours laid over a picture, pixel by pixel: a pass over it, where NumPy makes a dozen."""

import numpy as np
from jaxtyping import Int64, Shaped, UInt8

from atrous.kernels.compiled import compiled


def blended(
    image: UInt8[np.ndarray, "H W 3"],
    places: Shaped[np.ndarray, "H W"],
    colours: UInt8[np.ndarray, "N 3"],
    weights: Int64[np.ndarray, " N"],
) -> UInt8[np.ndarray, "H W 3"]:
    """The picture under the colours that the whole numbers of `places` stand for in the table.

    A weight of 0 leaves a pixel as it is, 256 gives the colour.

    Example:
        >>> grey, white = np.full((1, 2, 3), 100, np.uint8), np.full((2, 3), 255, np.uint8)
        >>> blended(grey, np.uint8([[0, 1]]), white, np.array([0, 128]))[..., 0]
        array([[100, 178]], dtype=uint8)

    Raises:
        IndexError: a place is not in the table.
    """
    wide = np.iinfo(places.dtype).max >= len(colours)
    if wide and places.size and not 0 <= places.min() <= places.max() < len(colours):
        raise IndexError(f"{places.max()} is not in a table of {len(colours)} colours")
    kept = (256 - weights).astype(np.uint32)
    tints = (colours * weights[:, None] + 128).astype(np.uint32)
    out = np.empty(image.shape, np.uint8)
    _blend(image, places, kept, tints, out)
    return out


def _blend_pixels(image, places, kept, tints, out):
    height, width, _ = image.shape
    for y in range(height):
        for x in range(width):
            place = places[y, x]
            keep = kept[place]
            for band in range(3):
                value = np.uint32(image[y, x, band]) * keep + tints[place, band]
                out[y, x, band] = np.uint8(value >> np.uint32(8))


_blend = compiled(_blend_pixels)
