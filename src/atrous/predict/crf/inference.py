"""Mean-field inference, label by label in vector lanes."""

import numpy as np
from jaxtyping import Float32, Int64

from atrous.kernels.meanfield import LANES, NEVER, soft_max
from atrous.kernels.planes import log_rows, planes
from atrous.predict.crf.pairwise import Pairwise, step

LEAST = 1e-8  # what a probability of 0 counts as: its logarithm is finite


def infer(
    probs: Float32[np.ndarray, "K N"],
    kept: Int64[np.ndarray, " R"],
    pairwise: Pairwise,
    iterations: int,
    threads: int,
) -> Float32[np.ndarray, "K N"]:
    """The probabilities after so many iterations among the `kept` labels; the others get 0."""
    alone = len(kept) == 2 and pairwise.potts  # the difference of both is enough
    lanes = -(-len(kept) // LANES) * LANES
    logits = log_rows(probs, kept, lanes=lanes, least=LEAST, rest=NEVER, threads=threads)
    if alone:
        logits = logits[:, 1] - logits[:, 0]
    else:
        pairwise = pairwise.of_labels(kept, lanes)
    rows = np.empty_like(logits)
    room = np.empty_like(logits) if pairwise.exact else rows
    values = np.empty((pairwise.lattice.size, *rows.shape[1:]), np.float32)
    soft_max(logits, rows, threads=threads)
    for _ in range(iterations):
        step(pairwise, logits, values, room, rows, threads)
    if alone:
        second = (rows + 1) * np.float32(0.5)
        rows = np.stack([1 - second, second], axis=1)
    return planes(rows, kept, len(probs), threads=threads)
