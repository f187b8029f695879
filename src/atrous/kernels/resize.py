"""Grid logits -> mask: bilinear resize and arg-max in one pass, without full-size logits."""

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
    top, bottom, down = taps(size[0], logits.shape[1], grid)
    columns = taps(size[1], logits.shape[2], grid)
    cells = np.ascontiguousarray(logits.transpose(1, 2, 0))  # h w K: classes lie side by side
    mask = np.empty(size, dtype)

    def strip(first: int, end: int) -> None:
        part = slice(first, end)
        _rows(cells, top[part], bottom[part], down[part], *columns, mask[part])

    in_strips(strip, size[0], parallel=parallel)
    return mask


def argmax_at_pixels_reference(
    logits: GridLogits, *, grid: Grid, size: Size, dtype: type = np.uint8
) -> Mask:
    """`argmax_at_pixels` in plain NumPy, through full-size logits."""
    low, high, weight = taps(size[0], logits.shape[1], grid)
    tall = logits[:, low] * (1 - weight[:, None]) + logits[:, high] * weight[:, None]
    low, high, weight = taps(size[1], logits.shape[2], grid)
    return (tall[:, :, low] * (1 - weight) + tall[:, :, high] * weight).argmax(0).astype(dtype)


def taps(pixels: int, cells: int, grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each pixel along one axis: the two cells it reads and the weight of the second."""
    position = (np.arange(pixels) + 0.5) / grid.stride - 0.5 - grid.offset
    position = np.clip(position, 0, cells - 1)
    low = np.minimum(position.astype(np.int64), max(cells - 2, 0))
    return low, np.minimum(low + 1, cells - 1), (position - low).astype(np.float32)


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


_row = compiled(_fill_row)
_rows = compiled(_fill_rows)
