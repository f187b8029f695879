"""The mean-field update of a dense CRF: slice, add, soft-max, in one pass over the pixels.

Rows are `N L`: the labels of a pixel side by side, filled up to a multiple of `LANES`; the
logits of what fills up are `NEVER`, its probability is 0. Two labels under a Potts model need
one number a pixel, the difference of their probabilities: the filter is linear, and adds the
same to both.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32

from atrous.kernels.compiled import compiled, in_strips
from atrous.kernels.exponentials import LEAST, exp
from atrous.kernels.lattice import GROUP

LANES = 4  # a multiple of the narrowest vector
NEVER = np.float32(-1e30)
_FAINT = np.float32(-60)  # e ** -60 counts as 0: products with it may be too small for fast code
_PIXELS = 256  # side by side
_TILE = 64  # pixels whose labels are turned from planes into rows while in the nearest cache
_ZERO, _ONE = np.float32(0), np.float32(1)


class Read(NamedTuple):
    """What pixels read: points and their weights, of a lattice, and the points' values."""

    corners: Int32[np.ndarray, "N D+1"]
    weights: Float32[np.ndarray, "N D+1"]
    values: Float32[np.ndarray, "M *L"]


def update(
    logits: Float32[np.ndarray, "N *L"],
    spatial: Read,
    bilateral: Read,
    rows: Float32[np.ndarray, "N *L"],
    *,
    threads: int,
) -> None:
    """Fill `rows` with the probabilities of the logits and of what the pixels read, added up.

    Of a single lane both are a difference, of two logits and of two probabilities.
    """
    work = _update_rows if rows.ndim == 2 else _update

    def strip(first: int, end: int) -> None:
        work(logits, *spatial, *bilateral, first, end, rows)

    in_strips(strip, len(rows), threads=threads)


def rows_of(planes: Float32[np.ndarray, "K N"], *, threads: int) -> Float32[np.ndarray, "N L"]:
    """The labels of each pixel side by side."""
    labels, pixels = planes.shape
    rows = np.empty((pixels, -(-labels // LANES) * LANES), np.float32)

    def strip(first: int, end: int) -> None:
        _turn(planes, first, end, NEVER, rows)

    in_strips(strip, pixels, threads=threads)
    return rows


def planes_of(rows: Float32[np.ndarray, "N L"], planes: list[Float32[np.ndarray, " N"]], *, threads: int) -> None:
    """Fill the planes of the labels with the first lanes of each row."""
    def strip(first: int, end: int) -> None:
        for begin in range(first, end, _TILE * 16):
            own = slice(begin, min(begin + _TILE * 16, end))
            for k, plane in enumerate(planes):
                plane[own] = rows[own, k]

    in_strips(strip, len(rows), threads=threads)


def _turn_planes(planes, first, end, rest, rows):
    labels, lanes = planes.shape[0], rows.shape[1]
    for begin in range(first, end, _TILE):
        stop = min(begin + _TILE, end)
        for k in range(labels):
            for i in range(begin, stop):
                rows[i, k] = planes[k, i]
        for i in range(begin, stop):
            for k in range(labels, lanes):
                rows[i, k] = rest


def _add(corners, weights, values, pixel, row):
    """Add what the pixel reads."""
    for r in range(0, corners.shape[1], GROUP):
        a, b, c = corners[pixel, r], corners[pixel, r + 1], corners[pixel, r + 2]
        of_a, of_b, of_c = weights[pixel, r], weights[pixel, r + 1], weights[pixel, r + 2]
        for k in range(row.size):
            row[k] += of_a * values[a, k] + of_b * values[b, k] + of_c * values[c, k]


def _highest(row):
    peak = row[0]
    for k in range(row.size):
        peak = max(peak, row[k])
    return peak


def _weigh(row, peak, out):
    """exp(logit - peak), and their sum."""
    total = _ZERO
    for k in range(row.size):
        below = row[k] - peak
        weight = exp(max(below, LEAST)) if below > _FAINT else _ZERO
        out[k] = weight
        total += weight
    return total


def _update_lanes(logits, a_corners, a_weights, a_values, b_corners, b_weights, b_values, first, end, rows):
    lanes = rows.shape[1]
    row = np.empty(lanes, np.float32)
    for pixel in range(first, end):
        for k in range(lanes):
            row[k] = logits[pixel, k]
        _read(a_corners, a_weights, a_values, pixel, row)
        _read(b_corners, b_weights, b_values, pixel, row)
        part = _ONE / _soft(row, _peak(row), rows[pixel])
        for k in range(lanes):
            rows[pixel, k] *= part


def _update_one(logits, a_corners, a_weights, a_values, b_corners, b_weights, b_values, first, end, rows):
    """`_update_lanes` of a difference."""
    room = np.empty(_PIXELS, np.float32)
    for begin in range(first, end, _PIXELS):
        count = min(_PIXELS, end - begin)
        for i in range(count):
            pixel = begin + i
            total = logits[pixel]
            for r in range(a_corners.shape[1]):
                total += a_weights[pixel, r] * a_values[a_corners[pixel, r]]
            for r in range(b_corners.shape[1]):
                total += b_weights[pixel, r] * b_values[b_corners[pixel, r]]
            room[i] = total
        for i in range(count):
            other = exp(max(-abs(room[i]), LEAST))
            sure = np.divide(_ONE - other, _ONE + other)
            rows[begin + i] = sure if room[i] > _ZERO else -sure


_turn = compiled(_turn_planes)
_read = compiled(_add)
_peak = compiled(_highest, reorder=True)
_soft = compiled(_weigh, reorder=True)
_update_rows = compiled(_update_lanes)
_update = compiled(_update_one)
