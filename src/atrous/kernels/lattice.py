"""The permutohedral lattice of a picture: its points, what lies on them, and their neighbours."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int32, Int64

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

    def followed(self, other: "Chains") -> "Chains":
        """These chains, and then others."""
        starts = np.concatenate([self.starts, other.starts[1:] + self.starts[-1]])
        return Chains(np.concatenate([self.points, other.points]), starts)


class Lattice(NamedTuple):
    """M points, numbered as the pixels meet them.

    A pixel reads the points `corners` with their `weights`. The other way round, pixel
    `pixels[e]` lies on point p with `shares[e]` for e in `starts[p]` to `starts[p + 1]`. What
    fills up a group has weight or share 0.
    """

    corners: Int32[np.ndarray, "N R"]
    weights: Float32[np.ndarray, "N R"]
    starts: Int32[np.ndarray, " M+1"]
    pixels: Int32[np.ndarray, " E"]
    shares: Float32[np.ndarray, " E"]
    chains: tuple[Chains, ...]  # along each axis, in the order of the blur

    @property
    def size(self) -> int:
        """M, the number of points."""
        return len(self.starts) - 1


class Scaled(NamedTuple):
    """A lattice, and what a pixel's value is multiplied by before the filter and after it."""

    lattice: Lattice
    before: Float32[np.ndarray, " N"]
    after: Float32[np.ndarray, " N"]


