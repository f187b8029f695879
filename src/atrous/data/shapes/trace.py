"""Pixels -> rings that give the same pixels when they are drawn by the rule `centre`.

A ring goes from centre to centre of the outermost pixels of a region, to the next of the eight
neighbours each time. Its points are the turns of that walk, so its edges are upright, level or
diagonal, and every program that draws outlines with polygons paints the same pixels.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

from atrous.data.shapes.drawing import draw
from atrous.data.shapes.forms import Drawing, Polygon
from atrous.kernels.outlines import ACROSS, RIGHT, outlines
from atrous.kernels.regions import regions

Walk = Int64[np.ndarray, "N 2"]  # (x, y) of pixels, each a neighbour of the one before


class Region(NamedTuple):
    """Pixels that hang together by their sides: those inside `outer` and in none of `holes`.

    Rings are (x, y) of the centres of pixels, at least three. The outline of a hole belongs to
    the hole: `Polygon(label, (region.outer, *region.holes), "centre")` draws the region.
    """

    outer: Walk
    holes: tuple[Walk, ...]


def trace(mask: Bool[np.ndarray, "H W"]) -> list[Region]:
    """The regions of the true pixels, in the order of their first pixels.

    Example:
        >>> ring = np.ones((3, 3), bool)
        >>> ring[1, 1] = False
        >>> (region,) = trace(ring)
        >>> region.outer.tolist(), region.holes[0].tolist()
        ([[0, 0], [2, 0], [2, 2], [0, 2]], [[1, 1], [1, 1], [1, 1]])
    """
    rings: dict[int, list[Walk]] = {}
    for loop in _loops(mask):
        ring = _turns(loop.beside if loop.is_hole else loop.inside)
        rings.setdefault(loop.region, []).append(ring)
    return [Region(outer, tuple(holes)) for outer, *holes in rings.values()]


def keyhole(region: Region) -> Walk:
    """One ring that draws the region: around it, and to and fro to go around each hole.

    For formats that know no holes. The ways to the holes lie inside the region, one over the
    other, so they change nothing.
    """
    if not region.holes:
        return region.outer
    corner = region.outer.min(0)
    width, height = region.outer.max(0) - corner + 1
    rings = tuple(ring - corner for ring in (region.outer, *region.holes))
    pixels = draw(Drawing(None, (Polygon(1, rings, "centre"),)), (int(height), int(width)))
    outer, *holes = (loop.inside for loop in _loops(pixels == 1))
    return _turns(_joined(outer, holes)) + corner


class _Loop(NamedTuple):
    """An outline of region number `region`: the pixels inside it, and those beside them.

    Around a hole it begins where the hole reaches farthest to the left, to the left of it.
    """

    region: int
    is_hole: bool
    inside: Walk
    beside: Walk


def _loops(mask: Bool[np.ndarray, "H W"]) -> Iterator[_Loop]:
    """The outlines of the regions of true pixels, the outer one of each before its holes'."""
    ids, first = regions(mask)
    found = outlines(ids, first, mask.ravel()[first])
    pixels = np.stack([found.column, found.row], 1).astype(np.int64)
    beside = pixels + ACROSS[found.side, ::-1]
    seen: set[int] = set()
    begin = 0
    for end, region in zip(found.ends.tolist(), found.of.tolist(), strict=True):
        here = np.arange(begin, end)
        if region in seen:
            on_left = here[found.side[begin:end] == RIGHT]
            here = np.roll(here, begin - on_left[np.argmin(found.column[on_left])])
        yield _Loop(region, region in seen, _once(pixels[here]), _once(beside[here]))
        seen.add(region)
        begin = end


def _once(walk: Walk) -> Walk:
    """The walk without standing still."""
    moves = (walk != np.roll(walk, -1, 0)).any(1)
    return walk[moves] if moves.any() else walk[:1]


def _turns(walk: Walk) -> Walk:
    """The points where a closed walk changes its direction, repeated where fewer than three."""
    steps = np.roll(walk, -1, 0) - walk
    points = walk[(steps != np.roll(steps, 1, 0)).any(1)] if len(walk) > 1 else walk
    return np.concatenate([points, np.repeat(points[-1:], max(3 - len(points), 0), 0)])


def _joined(outer: Walk, holes: list[Walk]) -> Walk:
    """One walk over all of them: from the left end of each hole to the left, and back.

    The way ends at the first pixel that has been walked on. It is found because holes come from
    left to right, and a way to the left can only meet the outer walk or such a hole.
    """
    walk = [(x, y) for x, y in outer.tolist()]
    after = [*range(1, len(walk)), 0]
    place = {pixel: node for node, pixel in enumerate(walk)}
    for hole in sorted(holes, key=lambda hole: hole[0].tolist()):
        around = [(x, y) for x, y in hole.tolist()]
        (x, y), way = around[0], []
        while (x, y) not in place:
            way.append((x, y))
            x -= 1
        detour = [*way[:0:-1], *around, *way, (x, y)] if way else [*around[1:], (x, y)]
        node, first = place[x, y], len(walk)
        for pixel in detour:
            place.setdefault(pixel, len(walk))
            after.append(len(walk) + 1)
            walk.append(pixel)
        after[node], after[-1] = first, after[node]
    order, node = [0], after[0]
    while node:
        order.append(node)
        node = after[node]
    return np.array(walk)[order]
