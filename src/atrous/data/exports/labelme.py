"""labelme: `SPLIT/x.json` beside `SPLIT/x.jpg`, and `labels.txt`.

Each region that hangs together is a polygon through the centres of its outermost pixels. Its
holes are filled by what lies in them, which is painted later: regions come from large to small,
and a region of background in a hole is a polygon `_background_`. Pixels that nothing is known of
are polygons `__ignore__`, labelme's own word; where no class is called background, they are what
is left unpainted. Where classes overlap nothing may be painted over, so a polygon with holes
goes to and fro to run around them.
"""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from atrous.classes import Classes
from atrous.data.exports.categories import (
    Categories,
    categories_of,
    declare_categories,
    layers,
    overlap_note,
)
from atrous.data.exports.plan import Item, Plan, put, put_picture, turned_note
from atrous.data.layouts.labelme import IGNORED, LIST, UNDRAWN
from atrous.data.shapes import Drawing, Polygon, draw, keyhole, trace
from atrous.data.shapes.trace import Walk
from atrous.types import Mask

_VERSION = "5.5.0"  # of the labelme whose files these are like
_UNPAINTED = 0


class _Region(NamedTuple):
    label: str
    ring: Walk
    is_painted: bool  # False: what is to be left unpainted if nothing is there yet

    @property
    def reach(self) -> int:
        """Pixels of the upright rectangle around it; smaller for what lies in a hole."""
        width, height = np.ptp(self.ring, axis=0) + 1
        return int(width) * int(height)


def write(plan: Plan) -> tuple[str, ...]:
    """Write the data set; a sentence on each thing that was changed.

    Raises:
        DataError: names of classes that an annotation file cannot tell apart.
    """
    categories = categories_of(plan.data)
    for item in plan.each():
        home = plan.out / item.split
        put_picture(home / (item.name + item.suffix), item)
        put(home / f"{item.name}.json", _file(plan, item, categories))
    put(plan.out / LIST, _labels(categories))
    declare_categories(plan, "labelme", categories)
    return (*plan.notes, *overlap_note(plan), *turned_note(plan.items))


def _labels(categories: Categories) -> str:
    drawn = [name for name in categories.names if name != IGNORED]
    return "".join(f"{line}\n" for line in (IGNORED, UNDRAWN, *drawn))


def _file(plan: Plan, item: Item, categories: Categories) -> str:
    mask, classes = plan.mask(item), plan.data.classes
    rings = _painted if categories.undrawn is not None else _overlapping
    content = {
        "version": _VERSION,
        "flags": {},
        "shapes": [_shape(label, ring) for label, ring in rings(mask, classes, categories)],
        "imagePath": item.name.rpartition("/")[2] + item.suffix,
        "imageData": None,
        "imageHeight": item.size[0],
        "imageWidth": item.size[1],
    }
    return json.dumps(content, ensure_ascii=False)


def _shape(label: str, ring: Walk) -> dict[str, Any]:
    return {
        "label": label,
        "points": ring.tolist(),
        "group_id": None,
        "description": "",
        "shape_type": "polygon",
        "flags": {},
        "mask": None,
    }


def _overlapping(
    mask: Mask, classes: Classes, categories: Categories
) -> Iterator[tuple[str, Walk]]:
    for place, pixels in layers(mask, classes, categories):
        for region in trace(pixels):
            yield categories.names[place], keyhole(region)


def _painted(mask: Mask, classes: Classes, categories: Categories) -> Iterator[tuple[str, Walk]]:
    """Rings in the order in which they are painted, without those that paint nothing new."""
    found = [
        _Region(categories.names[place], region.outer, is_painted=True)
        for place, pixels in layers(mask, classes, categories)
        for region in trace(pixels)
    ]
    rest = UNDRAWN if categories.undrawn != categories.void else IGNORED
    holes = [
        _Region(rest, region.outer, is_painted=False)
        for region in trace(mask == categories.undrawn)
    ]
    shapes = tuple(Polygon(1, (region.ring,), "centre") for region in found)
    covered = draw(Drawing(None, shapes, _UNPAINTED), mask.shape) != _UNPAINTED
    holes = [region for region in holes if covered[region.ring[0][1], region.ring[0][0]]]
    for region in sorted([*found, *holes], key=lambda region: -region.reach):
        yield region.label, region.ring
