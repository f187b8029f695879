"""Permutohedral lattices of a picture: their points, what lies on them, and their neighbours.

Pixels are worked at in a fixed number of strips, each with a table of its own for the points it
meets. Then all that were met are sorted by key: equal ones become one point, numbered by the
first pixel that met it, so that neighbours in the picture are neighbours in memory; and the
neighbours along an axis, whose keys differ by a constant, are found in one walk.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32

from atrous.kernels.compiled import compiled, in_strips
from atrous.kernels.simplices import Digits, digits, elevation, find_corners

GROUP = 3  # entries of a point come in multiples of it: so many rows are added at once
READS = 9  # and those of a pixel: the points of both kernels of a colour picture
_STRIPS = 8  # not one for each thread: the order of the points, and so of sums, is always the same
_BITS = 11  # of a digit in the sort
_NONE = np.int32(-1)


class Chains(NamedTuple):
    """Points in a row along one axis: chain c is `points[starts[c]:starts[c + 1]]`, two or more."""

    points: Int32[np.ndarray, " P"]
    starts: Int32[np.ndarray, " C+1"]


class Kernel(NamedTuple):
    """One Gaussian kernel: the points from `first` to `end`, numbered from 0 here.

    On point p lies pixel `pixels[e]` with `shares[e]`, for e in `starts[p]` to `starts[p + 1]`;
    what fills up a `GROUP` has share 0. Pixels read the points in `columns` of the lattice.
    """

    first: int
    end: int
    columns: slice
    starts: Int32[np.ndarray, " M+1"]
    pixels: Int32[np.ndarray, " E"]
    shares: Float32[np.ndarray, " E"]
    chains: tuple[Chains, ...]  # along each axis, in the order of the blur


class Lattice(NamedTuple):
    """The points of all kernels: a pixel reads `corners` with `weights`, some of which are 0."""

    corners: Int32[np.ndarray, "N R"]
    weights: Float32[np.ndarray, "N R"]
    kernels: tuple[Kernel, ...]

    @property
    def size(self) -> int:
        """The number of points."""
        return self.kernels[-1].end if self.kernels else 0


def lattice(features: Sequence[Float32[np.ndarray, "D N"]], *, threads: int = 0) -> Lattice:
    """The lattices of so many kernels; a unit of a feature is a standard deviation.

    Example:
        >>> two_apart = lattice([np.float32([[0, 9]])])
        >>> two_apart.size, two_apart.weights.shape
        (4, (2, 9))
    """
    reads = sum(len(each) + 1 for each in features)
    shape = features[0].shape[1], -(-reads // READS) * READS
    all_of = Lattice(np.zeros(shape, np.int32), np.zeros(shape, np.float32), ())
    for each in features:
        all_of = _with_kernel(all_of, each, threads)
    return all_of


def _with_kernel(others: Lattice, features: np.ndarray, threads: int) -> Lattice:
    """The lattice with one kernel more; its columns are filled in."""
    (d, n), number = features.shape, digits(features)
    column = others.kernels[-1].columns.stop if others.kernels else 0
    columns = slice(column, column + d + 1)
    strips = min(_STRIPS, n)
    bounds = [strip * n // strips for strip in range(strips + 1)]
    met = _met(others, features, number, column, bounds, threads)
    ids, keys, order = _merge(np.concatenate([keys for keys, _ in met]), number.bits)
    starts, places = _room(ids, np.concatenate([times for _, times in met]), len(keys))
    pixels, shares = np.zeros(starts[-1], np.int32), np.zeros(starts[-1], np.float32)
    firsts = np.cumsum([0, *(len(keys) for keys, _ in met)])
    whole = columns.start, columns.stop, np.int32(others.size), np.float32(1 / (1 + 2.0**-d))

    def lay(first: int, end: int) -> None:
        for strip in range(first, end):
            mine = slice(firsts[strip], firsts[strip + 1])
            own = bounds[strip], bounds[strip + 1], *whole, ids[mine], places[mine]
            _lay(others.corners, others.weights, *own, pixels, shares)

    in_strips(lay, strips, threads=threads)
    chains = _linked(keys, order, number, threads)
    end = others.size + len(keys)
    made = Kernel(others.size, end, columns, starts, pixels, shares, chains)
    return others._replace(kernels=(*others.kernels, made))


def _met(
    others: Lattice,
    features: np.ndarray,
    number: Digits,
    column: int,
    bounds: list[int],
    threads: int,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The keys that each strip of pixels meets, and how often; corners and shares are filled in."""
    found: list = [None] * (len(bounds) - 1)
    digit = elevation(len(features)), number.lows, number.steps

    def find(first: int, end: int) -> None:
        for strip in range(first, end):
            own = bounds[strip], bounds[strip + 1], column
            found[strip] = find_corners(features, *digit, *own, others.corners, others.weights)

    in_strips(find, len(found), threads=threads)
    return found


