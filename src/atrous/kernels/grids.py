"""A bilateral grid: the pixels of a picture, laid into coarse cells of place and grey.

A pixel lies between two rows of cells, two columns and two levels of grey: it gives to these
eight, and reads them, each as far as it is near. All levels of one place are a pile; a pile sums
its own pixels in their order, so no two threads write the same number and their number changes
no result.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32, Int64

from atrous.kernels.compiled import compiled, in_strips
from atrous.kernels.lattice import READS, Lattice

# Cells are so many standard deviations wide: giving, blurring and reading have variances of 1/6,
# 1/2 and 1/6 cells, and together they are one Gaussian.
CELL = (6 / 5) ** 0.5
_HALF, _QUARTER, _ZERO, _ONE = np.float32(0.5), np.float32(0.25), np.float32(0), np.float32(1)


class Axis(NamedTuple):
    """So many `cells` in a row; at each position the cell `before` it, and how far on it lies."""

    cells: int
    before: Int32[np.ndarray, " N"]
    on: Float32[np.ndarray, " N"]

    @property
    def starts(self) -> Int64[np.ndarray, " C+1"]:
        """The first position behind each cell."""
        return np.searchsorted(self.before, np.arange(self.cells + 1))


class Grid(NamedTuple):
    """Cells of rows, columns and levels; `places` is where each pixel lies."""

    down: Axis
    across: Axis
    levels: int
    places: Lattice

    @property
    def shape(self) -> tuple[int, int, int]:
        """The number of rows, columns and levels."""
        return self.down.cells, self.across.cells, self.levels


def axis(positions: Float32[np.ndarray, " N"], deviation: float) -> Axis:
    """Positions from 0 on, among cells of a Gaussian of this standard deviation.

    Example:
        >>> axis(np.float32([0, 1, 2]), 1.0)._replace(on=None)
        Axis(cells=3, before=array([0, 0, 1], dtype=int32), on=None)
    """
    cells = positions / np.float32(deviation * CELL)
    before = cells.astype(np.int32)
    return Axis(int(before.max()) + 2, before, (cells - before).astype(np.float32))


def lay(grey: Float32[np.ndarray, "H W"], *, sxy: float, sgrey: float, threads: int = 0) -> Grid:
    """Where each pixel lies, by place and by grey from 0 on, with these standard deviations."""
    down, across = (axis(np.arange(size, dtype=np.float32), sxy) for size in grey.shape)
    level = axis(grey.reshape(-1), sgrey)
    corners = np.zeros((grey.size, READS), np.int32)  # one more than eight, which counts nothing
    weights = np.zeros((grey.size, READS), np.float32)

    def strip(first: int, end: int) -> None:
        _place(*down[1:], *across, *level, first, end, corners, weights)

    in_strips(strip, grey.shape[0], threads=threads)
    return Grid(down, across, level.cells, Lattice(corners, weights, ()))


def spread(grid: Grid, rows: Float32[np.ndarray, "N *L"], *, threads: int) -> np.ndarray:
    """What lies in each cell, `M *L`: the sum of its pixels' rows, blurred along each axis."""
    piles = grid.down.cells * grid.across.cells
    lanes = rows.reshape(len(rows), -1)
    cells = np.zeros((piles * grid.levels, lanes.shape[1]), np.float32)
    starts = grid.down.starts, grid.across.starts

    def strip(first: int, end: int) -> None:
        _gather(*starts, grid.levels, *grid.places[:2], lanes, first, end, cells)

    in_strips(strip, piles, threads=threads)
    for along in range(3):
        _blur(np.moveaxis(cells.reshape(*grid.shape, -1), along, 0))
    return cells.reshape(-1, *rows.shape[1:])


def means(grid: Grid, weight: float, *, threads: int) -> Lattice:
    """What each pixel reads: a mean of what its cells were given, times the weight."""
    corners, weights = grid.places[:2]
    total = spread(grid, np.ones(len(weights), np.float32), threads=threads)
    even = np.empty_like(weights)

    def strip(first: int, end: int) -> None:
        _even_out(corners, weights, total, np.float32(weight), first, end, even)

    in_strips(strip, len(weights), threads=threads)
    return grid.places._replace(weights=even)


def _blur(cells: Float32[np.ndarray, "C *R"]) -> None:
    """A quarter of each neighbour and half of the cell itself, along the first axis."""
    part = cells * _QUARTER
    cells *= _HALF
    cells[1:] += part[:-1]
    cells[:-1] += part[1:]


def _place_rows(
    row, down, columns, column, across, levels, level, up, first, end, corners, weights
):
    """The corners of picture rows `first` to `end`: levels lie side by side, columns next."""
    for y in range(first, end):
        for x in range(column.size):
            pixel = y * column.size + x
            cell = (row[y] * columns + column[x]) * levels + level[pixel]
            for c in range(4):
                part = down[y] if c & 2 else _ONE - down[y]
                part *= across[x] if c & 1 else _ONE - across[x]
                at = cell + ((c >> 1) * columns + (c & 1)) * levels
                corners[pixel, 2 * c], weights[pixel, 2 * c] = at, part * (_ONE - up[pixel])
                corners[pixel, 2 * c + 1], weights[pixel, 2 * c + 1] = at + 1, part * up[pixel]


def _divide_by_sums(corners, weights, total, weight, first, end, even):
    """The weights of pixels `first` to `end` for a mean, times `weight`."""
    for pixel in range(first, end):
        there = _ZERO
        for r in range(weights.shape[1]):
            there += weights[pixel, r] * total[corners[pixel, r]]
        for r in range(weights.shape[1]):
            even[pixel, r] = weights[pixel, r] * (weight / there)


def _gather_lanes(tops, lefts, levels, corners, weights, rows, first, end, cells):
    """Add its pixels to each pile from `first` to `end`: those behind it and those before."""
    width, columns = lefts[-1], lefts.size - 1
    for pile in range(first, end):
        i, j = pile // columns, pile % columns
        for y in range(tops[max(i - 1, 0)], tops[i + 1]):
            for dx in range(min(j, 1), -1, -1):
                side = 4 * (y < tops[i]) + 2 * dx
                for x in range(lefts[j - dx], lefts[j - dx + 1]):
                    pixel = y * width + x
                    a, b = corners[pixel, side], corners[pixel, side + 1]
                    on_a, on_b = weights[pixel, side], weights[pixel, side + 1]
                    for k in range(cells.shape[1]):
                        cells[a, k] += on_a * rows[pixel, k]
                        cells[b, k] += on_b * rows[pixel, k]


_even_out = compiled(_divide_by_sums)
_place = compiled(_place_rows)
_gather = compiled(_gather_lanes)
