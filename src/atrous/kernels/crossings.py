"""Where a ring crosses itself."""

import numpy as np
from jaxtyping import Float64

from atrous.kernels.compiled import compiled


def first_crossing(ring: Float64[np.ndarray, "N 2"]) -> tuple[float, float] | None:
    """The point where two edges of a closed ring cross; None if none do.

    Edges that merely touch, or lie along each other, do not cross. The time grows with the
    square of the points.

    Example:
        >>> first_crossing(np.array([[0.0, 0], [2, 2], [2, 0], [0, 2]]))
        (1.0, 1.0)
    """
    found, x, y = _search(np.require(ring, np.float64, ["C", "W"]))
    return (x, y) if found else None


def first_crossing_reference(ring: Float64[np.ndarray, "N 2"]) -> tuple[float, float] | None:
    """`first_crossing` in plain NumPy, on all pairs of edges at once."""
    a, b = ring, np.roll(ring, -1, 0)

    def turns(point: np.ndarray) -> np.ndarray:
        """On which side of each edge (row) each point (column) lies."""
        to, away = (b - a)[:, None], point[None] - a[:, None]
        return to[..., 0] * away[..., 1] - to[..., 1] * away[..., 0]

    at_a, at_b = turns(a), turns(b)
    parted = ((at_a > 0) & (at_b < 0)) | ((at_a < 0) & (at_b > 0))
    pairs = np.argwhere(np.triu(parted & parted.T))
    if not len(pairs):
        return None
    i, j = pairs[0]
    share = at_a[i, j] / (at_a[i, j] - at_b[i, j])
    x, y = a[j] + share * (b[j] - a[j])
    return float(x), float(y)


def _side_of(ring, i, x, y):
    """Twice the area of edge i and a point: positive on one side, negative on the other."""
    k = (i + 1) % ring.shape[0]
    return (ring[k, 0] - ring[i, 0]) * (y - ring[i, 1]) - (ring[k, 1] - ring[i, 1]) * (
        x - ring[i, 0]
    )


def _search_pairs(ring):
    points = ring.shape[0]
    for i in range(points):
        k = (i + 1) % points
        left, right = min(ring[i, 0], ring[k, 0]), max(ring[i, 0], ring[k, 0])
        top, bottom = min(ring[i, 1], ring[k, 1]), max(ring[i, 1], ring[k, 1])
        for j in range(i + 2, points):
            m = (j + 1) % points
            if max(ring[j, 0], ring[m, 0]) < left or min(ring[j, 0], ring[m, 0]) > right:
                continue
            if max(ring[j, 1], ring[m, 1]) < top or min(ring[j, 1], ring[m, 1]) > bottom:
                continue
            begin, end = (
                _side(ring, i, ring[j, 0], ring[j, 1]),
                _side(ring, i, ring[m, 0], ring[m, 1]),
            )
            if not (begin > 0 > end or begin < 0 < end):
                continue
            one, other = (
                _side(ring, j, ring[i, 0], ring[i, 1]),
                _side(ring, j, ring[k, 0], ring[k, 1]),
            )
            if one > 0 > other or one < 0 < other:
                share = begin / (begin - end)
                x = ring[j, 0] + share * (ring[m, 0] - ring[j, 0])
                y = ring[j, 1] + share * (ring[m, 1] - ring[j, 1])
                return True, x, y
    return False, 0.0, 0.0


_side = compiled(_side_of)
_search = compiled(_search_pairs)
