"""Which labels of a picture matter."""

import numpy as np
from jaxtyping import Float32, Int64

from atrous.kernels.compiled import in_strips
from atrous.predict.crf.pairwise import Pairwise, sums

FADED = 0.01  # of a pixel: what the labels left out may hold, all together


def relevant(
    probs: Float32[np.ndarray, "K N"], pairwise: Pairwise, threads: int
) -> Int64[np.ndarray, " R"]:
    """All labels but those that can nowhere matter, in any number of iterations.

    Let some labels hold at most q of every pixel, together. Then no message to one of them is
    above W q, where W is the largest sum of all kernels with their weights; messages to others
    are not below 0; so after the next update they hold at most p exp(W q), where p is the most
    they have in the given probabilities. If p is FADED exp(-W FADED), they never reach FADED.
    """
    every = np.arange(len(probs))
    most = _largest(probs, threads)
    if not pairwise.attracts or not (pairwise.exact or pairwise.gains) or most.min() > FADED:
        return every
    reach = float(sums(pairwise, probs.shape[1], threads).max())
    limit = FADED * np.exp(-reach * FADED)
    together = np.zeros(probs.shape[1], np.float32)
    gone = 0
    order = np.argsort(most, kind="stable")
    for label in order:
        if most[label] > limit or (together := together + probs[label]).max() > limit:
            break
        gone += 1
    return np.sort(order[gone:])


def _largest(probs: Float32[np.ndarray, "K N"], threads: int) -> Float32[np.ndarray, " K"]:
    """The most that each label has anywhere."""
    most = np.empty(len(probs), np.float32)

    def strip(first: int, end: int) -> None:
        most[first:end] = probs[first:end].max(1)

    in_strips(strip, len(probs), threads=threads)
    return most
