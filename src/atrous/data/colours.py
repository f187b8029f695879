"""Masks in colours: which class a colour is, by a table or by what is found."""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from atrous.classes import (
    COLOURED,
    IGNORE,
    TRANSPARENT,
    Classes,
    colour_label,
    label_colour,
    label_text,
)
from atrous.data.layouts import Layout
from atrous.data.layouts.voc import NAMES as VOC_NAMES
from atrous.data.layouts.voc import colour_map
from atrous.errors import DataError
from atrous.types import Colour

BINARY = ("background", "foreground")
BLACK: Colour = (0, 0, 0)
VOC_VOID: Colour = (224, 224, 192)  # the rims of Pascal VOC's masks
MOST_COLOURS = 64  # of masks without a table; photographs have thousands
_SHOWN = 8


class Space(NamedTuple):
    """A label space and a sentence on each decision that led to it."""

    classes: Classes
    notes: tuple[str, ...]


def grey_levels(values: Iterable[int], table: Collection[Colour]) -> dict[int, int]:
    """The level of each grey, if masks hold greys alone, and other ones than a table's.

    Example:
        >>> grey_levels({colour_label((7, 7, 7))}, table=())
        {17237767: 7}
    """
    colours = [value for value in values if value >= COLOURED]
    found = {value: label_colour(value) for value in colours}
    if all(colour in table for colour in found.values()):
        return {}
    levels = {v: colour[0] for v, colour in found.items() if colour and len({*colour}) == 1}
    return levels if len(levels) == len(colours) else {}


def table_of_colours(classes: Classes, values: Iterable[int]) -> dict[int, int | str]:
    """What the colours in masks stand for that are not mapped yet: their classes, or nothing.

    Transparent pixels, the rims of Pascal VOC and black are ignored where they are no class.
    """
    known: dict[int, int | str] = {TRANSPARENT: IGNORE}
    known |= {colour_label(colour): IGNORE for colour in (BLACK, VOC_VOID)}
    known |= {colour_label(colour): index for index, colour in enumerate(classes.colours)}
    return {v: known[v] for v in sorted(values) if v in known and v not in classes.remap}


def derived_from_colours(layout: Layout, values: set[int]) -> Space:
    """The label space of colours that nothing names: one class each, black is the background.

    Raises:
        DataError: too many colours; colours and numbers, which no table joins.
    """
    colours = sorted(value for value in values if COLOURED <= value < TRANSPARENT)
    numbers = sorted(value for value in values if value < COLOURED and value not in layout.remap)
    if numbers:
        raise _both(layout, numbers, colours)
    if len(colours) > MOST_COLOURS:
        raise _too_many(layout, colours)
    if layout.kind == "Pascal VOC" and (space := _voc(layout, colours)):
        return space
    grounds = {colour_label(BLACK), TRANSPARENT}
    if TRANSPARENT in values and not grounds & {*colours}:
        colours = [TRANSPARENT, *colours]
    words = [label_text(value) for value in colours]
    if len(colours) == 2 and colours[0] in grounds:
        names = BINARY
        note = (
            f"Classes: background ({words[0]}), foreground ({words[1]}), from the masks' colours."
        )
    else:
        names = tuple(
            "background" if value in grounds else word
            for value, word in zip(colours, words, strict=True)
        )
        note = f"Classes: {len(names)}, one for each colour in the masks; "
        note += "`classes` and `colours` in dataset.toml name them."
    shown = tuple(label_colour(value) or BLACK for value in colours)
    remap = {value: index for index, value in enumerate(colours)}
    return Space(Classes(names, shown, {**remap, **layout.remap}), (note,))


def _voc(layout: Layout, colours: list[int]) -> Space | None:
    table = colour_map(len(VOC_NAMES))
    known = {colour_label(colour) for colour in (*table, VOC_VOID)}
    if not known.issuperset(colours):
        return None
    note = "Classes: the 21 of Pascal VOC, by the masks' colours."
    return Space(Classes(tuple(VOC_NAMES), table, layout.remap), (note,))


def _both(layout: Layout, numbers: list[int], colours: list[int]) -> DataError:
    return DataError(
        layout.root,
        found=f"has masks of numbers ({_listed(numbers)}) and of colours ({_listed(colours)})",
        allowed="nothing says which number is which colour",
        fix="Name the classes in dataset.toml: `classes`, and their `colours` in the same order.",
        code="M409",
    )


def _too_many(layout: Layout, colours: list[int]) -> DataError:
    return DataError(
        layout.root,
        found=f"has masks of {len(colours):,} colours ({_listed(colours)})",
        allowed=f"without declared classes, up to {MOST_COLOURS} colours are read as classes",
        fix="Check that these are masks, saved without loss; or declare `classes` and `colours`.",
        code="M409",
    )


def _listed(values: list[int]) -> str:
    return ", ".join(map(label_text, values[:_SHOWN])) + ", ..." * (len(values) > _SHOWN)
