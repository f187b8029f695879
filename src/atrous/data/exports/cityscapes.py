"""Cityscapes: `leftImg8bit/SPLIT/CITY/` and `gtFine/SPLIT/CITY/`, masks as label and train ids.

Programs that read Cityscapes look for pictures in exactly one folder below that of the split,
its city. A name `a/b` has it; of `a/b/c` it is `a_b`, of `c` it is `city`. Pictures are PNGs:
those that are PNGs already are copied, others are written anew without loss.

Train ids are the class indices, with 255 for what is ignored. If the classes are the 19 of
Cityscapes, label ids are Cityscapes' own and its programs understand them, with 0 (unlabeled)
for what is ignored; other classes have no label ids, so these are the class indices too, and
programs must be told the names. `dataset.toml` says them.
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image as pil

from atrous.classes import IGNORE, Classes
from atrous.data.exports.pixels import check_png, png
from atrous.data.exports.plan import Item, Plan, put, put_picture, refuse_multilabel
from atrous.data.exports.toml import declare
from atrous.data.images import content_format, orientation_of
from atrous.data.layouts.cityscapes import CLASSES
from atrous.data.survey import read_picture
from atrous.errors import DataError
from atrous.types import Mask

_CITY = "city"
_UNLABELED = 0


def write(plan: Plan) -> tuple[str, ...]:
    """Write the data set; a sentence on each thing that was changed.

    Raises:
        DataError: masks of several classes a pixel; pictures that a PNG cannot hold.
    """
    refuse_multilabel(plan, "cityscapes")
    for file in plan.data.files:
        check_png(file.header.bands, file.header.dtype, file.pair.image)
    cities = _cities(plan)
    ids = _label_ids(plan.data.classes)
    anew = 0
    for item, name in zip(plan.each(), cities, strict=True):
        path = plan.out / "leftImg8bit" / item.split / f"{name}_leftImg8bit.png"
        anew += not _put_png(path, item)
        mask = plan.mask(item)
        truth = plan.out / "gtFine" / item.split
        put(truth / f"{name}_gtFine_labelTrainIds.png", _grey(mask))
        put(truth / f"{name}_gtFine_labelIds.png", _grey(mask if ids is None else ids[mask]))
    declare(plan, "cityscapes", _remap(plan.data.classes))
    return _notes(plan, cities, anew)


def _cities(plan: Plan) -> list[str]:
    """`CITY/NAME` of each pair.

    Raises:
        DataError: two pairs would have one name.
    """
    cities: list[str] = []
    taken: dict[tuple[str, str], Item] = {}
    for item in plan.items:
        folder, _, last = item.name.rpartition("/")
        name = f"{folder.replace('/', '_') or _CITY}/{last}"
        other = taken.setdefault((item.split, name), item)
        if other is not item:
            raise DataError(
                item.pair.image,
                found=f"would be called {name!r}, and so would {other.pair.image}",
                allowed="Cityscapes has one folder, the city, between split and picture",
                fix="Rename one of the pictures or folders.",
            )
        cities.append(name)
    return cities


def _label_ids(classes: Classes) -> np.ndarray | None:
    """The label id of each train id; None if the classes are not Cityscapes'."""
    if classes.names != tuple(name for _, name, _ in CLASSES):
        return None
    ids = np.full(256, _UNLABELED, np.uint8)
    ids[: len(CLASSES)] = [label for label, *_ in CLASSES]
    return ids


def _remap(classes: Classes) -> dict[int, int | str] | None:
    if _label_ids(classes) is None:
        return None
    remap: dict[int, int | str] = {label: index for index, (label, *_) in enumerate(CLASSES)}
    return {_UNLABELED: IGNORE, **remap}


def _put_png(path: Path, item: Item) -> bool:
    """Whether the picture was a PNG that stands upright, and is copied."""
    pair = item.pair
    upright = content_format(pair.image) == "PNG" and orientation_of(pair.image) == 1
    if upright and pair.is_file:
        put_picture(path, item)
        return True
    put(path, png(read_picture(pair)))
    return False


def _grey(mask: Mask) -> bytes:
    content = io.BytesIO()
    pil.fromarray(np.ascontiguousarray(mask)).save(content, "PNG")
    return content.getvalue()


def _notes(plan: Plan, cities: list[str], anew: int) -> tuple[str, ...]:
    notes = [*plan.notes]
    if anew:
        notes.append(f"Pictures written anew as PNG, without loss: {anew}.")
    renamed = sum(item.name != name for item, name in zip(plan.items, cities, strict=True))
    if renamed:
        notes.append(f"Names changed so that each has one folder, its city: {renamed}.")
    if _label_ids(plan.data.classes) is None:
        notes.append(
            "The classes are not the 19 of Cityscapes: label ids are class indices, as train ids "
            "are, and other programs must be told the names."
        )
    if len(plan.data.classes) > 255:
        notes.append("Masks are 16-bit grey, as there are over 255 classes.")
    return tuple(notes)
