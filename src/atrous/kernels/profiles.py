"""What lies around the borders of a mask in its picture, move by move."""

import numpy as np
from jaxtyping import Float32, Int64

from atrous.kernels.compiled import compiled


def move_profile(
    field: Float32[np.ndarray, "H W"], points: Int64[np.ndarray, "N 2"], *, reach: int
) -> Float32[np.ndarray, "D D"]:
    """The mean of a field over points (row, column) that are moved: by -reach to reach each way.

    Cell (reach, reach) is for points that are not moved. Points that a move puts outside the
    field are left out, but where fewer than half are left the sum is divided by half of all: a
    few points say little, and count little.

    Example:
        >>> field = np.float32([[0, 5, 0], [0, 0, 0], [0, 0, 0]])
        >>> move_profile(field, np.array([[1, 1]]), reach=1)
        array([[0., 5., 0.],
               [0., 0., 0.],
               [0., 0., 0.]], dtype=float32)
    """
    side = 2 * reach + 1
    sums, counts = np.zeros((side, side), np.float32), np.zeros((side, side), np.int64)
    inside = _add(field, points, reach, sums, counts)
    return (sums / np.maximum(counts + inside, len(points) / 2)).astype(np.float32)


def move_profile_reference(
    field: Float32[np.ndarray, "H W"], points: Int64[np.ndarray, "N 2"], *, reach: int
) -> Float32[np.ndarray, "D D"]:
    """`move_profile` in plain NumPy."""
    padded = np.pad(field.astype(np.float64), reach, constant_values=np.nan)
    side = np.arange(2 * reach + 1)
    rows = points[:, 0, None, None] + side[:, None]
    columns = points[:, 1, None, None] + side
    around = padded[rows, columns]
    known = ~np.isnan(around)
    sums = np.where(known, around, 0).sum(0)
    return (sums / np.maximum(known.sum(0), len(points) / 2)).astype(np.float32)


def _add_around(field, points, reach, sums, counts):
    """Add up the field around each point; those with all of it inside the field are counted."""
    height, width = field.shape
    inside = 0
    for n in range(points.shape[0]):
        y, x = points[n, 0], points[n, 1]
        left, right = max(-reach, -x), min(reach, width - 1 - x) + 1
        top, bottom = max(-reach, -y), min(reach, height - 1 - y) + 1
        whole = right - left == bottom - top == 2 * reach + 1
        inside += whole
        for down in range(top, bottom):
            row = field[y + down, x + left : x + right]
            total = sums[down + reach, left + reach : right + reach]
            for k in range(row.size):
                total[k] += row[k]
            if not whole:
                counts[down + reach, left + reach : right + reach] += 1
    return inside


_add = compiled(_add_around)
