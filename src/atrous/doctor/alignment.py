"""Whether masks lie on their pictures: moved by a constant offset, turned, or in their place.

Where a mask has a border, the picture mostly has an edge. A field of edges (steps between
neighbouring pixels, roots of them, less what is usual around) is averaged along the borders of
the mask, moved by each offset: at the right one it stands out.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Shaped

from atrous.data.images import turn_array
from atrous.kernels.profiles import move_profile
from atrous.types import RawMask

_WINDOW = 512  # pixels of a side that are looked at, around the middle of the borders
_POINTS = 2000  # of the borders, evenly taken
_FEWEST, _SMALLEST = 20, 8  # points, and pixels of a side, that say anything
_AROUND = 15  # pixels each way in which an edge is compared with what is usual
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R 601

# Painted scenes shifted by 4 to 20 px: at the masks' own places there is at most 0.46 of the edge
# at the right offset, 3 of 4 pairs or more lie better there, and the peak stands 10 deviations
# above its surroundings or more (cracks of 3 px: 6.7, in all pairs). Masks of unrelated pictures
# reach 5.8.
_LEAST_SHIFT = 2  # pixels: borders are drawn no better than to one
_AT_HOME = 0.6  # of the peak's height that the edges at the masks' own places may have
_HEIGHT = 0.15  # mean edge at the peak, in deviations of the field
_PAIRS = 0.7  # share of the pairs that lie better with the shift
# Deviations above the median, times that share; and as many more, divided by the number of pairs:
# two pairs agree by chance where eight do not.
_PEAK, _MORE = 6.0, 6.0
# A mask drawn too large lies off upwards at its top and downwards at its bottom, and a rim of void
# lies before and behind an edge. So each side of regions is asked for itself, if it has a tenth
# of the borders: within 2 px it must have its peak too, and the shift is the mean of both sides.
_SIDE, _SIDE_POINTS, _APART = 0.3, 0.1, 2

# Pixels like the one below and the one to the right: photographs 0.35 at most (retinas, on black),
# label masks 0.89 or more, saved as JPEG 0.69. On the black of a scan nothing is flat.
_FLAT, _FLAT_REST, _FEW_VALUES = 0.6, 0.2, 32

# The edges under masks that lie right are 0.6 or more in 99 of 100 painted scenes, under those that
# are turned wrongly 0.33 at most in as many: times, and at least.
_TURNED_BETTER, _TURNED_LEAST = 1.5, 0.15


class Shift(NamedTuple):
    """How far masks lie below and to the right of where they belong, in pixels.

    `gain` is how many times more edge there is under the borders once they are moved back (10
    at most); 1 where they lie right.
    """

    rows: int
    columns: int
    gain: float


class _Profile(NamedTuple):
    """The mean edge by offset for borders of four sides, and their shares of the points."""

    edges: Float32[np.ndarray, "4 D D"]
    weights: Float32[np.ndarray, " 4"]


def best_shift(
    images: Sequence[Shaped[np.ndarray, "H W C"]], masks: Sequence[RawMask], *, reach: int = 24
) -> Shift:
    """The constant offset by which masks lie beside their pictures; (0, 0) unless it is clear.

    To be asked of a sample of a data set, 8 to 64 pairs. Shifts up to `reach` pixels are tried,
    or a third of the smallest side. An offset of one pixel is none.
    """
    pairs = zip(images, masks, strict=True)
    profiles = [p for image, mask in pairs if (p := _profile(image, mask, reach)) is not None]
    if not profiles:
        return Shift(0, 0, 1.0)
    edges = np.array([profile.edges for profile in profiles])
    weights = np.array([profile.weights for profile in profiles])[..., None, None]
    sides = _mean(edges, weights, axis=0)
    each = _mean(edges, weights, axis=1)
    mean = each.mean(0)
    row, column = map(int, np.unravel_index(mean.argmax(), mean.shape))
    peak, home = float(mean[row, column]), float(mean[_beside(reach)].max())
    better = np.mean(each[:, row, column] > each[:, reach, reach])
    tops = [
        _top(side, row, column)
        for side, share in zip(sides, weights.mean((0, 2, 3)), strict=True)
        if share >= _SIDE_POINTS
    ]
    down, right = (reach - sum(top[axis] for top in tops) / len(tops) for axis in (1, 2))
    clear = (
        max(abs(down), abs(right)) >= _LEAST_SHIFT
        and peak >= _HEIGHT
        and home <= _AT_HOME * peak
        and better >= _PAIRS
        and better * (peak - np.median(mean)) >= (_PEAK + _MORE / len(each)) * mean.std()
        and min(tops)[0] >= _SIDE * max(tops)[0]
    )
    if not clear:
        return Shift(0, 0, 1.0)
    return Shift(round(down), round(right), peak / max(home, 0.1 * peak))


def mask_is_turned(image: Shaped[np.ndarray, "H W C"], mask: RawMask, orientation: int) -> bool:
    """Whether a mask was drawn on the stored picture, not on the upright one that EXIF asks for.

    `image` is upright, `orientation` (2-8) that of its file. Where the sizes do not tell, the
    mask must follow the picture's edges clearly better once it is turned as the picture was.
    """
    if mask.shape != image.shape[:2]:
        return turn_array(mask, orientation).shape == image.shape[:2]
    turned = turn_array(mask, orientation)
    if turned.shape != mask.shape:
        return False
    here, there = agreement(image, mask), agreement(image, turned)
    return there >= _TURNED_LEAST and there > _TURNED_BETTER * here


def agreement(image: Shaped[np.ndarray, "H W C"], mask: RawMask) -> float:
    """How much more edge lies under the mask's borders than elsewhere, in deviations.

    About 0 for a mask of another picture. Of the nine offsets by one pixel the best counts.
    """
    profile = _profile(image, mask, 1)
    if profile is None:
        return 0.0
    return float(_mean(profile.edges, profile.weights[:, None, None], axis=0).max())


def is_label_like(pixels: Shaped[np.ndarray, "H W *C"]) -> bool:
    """Whether an array looks like labels, not like a photograph: areas of exactly one value.

    A black background alone is no sign; then what is on it counts.

    Example:
        >>> is_label_like(np.kron(np.eye(3), np.ones((9, 9))).astype(np.uint8))
        True
        >>> is_label_like(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8))
        False
    """
    flat = np.ones((pixels.shape[0] - 1, pixels.shape[1] - 1), bool)
    for band in np.atleast_3d(pixels).transpose(2, 0, 1):
        flat &= (band[:-1, :-1] == band[1:, :-1]) & (band[:-1, :-1] == band[:-1, 1:])
    if not flat.size or flat.mean() < _FLAT:
        return False
    first = np.atleast_3d(pixels)[..., 0]
    values, counts = np.unique(first[::4, ::4], return_counts=True)
    rest = first[:-1, :-1] != values[counts.argmax()]
    return len(values) <= _FEW_VALUES or bool(flat[rest].mean() >= _FLAT_REST)


def _profile(image: Shaped[np.ndarray, "H W C"], mask: RawMask, reach: int) -> _Profile | None:
    """The edges around the borders of a mask by offset; None without enough borders."""
    if min(mask.shape) < _SMALLEST:
        return None
    window = _busiest(mask)
    image, mask = image[window], mask[window]
    tried = min(reach, (min(mask.shape) - 1) // 3)
    edges = np.zeros((4, 2 * reach + 1, 2 * reach + 1), np.float32)
    weights = np.zeros(4, np.float32)
    grey = _grey(image)
    for axis in (0, 1):
        field = _edges(grey, axis)
        steps = np.diff(mask.astype(np.int64), axis=axis)
        for side, points in enumerate((np.argwhere(steps > 0), np.argwhere(steps < 0))):
            points = points[:: 1 + len(points) // (_POINTS // 4)]
            if len(points):
                inner = slice(reach - tried, reach + tried + 1)
                edges[2 * axis + side, inner, inner] = move_profile(field, points, reach=tried)
                weights[2 * axis + side] = len(points)
    if weights.sum() < _FEWEST:
        return None
    return _Profile(edges, weights / weights.sum())


def _mean(
    edges: Float32[np.ndarray, "..."], weights: Float32[np.ndarray, "..."], *, axis: int
) -> Float32[np.ndarray, "..."]:
    """The mean along an axis, 0 where nothing has weight."""
    total = np.broadcast_to(weights, edges.shape).sum(axis)
    return (edges * weights).sum(axis) / np.maximum(total, np.float32(1e-9))


def _top(side: Float32[np.ndarray, "D D"], row: int, column: int) -> tuple[float, int, int]:
    """The highest place of a profile beside another's peak: its height, row and column."""
    first, left = max(row - _APART, 0), max(column - _APART, 0)
    around = side[first : row + _APART + 1, left : column + _APART + 1]
    y, x = map(int, np.unravel_index(around.argmax(), around.shape))
    return float(around[y, x]), first + y, left + x