def joined(parts: Sequence[Scaled], *, threads: int = 0) -> Lattice:
    """Lattices side by side: one filter of all, whose answers are added up."""
    reads = sum(part.lattice.corners.shape[1] for part in parts)
    shape = len(parts[0].before), -(-reads // READS) * READS
    corners, weights = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
    entries = np.cumsum([0, *(len(part.lattice.pixels) for part in parts)])
    shares = np.empty(entries[-1], np.float32)
    points, column = 0, 0
    for part, entry in zip(parts, entries, strict=False):
        own = part.lattice
        columns = slice(column, column + own.corners.shape[1])

        def read(first: int, end: int, part=part, columns=columns, points=points) -> None:
            rows = slice(first, end)
            np.add(part.lattice.corners[rows], np.int32(points), out=corners[rows, columns])
            after = part.after[rows, None]
            np.multiply(part.lattice.weights[rows], after, out=weights[rows, columns])

        def lie(first: int, end: int, part=part, entry=entry) -> None:
            before = part.before[part.lattice.pixels[first:end]]
            out = shares[entry + first : entry + end]
            np.multiply(part.lattice.shares[first:end], before, out=out)

        in_strips(read, len(corners), threads=threads)
        in_strips(lie, len(own.pixels), threads=threads)
        points, column = points + own.size, columns.stop
    return Lattice(corners, weights, *_side_by_side([part.lattice for part in parts], shares))


def _side_by_side(parts: Sequence[Lattice], shares: np.ndarray) -> tuple[Any, ...]:
    """Starts, pixels, shares and chains of several lattices as of one."""
    starts, chains, points, entries = [np.zeros(1, np.int32)], [], 0, 0
    for part in parts:
        starts.append(part.starts[1:] + np.int32(entries))
        for axis, own in enumerate(part.chains):
            moved = Chains(own.points + np.int32(points), own.starts)
            chains[axis : axis + 1] = [chains[axis].followed(moved) if axis < len(chains) else moved]
        points, entries = points + part.size, entries + len(part.pixels)
    pixels = np.concatenate([part.pixels for part in parts])
    return np.concatenate(starts), pixels, shares, tuple(chains)


def lattice(features: Float32[np.ndarray, "D N"], *, threads: int = 0) -> Lattice:
    """The lattice on which pixels of so many features lie; a unit is a standard deviation."""
    d, n = features.shape
    number, scales = digits(features), elevation(d)
    corners, weights = np.empty((n, d + 1), np.int32), np.empty((n, d + 1), np.float32)
    strips = min(_STRIPS, n)
    bounds = [strip * n // strips for strip in range(strips + 1)]
    found: list = [None] * strips

    def find(first: int, end: int) -> None:
        for strip in range(first, end):
            own = bounds[strip], bounds[strip + 1]
            found[strip] = find_corners(
                features, scales, number.lows, number.steps, *own, corners, weights
            )

    in_strips(find, strips, threads=threads)
    firsts = np.cumsum([0, *(len(keys) for keys, _ in found)])
    ids, keys, order = _merged(np.concatenate([keys for keys, _ in found]), number.bits)
    starts, places = _room(ids, np.concatenate([times for _, times in found]), len(keys))
    pixels, shares = np.zeros(starts[-1], np.int32), np.zeros(starts[-1], np.float32)
    gain = np.float32(1 / (1 + 2.0**-d))  # "alpha" in Krahenbuhl's code

    def lay(first: int, end: int) -> None:
        for strip in range(first, end):
            own = slice(firsts[strip], firsts[strip + 1])
            part = bounds[strip], bounds[strip + 1], d + 1
            _lay(corners, weights, gain, *part, ids[own], places[own], pixels, shares)

    in_strips(lay, strips, threads=threads)
    chains: list = [None] * (d + 1)

    def link(first: int, end: int) -> None:
        for axis in range(first, end):
            chains[axis] = Chains(*_link(keys, order, d + 1, *number.neighbour(axis)))

    in_strips(link, d + 1, threads=threads)
    return Lattice(corners, weights, starts, pixels, shares, tuple(chains))


def _merge(keys, bits):
    """The point of each key, numbered as first met; the points' keys, ascending, and their ids."""
    size, buckets = keys.size, 1 << _BITS
    order, other = np.arange(size).astype(np.int32), np.empty(size, np.int32)
    for shift in range(0, bits, _BITS):
        places = np.zeros(buckets + 1, np.int64)
        for i in range(size):
            places[((keys[i] >> shift) & (buckets - 1)) + 1] += 1
        for bucket in range(buckets):
            places[bucket + 1] += places[bucket]
        for i in range(size):
            index = order[i]
            digit = (keys[index] >> shift) & (buckets - 1)
            other[places[digit]] = index
            places[digit] += 1
        order, other = other, order
    ids = np.zeros(size, np.int32)
    unique = np.empty(size, np.int64)
    count = 0
    for i in range(size):  # the sort is stable: of equal keys the one met first is the first
        key = keys[order[i]]
        if count == 0 or unique[count - 1] != key:
            unique[count] = key
            other[count] = order[i]
            count += 1
            ids[order[i]] = 1
    point = 0
    for i in range(size):
        met = ids[i]
        ids[i] = point
        point += met
    at = -1
    for i in range(size):
        key = keys[order[i]]
        if at < 0 or unique[at] != key:
            at += 1
        ids[order[i]] = ids[other[at]]
    for at in range(count):
        other[at] = ids[other[at]]
    return ids, unique[:count].copy(), other[:count].copy()


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


def _lay_pixels(corners, weights, gain, first, end, size, ids, places, pixels, shares):
    """Enter a strip's pixels at their points; their corners become numbers of the whole."""
    for pixel in range(first, end):
        for r in range(size):
            met = corners[pixel, r]
            place = places[met]
            places[met] = place + 1
            pixels[place] = pixel
            shares[place] = weights[pixel, r]
            corners[pixel, r] = ids[met]
            weights[pixel, r] *= gain


def _link_points(keys, ids, size, above, zero):
    """The chains of points along an axis; `above` and `zero` lead from a key to the next."""
    count = keys.size
    following, later = np.full(count, _NONE, np.int32), np.zeros(count, np.bool_)
    high, low = 0, 0
    for i in range(count):
        if keys[i] % size == 0:
            target = keys[i] + zero
            while low < count and keys[low] < target:
                low += 1
            at = low
        else:
            target = keys[i] + above
            while high < count and keys[high] < target:
                high += 1
            at = high
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
    return points[:placed].copy(), starts[: chains + 1].copy()


_merged = compiled(_merge)
_room = compiled(_rooms)
_lay = compiled(_lay_pixels)
_link = compiled(_link_points)
