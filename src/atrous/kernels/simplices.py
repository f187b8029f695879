"""Where pixels lie in a permutohedral lattice: the corners of each pixel's simplex, and its shares.

The lattice of Adams, Baek and Davis (Fast high-dimensional filtering using the permutohedral
lattice, 2010): points of d features are lifted onto the plane of d + 1 dimensions whose
coordinates add up to 0, and lie there between d + 1 lattice points. Rounding and order of the
float32 arithmetic are those of Krahenbuhl's code, so that a pixel on a border falls to the same
side.

All coordinates of a lattice point leave the same remainder modulo d + 1, and add up to 0. So its
key is one int64: the remainder, and of all coordinates but the last the quotient, as digits of
mixed radix.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from atrous.kernels.compiled import compiled

_PIXELS = 256  # side by side for vector instructions; what they need stays in the nearest cache
_SPREAD = np.int64(-7046029254386353131)  # 2 ** 64 / golden ratio: multiples are spread evenly
_EMPTY = np.int64(-1)
_MARGIN = 4  # quotients beyond those of the features: corners, neighbours, rounding
_MOST = 1 << 62
_ZERO, _ONE = np.float32(0), np.float32(1)


class Digits(NamedTuple):
    """How coordinates make a key: quotient j counts from `lows[j]`, in steps of `steps[j]`.

    The last step is 0: that coordinate follows from the others.
    """

    lows: Int64[np.ndarray, " D+1"]
    steps: Int64[np.ndarray, " D+1"]
    bits: int  # of the largest key; int64 holds 62

    def neighbour(self, axis: int) -> tuple[int, int]:
        """What to add to a key for the next point along an axis: remainder above 0, and 0."""
        above = int(self.steps[axis]) - 1
        return above, above + len(self.steps) - int(self.steps.sum())


def digits(features: Float32[np.ndarray, "D N"]) -> Digits:
    """Room for every coordinate that the features can have, and for its neighbours."""
    d, scales = len(features), elevation(len(features)).astype(np.float64)
    least, most = (edge * scales for edge in (features.min(1), features.max(1)))
    lows, steps, step = [], [], d + 1
    for j in range(d):
        low = least[j:].sum() - (j * most[j - 1] if j else 0)
        high = most[j:].sum() - (j * least[j - 1] if j else 0)
        lows.append(int(np.floor(low / (d + 1))) - _MARGIN)
        steps.append(min(step, _MOST))
        step *= int(np.ceil(high / (d + 1))) + _MARGIN - lows[-1]
    return Digits(np.array([*lows, 0]), np.array([*steps, 0]), step.bit_length())


def elevation(d: int) -> Float32[np.ndarray, " D"]:
    """The scale of each feature on the plane; blurred along all axes, a kernel of deviation 1."""
    deviation = np.float64(np.float32(np.sqrt(2 / 3) * (d + 1)))
    i = np.arange(d)
    return (1 / np.sqrt((i + 2) * (i + 1)) * deviation).astype(np.float32)


def _lift(features, scales, first, count, elevated):
    """The coordinates of `count` pixels on the plane."""
    d = scales.size
    for i in range(count):
        elevated[0, i] = _ZERO
    for j in range(d, 0, -1):
        scale, factor = scales[j - 1], np.float32(j)
        for i in range(count):
            value = features[j - 1, first + i] * scale
            elevated[j, i] = elevated[0, i] - factor * value
            elevated[0, i] += value


def _nearest(elevated, count, quotients, apart, off):
    """The nearest point of remainder 0 as quotients, how far `apart` from it, `off` the plane."""
    size = np.float32(elevated.shape[0])
    part = _ONE / size
    for i in range(count):
        off[i] = 0
    for j in range(elevated.shape[0]):
        for i in range(count):
            value = np.rint(elevated[j, i] * part)
            quotients[j, i] = np.int32(value)
            apart[j, i] = elevated[j, i] - value * size
            off[i] += np.int32(value)


def _order(apart, count, ranks):
    """How many coordinates are further from the nearest point: 0 for the furthest."""
    size = apart.shape[0]
    for j in range(size):
        for i in range(count):
            ranks[j, i] = 0
    for j in range(size - 1):
        for k in range(j + 1, size):
            for i in range(count):
                less = np.int32(apart[j, i] < apart[k, i])
                ranks[j, i] += less
                ranks[k, i] += np.int32(1) - less


def _return(elevated, count, quotients, off, ranks, apart):
    """Points off the plane go back to it; `apart` becomes the distance in units of d + 1."""
    size = elevated.shape[0]
    width, part = np.float32(size), _ONE / np.float32(size)
    for j in range(size):
        for i in range(count):
            rank = ranks[j, i] + off[i]
            shift = np.int32(rank < 0) - np.int32(rank >= size)
            ranks[j, i] = rank + shift * np.int32(size)
            quotients[j, i] += shift
            apart[j, i] = (elevated[j, i] - np.float32(quotients[j, i]) * width) * part


def _corners(quotients, ranks, apart, count, lows, steps, sorted_, taken, keys, shares):
    """Keys and shares of the d + 1 corners; the corner of remainder r is in row r."""
    d = steps.size - 1
    for i in range(count):
        keys[0, i] = 0
    for j in range(d + 1):
        low, step = lows[j], steps[j]
        for i in range(count):
            keys[0, i] += (np.int64(quotients[j, i]) - low) * step
            sorted_[ranks[j, i], i] = apart[j, i]
            taken[ranks[j, i], i] = step
    for i in range(count):
        shares[0, i] = sorted_[d, i] + (_ONE - sorted_[0, i])
    for r in range(1, d + 1):
        for i in range(count):
            keys[r, i] = keys[r - 1, i] + 1 - taken[d - r + 1, i]
            shares[r, i] = sorted_[d - r, i] - sorted_[d - r + 1, i]


def _grown(table, found, times):
    """A table twice as large that holds all keys found; room for more, and how often each."""
    size = 2 * table.shape[0]
    table = np.full((size, 2), _EMPTY, np.int64)
    more, counts = np.empty(size // 2, np.int64), np.zeros(size // 2, np.int32)
    for index in range(found.size):
        more[index], counts[index] = found[index], times[index]
        at = (found[index] * _SPREAD >> 40) & (size - 1)
        while table[at, 0] != _EMPTY:
            at = (at + 1) & (size - 1)
        table[at, 0], table[at, 1] = found[index], index
    return table, more, counts


def _look_up(keys, pixels, table, found, times, count, first, column, corners):
    """The number of each key, counted in the order in which they are met; how many there are."""
    mask = table.shape[0] - 1
    for i in range(pixels):
        for r in range(keys.shape[0]):
            key = keys[r, i]
            at = (key * _SPREAD >> 40) & mask
            while table[at, 0] != key and table[at, 0] != _EMPTY:
                at = (at + 1) & mask
            if table[at, 0] == _EMPTY:
                table[at, 0], table[at, 1], found[count] = key, count, key
                count += 1
            index = table[at, 1]
            times[index] += 1
            corners[first + i, column + r] = index
    return count


def _find_corners(features, scales, lows, steps, first, end, column, corners, shares):
    """The corners of pixels `first` to `end`; the keys met, in order, and how often.

    Filled are the columns from `column` on; `corners` counts from 0, in that order.
    """
    size = steps.size
    elevated, apart = np.empty((size, _PIXELS), np.float32), np.empty((size, _PIXELS), np.float32)
    sorted_, part = np.empty((size, _PIXELS), np.float32), np.empty((size, _PIXELS), np.float32)
    quotients, ranks = np.empty((size, _PIXELS), np.int32), np.empty((size, _PIXELS), np.int32)
    off = np.empty(_PIXELS, np.int32)
    keys, taken = np.empty((size, _PIXELS), np.int64), np.empty((size, _PIXELS), np.int64)
    table = np.full((1 << 14, 2), _EMPTY, np.int64)
    found, times = np.empty(1 << 13, np.int64), np.zeros(1 << 13, np.int32)
    count = np.int64(0)
    for begin in range(first, end, _PIXELS):
        pixels = min(_PIXELS, end - begin)
        _elevate(features, scales, begin, pixels, elevated)
        _round(elevated, pixels, quotients, apart, off)
        _rank(apart, pixels, ranks)
        _fit(elevated, pixels, quotients, off, ranks, apart)
        _locate(quotients, ranks, apart, pixels, lows, steps, sorted_, taken, keys, part)
        while count + size * pixels > found.size:
            table, found, times = _grow(table, found[:count], times[:count])
        count = _number(keys, pixels, table, found, times, count, begin, column, corners)
        for i in range(pixels):
            for r in range(size):
                shares[begin + i, column + r] = part[r, i]
    return found[:count], times[:count]


_number = compiled(_look_up)
_elevate = compiled(_lift)
_round = compiled(_nearest)
_rank = compiled(_order)
_fit = compiled(_return)
_locate = compiled(_corners)
_grow = compiled(_grown)
find_corners = compiled(_find_corners)
