"""Border zones: the pixels of a class region that lie close to another class, and their counts."""

import numpy as np
from jaxtyping import Int64, UInt8

from atrous.kernels.compiled import compiled, in_strips
from atrous.types import Mask

UNKNOWN = 255  # in a border zone: void, or so close to void that a border may be hidden there
_OTHER, _VOID = np.uint8(1), np.uint8(2)  # what lies within the distance, as bits


def border_zone(
    mask: Mask, *, distance: int, ignore_index: int, threads: int = 0
) -> UInt8[np.ndarray, "H W"]:
    """1 where another class lies within `distance` pixels (Euclidean), 0 where none does.

    The picture's frame is no border, for the object goes on outside, and neither is void.
    255 (unknown) stands for void itself and for pixels with void, but no other class, within
    the distance. The time grows with the square of the distance.

    Example:
        >>> border_zone(np.uint8([[0, 0, 0, 1, 1, 1]]), distance=2, ignore_index=255)
        array([[0, 1, 1, 1, 1, 0]], dtype=uint8)
        >>> border_zone(np.uint8([[0, 0, 0, 255, 1, 1]]), distance=2, ignore_index=255)
        array([[  0, 255,   1, 255,   1, 255]], dtype=uint8)
    """
    zone, steps = np.empty(mask.shape, np.uint8), _disc(distance)

    def strip(first: int, end: int) -> None:
        _find(mask, first, ignore_index, steps, zone[first:end])

    in_strips(strip, len(mask), threads=threads)
    return zone


def border_zone_reference(
    mask: Mask, *, distance: int, ignore_index: int
) -> UInt8[np.ndarray, "H W"]:
    """`border_zone` in plain NumPy, on the mask shifted by every step of the disc."""
    # With the edge repeated, what lies outside is seen inside, and never from farther away.
    padded = np.pad(mask, distance, mode="edge")
    other, void = np.zeros((2, *mask.shape), bool)
    for down, right in _disc(distance) + distance:
        there = padded[down : down + mask.shape[0], right : right + mask.shape[1]]
        other |= (there != mask) & (there != ignore_index)
        void |= there == ignore_index
    unknown = (mask == ignore_index) | (void & ~other)
    return np.where(unknown, UNKNOWN, other).astype(np.uint8)


def border_counts(
    pred: Mask,
    mask: Mask,
    *,
    num_classes: int,
    ignore_index: int,
    distance: int,
    threads: int = 0,
) -> Int64[np.ndarray, "K 3"]:
    """Pixels of each class in the border zone of the truth, of the prediction, and of both.

    Pixels where the zone of the truth is unknown are left out. `pred` holds class indices only.

    Example:
        >>> border_counts(
        ...     np.uint8([[0, 0, 0, 1, 1, 1]]),
        ...     np.uint8([[0, 0, 1, 1, 1, 1]]),
        ...     num_classes=2,
        ...     ignore_index=255,
        ...     distance=1,
        ... )
        array([[1, 1, 0],
               [1, 1, 0]])
    """
    assert pred.shape == mask.shape, f"{pred.shape} predicted, {mask.shape} true"
    parts, steps = [], _disc(distance)

    def strip(first: int, end: int) -> None:
        counts = np.zeros((num_classes, 3), np.int64)
        parts.append(counts)
        zones = np.empty((2, end - first, mask.shape[1]), np.uint8)
        for labels, zone in ((mask, zones[0]), (pred, zones[1])):
            _find(labels, first, ignore_index, steps, zone)
        _count(pred[first:end], mask[first:end], zones, counts)

    in_strips(strip, len(mask), threads=threads)
    return np.sum(parts, 0)


def border_counts_reference(
    pred: Mask, mask: Mask, *, num_classes: int, ignore_index: int, distance: int
) -> Int64[np.ndarray, "K 3"]:
    """`border_counts` in plain NumPy, class by class."""
    true = border_zone_reference(mask, distance=distance, ignore_index=ignore_index)
    found = border_zone_reference(pred, distance=distance, ignore_index=ignore_index) == 1
    counts = np.zeros((num_classes, 3), np.int64)
    for k in range(num_classes):
        in_truth = (mask == k) & (true == 1)
        in_pred = (pred == k) & found & (true != UNKNOWN)
        counts[k] = in_truth.sum(), in_pred.sum(), (in_truth & in_pred).sum()
    return counts


def _disc(distance: int) -> Int64[np.ndarray, "N 2"]:
    """The steps (down, right) to every pixel within the distance, but for the pixel itself."""
    side = np.arange(-distance, distance + 1)
    down, right = np.meshgrid(side, side, indexing="ij")
    squared = down**2 + right**2
    inside = (squared > 0) & (squared <= distance**2)
    return np.stack([down[inside], right[inside]], 1)


def _look_along_row(here, there, ignore_index, seen):
    for x in range(here.size):
        void = there[x] == ignore_index
        other = (there[x] != here[x]) & (not void)
        seen[x] |= np.uint8(other) | np.uint8(np.uint8(void) << 1)


def _find_zone(mask, first, ignore_index, steps, zone):
    height, width = mask.shape
    zone[:] = 0
    for y in range(first, first + zone.shape[0]):
        seen = zone[y - first]
        for step in range(steps.shape[0]):
            down, right = steps[step, 0], steps[step, 1]
            if 0 <= y + down < height and abs(right) < width:
                begin, end = max(0, -right), min(width, width - right)
                there = mask[y + down, begin + right : end + right]
                _look(mask[y, begin:end], there, ignore_index, seen[begin:end])
        for x in range(width):
            if mask[y, x] == ignore_index or seen[x] == _VOID:
                seen[x] = UNKNOWN
            else:
                seen[x] &= _OTHER


def _count_zones(pred, mask, zones, counts):
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            true, found = zones[0, y, x], zones[1, y, x]
            if true == UNKNOWN or not (true | found):
                continue
            counts[mask[y, x], 0] += true
            counts[pred[y, x], 1] += found
            if true & found and mask[y, x] == pred[y, x]:
                counts[mask[y, x], 2] += 1


_look = compiled(_look_along_row)
_find = compiled(_find_zone)
_count = compiled(_count_zones)
