"""Regions: pixels of one value that hang together by their sides, numbered."""

import numpy as np
from jaxtyping import Int32, Int64, Shaped

from atrous.kernels.compiled import compiled

_KEPT = ("bool", "uint8", "uint16", "int32", "int64")  # other types become int64


def regions(
    mask: Shaped[np.ndarray, "H W"],
) -> tuple[Int32[np.ndarray, "H W"], Int64[np.ndarray, " N"]]:
    """The region of each pixel, and the flat index of each region's first pixel.

    Two neighbours (above, below, left, right) of one value are of one region; pixels that only
    touch at a corner are not. Regions are numbered from 0 in the order of their first pixels,
    so `mask.flat[first]` are their values and `np.bincount(ids.flat)` their pixels.

    Example:
        >>> ids, first = regions(np.uint8([[5, 5, 0], [0, 0, 5]]))
        >>> ids
        array([[0, 0, 1],
               [2, 2, 3]], dtype=int32)
        >>> first.tolist()
        [0, 2, 3, 5]
    """
    if mask.dtype.name not in _KEPT or not mask.dtype.isnative:
        mask = mask.astype(np.int64)
    ids = np.empty(mask.shape, np.int32)
    parents = np.empty(mask.size, np.int32)
    first = np.empty(mask.size, np.int64)
    count = _number(np.require(mask, None, ["C", "W"]), ids, parents, first)
    return ids, first[:count].copy()


def regions_reference(
    mask: Shaped[np.ndarray, "H W"],
) -> tuple[Int32[np.ndarray, "H W"], Int64[np.ndarray, " N"]]:
    """`regions` in plain NumPy: the lowest index wanders through each region."""
    lowest = np.arange(mask.size).reshape(mask.shape)
    before = np.empty(0)
    while not np.array_equal(before, lowest):
        before = lowest.copy()
        for here, there in (
            (np.s_[:, 1:], np.s_[:, :-1]),
            (np.s_[:, :-1], np.s_[:, 1:]),
            (np.s_[1:], np.s_[:-1]),
            (np.s_[:-1], np.s_[1:]),
        ):
            joined = mask[here] == mask[there]
            lowest[here] = np.where(joined, np.minimum(lowest[here], lowest[there]), lowest[here])
    first, ids = np.unique(lowest, return_inverse=True)
    return ids.reshape(mask.shape).astype(np.int32), first


def _root_of(parents, k):
    while parents[k] != k:
        parents[k] = parents[parents[k]]
        k = parents[k]
    return k


def _number_regions(mask, ids, parents, first):
    """Union-find over the pixels in reading order; a root is the lowest of its numbers."""
    height, width = mask.shape
    found = 0
    for y in range(height):
        for x in range(width):
            value = mask[y, x]
            left = x > 0 and mask[y, x - 1] == value
            above = y > 0 and mask[y - 1, x] == value
            if left:
                ids[y, x] = ids[y, x - 1]
                # Where the pixel above the left one joins them too, they are joined already.
                if above and mask[y - 1, x - 1] != value:
                    a, b = _root(parents, ids[y, x]), _root(parents, ids[y - 1, x])
                    parents[max(a, b)] = min(a, b)
            elif above:
                ids[y, x] = ids[y - 1, x]
            else:
                ids[y, x] = parents[found] = found
                first[found] = y * width + x
                found += 1
    count = 0
    for k in range(found):  # parents come before their children, and are final by then
        if parents[k] == k:
            parents[k] = count
            first[count] = first[k]
            count += 1
        else:
            parents[k] = parents[parents[k]]
    for y in range(height):
        for x in range(width):
            ids[y, x] = parents[ids[y, x]]
    return count


_root = compiled(_root_of)
_number = compiled(_number_regions)
