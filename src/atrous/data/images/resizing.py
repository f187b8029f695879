"""Pictures at another size."""

import numpy as np
from PIL import Image as pil

from atrous.types import Image, Size


def resized(image: Image, size: Size) -> Image:
    """The picture at `size`, of the same bands and type: bilinear, smoothed where it shrinks.

    Example:
        >>> resized(np.float32([[[0], [1]]]), (1, 4))[..., 0].tolist()
        [[0.0, 0.25, 0.75, 1.0]]
    """
    if image.shape[:2] == size:
        return image
    if image.dtype == np.uint8 and image.shape[2] == 3:
        return _resized(image, size)
    bands = [image[..., band] for band in range(image.shape[2])]
    if image.dtype == np.uint16:  # Pillow resizes floats, which hold 16 bits exactly
        bands = [np.rint(_resized(band.astype(np.float32), size)) for band in bands]
    else:
        bands = [_resized(band, size) for band in bands]
    return np.stack(bands, axis=2).astype(image.dtype, copy=False)


def _resized(pixels: np.ndarray, size: Size) -> np.ndarray:
    picture = pil.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(picture.resize((size[1], size[0]), pil.Resampling.BILINEAR))
