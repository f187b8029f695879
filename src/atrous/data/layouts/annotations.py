"""What annotation files of all tools need: names, classes, numbers, points, errors."""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from unicodedata import category

import numpy as np
from jaxtyping import Bool, Float64

from atrous.data.layouts.json_parts import read_text, unreadable
from atrous.data.layouts.pairs import Pool, plain, shown
from atrous.data.layouts.paths import split_of
from atrous.data.shapes.forms import Patch
from atrous.errors import DataError
from atrous.types import Size

BACKGROUND = "background"
BACKGROUNDS = ("background", "_background_", "__background__")
_FARTHEST = 1e6  # pixels from the corner; what lies beyond is no place in a picture
_BREAKING = ("Cc", "Cs", "Zl", "Zp")  # of Unicode's categories
_LONGEST = 60  # characters of a value in a message
_FULL = 64  # more JSON files in one folder are one a picture, and none of all


class Named(NamedTuple):
    """Class names, the background first, and the place of each name that was given."""

    names: tuple[str, ...]
    places: dict[str, int]


def json_files(folder: Path) -> list[Path]:
    """The few JSON files of a folder; none where each picture has its own."""
    files = sorted(p for p in folder.glob("*.[jJ][sS][oO][nN]") if not p.name.startswith("."))
    return files if len(files) <= _FULL else []


def by_split(pools: Mapping[Path, Pool], root: Path) -> dict[str, Pool]:
    """The pools of several files, those of one split as one; the first has what two list.

    Where some files say a split, what the others list besides them belongs to train.
    """
    united: dict[str, Pool] = {}
    splits = {path: split_of(path, root) for path in pools}
    for path in sorted(pools, key=lambda path: not splits[path]):
        pool, split = pools[path], splits[path]
        if not split and any(united):
            known = {picture for each in united.values() for picture in each.images.values()}
            images = {name: p for name, p in pool.images.items() if p not in known}
            masks = {name: pool.masks[name] for name in images if name in pool.masks}
            pool, split = replace(pool, images=images, masks=masks), "train"
        united[split] = _united(united[split], pool) if split in united else pool
    return united


def picture_names(paths: Iterable[Path]) -> dict[str, Path]:
    """Pictures by their paths below the folder that holds them all, without suffix.

    Of two that would be called the same, the second keeps its suffix.
    """
    paths = list(dict.fromkeys(paths))
    above = os.path.commonpath([path.parent for path in paths]) if paths else ""
    found: dict[str, Path] = {}
    for path in paths:
        name = plain(path.relative_to(above).as_posix())
        bare = plain(path.relative_to(above).with_suffix("").as_posix())
        found[name if bare in found else bare] = path
    return found


def lines_of(path: Path) -> list[str]:
    """The lines of a list, without the empty ones.

    Raises:
        DataError: it is no text.
    """
    try:
        lines = read_text(path).split("\n")
    except DataError as error:
        raise not_understood(path, error.found, "a list is a text in UTF-8", error.fix) from None
    return [line.strip() for line in lines if line.strip()]


def class_names(given: Iterable[str]) -> Named:
    """The classes of names in their order, after the background, each once.

    Example:
        >>> class_names(["car", "_background_", "car"])
        Named(names=('background', 'car'), places={'car': 1, '_background_': 0})
    """
    given = dict.fromkeys(given)
    others = [name for name in given if name.lower() not in BACKGROUNDS]
    places = {name: place for place, name in enumerate(others, 1)}
    return Named((BACKGROUND, *others), {name: places.get(name, 0) for name in given})


def words(value: Any) -> str:
    """A name as one line of text that any terminal can show; "" if it is neither text nor number.

    Example:
        >>> words(" tv\\n"), words(1.0), words(None)
        ('tv', '1.0', '')
    """
    if not isinstance(value, str | int | float):
        return ""
    return one_line(plain(" ".join(str(value).split())))


def one_line(text: str) -> str:
    """A text with `?` for what ends lines, steers terminals or cannot be written as UTF-8."""
    return "".join("?" if category(sign) in _BREAKING else sign for sign in text)


