"""Grid logits -> mask: bilinear resize, then arg-max or threshold, without full-size logits."""

from collections.abc import Callable

import numpy as np

from atrous.kernels.compiled import compiled, in_strips
from atrous.types import Grid, GridLogits, Mask, Size


def argmax_at_pixels(
    logits: GridLogits, *, grid: Grid, size: Size, dtype: type = np.uint8, parallel: bool = True
) -> Mask:
    """The class with the largest logit at each pixel of a picture of `size`.

    Pixel rows read grid rows as `Grid` says. Ties go to the lower class. NaN never wins.

    Example:
        >>> logits = np.float32([[[1, 0]], [[0, 1]]])
        >>> argmax_at_pixels(logits, grid=Grid(2), size=(1, 4))
        array([[0, 0, 1, 1]], dtype=uint8)
    """
    return _at_pixels(_rows, logits, grid, size, dtype, parallel)


def argmax_at_pixels_reference(
    logits: GridLogits, *, grid: Grid, size: Size, dtype: type = np.uint8
) -> Mask:
    """`argmax_at_pixels` in plain NumPy, through full-size logits."""
    return _full_size(logits, grid, size).argmax(0).astype(dtype)


def threshold_at_pixels(
    logits: GridLogits, *, grid: Grid, size: Size, dtype: type = np.uint8, parallel: bool = True
) -> Mask:
    """The classes whose logit is above 0 at each pixel of a picture of `size`: bit k for class k.

    Of a single logit, 0 and 1. Pixel rows read grid rows as `Grid` says. NaN is not above 0.

    Example:
        >>> logits = np.float32([[[-1, 3]], [[1, 3]]])
        >>> threshold_at_pixels(logits, grid=Grid(2), size=(1, 4))
        array([[2, 2, 3, 3]], dtype=uint8)
    """
    return _at_pixels(_bit_rows, logits, grid, size, dtype, parallel)


def threshold_at_pixels_reference(
    logits: GridLogits, *, grid: Grid, size: Size, dtype: type = np.uint8
) -> Mask:
    """`threshold_at_pixels` in plain NumPy, through full-size logits."""
    bits = np.int64(1) << np.arange(len(logits))[:, None, None]
    return np.where(_full_size(logits, grid, size) > 0, bits, 0).sum(0).astype(dtype)


def _at_pixels(
    rows: Callable[..., None],
    logits: GridLogits,
    grid: Grid,
    size: Size,
    dtype: type,
    parallel: bool,
) -> Mask:
    """A mask that the compiled `rows` fills, strip by strip."""
    top, bottom, down = taps(size[0], logits.shape[1], grid)
    columns = taps(size[1], logits.shape[2], grid)
    cells = np.ascontiguousarray(logits.transpose(1, 2, 0))  # h w K: classes lie side by side
    mask = np.empty(size, dtype)

    def strip(first: int, end: int) -> None:
        part = slice(first, end)
        rows(cells, top[part], bottom[part], down[part], *columns, mask[part])

    in_strips(strip, size[0], parallel=parallel)
    return mask


def taps(pixels: int, cells: int, grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each pixel along one axis: the two cells it reads and the weight of the second."""
    position = (np.arange(pixels) + 0.5) / grid.stride - 0.5 - grid.offset
    position = np.clip(position, 0, cells - 1)
    low = np.minimum(position.astype(np.int64), max(cells - 2, 0))
    return low, np.minimum(low + 1, cells - 1), (position - low).astype(np.float32)


def _full_size(logits: GridLogits, grid: Grid, size: Size) -> np.ndarray:
    low, high, weight = taps(size[0], logits.shape[1], grid)
    tall = logits[:, low] * (1 - weight[:, None]) + logits[:, high] * weight[:, None]
    low, high, weight = taps(size[1], logits.shape[2], grid)
    return tall[:, :, low] * (1 - weight) + tall[:, :, high] * weight


def _fill_row(top, bottom, weight, left, right, across, blended, winners, out):
    """One pixel row. A class that wins at two neighbouring cells wins between them."""
    cells, classes = blended.shape
    for x in range(cells):
        best, largest = 0, np.float32(-np.inf)
        for k in range(classes):
            value = top[x, k] * (np.float32(1) - weight) + bottom[x, k] * weight
            blended[x, k] = value
            if value > largest:
                largest, best = value, k
        winners[x] = best
    for x in range(out.size):
        a, b, w = left[x], right[x], across[x]
        best = winners[a]
        if best != winners[b]:
            largest = np.float32(-np.inf)
            for k in range(classes):
                value = blended[a, k] * (np.float32(1) - w) + blended[b, k] * w
                if value > largest:
                    largest, best = value, k
        out[x] = best


def _fill_rows(cells, top, bottom, down, left, right, across, mask):
    blended = np.empty(cells.shape[1:], np.float32)
    winners = np.empty(cells.shape[1], np.int64)
    for y in range(mask.shape[0]):
        _row(
            cells[top[y]], cells[bottom[y]], down[y], left, right, across, blended, winners, mask[y]
        )


def _fill_bits(top, bottom, weight, left, right, across, blended, signs, out):
    """One pixel row. A class above 0 at two neighbouring cells is above 0 between them."""
    cells, classes = blended.shape
    for x in range(cells):
        bits = np.int64(0)
        for k in range(classes):
            value = top[x, k] * (np.float32(1) - weight) + bottom[x, k] * weight
            blended[x, k] = value
            if value > 0:
                bits |= np.int64(1) << k
        signs[x] = bits
    for x in range(out.size):
        a, b, w = left[x], right[x], across[x]
        bits, differ = signs[a] & signs[b], signs[a] ^ signs[b]
        if differ:
            for k in range(classes):
                if differ >> k & 1:
                    value = blended[a, k] * (np.float32(1) - w) + blended[b, k] * w
                    if value > 0:
                        bits |= np.int64(1) << k
        out[x] = bits


def _fill_bit_rows(cells, top, bottom, down, left, right, across, mask):
    blended = np.empty(cells.shape[1:], np.float32)
    signs = np.empty(cells.shape[1], np.int64)
    for y in range(mask.shape[0]):
        _bits(
            cells[top[y]], cells[bottom[y]], down[y], left, right, across, blended, signs, mask[y]
        )


_row = compiled(_fill_row)
_rows = compiled(_fill_rows)
_bits = compiled(_fill_bits)
_bit_rows = compiled(_fill_bit_rows)
