"""Confusion counts: pixels by true class and predicted class."""

import numpy as np

from atrous.kernels.compiled import compiled, in_strips
from atrous.types import Confusion, Mask, MultilabelConfusion


def confusion_counts(
    pred: Mask, mask: Mask, *, num_classes: int, ignore_index: int, threads: int = 0
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

    in_strips(strip, len(mask), threads=threads)
    return np.sum(parts, 0).reshape(num_classes, num_classes)


def confusion_counts_reference(
    pred: Mask, mask: Mask, *, num_classes: int, ignore_index: int
) -> Confusion:
    """`confusion_counts` in plain NumPy."""
    valid = mask != ignore_index
    cells = mask[valid].astype(np.int64) * num_classes + pred[valid]
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def multilabel_counts(
    pred: Mask, mask: Mask, *, num_classes: int, ignore_index: int, threads: int = 0
) -> MultilabelConfusion:
    """For each class, count pixels by whether it is there (row) and predicted there (column).

    Masks hold bit k for class k; pixels whose truth is `ignore_index` are left out.

    Example:
        >>> multilabel_counts(
        ...     np.uint8([[3, 1, 0]]), np.uint8([[1, 1, 4]]), num_classes=2, ignore_index=4
        ... ).tolist()
        [[[0, 0], [0, 2]], [[1, 1], [0, 0]]]
    """
    assert pred.shape == mask.shape, f"{pred.shape} predicted, {mask.shape} true"
    parts: list[np.ndarray] = []

    def strip(first: int, end: int) -> None:
        counts = np.zeros((num_classes, 2, 2), np.int64)
        parts.append(counts)
        _count_each_bit(pred[first:end], mask[first:end], num_classes, ignore_index, counts)

    in_strips(strip, len(mask), threads=threads)
    return np.sum(parts, 0)


def multilabel_counts_reference(
    pred: Mask, mask: Mask, *, num_classes: int, ignore_index: int
) -> MultilabelConfusion:
    """`multilabel_counts` in plain NumPy."""
    valid = mask != ignore_index
    found, truth = pred[valid].astype(np.int64), mask[valid].astype(np.int64)
    cells = [(truth >> k & 1) * 2 + (found >> k & 1) for k in range(num_classes)]
    return np.stack([np.bincount(cell, minlength=4).reshape(2, 2) for cell in cells])


def _count_pixels(pred, mask, num_classes, ignore_index, counts):
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            if mask[y, x] != ignore_index:
                counts[np.int64(mask[y, x]) * num_classes + np.int64(pred[y, x])] += 1


def _count_bits(pred, mask, num_classes, ignore_index, counts):
    """Pixel by pixel of a row in runs of the same truth and prediction, which are long."""
    height, width = mask.shape
    for y in range(height):
        x = 0
        while x < width:
            truth, found = np.int64(mask[y, x]), np.int64(pred[y, x])
            end = x + 1
            while end < width and mask[y, end] == truth and pred[y, end] == found:
                end += 1
            if truth != ignore_index:
                for k in range(num_classes):
                    counts[k, truth >> k & 1, found >> k & 1] += end - x
            x = end


_count = compiled(_count_pixels)
_count_each_bit = compiled(_count_bits)
