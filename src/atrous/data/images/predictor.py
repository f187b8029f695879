"""TIFF's predictor of floats (Adobe Photoshop TIFF Technical Note 3), without imagecodecs.

Only the child imports this.
"""

from typing import Literal

import numpy as np
from tifffile import TiffPage


def unpredicted(page: TiffPage) -> np.ndarray:
    """The floats of a page that was compressed with predictor 3, shaped as the page is."""
    assert page.dtype is not None
    page.predictor = 1  # tifffile then gives the differences as they lie in the file
    whole = np.full(page.shaped, page.nodata, page.dtype)
    for differences, (plane, _, y, x, _), _ in page.segments(maxworkers=1):
        if differences is not None:
            part = summed(differences[0], page.parent.byteorder)
            there = whole[plane, 0, y : y + part.shape[0], x : x + part.shape[1]]
            there[...] = part[: there.shape[0], : there.shape[1]]  # tiles reach over the edge
    return whole.reshape(page.shape)


def summed(differences: np.ndarray, byteorder: Literal["<", ">"]) -> np.ndarray:
    """Floats `H W C` from the bytes that were taken for such, in a file of `byteorder`.

    A row is first the highest bytes of all its values, then the next lower and so on; each
    byte is less that of the same band one pixel, or one such part of the row, before.
    """
    height, width, bands = differences.shape
    stored = differences.astype(differences.dtype.newbyteorder(byteorder))
    rows = np.frombuffer(stored.tobytes(), np.uint8).reshape(height, -1, bands)
    parts = rows.cumsum(axis=1, dtype=np.uint8).reshape(height, -1, width * bands)
    values = np.ascontiguousarray(parts.swapaxes(1, 2)).view(differences.dtype.newbyteorder(">"))
    return values.reshape(height, width, bands).astype(differences.dtype)
