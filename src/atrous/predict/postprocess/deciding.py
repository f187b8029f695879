"""Probabilities -> mask: the likeliest class, thresholds, a list of classes that go first."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from atrous.classes import Classes
from atrous.recipe.postprocessing import Priority
from atrous.types import Mask

Probabilities = Float32[np.ndarray, "K H W"]


def likeliest(probs: Probabilities, classes: Classes) -> Mask:
    """The class with the largest probability, ties to the lower; of multilabel all above 0.5.

    Example:
        >>> likeliest(np.float32([[[0.4, 0.6]], [[0.6, 0.4]]]), Classes(("a", "b")))
        array([[1, 0]], dtype=uint8)
    """
    if classes.task == "multilabel":
        return above(probs, [0.5] * len(classes), classes)
    return probs.argmax(0).astype(classes.dtype)


def above(probs: Probabilities, thresholds: Sequence[float], classes: Classes) -> Mask:
    """Where each class has more than its threshold: bits of multilabel, 0 and 1 of binary.

    Example:
        >>> probs = np.float32([[[0.4, 0.6]], [[0.6, 0.4]]])
        >>> above(probs, [0.3], Classes(("a", "b"), task="binary"))
        array([[1, 1]], dtype=uint8)
    """
    if classes.task == "binary":
        return (probs[1] > np.float32(thresholds[0])).astype(classes.dtype)
    mask = np.zeros(probs.shape[1:], classes.dtype)
    for k, (plane, threshold) in enumerate(zip(probs, thresholds, strict=True)):
        mask[plane > np.float32(threshold)] |= classes.dtype(1 << k)
    return mask


def preferred(mask: Mask, probs: Probabilities, step: Priority, classes: Classes) -> Mask:
    """The mask where the first of some classes that has at least a probability has the pixel.

    Example:
        >>> probs = np.float32([[[0.6, 0.8]], [[0.4, 0.2]]])
        >>> preferred(np.uint8([[0, 0]]), probs, Priority(classes=("b",)), Classes(("a", "b")))
        array([[1, 0]], dtype=uint8)
    """
    made = mask.copy()
    for name in reversed(step.classes):
        k = classes.names.index(name)
        made[probs[k] >= np.float32(step.probability)] = k
    return made
