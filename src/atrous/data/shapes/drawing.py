"""Drawings -> masks: shapes painted one over the other, or side by side as bits."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, assert_never

import numpy as np
from jaxtyping import Bool
from PIL import Image as pil

from atrous.data.shapes.fill import Cover, fill_centre, fill_corner, fitted
from atrous.data.shapes.forms import Drawing, Patch, Polygon, Runs, Shape
from atrous.data.shapes.runs import cover_of
from atrous.types import Mask, RawMask, Size

GROUND = -2  # the label of shapes that are of the background where classes have bits
_NOTHING = np.iinfo(np.int64).min  # the label where nothing has been painted yet


class Overlap(NamedTuple):
    """Pixels of label `below` that shapes of label `above` were painted over.

    `first` is the row and column of the first of them.
    """

    below: int
    above: int
    pixels: int
    first: tuple[int, int]


def draw(drawing: Drawing, size: Size) -> RawMask:
    """The labels of a drawing in a picture of `size`, whatever size the drawing claims.

    Of the narrowest type that holds all its labels (uint8, uint16, int16 ...). What lies outside
    the picture is cut off; shapes without a pixel, such as rings that are empty or of NaN, paint
    nothing.

    Example:
        >>> square = Polygon(3, (np.array([[1, 0], [2, 0], [2, 1], [1, 1]]),), "centre")
        >>> draw(Drawing(None, (square,)), (2, 4))
        array([[0, 3, 3, 0],
               [0, 3, 3, 0]], dtype=uint8)
    """
    labels = [drawing.background, *(shape.label for shape in drawing.shapes)]
    mask = np.full(size, drawing.background, _type_of(min(labels), max(labels)))
    for label, (window, pixels) in _painted(drawing.shapes, size):
        np.copyto(mask[window], label, where=pixels)
    return mask


def draw_bits(
    drawing: Drawing, size: Size, *, num_classes: int, ignore_index: int, dtype: type
) -> Mask:
    """The multilabel mask of a drawing: bit k where shapes of class k are.

    Where shapes are of no class, nothing is known of any (`ignore_index`), whatever else is
    there. The background has no bit: its shapes (`GROUND`) take away what is under them. Where
    nothing is drawn nothing is there; or, if the drawing's background is below 0, nothing is known.

    Example:
        >>> one, both = np.array([[True, False]]), np.array([[True, True]])
        >>> shapes = Patch(0, (0, 0), one), Patch(1, (0, 0), both), Patch(-1, (0, 2), one)
        >>> draw_bits(Drawing(None, shapes), (1, 4), num_classes=2, ignore_index=4, dtype=np.uint8)
        array([[3, 2, 4, 0]], dtype=uint8)
    """
    mask, void = np.zeros(size, dtype), np.zeros(size, bool)
    bare = np.full(size, drawing.background < 0)
    for label, (window, pixels) in _painted(drawing.shapes, size):
        bare[window] &= ~pixels
        if 0 <= label < num_classes:
            mask[window] |= pixels * dtype(1 << label)
        elif label == GROUND:
            mask[window][pixels] = 0
            void[window] &= ~pixels
        else:
            void[window] |= pixels
    mask[void | bare] = ignore_index
    return mask


def overlaps(drawing: Drawing, size: Size, *, touching: bool = True) -> list[Overlap]:
    """Where shapes were painted over shapes of another label, most pixels first.

    Shapes that touch share the pixels of their outlines; they count only if `touching`.

    Example:
        >>> both = np.ones((1, 2), bool)
        >>> overlaps(Drawing(None, (Patch(5, (0, 0), both), Patch(6, (0, 1), both))), (1, 3))
        [Overlap(below=5, above=6, pixels=1, first=(0, 1))]
    """
    found: dict[tuple[int, int], tuple[int, int]] = {}  # pixels and first flat index by labels
    painted = np.full(size, _NOTHING)
    for label, (window, pixels) in _painted(drawing.shapes, size):
        under = painted[window]
        over = pixels if touching else _inside(pixels)
        rows, columns = np.nonzero(over & (under != _NOTHING) & (under != label))
        values, first, counts = np.unique(
            under[rows, columns], return_index=True, return_counts=True
        )
        places = (rows + window[0].start)[first] * size[1] + (columns + window[1].start)[first]
        for value, place, count in np.stack([values, places, counts], 1).tolist():
            before = found.get((value, label), (0, place))
            found[value, label] = before[0] + count, min(before[1], place)
        np.copyto(under, label, where=pixels)
    pairs = sorted(found.items(), key=lambda item: -item[1][0])
    return [Overlap(*pair, count, divmod(at, size[1])) for pair, (count, at) in pairs]


def _inside(pixels: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The pixels whose four neighbours are there too."""
    padded = np.pad(pixels, 1)
    sides = padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]
    return pixels & np.logical_and.reduce(sides)


def _type_of(low: int, high: int) -> type[np.integer]:
    """The narrowest type of labels, without a sign where none is negative."""
    types = (np.uint8, np.uint16, np.int16, np.int32)
    fits = (t for t in types if np.iinfo(t).min <= low and high <= np.iinfo(t).max)
    return next(fits, np.int64)


def _painted(shapes: Iterable[Shape], size: Size) -> Iterator[tuple[int, Cover]]:
    """What each shape covers, with its label; the rings of a united polygon come one by one."""
    canvas = pil.new("L", (size[1], size[0]))
    for shape in shapes:
        match shape:
            case Polygon(label, rings, rule):
                if rule == "centre":
                    yield label, fill_centre(canvas, rings)
                else:
                    yield from ((label, fill_corner(ring, size)) for ring in rings)
            case Runs(label):
                yield label, fitted(cover_of(shape), size)
            case Patch(label, (row, column), pixels):
                height, width = pixels.shape
                window = slice(row, row + height), slice(column, column + width)
                yield label, fitted(Cover(window, pixels), size)
            case _:
                assert_never(shape)
