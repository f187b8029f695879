"""The mean-field update of a dense CRF: slice, add, soft-max, in one pass over the pixels.

Rows are `N L`: the labels of a pixel side by side, filled up to a multiple of `LANES`; the
logits of what fills up are `NEVER`, its probability is 0. Two labels under a Potts model need
one number a pixel, the difference of their probabilities: the filter is linear, and what it
adds to both changes nothing.
"""

import numpy as np
from jaxtyping import Float32

from atrous.kernels.compiled import compiled, in_strips
from atrous.kernels.exponentials import LEAST, exp
from atrous.kernels.lattice import READS, Lattice

LANES = 4  # of the narrowest vector
NEVER = np.float32(-1e30)
NOBODY = -1
_FAINT = np.float32(-60)  # e ** -60 counts as 0: products with it may be too small for fast code
_PIXELS = 64  # at once; their rows stay in the nearest cache
_ZERO, _ONE = np.float32(0), np.float32(1)


def update(
    logits: Float32[np.ndarray, "N *L"],
    lattice: Lattice,
    values: Float32[np.ndarray, "M *L"],
    rows: Float32[np.ndarray, "N *L"],
    *,
    silent: int = NOBODY,
    threads: int,
) -> None:
    """Fill `rows` with the probabilities of the logits and of what lies on the lattice, added.

    Of a single lane both are a difference, of two logits and of two probabilities. A `silent`
    lane takes part, and then holds 0: it will give nothing to the next filter.
    """
    work, flat = _update_rows if rows.ndim == 2 else _update, rows.reshape(-1)

    def strip(first: int, end: int) -> None:
        work(logits, lattice.corners, lattice.weights, values, silent, first, end, rows, flat)

    in_strips(strip, len(rows), threads=threads)


def soft_max(
    logits: Float32[np.ndarray, "N *L"], rows: Float32[np.ndarray, "N *L"], *, threads: int
) -> None:
    """Fill `rows` with the probabilities of the logits alone."""
    nothing = np.zeros((1, *rows.shape[1:]), np.float32)
    nowhere = np.empty((len(rows), 0), np.int32), np.empty((len(rows), 0), np.float32)
    update(logits, Lattice(*nowhere, ()), nothing, rows, threads=threads)


def _sum_points(before, corners, weights, values, r, first, end, rows):
    """What was there before, and what each pixel reads from column r of its corners on.

    All in one loop over the labels: LLVM tests once that no row of nine overlaps `rows`.
    """
    for pixel in range(first, end):
        a, b, c = corners[pixel, r], corners[pixel, r + 1], corners[pixel, r + 2]
        d, e, f = corners[pixel, r + 3], corners[pixel, r + 4], corners[pixel, r + 5]
        g, h, i = corners[pixel, r + 6], corners[pixel, r + 7], corners[pixel, r + 8]
        of_a, of_b, of_c = weights[pixel, r], weights[pixel, r + 1], weights[pixel, r + 2]
        of_d, of_e, of_f = weights[pixel, r + 3], weights[pixel, r + 4], weights[pixel, r + 5]
        of_g, of_h, of_i = weights[pixel, r + 6], weights[pixel, r + 7], weights[pixel, r + 8]
        for k in range(rows.shape[1]):
            abc = of_a * values[a, k] + of_b * values[b, k] + of_c * values[c, k]
            def_ = of_d * values[d, k] + of_e * values[e, k] + of_f * values[f, k]
            ghi = of_g * values[g, k] + of_h * values[h, k] + of_i * values[i, k]
            rows[pixel, k] = before[pixel, k] + (abc + def_ + ghi)


def _highest(rows, pixel):
    """The largest of a row."""
    peak = rows[pixel, 0]
    for k in range(rows.shape[1]):
        peak = max(peak, rows[pixel, k])
    return peak


def _total(rows, pixel):
    """The sum of a row."""
    total = _ZERO
    for k in range(rows.shape[1]):
        total += rows[pixel, k]
    return total


def _raise_all(logits):
    """Logits, 0 or below, become their exponentials."""
    for i in range(logits.size):
        logit = logits[i]
        power = exp(logit if logit > LEAST else LEAST)
        logits[i] = power if logit > _FAINT else _ZERO


def _differences(logits):
    """Differences of logits become those of probabilities: the hyperbolic tangent of half."""
    for i in range(logits.size):
        logit = logits[i]
        other = exp(max(-abs(logit), LEAST))
        sure = np.divide(_ONE - other, _ONE + other)  # unlike `/`, no branch for 0
        logits[i] = sure if logit > _ZERO else -sure


def _update_lanes(logits, corners, weights, values, silent, first, end, rows, flat):
    lanes = rows.shape[1]
    for begin in range(first, end, _PIXELS):
        stop = min(begin + _PIXELS, end)
        if corners.shape[1] == 0:
            rows[begin:stop] = logits[begin:stop]
        for r in range(0, corners.shape[1], READS):
            before = rows if r else logits
            _gather(before, corners, weights, values, r, begin, stop, rows)
        for pixel in range(begin, stop):
            peak = highest(rows, pixel)
            for k in range(lanes):
                rows[pixel, k] -= peak
        _powers(flat[begin * lanes : stop * lanes])
        for pixel in range(begin, stop):
            part = _ONE / _sum(rows, pixel)
            for k in range(lanes):
                rows[pixel, k] *= part
            if silent != NOBODY:
                rows[pixel, silent] = _ZERO


def _update_one(logits, corners, weights, values, silent, first, end, rows, flat):
    """`_update_lanes` of a difference."""
    for begin in range(first, end, _PIXELS):
        stop = min(begin + _PIXELS, end)
        for pixel in range(begin, stop):
            total = logits[pixel]
            for r in range(corners.shape[1]):
                total += weights[pixel, r] * values[corners[pixel, r]]
            rows[pixel] = total
        _tangents(flat[begin:stop])


_gather = compiled(_sum_points)
_tangents = compiled(_differences)
highest = compiled(_highest, reorder=True)
_sum = compiled(_total, reorder=True)
_powers = compiled(_raise_all)
_update_rows = compiled(_update_lanes)
_update = compiled(_update_one)
