"""Pascal VOC: `JPEGImages/`, `SegmentationClass/`, lists of names, `class_names.txt`.

Masks are PNGs of class indices with 255 for what is ignored. VOC's readers take either the
indices or the colours of the palette: these are the classes' own, or VOC's where nobody chose
them. VOC has no word for colours and task, so `dataset.toml` stands beside.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from atrous.classes import Classes, distinct_colours
from atrous.data.exports.plan import (
    Plan,
    put,
    put_mask,
    put_picture,
    refuse_multilabel,
    turned_note,
)
from atrous.data.exports.toml import declare
from atrous.data.layouts.annotations import words
from atrous.data.layouts.voc import LISTS, colour_map

_JPEG = (".jpg", ".jpeg")


def write(plan: Plan) -> tuple[str, ...]:
    """Write the data set; a sentence on each thing that other readers may stumble over.

    Raises:
        DataError: masks of several classes a pixel.
    """
    refuse_multilabel(plan, "voc")
    classes = _with_voc_colours(plan.data.classes)
    lists: dict[str, list[str]] = defaultdict(list)
    for item in plan.each():
        put_picture(plan.out / "JPEGImages" / (item.stem + item.suffix), item)
        put_mask(plan.out / "SegmentationClass" / f"{item.stem}.png", plan.mask(item), classes)
        lists[item.split].append(item.stem)
    names = [words(name) for name in classes.names]
    if len({*names}) == len(names):  # a list with one name twice is no list
        put(plan.out / "class_names.txt", _lines(names))
    for split, names in lists.items():
        put(plan.out / LISTS / f"{split}.txt", _lines(names))
    declare(plan, "voc")
    return _notes(plan)


def _with_voc_colours(classes: Classes) -> Classes:
    if classes.colours != distinct_colours(len(classes)) or len(classes) > 255:
        return classes
    return replace(classes, colours=colour_map(len(classes)))


def _lines(names: Iterable[str]) -> str:
    return "".join(f"{name}\n" for name in names)


def _notes(plan: Plan) -> tuple[str, ...]:
    notes = [*plan.notes]
    if others := sum(item.suffix.lower() not in _JPEG for item in plan.items):
        notes.append(
            f"Pictures that are no JPEG: {others}. They keep their bytes and suffix; readers of "
            "VOC may look for .jpg alone."
        )
    if len(plan.data.classes) > 255:
        notes.append("Masks are 16-bit grey, as there are over 255 classes; VOC knows 8-bit only.")
    if any(item.stem != item.name for item in plan.items):
        notes.append("Splits share names, so the names in the lists begin with the split.")
    return (*notes, *turned_note(plan.items))
