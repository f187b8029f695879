"""An exact Gaussian filter of rows of labels: down the picture, then across it.

A row of the picture is one line of numbers, all labels of a pixel side by side: a step across
is a step of as many numbers as there are lanes, so both directions are sums of whole lines.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from atrous.kernels.compiled import compiled, in_strips

_REACH = 5.5  # standard deviations; the kernel is 3e-7 there
_ROOM = 1 << 12  # numbers that are summed at once, in the nearest cache
_ZERO = np.float32(0)


class Line(NamedTuple):
    """The kernel along one axis: `taps` of the pixel itself, of its neighbours, and so on.

    A value is multiplied by `before` where it comes from and by `after` where it goes.
    """

    taps: Float32[np.ndarray, " T"]
    before: Float32[np.ndarray, " N"]
    after: Float32[np.ndarray, " N"]

    def sums(self) -> Float32[np.ndarray, " N"]:
        """The filter of ones."""
        both = np.concatenate([self.taps[:0:-1], self.taps]).astype(np.float64)
        reach, size = len(self.taps) - 1, len(self.before)
        return (np.convolve(self.before, both)[reach : reach + size] * self.after).astype(
            np.float32
        )


def line(deviation: float, size: int) -> Line:
    """exp(-distance ** 2 / 2), in standard deviations, along an axis of so many pixels.

    Example:
        >>> line(1.0, 3).sums().round(2)
        array([1.74, 2.21, 1.74], dtype=float32)
    """
    reach = min(int(np.ceil(_REACH * deviation)), size - 1)
    distances = np.arange(reach + 1) / deviation
    ones = np.ones(size, np.float32)
    return Line(np.exp(-0.5 * distances**2).astype(np.float32), ones, ones)


def add_filtered(
    logits: Float32[np.ndarray, "N *L"],
    rows: Float32[np.ndarray, "N *L"],
    down: Line,
    across: Line,
    out: Float32[np.ndarray, "N *L"],
    *,
    threads: int = 0,
) -> None:
    """Fill `out` with the logits plus the filtered rows of a picture of `down` x `across`."""
    height, width = len(down.before), len(across.before)
    lanes = rows.size // (height * width)
    pictures = [array.reshape(height, width * lanes) for array in (logits, rows, out)]
    along = across.taps, np.repeat(across.before, lanes), np.repeat(across.after, lanes)

    def strip(first: int, end: int) -> None:
        _filter(*pictures, *down, *along, lanes, first, end)

    in_strips(strip, height, threads=threads)


def _add_two(out, a, b, of_a, of_b):
    """Add two lines."""
    for i in range(out.size):
        out[i] += of_a * a[i] + of_b * b[i]


def _add_down(rows, taps, before, y, out):
    """The column sums of row y, part by part."""
    last = rows.shape[0] - 1
    for begin in range(0, out.size, _ROOM):
        part = slice(begin, min(begin + _ROOM, out.size))
        _add(out[part], rows[y, part], rows[y, part], taps[0] * before[y], _ZERO)
        for t in range(1, taps.size):
            up, low = max(y - t, 0), min(y + t, last)
            of_up = taps[t] * before[up] if y >= t else _ZERO
            of_low = taps[t] * before[low] if y + t <= last else _ZERO
            _add(out[part], rows[up, part], rows[low, part], of_up, of_low)


def _filter_rows(
    logits, rows, out, down, before, after, across, before_x, after_x, lanes, first, end
):
    """Rows `first` to `end` of the picture."""
    size, edge = rows.shape[1], (across.size - 1) * lanes
    tall, total = np.zeros(size + 2 * edge, np.float32), np.empty(size, np.float32)
    middle = tall[edge : edge + size]
    for y in range(first, end):
        middle[:], total[:] = _ZERO, _ZERO
        _sum_down(rows, down, before, y, middle)
        for i in range(size):
            middle[i] *= before_x[i]
        for begin in range(0, size, _ROOM):
            stop = min(begin + _ROOM, size)
            part, own = total[begin:stop], middle[begin:stop]
            _add(part, own, own, across[0], _ZERO)
            for t in range(1, across.size):
                left, right = edge - t * lanes, edge + t * lanes
                a, b = tall[left + begin : left + stop], tall[right + begin : right + stop]
                _add(part, a, b, across[t], across[t])
        for i in range(size):
            out[y, i] = logits[y, i] + total[i] * after_x[i] * after[y]


_add = compiled(_add_two)
_sum_down = compiled(_add_down)
_filter = compiled(_filter_rows)