def whole_number(value: Any, *, least: int = 0) -> int | None:
    """A whole number of at least `least`; None if the value is none, or absurdly large."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not math.isfinite(value) or value != int(value) or not least <= value < 1 << 53:
        return None
    return int(value)


def size_of(height: Any, width: Any) -> Size | None:
    """The size that an annotation claims; None where it claims none."""
    rows, columns = whole_number(height, least=1), whole_number(width, least=1)
    return (rows, columns) if rows and columns else None


def points(values: Any, where: object, what: str) -> Float64[np.ndarray, "N 2"]:
    """Points of `[x, y, x, y, ...]` or `[[x, y], ...]`; `what` names their owner in a message.

    Raises:
        DataError: they are no numbers, not in pairs, or nowhere near a picture.
    """
    if isinstance(values, list) and values and all(isinstance(v, list) for v in values):
        values = [v for pair in values for v in pair] if {*map(len, values)} == {2} else None
    if not isinstance(values, list) or not all(_is_number(v) for v in values):
        raise unreadable(where, f"{what} has points that are no numbers ({brief(values)})")
    if len(values) % 2:
        raise unreadable(where, f"{what} has {len(values)} numbers, which are no pairs of x and y")
    far = [v for v in values if not abs(v) <= _FARTHEST]
    if far:
        raise unreadable(where, f"{what} has a point at {brief(far[0])}, which is no place")
    return np.array(values, np.float64).reshape(-1, 2)


def brief(value: Any) -> str:
    """A value as it is written, cut for a message."""
    if isinstance(value, int) and abs(value) >= 10**_LONGEST:
        return "a number of too many digits"
    text = repr(value) if not isinstance(value, list | dict) else type(value).__name__
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def cropped(label: int, there: Bool[np.ndarray, "H W"]) -> Patch:
    """The patch of the true pixels of a picture's mask."""
    rows, columns = np.flatnonzero(there.any(1)), np.flatnonzero(there.any(0))
    if not len(rows):
        return Patch(label, (0, 0), np.zeros((0, 0), bool))
    top, left = int(rows[0]), int(columns[0])
    pixels = there[top : rows[-1] + 1, left : columns[-1] + 1]
    return Patch(label, (top, left), np.array(pixels))  # the whole mask is let go


def unknown_class(where: object, what: str, name: object, known: Sequence[str]) -> DataError:
    """The error for a class that no list names."""
    classes = ", ".join(known[:8]) + ", ..." * (len(known) > 8)
    return DataError(
        where,
        found=f"{what} is of the class {brief(name)}",
        allowed=f"the classes are {classes}",
        fix="Correct it, or add the class to the list.",
        code="A705",
    )


def no_picture(where: object, name: object, what: str, found: list[Path]) -> DataError:
    """The error for an annotation whose picture is missing, or may be one of several."""
    if found:
        some = " or ".join(f"{path.parent.name}/{path.name}" for path in found[:2])
        return DataError(
            where,
            found=f"{what} is for {brief(name)}, which may be {some}",
            allowed="an annotation belongs to one picture",
            fix="Give a folder that holds one of them, or write the folder into the annotation.",
            code="S103",
        )
    return DataError(
        where,
        found=f"{what} is for the picture {brief(name)}, which is not there",
        allowed="each annotation needs its picture",
        fix="Add the picture, or take the annotation out.",
        code="S102",
    )


def listed_twice(where: Path, what: str) -> DataError:
    """The error for a picture that several entries are for."""
    return DataError(
        where,
        found=f"lists {what} a second time",
        allowed="each picture is listed once",
        fix="Remove one of the entries.",
        code="S106",
    )


def not_understood(where: object, found: str, allowed: str, fix: str) -> DataError:
    """The error for a whole annotation file, or folder of them, that says too little."""
    return DataError(where, found=found, allowed=allowed, fix=fix, code="S109")


def only_boxes(where: object, what: str) -> DataError:
    """The error for a data set for detection."""
    return not_understood(
        where,
        found=f"{what} boxes only",
        allowed="to learn the class of each pixel, outlines or masks are needed",
        fix="Export it for segmentation, or draw outlines.",
    )


def _united(first: Pool, other: Pool) -> Pool:
    known = {*first.images.values()}
    again = [name for name, path in other.images.items() if path in known]
    problems = (*first.problems, *other.problems)
    if again:
        file, where = next(iter(first.masks.values())), other.masks[again[0]]
        problems += (listed_twice(where, f"{shown(again)}, which {file.name} lists too,"),)
    images, masks = {**first.images}, {**first.masks}
    for name, path in other.images.items():
        if path not in known:
            free = name if name not in images else plain(path.as_posix())
            images[free], masks[free] = path, other.masks[name]
    return Pool(images, masks, problems=problems)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
