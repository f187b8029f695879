"""How sure a model is at each pixel: probabilities, confidence, entropy, strip by strip.

Soft-max of the resized logits for multiclass; for binary and multilabel a sigmoid of each, every
class a decision of its own. Infinite logits and NaN are as in `resize`.
"""

import numpy as np
from jaxtyping import Float32

from atrous.kernels.compiled import compiled, in_strips
from atrous.kernels.exponentials import LEAST, exp
from atrous.kernels.resize import logits_at_pixels, taps, without_infinite
from atrous.types import GridLogits, Placement, Size, Task

_PIXELS = 512  # side by side: all their logits stay in the cache
_ZERO, _ONE, _LOWEST = np.float32(0), np.float32(1), np.float32(-np.inf)


def probabilities_at_pixels(
    logits: GridLogits,
    *,
    grid: Placement,
    size: Size,
    task: Task,
    rows: slice | None = None,
    threads: int = 0,
) -> Float32[np.ndarray, "K H W"]:
    """The probability of each class at each pixel of a picture of `size`, or of some `rows`.

    Of multiclass they add up to 1; of binary they are two, background and foreground; those of
    multilabel are each for itself. Nothing larger than the answer is made: ask for strips.

    Example:
        >>> from atrous.types import Grid
        >>> logits = np.float32([[[0, 0]], [[0, np.log(3)]]])
        >>> probabilities_at_pixels(logits, grid=Grid(1), size=(1, 2), task="multiclass").round(3)
        array([[[0.5 , 0.25]],
        <BLANKLINE>
               [[0.5 , 0.75]]], dtype=float32)
    """
    if task == "binary":
        logits = np.concatenate([-logits, logits])
    planes = len(logits)
    return _measured(logits, grid, size, task, rows, threads, probabilities=planes)[0]


def probabilities_at_pixels_reference(
    logits: GridLogits, *, grid: Placement, size: Size, task: Task
) -> Float32[np.ndarray, "K H W"]:
    """`probabilities_at_pixels` in plain NumPy."""
    full = logits_at_pixels(logits, grid=grid, size=size).astype(np.float64)
    if task == "binary":
        full = np.concatenate([np.zeros_like(full), full])
    if task == "multilabel":
        return np.exp(-np.logaddexp(0, -full)).astype(np.float32)
    weights = np.exp(full - full.max(0))
    return (weights / weights.sum(0)).astype(np.float32)


def confidence_at_pixels(
    logits: GridLogits,
    *,
    grid: Placement,
    size: Size,
    task: Task,
    rows: slice | None = None,
    threads: int = 0,
) -> Float32[np.ndarray, "H W"]:
    """The probability of what was decided at each pixel, of multilabel in its least sure class.

    From 1 / K for multiclass, 0.5 for the others, up to 1. It says how sure the model is, not
    how often it is right.

    Example:
        >>> from atrous.types import Grid
        >>> logits = np.float32([[[0, np.log(3)]]])
        >>> confidence_at_pixels(logits, grid=Grid(1), size=(1, 2), task="binary").round(3)
        array([[0.5 , 0.75]], dtype=float32)
    """
    return _measured(logits, grid, size, task, rows, threads, confidence=1)[1][0]


def confidence_at_pixels_reference(
    logits: GridLogits, *, grid: Placement, size: Size, task: Task
) -> Float32[np.ndarray, "H W"]:
    """`confidence_at_pixels` in plain NumPy."""
    probs = probabilities_at_pixels_reference(logits, grid=grid, size=size, task=task)
    return np.maximum(probs, 1 - probs).min(0) if task == "multilabel" else probs.max(0)


def entropy_at_pixels(
    logits: GridLogits,
    *,
    grid: Placement,
    size: Size,
    task: Task,
    rows: slice | None = None,
    threads: int = 0,
) -> Float32[np.ndarray, "H W"]:
    """The entropy of the answer at each pixel in nats: 0 where it is sure, ln K where all tie.

    Of binary ln 2 at most; of multilabel the sum over its decisions, K ln 2 at most.

    Example:
        >>> from atrous.types import Grid
        >>> logits = np.zeros((3, 1, 1), np.float32)
        >>> entropy_at_pixels(logits, grid=Grid(1), size=(1, 1), task="multiclass")
        array([[1.0986123]], dtype=float32)
    """
    return _measured(logits, grid, size, task, rows, threads, entropy=1)[2][0]


def entropy_at_pixels_reference(
    logits: GridLogits, *, grid: Placement, size: Size, task: Task
) -> Float32[np.ndarray, "H W"]:
    """`entropy_at_pixels` in plain NumPy."""
    full = logits_at_pixels(logits, grid=grid, size=size).astype(np.float64)
    if task == "multiclass":
        surprise = np.logaddexp.reduce(full, 0) - full  # of each class
        return (np.exp(-surprise) * surprise).sum(0).astype(np.float32)
    there, gone = np.logaddexp(0, -full), np.logaddexp(0, full)
    return (np.exp(-there) * there + np.exp(-gone) * gone).sum(0).astype(np.float32)


