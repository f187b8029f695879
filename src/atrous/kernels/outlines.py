"""Outlines: walks along the sides of pixels that part a region from what is not of it."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int32, Int64

from atrous.kernels.compiled import compiled

TOP, RIGHT, BOTTOM, LEFT = range(4)
# From a side of a pixel: the step along it, with the region at the right hand, and that across.
ALONG = np.array([[0, 1], [1, 0], [0, -1], [-1, 0]])
ACROSS = np.array([[-1, 0], [0, 1], [1, 0], [0, -1]])


class Outlines(NamedTuple):
    """Sides, loop after loop; loop k is `ends[k - 1]:ends[k]` of them, and of region `of[k]`.

    A side is that of the region's pixel (`row`, `column`). The first loop of a region is its
    outer one, the others are around its holes.
    """

    row: Int32[np.ndarray, " N"]
    column: Int32[np.ndarray, " N"]
    side: Int32[np.ndarray, " N"]
    ends: Int64[np.ndarray, " L"]
    of: Int64[np.ndarray, " L"]


def outlines(
    ids: Int32[np.ndarray, "H W"],
    first: Int64[np.ndarray, " R"],
    wanted: Bool[np.ndarray, " R"],
) -> Outlines:
    """The outlines of the wanted ones of `regions`, each side of a pixel walked along once.

    Outer loops go clockwise, those around holes the other way. Loops come in the order in which
    a reader of the picture meets them.

    Example:
        >>> loops = outlines(np.int32([[0, 0]]), np.array([0]), np.array([True]))
        >>> loops.column.tolist(), loops.side.tolist(), loops.ends.tolist()
        ([0, 1, 1, 1, 0, 0], [0, 0, 1, 2, 2, 3], [6])
    """
    padded = np.pad(ids, 1, constant_values=-1)
    sides = _count(padded, wanted)
    row, column, side = np.empty((3, sides), np.int32)
    ends, of = np.empty((2, sides // 4 + 1), np.int64)  # the shortest loop has four sides
    loops = _walk(padded, first, wanted, row, column, side, ends, of)
    return Outlines(row, column, side, ends[:loops].copy(), of[:loops].copy())


def _count_sides(padded, wanted):
    total = 0
    for y in range(1, padded.shape[0] - 1):
        for x in range(1, padded.shape[1] - 1):
            here = padded[y, x]
            if wanted[here]:
                total += (padded[y - 1, x] != here) + (padded[y + 1, x] != here)
                total += (padded[y, x - 1] != here) + (padded[y, x + 1] != here)
    return total


def _walk_loop(padded, seen, y, x, s, row, column, side, at):
    """One loop from a side until it is met again; `at` is where the next side is written."""
    here, start_y, start_x, start = padded[y, x], y, x, s
    while True:
        row[at], column[at], side[at] = y - 1, x - 1, s
        at += 1
        if s == BOTTOM:
            seen[y, x] = True
        ahead_y, ahead_x = y + ALONG[s, 0], x + ALONG[s, 1]
        if padded[ahead_y, ahead_x] != here:
            s = (s + 1) % 4
        elif padded[ahead_y + ACROSS[s, 0], ahead_x + ACROSS[s, 1]] != here:
            y, x = ahead_y, ahead_x
        else:
            y, x = ahead_y + ACROSS[s, 0], ahead_x + ACROSS[s, 1]
            s = (s + 3) % 4
        if y == start_y and x == start_x and s == start:
            return at


def _walk_loops(padded, first, wanted, row, column, side, ends, of):
    """A region's first pixel begins its outer loop; a bottom not seen by then is a hole's top."""
    height, width = padded.shape
    seen = np.zeros(padded.shape, np.bool_)
    loops, at = 0, 0
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            here = padded[y, x]
            if not wanted[here]:
                continue
            if first[here] == (y - 1) * (width - 2) + x - 1:
                at = _loop(padded, seen, y, x, TOP, row, column, side, at)
                ends[loops], of[loops] = at, here
                loops += 1
            if padded[y + 1, x] != here and not seen[y, x]:
                at = _loop(padded, seen, y, x, BOTTOM, row, column, side, at)
                ends[loops], of[loops] = at, here
                loops += 1
    return loops


_count = compiled(_count_sides)
_loop = compiled(_walk_loop)
_walk = compiled(_walk_loops)
