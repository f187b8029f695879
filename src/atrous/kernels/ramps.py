"""What lies between two regions of a mask, along its rows and columns: nothing, or ramps.

A border that was drawn is a step from one label to another. Resizing and JPEG put ramps of
labels in between.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from atrous.classes import COLOURED
from atrous.kernels.compiled import compiled
from atrous.types import RawMask

WIDE = 4  # pixels of a run that is a region; narrower ones are what lies between two
_MOST = 8  # pixels of a ramp: enlarging by three leaves six
_SMALL = 256  # labels below are counted each for itself
_KEPT = ("uint8", "uint16", "int32", "int64")  # other types become int64: four kernels, not ten
_STEPS, _RAMPS, _LINES, _MIXED = range(4)


class Ramps(NamedTuple):
    """Crossings from one wide run to the next, of all rows and columns, by what lies between.

    `steps`: nothing, and a label would fit between the two. `ramps`: narrow runs, each between
    its two neighbours and the two sides, band by band for colours. `lines`: one narrow run that
    is not between. `mixed`: several, in no order. `first` is the flat index of the first ramp,
    -1 without one. `middle` is the label (below 256) with the most pixels in ramps, -1 without
    one; `pixels` are its pixels there, those in a ramp both ways counted twice.
    """

    steps: int
    ramps: int
    lines: int
    mixed: int
    first: int
    middle: int
    pixels: int


def count_ramps(raw: RawMask) -> Ramps:
    """The crossings of a mask.

    Example:
        >>> count_ramps(np.uint8([[0, 0, 0, 0, 1, 2, 2, 2, 2, 7, 7, 7, 7]]))[:4]
        (1, 1, 0, 0)
    """
    if raw.dtype.name not in _KEPT or not raw.dtype.isnative:
        raw = raw.astype(np.int64)
    raw = np.require(raw, None, ["C", "W"])
    coloured = bool(raw.dtype.itemsize > 2 and raw.max() >= COLOURED)
    counts, middles = np.zeros(4, np.int64), np.zeros(_SMALL, np.int64)
    first = raw.size
    for axis in (1, 0):
        change = np.zeros(raw.shape, bool)  # from the pixel before
        np.not_equal(*_neighbours(raw, axis), out=_neighbours(change, axis)[0])
        places = np.flatnonzero(change)
        first = min(first, _scan(raw, places, axis == 0, coloured, counts, middles))
    return _told(counts, middles, int(first))


def count_ramps_reference(raw: RawMask) -> Ramps:
    """`count_ramps` in plain Python, crossing by crossing."""
    counts, middles = np.zeros(4, np.int64), np.zeros(_SMALL, np.int64)
    first = raw.size
    flat = np.arange(raw.size).reshape(raw.shape)
    for labels, places in ((raw, flat), (raw.T, flat.T)):
        for line, at in zip(labels, places, strict=True):
            for one, between, other, start in _crossings_of(line.tolist()):
                kind = _kind_of(one, between, other)
                if kind is None:
                    continue
                counts[kind] += 1
                if kind == _RAMPS:
                    first = min(first, at[start])
                    np.add.at(middles, [label for label in between if 0 <= label < _SMALL], 1)
    return _told(counts, middles, first)


def _told(counts, middles, first):
    steps, ramps, lines, mixed = counts.tolist()
    most = int(middles.argmax())
    pixels = int(middles[most])
    first, middle = first if ramps else -1, most if pixels else -1
    return Ramps(steps, ramps, lines, mixed, first, middle, pixels)


def _crossings_of(line):
    """Of each crossing of a line: one side, the pixels between, the other side, their place."""
    ends = [i for i in range(1, len(line)) if line[i] != line[i - 1]]
    runs = [*zip([0, *ends], [*ends, len(line)], strict=True)]
    sides = [(a, b) for a, b in runs if b - a >= WIDE or a == 0 or b == len(line)]
    for (_, end), (start, _) in pairwise(sides):
        yield line[end - 1], line[end:start], line[start], end


def _kind_of(one, between, other):
    if not between:
        return _STEPS if one >= COLOURED or other >= COLOURED or abs(one - other) > 1 else None
    runs = [one, *(v for i, v in enumerate(between) if i == 0 or v != between[i - 1]), other]
    if len(between) <= _MOST and all(_lies_between(one, v, other) for v in runs[1:-1]):
        neighbours = zip(runs, runs[1:], runs[2:], strict=False)
        if all(_lies_between(*three) for three in neighbours):
            return _RAMPS
    return _LINES if len(runs) == 3 else _MIXED


def _lies_between(one, label, other):
    """Whether a label is neither of two, and between them: as a number, or in each band."""
    if label in (one, other):
        return False
    if max(one, label, other) < COLOURED:
        return min(one, other) < label < max(one, other)
    bands = [[v >> s & 255 for v in (one, label, other)] for s in (0, 8, 16, 24)]
    return all(min(a, c) <= b <= max(a, c) for a, b, c in bands)


def _neighbours(array, axis):
    """All pixels of lines but the first, and those before them."""
    return (array[1:], array[:-1]) if axis == 0 else (array[:, 1:], array[:, :-1])


def _is_between(one, label, other, coloured):
    one, label, other = np.int64(one), np.int64(label), np.int64(other)
    if not coloured:
        return one < label < other or other < label < one
    if label in (one, other):
        return False
    for shift in range(0, 32, 8):
        a, b, c = (one >> shift) & 255, (label >> shift) & 255, (other >> shift) & 255
        if not (a <= b <= c or c <= b <= a):
            return False
    return True


def _scan_changes(raw, places, down, coloured, counts, middles):
    """Where labels change, in the order of pixels: lines end their runs in turns.

    Of each line is kept where its run begins, where what lies after the last side does, how
    many narrow runs that is, and whether they are in order. All places are flat.
    """
    height, width = raw.shape
    lines, along, across = (width, width, 1) if down else (height, 1, width)
    flat = raw.ravel()
    begin = np.arange(lines) * across
    start, narrow = begin.copy(), np.zeros(lines, np.int64)
    ordered = np.ones(lines, np.bool_)
    first = np.int64(raw.size)
    for place in places:
        line = place % width if down else place // width
        run = begin[line]
        if run != line * across:  # not the first run, which is a side as it is
            if place - run < WIDE * along:
                here = _between(flat[run - along], flat[run], flat[place], coloured)
                ordered[line] = here and (narrow[line] == 0 or ordered[line])
                narrow[line] += 1
                begin[line] = place
                continue
            at = start[line] - along, run, along
            if _cross(flat, at, narrow[line], ordered[line], coloured, counts, middles):
                first = min(first, start[line])
        narrow[line], begin[line], start[line] = 0, place, place
    for line in range(lines):
        if begin[line] != line * across:
            at = start[line] - along, begin[line], along
            if _cross(flat, at, narrow[line], ordered[line], coloured, counts, middles):
                first = min(first, start[line])
    return first


def _count_crossing(flat, at, narrow, ordered, coloured, counts, middles):
    """Whether a crossing is a ramp; it is counted. `at` is one side, the other, and the step."""
    begin, end, step = at
    one, other = np.int64(flat[begin]), np.int64(flat[end])
    if narrow == 0:
        counts[_STEPS] += coloured or abs(one - other) > 1
        return False
    between = flat[begin + step : end : step]
    ordered = ordered and between.size <= _MOST
    for label in between:
        ordered = ordered and _between(one, label, other, coloured)
    if not ordered:
        counts[_LINES if narrow == 1 else _MIXED] += 1
        return False
    counts[_RAMPS] += 1
    for label in between:
        if 0 <= label < _SMALL:
            middles[label] += 1
    return True


_between = compiled(_is_between)
_cross = compiled(_count_crossing)
_scan = compiled(_scan_changes)
