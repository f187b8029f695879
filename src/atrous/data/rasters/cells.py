"""Pixels of a raster through a cache of so many bytes.

The raster is cut into cells, each of whole blocks of its file: a block is decoded once for all
windows that touch it while its cell is kept. Cells that were never written cost nothing.
"""

from collections import OrderedDict
from threading import Lock
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from atrous.data.rasters.stored import Stored
from atrous.types import Image, Size

CELL = 512  # pixels a side, or a block where that is larger
ROWS_BYTES = 4 << 20  # of a cell of full-width strips


class Pixels(NamedTuple):
    """A window of a raster: its pixels, and which of them are known. The others hold anything."""

    image: Image
    known: Bool[np.ndarray, "H W"]


_Cell = tuple[Image, Bool[np.ndarray, "H W"] | None] | None  # None = never written


class Cells:
    """A raster in cells, of which the last ones used are kept, up to `room` bytes; any thread."""

    def __init__(self, stored: Stored, *, room: int) -> None:
        self.stored, self.room = stored, room
        self.side = cell_size(stored)
        self._kept: OrderedDict[tuple[int, int], _Cell] = OrderedDict()
        self._bytes = 0
        self._one_at_a_time = Lock()

    def read(self, rows: slice, columns: slice) -> Pixels:
        """The pixels of a window that lies within the raster."""
        height, width = rows.stop - rows.start, columns.stop - columns.start
        image = np.zeros((height, width, self.stored.bands), self.stored.dtype)
        known = np.zeros((height, width), np.bool_)
        for row, down in _parts(rows, self.side[0]):
            for column, right in _parts(columns, self.side[1]):
                if cell := self._cell(row, column):
                    inside = down.inside, right.inside
                    here = down.here, right.here
                    image[here] = cell[0][inside]
                    known[here] = True if cell[1] is None else cell[1][inside]
        return Pixels(image, known)

    def is_absent(self, rows: slice, columns: slice) -> bool:
        """Whether nothing was ever written to the cells of a window; nothing is decoded."""
        cells = [
            (row, column)
            for row, _ in _parts(rows, self.side[0])
            for column, _ in _parts(columns, self.side[1])
        ]
        with self._one_at_a_time:
            return all(self._present(*self._spans(*cell)) is None for cell in cells)

    def _cell(self, row: int, column: int) -> _Cell:
        at = row, column
        with self._one_at_a_time:
            if at in self._kept:
                self._kept.move_to_end(at)
                return self._kept[at]
            cell = self._decoded(row, column)
            self._kept[at] = cell
            self._bytes += _size(cell)
            while self._bytes > self.room and len(self._kept) > 1:
                self._bytes -= _size(self._kept.popitem(last=False)[1])
            return cell

    def _decoded(self, row: int, column: int) -> _Cell:
        """A cell; what was never written is unknown in it."""
        rows, columns = self._spans(row, column)
        present = self._present(rows, columns)
        if present is None:
            return None
        image, known = self.stored.decode(rows, columns)
        if not present.all():
            blocks = present.repeat(self.stored.block[0], 0).repeat(self.stored.block[1], 1)
            blocks = blocks[: image.shape[0], : image.shape[1]]
            known = blocks if known is None else known & blocks
        return image, known

    def _spans(self, row: int, column: int) -> tuple[slice, slice]:
        (height, width), (down, across) = self.stored.size, self.side
        return (
            slice(row * down, min((row + 1) * down, height)),
            slice(column * across, min((column + 1) * across, width)),
        )

    def _present(self, rows: slice, columns: slice) -> Bool[np.ndarray, "h w"] | None:
        """Which blocks of a cell were written; None = none of them."""
        (height, width), absent = self.stored.block, self.stored.is_absent
        down = range(rows.start // height, -(-rows.stop // height))
        across = range(columns.start // width, -(-columns.stop // width))
        present = np.array([[not absent(row, column) for column in across] for row in down])
        return present if present.any() else None


def cell_size(stored: Stored) -> Size:
    """Height and width of a cell: whole blocks, as many as make reading worth while."""
    (height, width), across = stored.block, stored.size[1]
    if width < across:
        return height * max(1, CELL // height), width * max(1, CELL // width)
    row = across * stored.bands * np.dtype(stored.dtype).itemsize
    return height * max(1, min(CELL, ROWS_BYTES // row) // height), across


class _Part(NamedTuple):
    inside: slice  # of the cell
    here: slice  # of the window


def _parts(span: slice, side: int) -> list[tuple[int, _Part]]:
    """The cells that a span touches, each with its part of it."""
    parts = []
    for i in range(span.start // side, -(-span.stop // side)):
        begin, end = max(span.start, i * side), min(span.stop, (i + 1) * side)
        inside = slice(begin - i * side, end - i * side)
        parts.append((i, _Part(inside, slice(begin - span.start, end - span.start))))
    return parts


def _size(cell: _Cell) -> int:
    if cell is None:
        return 200  # a key and its place
    image, known = cell
    return image.nbytes + (0 if known is None else known.nbytes)
