"""Confusion counts: pixels by true class and predicted class."""

import numpy as np

from atrous.kernels.compiled import compiled, in_strips
from atrous.types import Confusion, Mask


def confusion_counts(
    pred: Mask, mask: Mask, *, num_classes: int, ignore_index: int, parallel: bool = True
) -> Confusion:
    """Count pixels by true class (row) and predicted class (column), ignored truth left out.

    `pred` holds class indices only. Values outside are the caller's fault and not checked.

    Example:
        >>> confusion_counts(
        ...     np.uint8([[0, 1]]), np.uint8([[1, 255]]), num_classes=2, ignore_index=255
        ... )
        array([[0, 0],
               [1, 0]])
    """
    assert pred.shape == mask.shape, f"{pred.shape} predicted, {mask.shape} true"
    parts: list[np.ndarray] = []

    def strip(first: int, end: int) -> None:
        counts = np.zeros(num_classes**2, np.int64)
        parts.append(counts)
        _count(pred[first:end], mask[first:end], num_classes, ignore_index, counts)

    in_strips(strip, len(mask), parallel=parallel)
    return np.sum(parts, 0).reshape(num_classes, num_classes)


def confusion_counts_reference(
    pred: Mask, mask: Mask, *, num_classes: int, ignore_index: int
) -> Confusion:
    """`confusion_counts` in plain NumPy."""
    valid = mask != ignore_index
    cells = mask[valid].astype(np.int64) * num_classes + pred[valid]
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def _count_pixels(pred, mask, num_classes, ignore_index, counts):
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            if mask[y, x] != ignore_index:
                counts[np.int64(mask[y, x]) * num_classes + np.int64(pred[y, x])] += 1


_count = compiled(_count_pixels)
