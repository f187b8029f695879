"""Small files beside masks that say which class a label value or a colour is.

`class_dict.csv` (`name,r,g,b`), CamVid's `label_colors.txt` (`r g b name`), CVAT's
`labelmap.txt`, Roboflow's `_classes.csv` (`Pixel Value, Class`), and `id2label.json`.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from atrous.classes import IGNORE, NO_CLASS, colour_label, label_text
from atrous.data.layouts.annotations import BACKGROUNDS
from atrous.data.layouts.json_parts import read_json
from atrous.data.layouts.pairs import Found, read_lines, relative
from atrous.data.masks import is_mask
from atrous.errors import DataError
from atrous.types import Colour

LABELMAP = "labelmap.txt"
_COLOURS = re.compile(r"(class_dict(_seg)?\.csv|labels?_colou?rs\.txt)", re.IGNORECASE)
_IGNORED = ("ignore", "ignored", "__ignore__", "void")
_BETWEEN = r"\s*[\s,;]\s*"
_RGB = _BETWEEN.join([r"(\d{1,3})"] * 3)
_COLOUR_FIRST = re.compile(rf"{_RGB}{_BETWEEN}(\D.*)")
_COLOUR_LAST = re.compile(rf"(.*?\S){_BETWEEN}{_RGB}")
_NUMBERED = re.compile(r"(\d+)\s*[\s,;]\s*(.+)")
_VALUE = re.compile(r"(\d+)\s*[,;]\s*(.+)")


class Entry(NamedTuple):
    """A class as a legend tells it; without a value, its place in the legend is its label."""

    name: str
    colour: Colour | None = None
    value: int | None = None


class Legend(NamedTuple):
    """The classes of a legend; `remap` is as in `Classes`, for label values and colours."""

    path: Path
    names: tuple[str, ...]
    colours: tuple[Colour, ...] | None
    remap: dict[int, int | str]
    ignored: tuple[str, ...]


def with_legend(found: Found, root: Path) -> Found:
    """What was found, with the classes of the legend that lies beside it, if one does.

    It is looked for in `root`, then on the way to the masks. Names that a layout knows stand.

    Raises:
        DataError: a legend cannot be understood, or differs from one split to another.
    """
    legends = [legend for place in _places(found, root) for legend in _legends(place)]
    if not legends or found.names is not None:
        return found
    first, *others = legends
    for other in others:
        if other.path.name == first.path.name and other[1:] != first[1:]:
            raise _refused(
                other.path,
                f"says other things of the classes than {relative(first.path, root)}",
                "the files of one data set agree",
                "Correct one, or remove it.",
            )
    unread = {other.path.name for other in others} - {first.path.name}
    notes = [
        f"{name} was not read: {first.path.name} names the classes." for name in sorted(unread)
    ]
    told = told_by(found, first)
    return replace(told, notes=(*told.notes, *notes))


def told_by(found: Found, legend: Legend) -> Found:
    """What was found, with the classes of a legend and a note that says so."""
    what = "names and colours" if legend.colours else "names"
    ignored = f"; {', '.join(legend.ignored)} is ignored" if legend.ignored else ""
    note = f"Class {what} are those of {legend.path.name} ({len(legend.names)}){ignored}."
    planes = any(not is_mask(mask) for pool in found.pools.values() for mask in pool.masks.values())
    return replace(
        found,
        names=legend.names,
        colours=legend.colours,
        remap=found.remap if planes else {**found.remap, **legend.remap},
        notes=(*found.notes, note),
    )


def legend_of(path: Path, entries: Iterable[Entry]) -> Legend:
    """The legend of these classes in their order; of colours the background comes first.

    Classes called `ignore` or `void` are none. A table of greys is one of label values too.

    Raises:
        DataError: no class; a name, a value or a colour is there twice.
    """
    entries = list(entries)
    _check(path, entries)
    kept = [entry for entry in entries if entry.name.lower() not in _IGNORED]
    coloured = all(entry.colour for entry in entries)
    if coloured:
        kept.sort(key=lambda entry: entry.name.lower() not in BACKGROUNDS)
    index = {entry.name: i for i, entry in enumerate(kept)}
    values = _values(entries)
    remap: dict[int, int | str] = {}
    for value, entry in zip(values, entries, strict=True):
        target = index.get(entry.name, IGNORE)
        if target != value:
            remap[value] = target
        if entry.colour:
            remap[colour_label(entry.colour)] = target
    if all(entry.value is not None for entry in entries):
        remap |= {label: NO_CLASS for label in range(len(kept)) if label not in values}
    return Legend(
        path,
        tuple(_plain_name(entry.name) for entry in kept),
        tuple(entry.colour for entry in kept if entry.colour) if coloured else None,
        remap,
        tuple(entry.name for entry in entries if entry.name not in index),
    )


def read_labelmap(path: Path) -> list[Entry] | None:
    """The classes of a `labelmap.txt` of CVAT or Datumaro; None if it is in another form.

    Lines are `label:r,g,b:parts:actions`; the colour may be left out.

    Raises:
        DataError: a line is in another form than the first.
    """
    entries = []
    for number, line in _lines(path):
        name, *rest = line.split(":")
        if len(rest) < 3 and not entries:
            return None
        colour = re.fullmatch(r"(\d+)\s*,\s*(\d+)\s*,\s*(\d+)", rest[0].strip()) if rest else None
        if len(rest) < 3 or (rest[0].strip() and not colour):
            raise _no_line(path, number, line, "`label:r,g,b:parts:actions`")
        entries.append(
            Entry(name.strip(), _colour(path, number, colour.groups()) if colour else None)
        )
    return entries


def _places(found: Found, root: Path) -> list[Path]:
    """`root`, and the folders on the way from it to the masks of each split."""
    places = [root]
    for pool in found.pools.values():
        mask = next(iter(pool.masks.values()), None)
        if mask is not None and mask.is_relative_to(root):
            steps = len(mask.relative_to(root).parts) - 1
            places += list(reversed(mask.parents[:steps]))
    return list(dict.fromkeys(places))


def _legends(place: Path) -> list[Legend]:
    files = sorted(p for p in place.iterdir() if p.suffix.lower() in (".csv", ".txt", ".json"))
    read = [(path, _entries(path)) for path in files if path.is_file()]
    return [legend_of(path, entries) for path, entries in read if entries is not None]


def _entries(path: Path) -> list[Entry] | None:
    match path.name.lower():
        case name if _COLOURS.fullmatch(name):
            return _read_colours(path)
        case "_classes.csv":
            return _read_values(path)
        case "id2label.json":
            return _read_ids(path)
        case _:
            return None


def _read_colours(path: Path) -> list[Entry]:
    """Lines of a name and three numbers, before or after it; a heading is passed over."""
    entries = []
    for number, line in _lines(path):
        line = line.replace('"', "")
        if found := _COLOUR_FIRST.fullmatch(line):
            *rgb, name = found.groups()
        elif found := _COLOUR_LAST.fullmatch(line):
            name, *rgb = found.groups()
        elif not entries and not re.search(r"\d", line):
            continue
        else:
            raise _no_line(path, number, line, "a name and its red, green and blue")
        numbered = _NUMBERED.fullmatch(name)
        value, name = (int(numbered[1]), numbered[2]) if numbered else (None, name)
        entries.append(Entry(name.strip(), _colour(path, number, rgb), value))
    return entries


def _read_values(path: Path) -> list[Entry] | None:
    """Roboflow's `Pixel Value, Class`; None if the heading is that of another table."""
    lines = _lines(path)
    if not lines or not lines[0][1].lower().startswith("pixel value"):
        return None
    entries = []
    for number, line in lines[1:]:
        found = _VALUE.fullmatch(line)
        if found is None:
            raise _no_line(path, number, line, "`pixel value, class`")
        entries.append(Entry(found[2], value=int(found[1])))
    return sorted(entries, key=lambda entry: entry.value or 0)


