"""A bilateral grid: the pixels of a picture laid into coarse cells of place and grey.

Each pixel lies between eight cells: two rows, two columns, two levels of grey. What it gives to
them and reads of them is linear along each axis. A column of cells, all levels of one place,
sums its own pixels in their order: no two threads write the same number, so their number changes
no result.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32, Int64

from atrous.kernels.compiled import compiled, in_strips
from atrous.kernels.lattice import READS, Lattice

_SPREAD = np.sqrt(6 / 5)  # cells a standard deviation: 1/6 to lay, 1/2 to blur, 1/6 to read
_HALF = np.float32(0.5)


class Grid(NamedTuple):
    """Cells of so many rows, columns and levels; the first pixel row and column of each."""

    shape: tuple[int, int, int]
    rows: Int64[np.ndarray, " R"]
    columns: Int64[np.ndarray, " C"]
    corners: Int32[np.ndarray, "N 9"]
    weights: Float32[np.ndarray, "N 9"]


def axis(positions: np.ndarray, deviation: float) -> tuple[np.ndarray, np.ndarray, int]:
    """The cell before each position, how far on it lies, and how many cells there are."""
    cells = positions / (deviation * _SPREAD)
    before = np.floor(cells)
    return before.astype(np.int32), (cells - before).astype(np.float32), int(before.max()) + 2


def grid(grey: Float32[np.ndarray, "H W"], sxy: float, sgrey: float, *, threads: int = 0) -> Grid:
    height, width = grey.shape
    down, across = axis(np.arange(height), sxy), axis(np.arange(width), sxy)
    levels = int((grey.max() - grey.min()) / (sgrey * _SPREAD)) + 2
    corners = np.zeros((height * width, READS), np.int32)
    weights = np.zeros((height * width, READS), np.float32)
    lowest, step = grey.min(), np.float32(1 / (sgrey * _SPREAD))
    shape = (down[2], across[2], levels)

    def strip(first, end):
        _lay(
            grey,
            lowest,
            step,
            *down[:2],
            *across[:2],
            np.array(shape),
            first,
            end,
            corners,
            weights,
        )

    in_strips(strip, height, threads=threads)
    starts = [np.searchsorted(before, np.arange(count + 1)) for before, _, count in (down, across)]
    return Grid(shape, *starts, corners, weights)


def spread(grid: Grid, rows, values, *, threads: int):
    h, w, levels = grid.shape

    def strip(first, end):
        _splat(
            grid.rows, grid.columns, levels, grid.corners, grid.weights, rows, first, end, values
        )

    in_strips(strip, h * w, threads=threads)
    cells = values.reshape(*grid.shape, -1)
    for along in range(3):
        _blur(np.moveaxis(cells, along, 0))


def _blur(cells):
    old = cells.copy()
    cells *= np.float32(0.5)
    old *= np.float32(0.25)
    cells[1:] += old[:-1]
    cells[:-1] += old[1:]


def _place(grey, lowest, step, row, down, column, across, shape, first, end, corners, weights):
    width = grey.shape[1]
    levels = shape[2]
    for y in range(first, end):
        for x in range(width):
            pixel = y * width + x
            level = (grey[y, x] - lowest) * step
            low = min(np.int32(level), levels - 2)
            up = level - low
            cell = (row[y] * shape[1] + column[x]) * levels + low
            for c in range(4):
                dy, dx = c >> 1, c & 1
                part = (down[y] if dy else 1 - down[y]) * (across[x] if dx else 1 - across[x])
                at = cell + (dy * shape[1] + dx) * levels
                corners[pixel, 2 * c] = at
                corners[pixel, 2 * c + 1] = at + 1
                weights[pixel, 2 * c] = part * (1 - up)
                weights[pixel, 2 * c + 1] = part * up


def _splat_lanes(starts, columns, levels, corners, weights, rows, first, end, values):
    lanes = values.shape[1]
    width, tall, wide = columns[-1], starts.size - 1, columns.size - 1
    for column in range(first, end):
        values[column * levels : (column + 1) * levels] = 0
        y, x = column // wide, column % wide
        for dy in range(min(y, 1) + 1):
            for row in range(starts[y - dy], starts[y - dy + 1]):
                for dx in range(min(x, 1) + 1):
                    e = 4 * dy + 2 * dx
                    for pixel in range(
                        row * width + columns[x - dx], row * width + columns[x - dx + 1]
                    ):
                        a, b = corners[pixel, e], corners[pixel, e + 1]
                        on_a, on_b = weights[pixel, e], weights[pixel, e + 1]
                        for k in range(lanes):
                            values[a, k] += on_a * rows[pixel, k]
                            values[b, k] += on_b * rows[pixel, k]


_lay = compiled(_place)
_splat = compiled(_splat_lanes)
