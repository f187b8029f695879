"""Mean-field inference, all labels of a pixel side by side in vector lanes."""

import numpy as np
from jaxtyping import Float32, Int64

from atrous.kernels.compiled import in_strips
from atrous.kernels.meanfield import LANES, NEVER, NOBODY, soft_max
from atrous.kernels.planes import fill_planes, log_rows, shown, taken
from atrous.predict.crf.pairwise import Pairwise, step

LEAST = 1e-8  # what a probability of 0 counts as: its logarithm is finite
FADED = 0.1  # of a pixel: the most of a label, nowhere the largest, that is filtered no more
_FEW = 4  # labels fill the narrowest vector; fewer are not faster


def infer(
    probs: Float32[np.ndarray, "K N"],
    pairwise: Pairwise,
    iterations: int,
    *,
    prune: bool,
    threads: int,
) -> Float32[np.ndarray, "K N"]:
    """The probabilities after so many iterations."""
    labels = len(probs)
    lanes = -(-labels // LANES) * LANES
    logits = log_rows(probs, lanes=lanes, least=LEAST, rest=NEVER, threads=threads)
    if labels == 2 and pairwise.potts:
        return _difference(logits, pairwise, iterations, threads)
    rows, wide = np.empty_like(logits), pairwise.of_lanes(labels, lanes)
    soft_max(logits, rows, threads=threads)
    if prune and iterations > 1 and pairwise.attracts and labels > _FEW:
        _iterate(logits, rows, wide, 1, NOBODY, threads)
        iterations -= 1
        kept = shown(rows, labels, FADED, threads=threads)
        if len(kept) < labels:
            return _among(kept, probs, logits, rows, pairwise, iterations, threads)
    _iterate(logits, rows, wide, iterations, NOBODY, threads)
    out = np.empty_like(probs)
    fill_planes(rows, np.arange(labels), out, threads=threads)
    return out


def _difference(
    logits: Float32[np.ndarray, "N L"], pairwise: Pairwise, iterations: int, threads: int
) -> Float32[np.ndarray, "2 N"]:
    """Of two labels under a Potts model the difference is enough."""
    logits = logits[:, 1] - logits[:, 0]
    rows = np.empty_like(logits)
    soft_max(logits, rows, threads=threads)
    _iterate(logits, rows, pairwise, iterations, NOBODY, threads)
    second = (rows + 1) * np.float32(0.5)
    return np.stack([1 - second, second])


def _among(
    kept: Int64[np.ndarray, " R"],
    probs: Float32[np.ndarray, "K N"],
    logits: Float32[np.ndarray, "N L"],
    rows: Float32[np.ndarray, "N L"],
    pairwise: Pairwise,
    iterations: int,
    threads: int,
) -> Float32[np.ndarray, "K N"]:
    """Further iterations that filter the `kept` labels only.

    The others are one silent lane, which gets no message and gives none. While a label holds
    at most q of every pixel, its message is at most W q, where W is the largest sum of weights
    times kernels (near that of the weights, if normalised): so much its logit misses. Of 21
    labels in photographs probabilities differed by 0.01 at most, of 150 by 0.05.
    """
    out = np.empty_like(probs)
    faded = np.setdiff1d(np.arange(len(probs)), kept)
    silent, width = len(kept), -(-(len(kept) + 1) // LANES) * LANES
    logits = taken(logits, kept, width, NEVER, threads=threads)
    rows = taken(rows, kept, width, np.float32(0), threads=threads)
    total = np.zeros(len(rows), np.float32)

    def add(first: int, end: int) -> None:
        for label in faded:
            total[first:end] += probs[label, first:end]
        logits[first:end, silent] = np.log(np.maximum(total[first:end], np.float32(LEAST)))

    def share(first: int, end: int) -> None:
        rest = 1 - rows[first:end, :silent].sum(1)
        part = np.maximum(rest, 0) / np.maximum(total[first:end], np.float32(LEAST))
        for label in faded:
            np.multiply(probs[label, first:end], part, out=out[label, first:end])

    in_strips(add, len(rows), threads=threads)
    _iterate(logits, rows, pairwise, iterations, silent, threads)
    fill_planes(rows, kept, out, threads=threads)
    in_strips(share, len(rows), threads=threads)
    return out


def _iterate(
    logits: Float32[np.ndarray, "N *L"],
    rows: Float32[np.ndarray, "N *L"],
    pairwise: Pairwise,
    iterations: int,
    silent: int,
    threads: int,
) -> None:
    """Bring the rows so many iterations further."""
    room = np.empty_like(logits) if pairwise.exact else rows
    values = np.empty((pairwise.lattice.size, *rows.shape[1:]), np.float32)
    for _ in range(iterations):
        step(pairwise, logits, values, room, rows, silent, threads)
