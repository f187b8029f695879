"""What the cells of a map read of the picture, along one axis: the arithmetic of receptive fields.

Every layer is a table of taps: for each cell that it gives (row) the cells that it reads
(columns), -1 where there is none, as in zero padding. All else follows from such tables.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import lcm
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int64

TapTable = Int64[np.ndarray, "n T"]  # cells read by each of n cells; -1: none
Spans = Int64[np.ndarray, "2 n"]  # first and last pixel for each of n cells

NOWHERE = 1 << 40  # the first pixel of an empty span; its last is minus that


class UnknownReach(Exception):
    """What is read cannot be told; the message says what was called, or done."""


class Reach(NamedTuple):
    """A map's cells along one axis of a picture of `side` pixels.

    `reads[:, i]` are the first and last pixel that cell i can read; first > last if none.
    `needs[:, i]` are the first and last pixel that a tile must hold so that cell i is the same
    in the tile: those read, and those whose cells would else be padding there.
    A picture moved by a multiple of `alignment` pixels moves the map, and every map before
    it, by whole cells.
    """

    side: int
    stride: Fraction  # pixels a cell
    alignment: int
    reads: Spans
    needs: Spans

    def __len__(self) -> int:
        return self.reads.shape[1]


def whole_picture(side: int) -> Reach:
    """The picture's own pixels."""
    spans = np.tile(np.arange(side), (2, 1))
    return Reach(side, Fraction(1), 1, spans, spans)


def through(reach: Reach, taps: TapTable, ratio: Fraction = Fraction(1)) -> Reach:
    """What the cells of a layer with these taps read; its stride is `ratio` times the map's."""
    stride = reach.stride * ratio
    alignment = lcm(reach.alignment, stride.numerator)
    needs = _hull(_union(reach.needs, _own_pixels(reach)), taps)
    return Reach(reach.side, stride, alignment, _hull(reach.reads, taps), needs)


def picked(reach: Reach, cells: slice) -> Reach:
    """A part of the cells."""
    return through(reach, np.arange(len(reach))[cells, None], Fraction(cells.step or 1))


def joined(reaches: Sequence[Reach]) -> Reach:
    """Maps of as many cells, added, multiplied or laid upon each other."""
    first, *others = {id(reach): reach for reach in reaches}.values()
    for reach in others:
        first = Reach(
            first.side,
            min(first.stride, reach.stride, key=lambda stride: stride.denominator),
            lcm(first.alignment, reach.alignment),
            _union(first.reads, reach.reads),
            _union(first.needs, reach.needs),
        )
    return first


def _union(one: Spans, two: Spans) -> Spans:
    return np.stack([np.minimum(one[0], two[0]), np.maximum(one[1], two[1])])


def _hull(spans: Spans, taps: TapTable) -> Spans:
    """The least span around those of all taps."""
    present = taps >= 0
    first = np.where(present, spans[0][taps], NOWHERE).min(1)
    last = np.where(present, spans[1][taps], -NOWHERE).max(1)
    return np.stack([first, last])


def _own_pixels(reach: Reach) -> Spans:
    """What a tile must hold to have the cell at all, whatever the cell reads.

    A tile that begins at pixel T has the cells from T / stride on; one that ends E pixels
    before the picture's end lacks the last E / stride.
    """
    cells, over, under = np.arange(len(reach)), reach.stride.numerator, reach.stride.denominator
    return np.stack([cells * over // under, reach.side - 1 - cells[::-1] * over // under])


# Tables of taps. `cells` are those of the map that is read, `out` those of the map that results.


def window_taps(
    cells: int, out: int, *, kernel: int, stride: int = 1, padding: int = 0, rate: int = 1
) -> TapTable:
    """A convolution or a pool; `rate` is its dilation.

    Example:
        >>> window_taps(3, 3, kernel=3, padding=2, rate=2)
        array([[-1,  0,  2],
               [-1,  1, -1],
               [ 0,  2, -1]])
    """
    taps = np.arange(out)[:, None] * stride - padding + np.arange(kernel) * rate
    return _inside(taps, cells)


def transposed_taps(
    cells: int, out: int, *, kernel: int, stride: int = 1, padding: int = 0, rate: int = 1
) -> TapTable:
    """A transposed convolution: cell i of the map goes to `i * stride - padding + k * rate`.

    Example:
        >>> transposed_taps(2, 4, kernel=4, stride=2, padding=1)
        array([[-1,  0, -1, -1],
               [ 1, -1,  0, -1],
               [-1,  1, -1,  0],
               [-1, -1,  1, -1]])
    """
    taps, rest = np.divmod(np.arange(out)[:, None] + padding - np.arange(kernel) * rate, stride)
    return _inside(np.where(rest == 0, taps, -1), cells)


def padding_taps(cells: int, before: int, after: int, *, mode: str) -> TapTable:
    """Cells added at both ends, or cut off where negative; torch's modes."""
    taps = np.arange(-before, cells + after)[:, None]
    match mode:
        case "constant":
            return _inside(taps, cells)
        case "replicate":
            return taps.clip(0, cells - 1)
        case "circular":
            return taps % cells
        case "reflect":
            return cells - 1 - abs(cells - 1 - abs(taps))
        case _:
            raise UnknownReach(f"pads by {mode!r}")


def resize_taps(cells: int, out: int, ratio: Fraction, *, mode: str, corners: bool) -> TapTable:
    """Interpolation: cell i lies at `(i + 1/2) * ratio - 1/2`, borders held.

    With `corners` the outer cells' centres coincide instead. Cells of weight zero are no taps;
    torch may give them a weight of rounding size where `1 / ratio` is no power of two.

    Example:
        >>> resize_taps(2, 4, Fraction(1, 2), mode="bilinear", corners=False)
        array([[0, 0],
               [0, 1],
               [0, 1],
               [1, 1]])
    """
    steps = np.arange(out)[:, None]
    match mode:
        case "nearest":
            taps = steps * ratio.numerator // ratio.denominator
        case "nearest-exact":
            taps = (2 * steps + 1) * ratio.numerator // (2 * ratio.denominator)
        case "bilinear":
            position = (2 * steps + 1) * ratio.numerator - ratio.denominator
            under = 2 * ratio.denominator
            if corners:
                position, under = steps * (cells - 1), max(out - 1, 1)
            low, rest = np.divmod(position, under)
            taps = np.hstack([low, low + (rest > 0)])
        case _:
            raise UnknownReach(f"resizes by {mode!r}")
    return taps.clip(0, cells - 1)


def _inside(taps: np.ndarray[Any, Any], cells: int) -> TapTable:
    return np.where((taps >= 0) & (taps < cells), taps, -1)
