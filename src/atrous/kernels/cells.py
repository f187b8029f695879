"""A picture -> a small grid of cells: the mean of the pixels under each cell, to the fraction."""

import numpy as np
from jaxtyping import Float32, Shaped

from atrous.kernels.compiled import compiled

_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as grey is made everywhere else


def cell_means(image: Shaped[np.ndarray, "H W C"], cells: int) -> Float32[np.ndarray, "N N"]:
    """The mean grey of each of `cells` x `cells` equal parts of the picture.

    Pixels on the line between two cells count in both by their share, so that a flipped picture
    has the flipped cells. Grey is the luma of three bands, the mean of any other number. NaN and
    infinite pixels are left out; a cell without others is NaN.

    Example:
        >>> cell_means(np.uint8([[[0], [3], [6]]]), 2)
        array([[1., 5.],
               [1., 5.]], dtype=float32)
    """
    height, width, bands = image.shape
    rows = np.ascontiguousarray(image).reshape(height, width * bands)
    share = np.array(_LUMA if bands == 3 else [1 / bands] * bands, np.float32)
    means = np.empty((cells, cells), np.float32)
    if image.dtype.kind == "f":
        _mean_of_known(rows, share, means)
    else:
        _mean_of_all(rows, share, means)
    return means


def cell_means_reference(
    image: Shaped[np.ndarray, "H W C"], cells: int
) -> Float32[np.ndarray, "N N"]:
    """`cell_means` in plain NumPy."""
    height, width, bands = image.shape
    share = np.array(_LUMA if bands == 3 else [1 / bands] * bands)
    known = np.isfinite(image)
    down, right = _overlaps(height, cells), _overlaps(width, cells)
    total = down @ (np.where(known, image, 0) @ share) @ right.T
    weight = down @ (known @ share) @ right.T
    with np.errstate(invalid="ignore"):
        return (total / weight).astype(np.float32)


def _overlaps(pixels: int, cells: int) -> np.ndarray:
    """The length that each cell (row) shares with each pixel (column)."""
    first = np.arange(cells)[:, None] * pixels / cells
    pixel = np.arange(pixels)
    end = np.minimum(first + pixels / cells, pixel + 1)
    return np.maximum(end - np.maximum(first, pixel), 0)


def _bounds(cell, cells, pixels):
    """First pixel of a cell and the one after its last, with the shares of these two in it."""
    begin, end = cell * pixels / cells, (cell + 1) * pixels / cells
    first, last = int(begin), min(int(np.ceil(end)), pixels)
    if last - first <= 1:
        return first, first + 1, np.float32(end - begin), np.float32(end - begin)
    return first, last, np.float32(first + 1 - begin), np.float32(end - last + 1)


def _across(column, share, cells, sums):
    """Add the pixels of one strip, rows added up, into the cells beside each other."""
    bands = share.size
    width = column.size // bands
    for cell in range(cells):
        first, last, head, tail = _limits(cell, cells, width)
        total = np.float32(0)
        for x in range(first, last):
            grey = np.float32(0)
            for band in range(bands):
                grey += share[band] * column[x * bands + band]
            total += grey * (head if x == first else tail if x == last - 1 else np.float32(1))
        sums[cell] = total


def _all_means(rows, share, means):
    cells, (height, length) = means.shape[0], rows.shape
    column = np.empty(length, np.float32)
    area = np.float32(height / cells * (length // share.size) / cells)
    for cell in range(cells):
        first, last, head, tail = _limits(cell, cells, height)
        column[:] = 0
        for y in range(first, last):
            weight = head if y == first else tail if y == last - 1 else np.float32(1)
            row = rows[y]
            for i in range(length):
                column[i] += weight * np.float32(row[i])
        _add_across(column, share, cells, means[cell])
        means[cell] /= area


def _known_means(rows, share, means):
    cells, (height, length) = means.shape[0], rows.shape
    column, known = np.empty(length, np.float32), np.empty(length, np.float32)
    weights = np.empty(cells, np.float32)
    for cell in range(cells):
        first, last, head, tail = _limits(cell, cells, height)
        column[:] = 0
        known[:] = 0
        for y in range(first, last):
            weight = head if y == first else tail if y == last - 1 else np.float32(1)
            row = rows[y]
            for i in range(length):
                value = np.float32(row[i])
                if np.isfinite(value):
                    column[i] += weight * value
                    known[i] += weight
        _add_across(column, share, cells, means[cell])
        _add_across(known, share, cells, weights)
        for x in range(cells):
            means[cell, x] = means[cell, x] / weights[x] if weights[x] > 0 else np.nan


_limits = compiled(_bounds)
_add_across = compiled(_across)
_mean_of_all = compiled(_all_means)
_mean_of_known = compiled(_known_means)
