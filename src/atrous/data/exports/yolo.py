"""YOLO, as Ultralytics has it: `data.yaml`, `images/SPLIT/x.jpg`, `labels/SPLIT/x.txt`.

Each region that hangs together is a line `class x1 y1 x2 y2 ...`: the centres of its outermost
pixels, from 0 to 1 across the picture. Lines know no holes, so a ring goes to and fro to run
around them, inside the region. The class called background has no lines. YOLO has no word for
what nothing is known of: it is drawn as a class of its own, `__ignore__`, unless no class is
called background and it can be left undrawn.
"""

import json
from collections.abc import Iterator

from atrous.data.exports.categories import (
    Categories,
    categories_of,
    declare_categories,
    layers,
    overlap_note,
)
from atrous.data.exports.plan import Item, Plan, joined, put, put_picture, renamed, turned_note
from atrous.data.layouts.labelme import IGNORED
from atrous.data.shapes import keyhole, trace

_DIGITS = 8  # of a coordinate: a thousandth of a pixel across 100 000

_LISTS = ("classes", "labels")  # what readers take for a list of classes, not for a text


def write(plan: Plan) -> tuple[str, ...]:
    """Write the data set; a sentence on each thing that other readers may stumble over.

    Raises:
        DataError: names of classes that an annotation file cannot tell apart.
    """
    categories = categories_of(plan.data)
    plan = renamed(plan, _name)
    for item in plan.each():
        put_picture(plan.out / "images" / item.split / (item.name + item.suffix), item)
        lines = _lines(plan, item, categories)
        put(plan.out / "labels" / item.split / f"{item.name}.txt", "".join(lines))
    put(plan.out / "data.yaml", _yaml(plan.splits, categories))
    declare_categories(plan, "yolo", categories)
    void = f"What nothing is known of is a class of its own, {IGNORED}."
    notes = (*plan.notes, *[void] * categories.draws_void)
    return (*notes, *overlap_note(plan), *turned_note(plan.items))


def _name(item: Item) -> str:
    """A name without a folder `images`, in whose place readers look for one called `labels`.

    Nor is it that of a list of classes.
    """
    *folders, last = item.name.lower().split("/")
    name = joined(item.name) if "images" in folders else item.name
    return f"{name}_" if last in _LISTS else name


def _lines(plan: Plan, item: Item, categories: Categories) -> Iterator[str]:
    height, width = item.size
    for place, pixels in layers(plan.mask(item), plan.data.classes, categories):
        for region in trace(pixels):
            points = (keyhole(region) + 0.5) / (width, height)
            numbers = " ".join(f"{number:.{_DIGITS}g}" for number in points.ravel().tolist())
            yield f"{place} {numbers}\n"


def _yaml(splits: tuple[str, ...], categories: Categories) -> str:
    """Paths are relative to the file, as Ultralytics takes them where no `path` is given."""
    folders = [f"{split}: images/{split}" for split in splits]
    names = [
        f"  {place}: {json.dumps(name, ensure_ascii=False)}"
        for place, name in enumerate(categories.names)
    ]
    return "\n".join([*folders, "names:", *names]) + "\n"
