"""Parts of a raster by their pixels: no file is opened here."""

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from atrous.types import Size


class Box(NamedTuple):
    """Rows and columns of pixels; `bottom` and `right` are the first ones outside."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def rows(self) -> slice:
        return slice(self.top, self.bottom)

    @property
    def columns(self) -> slice:
        return slice(self.left, self.right)

    @property
    def size(self) -> Size:
        return self.bottom - self.top, self.right - self.left


class Source(NamedTuple):
    """A raster and its labels, another raster or polygons.

    `field` is the attribute of polygons that holds their class; "" = all are label 1. A text
    in it is the label of its place in `names`. `kept` are label values that are no data by the
    tag of their file, and labels all the same.
    """

    image: Path
    labels: Path
    field: str = ""
    names: tuple[str, ...] = ()
    kept: tuple[int, ...] = ()


class Window(NamedTuple):
    """A part of a raster, and the block around it, in which it may be moved."""

    source: Source
    box: Box
    block: Box


def cut(box: Box, side: int) -> list[list[Box]]:
    """Rows of parts of nearly one size, about `side` a side, that cover a box and do not overlap.

    Example:
        >>> [[part.size for part in row] for row in cut(Box(0, 0, 4, 9), 4)]
        [[(4, 4), (4, 5)]]
    """
    return [
        [Box(top, left, bottom, right) for left, right in _spans(box.left, box.right, side)]
        for top, bottom in _spans(box.top, box.bottom, side)
    ]


def within(box: Box, gap: int, size: Size) -> Box:
    """A box without its outermost `gap` pixels, where they are not at the edge of the raster."""
    return Box(
        box.top + gap * (box.top > 0),
        box.left + gap * (box.left > 0),
        box.bottom - gap * (box.bottom < size[0]),
        box.right - gap * (box.right < size[1]),
    )


def moved(window: Window, random: np.random.Generator) -> Window:
    """The window moved by up to half its size each way; it stays in its block."""
    (top, left, *_), (height, width), block = window.box, window.box.size, window.block
    top += int(random.integers(-(height // 2), height // 2 + 1))
    left += int(random.integers(-(width // 2), width // 2 + 1))
    top = min(max(top, block.top), block.bottom - height)
    left = min(max(left, block.left), block.right - width)
    return window._replace(box=Box(top, left, top + height, left + width))


def _spans(begin: int, end: int, side: int) -> list[tuple[int, int]]:
    count = max(1, round((end - begin) / side))
    edges = [begin + (end - begin) * i // count for i in range(count + 1)]
    return [*pairwise(edges)]