def _linked(keys: np.ndarray, ids: np.ndarray, number: Digits, threads: int) -> tuple[Chains, ...]:
    """The chains along each axis of the points with these keys, ascending."""
    axes = len(number.steps)
    chains: list = [None] * axes

    def link(first: int, end: int) -> None:
        for axis in range(first, end):
            chains[axis] = Chains(*_link(keys, ids, axes, *number.neighbour(axis)))

    in_strips(link, axes, threads=threads)
    return tuple(chains)


def _sorted_keys(keys, bits):
    """The order of the keys, ascending; of equal ones the first comes first."""
    order, other = np.arange(keys.size).astype(np.int32), np.empty(keys.size, np.int32)
    last = (1 << _BITS) - 1
    for shift in range(0, bits, _BITS):
        places = np.zeros(last + 2, np.int64)
        for i in range(keys.size):
            places[((keys[i] >> shift) & last) + 1] += 1
        for digit in range(last):
            places[digit + 1] += places[digit]
        for i in range(keys.size):
            index = order[i]
            digit = (keys[index] >> shift) & last
            other[places[digit]] = index
            places[digit] += 1
        order, other = other, order
    return order


def _merged(keys, bits):
    """The point of each key, numbered as first met; the points' keys, ascending, and their ids."""
    order = _sort(keys, bits)
    ids, unique, firsts = np.zeros(keys.size, np.int32), keys.copy(), order.copy()
    count = 0
    for i in range(keys.size):
        key = keys[order[i]]
        if count == 0 or unique[count - 1] != key:
            unique[count], firsts[count] = key, order[i]
            ids[order[i]] = 1
            count += 1
    point = np.int32(0)
    for i in range(keys.size):
        met, ids[i] = ids[i], point
        point += met
    at = 0
    for i in range(keys.size):
        at += keys[order[i]] != unique[at]
        ids[order[i]] = ids[firsts[at]]
    for at in range(count):
        firsts[at] = ids[firsts[at]]
    return ids, unique[:count], firsts[:count]


def _rooms(ids, times, points):
    """Where the entries of each point start, and of each strip's key among them."""
    starts, places = np.zeros(points + 1, np.int32), np.empty(ids.size, np.int32)
    for i in range(ids.size):
        starts[ids[i] + 1] += times[i]
    for point in range(points):
        groups = (starts[point + 1] + GROUP - 1) // GROUP
        starts[point + 1] = starts[point] + groups * GROUP
    free = starts.copy()
    for i in range(ids.size):
        places[i] = free[ids[i]]
        free[ids[i]] += times[i]
    return starts, places


def _lay_pixels(
    corners, weights, first, end, column, stop, offset, gain, ids, places, pixels, shares
):
    """Enter a strip's pixels at their points; their corners become points of the whole.

    What they read is multiplied by `gain`: "alpha" in Krahenbuhl's code.
    """
    for pixel in range(first, end):
        for r in range(column, stop):
            met = corners[pixel, r]
            place = places[met]
            places[met] = place + 1
            pixels[place] = pixel
            shares[place] = weights[pixel, r]
            corners[pixel, r] = ids[met] + offset
            weights[pixel, r] *= gain


def _links(keys, ids, size, above, zero):
    """The chains of points along an axis; `above` and `zero` lead from a key to the next."""
    count = keys.size
    following, later = np.full(count, _NONE, np.int32), np.zeros(count, np.bool_)
    reached = np.zeros(2, np.int64)  # by keys of remainder 0, and others
    for i in range(count):
        other = np.int64(keys[i] % size != 0)
        target, at = keys[i] + (above if other else zero), reached[other]
        while at < count and keys[at] < target:
            at += 1
        reached[other] = at
        if at < count and keys[at] == target:
            following[ids[i]] = ids[at]
            later[ids[at]] = True
    points, starts = np.empty(count, np.int32), np.zeros(count // 2 + 1, np.int32)
    chains, placed = 0, 0
    for point in range(count):
        if following[point] != _NONE and not later[point]:
            at = np.int32(point)
            while at != _NONE:
                points[placed] = at
                placed += 1
                at = following[at]
            chains += 1
            starts[chains] = placed
    return points[:placed], starts[: chains + 1]


_sort = compiled(_sorted_keys)
_merge = compiled(_merged)
_room = compiled(_rooms)
_lay = compiled(_lay_pixels)
_link = compiled(_links)