def _read_ids(path: Path) -> list[Entry]:
    table = read_json(path)
    if not isinstance(table, dict) or not all(
        re.fullmatch(r"\d+", key) and isinstance(name, str) for key, name in table.items()
    ):
        raise _refused(
            path, "is no table of names by number", 'it is {"0": "wall", ...}', "Correct it."
        )
    return [Entry(table[key], value=int(key)) for key in sorted(table, key=int)]


def _values(entries: list[Entry]) -> list[int]:
    """The label value of each entry: its own, else its grey if all are grey, else its place."""
    values = [entry.value for entry in entries if entry.value is not None]
    if len(values) == len(entries):
        return values
    greys = [e.colour[0] for e in entries if e.colour and len({*e.colour}) == 1]
    return greys if len(greys) == len(entries) else list(range(len(entries)))


def _check(path: Path, entries: list[Entry]) -> None:
    if not any(entry.name.lower() not in _IGNORED for entry in entries):
        raise _refused(path, "names no class", "it names each class once", "Correct it.")
    colours = [label_text(colour_label(e.colour)) for e in entries if e.colour]
    values = [str(entry.value) for entry in entries if entry.value is not None]
    for words in ([entry.name for entry in entries], values, colours):
        word, times = Counter(words).most_common(1)[0] if words else ("", 1)
        if times > 1:
            raise _refused(
                path,
                f"has {word!r} {times} times",
                "each class has a name and a label of its own",
                "Correct the list.",
            )


def _plain_name(name: str) -> str:
    return "background" if name == "_background_" else name


def _lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a legend and their numbers, empty ones and comments left out."""
    lines = enumerate(map(str.strip, read_lines(path)), 1)
    return [(number, line) for number, line in lines if line and not line.startswith(("#", "//"))]


def _colour(path: Path, number: int, parts: Iterable[str]) -> Colour:
    red, green, blue = map(int, parts)
    if max(red, green, blue) > 255:
        raise _no_line(path, number, f"{red} {green} {blue}", "a colour of 0-255")
    return red, green, blue


def _no_line(path: Path, number: int, line: str, allowed: str) -> DataError:
    return _refused(f"{path}:{number}", f"says {line!r}", f"a line is {allowed}", "Correct it.")


def _refused(where: object, found: str, allowed: str, fix: str) -> DataError:
    return DataError(where, found=found, allowed=allowed, fix=fix, code="S109")
