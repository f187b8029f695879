"""Grid logits -> mask: bilinear resize, then arg-max or threshold, without full-size logits.

NaN is refused: it comes of overflow or of broken weights, and whatever it made would be no
answer. Infinite logits, and finite ones that large, count as 2**126, which a weight cannot turn
into NaN: -inf is a class that must not be, +inf one that must.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from atrous.kernels.compiled import in_strips
from atrous.kernels.patches import LARGEST, fill_patches
from atrous.types import Grid, GridLogits, Mask, Placement, Size

Taps = tuple[Int64[np.ndarray, " N"], Int64[np.ndarray, " N"], Float32[np.ndarray, " N"]]

_BITS = 8  # decided at once: all masks of the kernel are then uint8, and it is compiled once
_ALONE = 1 << 20  # pixels and logits; fewer take a millisecond, and a second thread only costs


def argmax_at_pixels(
    logits: GridLogits,
    *,
    grid: Placement,
    size: Size,
    dtype: type = np.uint8,
    threads: int = 0,
    rows: slice | None = None,
) -> Mask:
    """The class with the largest logit at each pixel of a picture of `size`.

    Pixel rows read grid rows as the placement says. Ties go to the lower class. Of `rows` (a
    slice of the picture's, step 1) only these are made: strips laid together are the whole.

    Example:
        >>> logits = np.float32([[[1, 0]], [[0, 1]]])
        >>> argmax_at_pixels(logits, grid=Grid(2), size=(1, 4))
        array([[0, 0, 1, 1]], dtype=uint8)

    Raises:
        ValueError: a logit is NaN; looked at are all rows of cells, or those that `rows` read.
    """
    narrow = np.uint8 if len(logits) <= 256 else np.uint16
    mask = _decided(logits, grid, size, rows, several=False, dtype=narrow, threads=threads)
    return mask.astype(dtype, copy=False)


def argmax_at_pixels_reference(
    logits: GridLogits, *, grid: Placement, size: Size, dtype: type = np.uint8
) -> Mask:
    """`argmax_at_pixels` in plain NumPy, through full-size logits."""
    return logits_at_pixels(logits, grid=grid, size=size).argmax(0).astype(dtype)


def threshold_at_pixels(
    logits: GridLogits,
    *,
    grid: Placement,
    size: Size,
    dtype: type = np.uint8,
    threads: int = 0,
    rows: slice | None = None,
) -> Mask:
    """The classes whose logit is above 0 at each pixel of a picture of `size`: bit k for class k.

    Of a single logit, 0 and 1. `rows`, placement and NaN are as in `argmax_at_pixels`.

    Example:
        >>> logits = np.float32([[[-1, 3]], [[1, 3]]])
        >>> threshold_at_pixels(logits, grid=Grid(2), size=(1, 4))
        array([[2, 2, 3, 3]], dtype=uint8)
    """
    parts = [
        _decided(
            logits[k : k + _BITS],
            grid,
            size,
            rows,
            several=True,
            dtype=np.uint8,
            threads=threads,
            first_class=k,
        ).astype(dtype, copy=False)
        for k in range(0, len(logits), _BITS)
    ]
    mask = parts[0]
    for index, part in enumerate(parts[1:], start=1):
        mask |= part << np.array(index * _BITS, dtype)
    return mask


def threshold_at_pixels_reference(
    logits: GridLogits, *, grid: Placement, size: Size, dtype: type = np.uint8
) -> Mask:
    """`threshold_at_pixels` in plain NumPy, through full-size logits."""
    bits = np.int64(1) << np.arange(len(logits))[:, None, None]
    above = logits_at_pixels(logits, grid=grid, size=size) > 0
    return np.where(above, bits, 0).sum(0).astype(dtype)


def logits_at_pixels(
    logits: GridLogits, *, grid: Placement, size: Size
) -> Float32[np.ndarray, "K H W"]:
    """The logits at every pixel, in plain NumPy: what the kernels never make."""
    rows, columns = (
        taps(pixels, cells, grid) for pixels, cells in zip(size, logits.shape[1:], strict=True)
    )
    return interpolated(without_infinite(logits), rows, columns)


def without_infinite(logits: GridLogits, *, first_class: int = 0, first_row: int = 0) -> GridLogits:
    """The logits with those of more than 2**126 held there; NaN is refused.

    The message counts classes and rows of cells from `first_class` and `first_row`.
    """
    unknown = np.argwhere(np.isnan(logits))
    if len(unknown):
        k, y, x = unknown[0] + (first_class, first_row, 0)
        raise ValueError(
            f"grid logits: {len(unknown)} of {logits.size} are NaN, the first at class {k}, "
            f"cell ({y}, {x}), but every logit must be a number. The model overflowed, or its "
            "weights are broken."
        )
    return np.clip(logits, -LARGEST, LARGEST)


def interpolated(logits: GridLogits, rows: Taps, columns: Taps) -> Float32[np.ndarray, "K H W"]:
    """The logits between the cells that are read, bilinearly."""
    (top, bottom, down), (left, right, across) = rows, columns
    tall = logits[:, top] * (1 - down[:, None]) + logits[:, bottom] * down[:, None]
    return tall[:, :, left] * (1 - across) + tall[:, :, right] * across


def taps(pixels: int, cells: int, grid: Placement) -> Taps:
    """For each pixel along one axis: the two cells it reads and the weight of the second."""
    return taps_at(positions(np.arange(pixels), pixels, cells, grid), cells)


def taps_at(position: np.ndarray, cells: int) -> Taps:
    """For each place among the cells the two that it reads; beyond the edges they are held."""
    position = np.clip(position, 0, cells - 1)
    low = np.minimum(position.astype(np.int64), max(cells - 2, 0))
    return low, np.minimum(low + 1, cells - 1), (position - low).astype(np.float32)


def positions(row: np.ndarray, pixels: int, cells: int, grid: Placement) -> np.ndarray:
    """Where pixel rows lie among the cells, beyond the edges too."""
    if isinstance(grid, Grid):
        return (row + 0.5) / grid.stride - 0.5 - grid.offset
    padded = pixels + -pixels % grid.multiple
    if grid.align_corners:
        return row * ((cells - 1) / max(padded - 1, 1))
    return (row + 0.5) * (cells / padded) - 0.5


class _Gaps(NamedTuple):
    """An axis of the picture, cut where cells lie: gap g is between cells g - 1 and g.

    `starts` is the first pixel of each gap, and the end. `gap` is that of each pixel, `weight`
    its weight of cell g. Pixels that read one cell alone at an edge lie in the gap beyond.
    """

    starts: Int64[np.ndarray, " G"]
    gap: Int64[np.ndarray, " N"]
    weight: Float32[np.ndarray, " N"]

    def table(self) -> Float32[np.ndarray, "P G"]:
        """The weights of the pixels of each gap in turn; at held edges, of the first few."""
        counts = np.diff(self.starts)
        phases = max(1, counts[1:-1].max(initial=0))
        phase = np.arange(len(self.gap)) - self.starts[self.gap]
        kept = phase < phases
        weights = np.zeros((phases, len(counts)), np.float32)
        weights[phase[kept], self.gap[kept]] = self.weight[kept]
        return weights


def _gaps(pixels: int, cells: int, grid: Placement) -> _Gaps:
    low, _, weight = taps(pixels, cells, grid)
    after = (low >= cells - 2) & (weight == 1)
    gap = np.where((low == 0) & (weight == 0), 0, np.where(after, cells, low + 1))
    starts = np.searchsorted(gap, np.arange(cells + 2))
    return _Gaps(starts, gap, np.where(after, np.float32(0), weight))


def _decided(
    logits: GridLogits,
    grid: Placement,
    size: Size,
    rows: slice | None,
    *,
    several: bool,
    dtype: type,
    threads: int,
    first_class: int = 0,
) -> Mask:
    """The mask of `rows` of pixels; `several`: bits, not the best class."""
    _, height, width = logits.shape
    down, right = _gaps(size[0], height, grid), _gaps(size[1], width, grid)
    begin, end, step = (rows or slice(None)).indices(size[0])
    assert step == 1, "strips are of rows that follow each other"
    mask = np.empty((max(end - begin, 0), size[1]), dtype)
    if not _fill(mask, begin, logits, down, right, several=several, threads=threads):
        logits = without_infinite(logits, first_class=first_class)
        _fill(mask, begin, logits, down, right, several=several, threads=threads)
    return mask


def _fill(
    mask: Mask,
    top: int,
    logits: GridLogits,
    down: _Gaps,
    right: _Gaps,
    *,
    several: bool,
    threads: int,
) -> bool:
    """Fill the mask of the rows of pixels from `top` on; False if a logit was not finite."""
    cells, across, finite = _read_only(logits), right.table(), []

    def strip(first: int, stop: int) -> None:
        """Fill the rows of the mask from `first` to `stop`, and tell of its logits."""
        begin, end = top + first, top + stop
        starts = np.clip(down.starts, begin, end) - begin
        weight, part = down.weight[begin:end], mask[first:stop]
        above = down.gap[begin] if begin else 0  # cells that no pixel reads are looked at, too
        below = down.gap[end - 1] if end < len(down.gap) else cells.shape[1]
        finite.append(
            fill_patches(cells, starts, weight, right.starts, across, above, below, several, part)
        )

    if mask.size:
        alone = mask.size + cells.size <= _ALONE
        in_strips(strip, len(mask), threads=1 if alone else threads)
    return all(finite)


def _read_only(logits: GridLogits) -> GridLogits:
    """The same, in one piece; engines give arrays of both kinds, and numba compiles for each."""
    view = np.ascontiguousarray(logits).view()
    view.flags.writeable = False
    return view
