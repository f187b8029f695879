"""Which labels of a picture matter."""

import numpy as np
from jaxtyping import Float32, Int64

from atrous.kernels.planes import largest, largest_sums
from atrous.predict.crf.pairwise import Pairwise, sums

FADED = 0.02  # of a pixel: the most that labels which are left out may hold, all together


def relevant(
    probs: Float32[np.ndarray, "N L"], labels: int, pairwise: Pairwise, threads: int
) -> Int64[np.ndarray, " R"]:
    """All labels but those that can nowhere matter, in any number of iterations.

    Let some labels hold at most q of every pixel, together. Then no message to one of them is
    above W q, where W is the largest sum of all kernels with their weights, and messages to
    others are not below 0; so after the next update they hold at most p exp(W q), where p is
    the most they have in the given probabilities. With p up to FADED exp(-W FADED), they never
    reach FADED.
    """
    if len(shown(probs, labels, threads)) == labels:
        return np.arange(labels)
    reach = float(sums(pairwise, len(probs), threads).max())
    return shown(probs, labels, threads, FADED * np.exp(-reach * FADED))


def shown(
    probs: Float32[np.ndarray, "N L"], labels: int, threads: int, limit: float = FADED
) -> Int64[np.ndarray, " R"]:
    """The first so many labels, but those that hold at most `limit` of any pixel, together.

    Example:
        >>> probs = np.float32([[0.9, 0.03, 0.01, 0.06], [0.1, 0.01, 0.02, 0.87]])
        >>> shown(probs, 4, 1)
        array([0, 3])
    """
    order = np.argsort(largest(probs, labels, threads=threads), kind="stable")
    return np.sort(order[largest_sums(probs, order, threads=threads) > limit])