def _beside(reach: int) -> tuple[slice, slice]:
    """Of a profile, no offset and those of one pixel."""
    return slice(reach - 1, reach + 2), slice(reach - 1, reach + 2)


def _busiest(mask: RawMask) -> tuple[slice, slice]:
    """The whole of a small mask, a window around the middle of the borders of a large one."""
    if max(mask.shape) <= _WINDOW:
        return slice(None), slice(None)
    rows = np.count_nonzero(mask[:, 1:] != mask[:, :-1], axis=1)
    columns = np.count_nonzero(mask[1:] != mask[:-1], axis=0)
    slices = []
    for counts in (rows, columns):
        middle = int(np.searchsorted(counts.cumsum(), counts.sum() / 2))
        first = max(0, min(middle - _WINDOW // 2, len(counts) - _WINDOW))
        slices.append(slice(first, first + _WINDOW))
    return slices[0], slices[1]


def _grey(image: Shaped[np.ndarray, "H W C"]) -> Float32[np.ndarray, "H W"]:
    bands = image.shape[2]
    share = _LUMA if bands == 3 else np.full(bands, 1 / bands, np.float32)
    return np.nan_to_num(image.astype(np.float32), posinf=0, neginf=0) @ share


def _edges(grey: Float32[np.ndarray, "H W"], axis: int) -> Float32[np.ndarray, "h w"]:
    """Roots of the steps to the next row or column, less their mean around, scaled to 1.

    Pixel (y, x) is the step from (y, x) on, as borders of masks are counted.
    """
    steps = np.sqrt(np.abs(np.diff(grey, axis=axis)))
    steps -= _blurred(_blurred(steps, 0), 1)
    return np.ascontiguousarray(steps / max(float(steps.std()), 1e-6), np.float32)


def _blurred(field: Float32[np.ndarray, "H W"], axis: int) -> Float32[np.ndarray, "H W"]:
    """Means of `_AROUND` pixels each way along an axis, fewer at the ends."""
    length = field.shape[axis]
    sums = np.concatenate(
        [np.zeros_like(field.take([0], axis), np.float64), field.cumsum(axis, np.float64)], axis
    )
    first = np.maximum(np.arange(length) - _AROUND, 0)
    end = np.minimum(np.arange(length) + _AROUND + 1, length)
    counts = (end - first).reshape((-1, 1) if axis == 0 else (1, -1))
    return ((sums.take(end, axis) - sums.take(first, axis)) / counts).astype(np.float32)
