"""Finished regions -> polygons: what hangs together by sides, with class, area and confidence.

Regions come row by row. Pieces of one class that touch across a seam are one polygon; what
touches the seam below no more is written and forgotten, so that memory holds what is still open.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64, Shaped, UInt8

from atrous.classes import Classes
from atrous.data.rasters import gdal
from atrous.kernels.regions import regions
from atrous.predict.raster.answers import moved, unpacked
from atrous.predict.raster.features import Feature, write_features
from atrous.predict.raster.journal import At, Stretch
from atrous.predict.raster.plan import Plan, Region
from atrous.types import Mask

_NONE = -1  # a pixel of no piece


@dataclass
class _Shape:
    """What is known of a polygon so far."""

    class_index: int
    pieces: list[Any] = field(default_factory=list)
    pixels: int = 0
    sure: int = 0
    """The sum of confidence, in 255ths."""

    def take(self, other: "_Shape") -> None:
        self.pieces += other.pieces
        self.pixels += other.pixels
        self.sure += other.sure


class _Edge(NamedTuple):
    """The last row or column of a region: of each class that is looked at, pieces by number."""

    ids: Int64[np.ndarray, "P N"]
    classes: Int64[np.ndarray, "P N"]


def write_polygons(plan: Plan, done: Mapping[At, Stretch], within: Path) -> Path:
    """Write the polygons of a raster into the folder `within`.

    Raises:
        RunError: they cannot be written.
    """
    path = within / f"polygons.{plan.polygons}"
    with gdal():
        write_features(path, _features(plan, done), plan)
    return path


def _features(plan: Plan, done: Mapping[At, Stretch]) -> Iterator[Feature]:
    """The polygons in the order in which they are closed, of those the first that was begun."""
    growing, above = _Growing(), dict[int, _Edge]()
    last: tuple[int, _Edge] | None = None
    row, below = 0, dict[int, _Edge]()
    for region, mask, sure in _whole_regions(plan, done):
        if region.at[0] != row:  # a row of regions is done
            yield from growing.closed(below if region.at[0] == row + 1 else {}, plan)
            above, below = below if region.at[0] == row + 1 else {}, {}
            row, last = region.at[0], None
        ids, kinds = growing.add(region, mask, sure, plan.classes)
        column = region.at[1]
        if column in above:
            growing.join(above[column], _Edge(ids[:, 0], kinds[:, 0]))
        if last and last[0] == column - 1:
            growing.join(last[1], _Edge(ids[:, :, 0], kinds[:, :, 0]))
        last = column, _Edge(ids[:, :, -1].copy(), kinds[:, :, -1].copy())
        below[column] = _Edge(ids[:, -1].copy(), kinds[:, -1].copy())
    yield from growing.closed({}, plan)


def _whole_regions(
    plan: Plan, done: Mapping[At, Stretch]
) -> Iterator[tuple[Region, Mask, UInt8[np.ndarray, "H W"]]]:
    """The regions of which something is known: masks and confidence, in order."""
    for region in plan.regions():
        if not done[region.at].length:
            continue
        mask = np.full(region.size, plan.classes.ignore_index, plan.classes.dtype)
        sure = np.zeros(region.size, np.uint8)
        for part in unpacked(done[region.at].read(), plan.classes.dtype):
            place = moved(part.rows, -region.rows.start), moved(part.columns, -region.columns.start)
            assert part.confidence is not None  # polygons are asked for, so it was made
            mask[place], sure[place] = part.mask, part.confidence
        yield region, mask, sure


class _Growing:
    """Polygons that are not closed yet; a number may come to stand for another."""

    def __init__(self) -> None:
        self._shapes: dict[int, _Shape] = {}
        self._parents: dict[int, int] = {}
        self._next = 0

    def add(
        self,
        region: Region,
        mask: Mask,
        sure: UInt8[np.ndarray, "H W"],
        classes: Classes,
    ) -> tuple[Int64[np.ndarray, "P H W"], Int64[np.ndarray, "P H W"]]:
        """Take the pieces of a region; of each plane which piece a pixel is of, and its class."""
        numbers, kinds = [], []
        for values, wanted, index in _planes(mask, classes):
            labels, first = regions(np.where(wanted, values.astype(np.int64), _NONE))
            classes_of = values.flat[first].astype(np.int64) if index < 0 else index
            of_piece = np.where(wanted.flat[first], classes_of, _NONE)
            begin, self._next = self._next, self._next + len(first)
            pixels = np.bincount(labels.ravel(), minlength=len(first))
            sums = np.bincount(labels.ravel(), weights=sure.ravel(), minlength=len(first))
            for label in np.flatnonzero(of_piece >= 0).tolist():
                number = begin + label
                shape = _Shape(int(of_piece[label]), [], int(pixels[label]), int(sums[label]))
                self._shapes[number], self._parents[number] = shape, number
            for polygon, label in _outlines(labels, wanted, region):
                self._shapes[begin + label].pieces.append(polygon)
            numbers.append(np.where(wanted, labels + begin, _NONE))
            kinds.append(np.where(wanted, of_piece[labels], _NONE))
        return np.stack(numbers), np.stack(kinds)

    def join(self, one: _Edge, other: _Edge) -> None:
        """Make one polygon of pieces of one class that lie side by side at a seam."""
        touching = (one.ids >= 0) & (other.ids >= 0) & (one.classes == other.classes)
        pairs = np.unique(np.stack([one.ids[touching], other.ids[touching]], 1), axis=0)
        for a, b in pairs.tolist():
            a, b = self._root(a), self._root(b)
            if a != b:
                first, second = min(a, b), max(a, b)
                self._parents[second] = first
                self._shapes[first].take(self._shapes.pop(second))

    def closed(self, seam: Mapping[int, _Edge], plan: Plan) -> Iterator[Feature]:
        """The polygons that do not touch the seam below; they are forgotten."""
        at_seam = {n for edge in seam.values() for n in np.unique(edge.ids).tolist() if n >= 0}
        roots = {number: self._root(number) for number in at_seam}
        still_open = {*roots.values()}
        for number in sorted(self._shapes.keys() - still_open):
            yield _feature(self._shapes.pop(number), plan)
        self._parents = roots | {root: root for root in still_open}

    def _root(self, number: int) -> int:
        while self._parents[number] != number:
            number = self._parents[number]
        return number


def _planes(
    mask: Mask, classes: Classes
) -> Iterator[tuple[Shaped[np.ndarray, "H W"], Bool[np.ndarray, "H W"], int]]:
    """What is outlined: the values, where, and the class that they are of (-1 = their own).

    Of binary the background is left out, of multilabel each class stands for itself.
    """
    unknown = mask == classes.ignore_index
    if classes.task == "multilabel":
        for k in range(len(classes)):
            there = ((mask >> k) & 1) == 1
            yield there, there & ~unknown, k
    else:
        yield mask, ~unknown & (mask > 0) if classes.task == "binary" else ~unknown, -1


def _outlines(
    labels: Shaped[np.ndarray, "H W"], wanted: Bool[np.ndarray, "H W"], region: Region
) -> Iterator[tuple[Any, int]]:
    """The outlines of the pieces of a region, in pixels of the raster."""
    import shapely
    from rasterio.features import shapes
    from rasterio.transform import Affine

    at = Affine.translation(region.columns.start, region.rows.start)
    for outline, label in shapes(labels, mask=wanted, connectivity=4, transform=at):
        shell, *inner = outline["coordinates"]
        yield shapely.Polygon(shell, inner), int(label)


def _feature(shape: _Shape, plan: Plan) -> Feature:
    """A polygon with what is told of it: its outline simplified, its area that of its pixels."""
    import shapely

    pieces = [piece if piece.is_valid else shapely.make_valid(piece) for piece in shape.pieces]
    outline = shapely.union_all(pieces) if len(pieces) > 1 else pieces[0]
    # With 0 only what lies on straight lines goes, as where seams were. A ring's first point is
    # looked at once more than others, and may be off twice the tolerance.
    outline = shapely.simplify(outline, plan.simplify / 2, preserve_topology=True)
    return Feature(
        outline,
        plan.classes.names[shape.class_index],
        shape.class_index,
        shape.pixels,
        shape.sure / (255 * shape.pixels),
    )
