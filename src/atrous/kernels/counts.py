"""Confusion counts: pixels by true class and predicted class."""

import numba
import numpy as np

from atrous.kernels.compiled import LAUNCH, compiled
from atrous.types import Confusion, Mask


def confusion_counts(
    pred: Mask, mask: Mask, *, num_classes: int, ignore_index: int, parallel: bool = True
) -> Confusion:
    """Count pixels by true class (row) and predicted class (column), ignored truth left out.

    `pred` holds class indices only. Values outside are the caller's fault and not checked.

    Example:
        >>> confusion_counts(np.uint8([[0, 1]]), np.uint8([[1, 255]]), num_classes=2, ignore_index=255)
        array([[0, 0],
               [1, 0]])
    """
    pred, mask = np.ascontiguousarray(pred).reshape(-1), np.ascontiguousarray(mask).reshape(-1)
    if not parallel:
        counts = np.zeros(num_classes**2, np.int64)
        _serial(pred, mask, num_classes, ignore_index, counts)
        return counts.reshape(num_classes, num_classes)
    parts = np.zeros((numba.get_num_threads(), num_classes**2), np.int64)
    with LAUNCH:
        _parallel(pred, mask, num_classes, ignore_index, parts)
    return parts.sum(0).reshape(num_classes, num_classes)


def confusion_counts_reference(
    pred: Mask, mask: Mask, *, num_classes: int, ignore_index: int
) -> Confusion:
    """`confusion_counts` in plain NumPy."""
    valid = mask != ignore_index
    cells = mask[valid].astype(np.int64) * num_classes + pred[valid]
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def _count(pred, mask, num_classes, ignore_index, counts):
    for i in range(mask.size):
        if mask[i] != ignore_index:
            counts[np.int64(mask[i]) * num_classes + np.int64(pred[i])] += 1


def _count_parts(pred, mask, num_classes, ignore_index, parts):
    strips = parts.shape[0]
    for strip in numba.prange(strips):
        low, high = strip * mask.size // strips, (strip + 1) * mask.size // strips
        _serial(pred[low:high], mask[low:high], num_classes, ignore_index, parts[strip])


_serial = compiled(_count)
_parallel = compiled(_count_parts, parallel=True)
