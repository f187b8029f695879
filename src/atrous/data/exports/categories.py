"""The label space of an annotation file: what is drawn has a category, the rest is background.

A mask says something of each pixel, an annotation of what is drawn. What is left undrawn is the
class that is called background, or, where there is none, what nothing is known of. Readers
count the background as label 0 and the categories from 1; `dataset.toml` says which class each
of these labels is.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from atrous.classes import IGNORE, Classes
from atrous.data.dataset import DataSet
from atrous.data.exports.plan import Plan
from atrous.data.exports.toml import declare
from atrous.data.layouts.annotations import class_names, words
from atrous.data.layouts.labelme import IGNORED
from atrous.data.layouts.labelme import IGNORED_LABEL as _LABELME_VOID
from atrous.data.masks import plane
from atrous.errors import DataError
from atrous.types import Colour, LayoutName, Mask

_BLACK: Colour = (0, 0, 0)


class Categories(NamedTuple):
    """`names` of what is drawn; `values` are the values in masks that they stand for.

    In multilabel masks a value is the index of a bit. `undrawn` is the value that is not drawn,
    None in multilabel masks. `void` is that of the category of what nothing is known of.
    """

    names: tuple[str, ...]
    values: tuple[int, ...]
    undrawn: int | None
    void: int

    @property
    def draws_void(self) -> bool:
        """Whether the last category is of what nothing is known of."""
        return self.void in self.values


def categories_of(data: DataSet) -> Categories:
    """What is drawn of the masks of a data set.

    Raises:
        DataError: two names of classes would be one in an annotation file.
    """
    classes = data.classes
    names = [words(name) for name in classes.names]
    _check(data, names)
    overlap = classes.task == "multilabel"
    places = [class_names([name]).places[name] for name in names]
    values = [k for k in range(len(classes)) if overlap or places[k] > 0]
    undrawn = next((k for k in range(len(classes)) if k not in values), classes.ignore_index)
    drawn = [names[k] for k in values]
    if _has_void(data) and (overlap or undrawn != classes.ignore_index):
        drawn.append(IGNORED)
        values.append(classes.ignore_index)
    return Categories(
        tuple(drawn), tuple(values), None if overlap else undrawn, classes.ignore_index
    )


def layers(
    mask: Mask, classes: Classes, categories: Categories
) -> Iterator[tuple[int, Bool[np.ndarray, "H W"]]]:
    """The place of each category that is there, and its pixels."""
    there = {*np.unique(mask).tolist()}
    for place, value in enumerate(categories.values):
        if classes.task == "multilabel" and value != classes.ignore_index:
            pixels = plane(mask, value, classes) == 1
            if pixels.any():
                yield place, pixels
        elif value in there:
            yield place, mask == value


def declare_categories(plan: Plan, layout: LayoutName, categories: Categories) -> None:
    """Write a `dataset.toml` that gives the labels of the categories their classes back.

    Where classes overlap, those of an annotation file are these after the background, and the
    task says that each has a bit.
    """
    classes = plan.data.classes
    if categories.undrawn is None:
        named = class_names(name for name in categories.names if name != IGNORED).names
        void = _LABELME_VOID if layout == "labelme" else len(named)
        colours = dict(zip(map(words, classes.names), classes.colours, strict=True))
        shown = tuple(colours.get(name, _BLACK) for name in named)
        drawn = replace(classes, names=named, colours=shown, remap={})
        declare(plan, layout, {void: IGNORE} if categories.draws_void else {}, classes=drawn)
        return
    targets = {0: categories.undrawn}
    targets |= {place + 1: value for place, value in enumerate(categories.values)}
    if layout == "labelme":  # its word for void is no label of a class
        targets = {raw: v for raw, v in targets.items() if raw == 0 or v != categories.void}
        targets[_LABELME_VOID] = categories.void
    remap = {
        raw: IGNORE if value == categories.void else value
        for raw, value in targets.items()
        if raw != value
    }
    declare(plan, layout, remap)


def overlap_note(plan: Plan) -> tuple[str, ...]:
    """A sentence on classes that overlap, if they may."""
    if plan.data.classes.task != "multilabel":
        return ()
    background = [name for name in plan.data.classes.names if not class_names([name]).places[name]]
    notes = [
        "Classes may overlap: shapes are written whole, and programs that take one class a "
        "pixel see the last one drawn."
    ]
    if background:
        notes.append(
            f"The class {background[0]!r} is the background of annotations, "
            "and so no class of what is read again."
        )
    return tuple(notes)


def _check(data: DataSet, names: list[str]) -> None:
    """Each class has a place of its own, and none is called as void is."""
    places = class_names(names).places
    owner = {places.get(IGNORED, -1): IGNORED}
    for own, name in zip(data.classes.names, names, strict=True):
        other = owner.setdefault(places[name], own)
        if other != own or name == IGNORED:
            raise DataError(
                data.root,
                found=f"has the class {own!r}, which in an annotation file would be {other!r}",
                allowed=f"each class has a word there, and {IGNORED} is what nothing is known of",
                fix="Rename it in dataset.toml: classes = [...].",
            )


def _has_void(data: DataSet) -> bool:
    void = data.classes.ignore_index
    values = {value for file in data.files for value in file.labels}
    return any((v if data.planes else data.classes.index_of(v)) == void for v in values)
