"""Mean-field inference, all labels of a pixel side by side in vector lanes."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from atrous.kernels.meanfield import LANES, NEVER, soft_max
from atrous.kernels.planes import log_rows, planes, taken
from atrous.predict.crf.pairwise import Pairwise, step
from atrous.predict.crf.relevance import relevant, shown

LEAST = 1e-8  # what a probability of 0 counts as: its logarithm is finite


class _Field(NamedTuple):
    """Labels that are left, their logits and probabilities: rows of lanes, or a difference.

    Of two labels under a Potts model the difference is enough.
    """

    labels: Int64[np.ndarray, " R"]
    logits: Float32[np.ndarray, "N *L"]
    rows: Float32[np.ndarray, "N *L"]
    pairwise: Pairwise  # between these lanes


def infer(
    probs: Float32[np.ndarray, "K N"],
    pairwise: Pairwise,
    iterations: int,
    *,
    prune: bool,
    threads: int,
) -> Float32[np.ndarray, "K N"]:
    """The probabilities after so many iterations.

    `prune` leaves out labels that cannot matter, and then those that faded in the first
    iteration. They could come back only where a label that won a pixel loses it again.
    """
    labels = len(probs)
    prune = prune and iterations > 0 and pairwise.attracts
    logits = log_rows(probs, lanes=_lanes(labels), least=LEAST, rest=NEVER, threads=threads)
    field = _Field(np.arange(labels), logits, np.empty_like(logits), pairwise)
    soft_max(logits, field.rows, threads=threads)
    kept = relevant(field.rows, labels, pairwise, threads) if prune else field.labels
    field = _narrowed(field, kept, pairwise, threads)
    field = _iterated(field, 1 if prune else iterations, threads)
    if prune and field.rows.ndim == 2:
        lanes = shown(field.rows, len(kept), threads)
        field = _narrowed(field, lanes, pairwise, threads)
    if prune:
        field = _iterated(field, iterations - 1, threads)
    rows = field.rows
    if rows.ndim == 1:
        second = (rows + 1) * np.float32(0.5)
        rows = np.stack([1 - second, second], axis=1)
    return planes(rows, field.labels, len(probs), threads=threads)


def _iterated(field: _Field, iterations: int, threads: int) -> _Field:
    """The field after so many iterations more, in the same memory."""
    logits, rows, pairwise = field.logits, field.rows, field.pairwise
    room = np.empty_like(logits) if pairwise.exact else rows
    values = np.empty((pairwise.lattice.size, *rows.shape[1:]), np.float32)
    for _ in range(iterations):
        step(pairwise, logits, values, room, rows, threads)
    return field


def _narrowed(
    field: _Field, lanes: Int64[np.ndarray, " R"], pairwise: Pairwise, threads: int
) -> _Field:
    """The field of some of its lanes alone."""
    labels, logits, rows = field.labels[lanes], field.logits, field.rows
    if len(lanes) == 2 and pairwise.potts:
        a, b = lanes
        apart = rows[:, b] - rows[:, a]
        apart /= np.maximum(rows[:, b] + rows[:, a], np.float32(LEAST))
        return _Field(labels, logits[:, b] - logits[:, a], apart, pairwise)
    width = _lanes(len(lanes))
    if len(lanes) < len(field.labels):
        logits = taken(logits, lanes, width, NEVER, threads=threads)
        rows = taken(rows, lanes, width, np.float32(0), threads=threads)
    return _Field(labels, logits, rows, pairwise.of_labels(labels, width))


def _lanes(labels: int) -> int:
    return -(-labels // LANES) * LANES