def _measured(
    logits: GridLogits,
    grid: Placement,
    size: Size,
    task: Task,
    rows: slice | None,
    threads: int,
    *,
    probabilities: int = 0,
    confidence: int = 0,
    entropy: int = 0,
) -> list[Float32[np.ndarray, "N H W"]]:
    """So many planes of each, of some rows of pixels."""
    part = rows or slice(None)
    assert part.step in (None, 1), "strips are of rows that follow each other"
    top, bottom, down = (tap[part] for tap in taps(size[0], logits.shape[1], grid))
    across = taps(size[1], logits.shape[2], grid)
    made = [
        np.empty((n, len(down), size[1]), np.float32) for n in (probabilities, confidence, entropy)
    ]
    if not made[0].size + made[1].size + made[2].size:
        return made
    first = int(top[0])
    read = logits[:, first : int(bottom[-1]) + 1]
    cells = np.ascontiguousarray(without_infinite(read, first_row=first))

    taken, soft = (top - first, bottom - first, down), task == "multiclass"

    def strip(begin: int, end: int) -> None:
        # Whole arrays: planes cut into strips are of another type, and numba compiles for each.
        _measure(cells, begin, end, *taken, *across, soft, *made)

    in_strips(strip, len(down), threads=threads)
    return made


def _row_of_cells(logits, top, bottom, down, tall):
    """All classes at a row of pixels, still by columns of cells."""
    for k in range(tall.shape[0]):
        for x in range(tall.shape[1]):
            tall[k, x] = logits[k, top, x] * (_ONE - down) + logits[k, bottom, x] * down


def _resize(tall, left, right, across, first, values, peak, count):
    """The logits of `count` pixels from `first` on, and the largest at each."""
    for i in range(count):
        peak[i] = _LOWEST
    for k in range(values.shape[0]):
        for i in range(count):
            x = first + i
            value = tall[k, left[x]] * (_ONE - across[x]) + tall[k, right[x]] * across[x]
            old = peak[i] + _ZERO
            values[k, i] = value
            peak[i] = value if value > old else old


def _soft_max(values, peak, count, share, entropy):
    """Logits become exp(logit - peak); `share` is 1 / their sum, the probability of the peak."""
    for i in range(count):
        share[i], entropy[i] = _ZERO, _ZERO
    for k in range(values.shape[0]):
        for i in range(count):
            below = max(values[k, i] - peak[i], LEAST)
            weight = exp(below)
            values[k, i] = weight
            share[i] += weight
            entropy[i] -= weight * below
    for i in range(count):
        total = share[i]
        share[i] = _ONE / total
        entropy[i] = np.log(total) + entropy[i] / total


def _sigmoids(values, count, surest, spread, doubt):
    """Logits become probabilities; also the least sure decision, and the entropy of all.

    Of one decision that is ln(1 + e) + d e / (1 + e), where d is the distance of the logit from
    0 and e = exp(-d). `spread` is the product of the 1 + e: one logarithm is enough for all, as
    float32 holds 2 to the power of `MOST_LABELS`, of which no multilabel mask has more.
    """
    for i in range(count):
        surest[i], spread[i], doubt[i] = _ONE, _ONE, _ZERO
    for k in range(values.shape[0]):
        for i in range(count):
            logit = values[k, i]
            distance = min(abs(logit), -LEAST)
            other = exp(-distance)
            sure = np.divide(_ONE, _ONE + other)  # unlike `/`, no branch for 0
            old = surest[i] + _ZERO
            values[k, i] = sure if logit > _ZERO else other * sure
            surest[i] = sure if sure < old else old
            spread[i] *= _ONE + other
            doubt[i] += distance * other * sure
    for i in range(count):
        doubt[i] += np.log(spread[i])


def _measure_rows(
    logits, begin, end, top, bottom, down, left, right, across, soft, probs, sure, doubt
):
    """Fill rows of those of the three answers that have planes: of soft-max, or of sigmoids."""
    classes, width = logits.shape[0], left.size
    tall = np.empty((classes, logits.shape[2]), np.float32)
    values = np.empty((classes, _PIXELS), np.float32)
    room = np.empty((3, _PIXELS), np.float32)
    peak, share, entropy = room[0], room[1], room[2]
    for y in range(begin, end):
        _blend(logits, top[y], bottom[y], down[y], tall)
        for first in range(0, width, _PIXELS):
            count = min(_PIXELS, width - first)
            _spread(tall, left, right, across, first, values, peak, count)
            if soft:
                _weigh(values, peak, count, share, entropy)
            else:
                _decide(values, count, share, peak, entropy)
            for k in range(probs.shape[0]):
                for i in range(count):
                    probs[k, y, first + i] = values[k, i] * share[i] if soft else values[k, i]
            for i in range(count if sure.shape[0] else 0):
                sure[0, y, first + i] = share[i]
            for i in range(count if doubt.shape[0] else 0):
                doubt[0, y, first + i] = max(entropy[i], _ZERO)


_blend = compiled(_row_of_cells)
_spread = compiled(_resize)
_weigh = compiled(_soft_max)
_decide = compiled(_sigmoids)
_measure = compiled(_measure_rows)
