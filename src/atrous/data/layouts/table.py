"""Image lists: `train.csv`, `val.csv`, or one CSV, with columns for picture, mask and split."""

import csv
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from atrous.data.images import is_image
from atrous.data.layouts import folder
from atrous.data.layouts.json_parts import head
from atrous.data.layouts.legends import with_legend
from atrous.data.layouts.marks import IMAGE_FOLDERS, MASK_FOLDERS, UNLABELLED
from atrous.data.layouts.pairs import (
    UNDIVIDED,
    Found,
    Pool,
    Problems,
    named,
    plain,
    read_lines,
    shown,
    split_name,
)
from atrous.data.layouts.paths import is_absolute, is_there, tails
from atrous.data.masks import is_mask
from atrous.errors import DataError

FORM = "train.csv, val.csv or one CSV, with columns such as image, mask, split"
USUAL = ("data", "dataset", "annotations", "metadata")  # of several lists, the first of these
# Parts of the names of columns; the values must be names of files, too.
_IMAGE = "image img picture photo frame input file path".split()
_MASK = "mask label annot seg gt truth target".split()
_SPLIT = ("split", "subset", "set", "partition", "phase")
_LOOKED_AT = 40  # lines after the heading that tell a list from another table


class _List(NamedTuple):
    """A CSV and its columns by place; `mask` and `split` may be missing."""

    path: Path
    delimiter: str
    image: int
    mask: int | None
    split: int | None


@dataclass
class _Listed:
    """What the lines of a split name: pictures, the masks of pictures, what is wrong."""

    images: list[Path] = field(default_factory=list)
    masks: dict[Path, Path] = field(default_factory=dict)
    problems: list[DataError] = field(default_factory=list)


def recognise(root: Path) -> Found | None:
    """The pools of image lists; None without one, or if it names nothing in a plain folder.

    Raises:
        DataError: several files may be the list; no line has a picture and a mask.
    """
    lists, listed = _lists(root), {}
    for split, table in lists.items():
        _read(table, split, root, listed)
    problems = [problem for lines in listed.values() for problem in lines.problems]
    if not any(lines.masks for lines in listed.values()):
        if not problems or folder.recognise(root):
            return None
        raise problems[0]
    kind = f"image list ({', '.join(table.path.name for table in lists.values())})"
    return with_legend(_found(kind, listed), root)


def _found(kind: str, listed: dict[str, _Listed]) -> Found:
    """Splits with masks are pools; pictures without are unlabelled."""
    names = _names(path for lines in listed.values() for path in lines.images)
    pools, problems = {}, []
    for split, lines in listed.items():
        problems += lines.problems
        if lines.masks:
            images = {names[path]: path for path in lines.images if path in lines.masks}
            truth = {names[path]: mask for path, mask in lines.masks.items()}
            pools[split] = Pool(images, truth, problems=tuple(problems))
            problems = []
    rest = [p for lines in listed.values() for p in lines.images if p not in lines.masks]
    return Found(kind, _with_problems(pools, tuple(problems)), unlabelled=tuple(rest))


def _with_problems(pools: dict[str, Pool], problems: Problems) -> dict[str, Pool]:
    """The pools, the last with the problems of the splits without a mask that came after."""
    *_, last = pools
    pool = pools[last]
    return {**pools, last: Pool(pool.images, pool.masks, problems=pool.problems + problems)}


def _lists(root: Path) -> dict[str, _List]:
    """The lists by split; of one that may hold several splits, the key is `UNDIVIDED`."""
    files = sorted(p for p in root.iterdir() if p.suffix.lower() == ".csv" and p.is_file())
    tables = [table for path in files if (table := _list(path))]
    divided = {split: t for t in tables if (split := split_name(t.path.stem))}
    if any(table.mask is not None for table in divided.values()):
        return divided
    whole = [table for table in tables if table.mask is not None]
    usual = [table for word in USUAL for table in whole if table.path.stem.lower() == word]
    if len(whole) > 1 and not usual:
        raise DataError(
            root,
            found=f"holds {shown(table.path.name for table in whole)}, which all list masks",
            allowed="the list is one CSV, or train.csv, val.csv and test.csv",
            fix="Call the right one data.csv.",
            code="S109",
        )
    return {UNDIVIDED: [*usual, *whole][0]} if whole else {}


def _list(path: Path) -> _List | None:
    """The columns of a CSV; None if none holds names of pictures."""
    heading, *lines = head(path).splitlines()[: _LOOKED_AT + 1] or [""]
    delimiter = max(",;\t", key=heading.count)
    titles = [title.strip().lower() for title in _row(heading, delimiter)]
    rows = [_row(line, delimiter) for line in lines]
    files = [i for i in range(len(titles)) if any(_is_file(row, i) for row in rows)]
    masks = [i for i in files if any(word in titles[i] for word in _MASK)]
    rest = [i for i in files if i not in masks and any(word in titles[i] for word in _IMAGE)]
    splits = [i for i, title in enumerate(titles) if title in _SPLIT]
    if not rest:
        return None
    return _List(path, delimiter, rest[0], next(iter(masks), None), next(iter(splits), None))


def _row(line: str, delimiter: str) -> list[str]:
    """The cells of a line; none if it is empty, or cannot be read."""
    try:
        return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:  # a cell is longer than the reader takes
        return []


def _is_file(row: list[str], column: int) -> bool:
    return column < len(row) and is_mask(Path(row[column].strip()))


def _read(table: _List, split: str, root: Path, listed: dict[str, _Listed]) -> None:
    """Add the lines of a list to what is listed of each split."""
    find_image = _Finder(_places(root, IMAGE_FOLDERS), is_image)
    find_mask = _Finder(_places(root, MASK_FOLDERS), is_mask)
    seen: set[tuple[str, Path]] = set()
    for number, line in enumerate(read_lines(table.path)[1:], 2):
        row, where = _row(line, table.delimiter), f"{table.path}:{number}"
        if not line.strip(table.delimiter + " \t"):
            continue
        word = _cell(row, table.split)
        key = split if table.split is None else _split(word)
        if key is None:
            fault = _wrong(where, f"names the split {word!r}", "splits are train, val and test")
            listed.setdefault(split, _Listed()).problems.append(fault)
            continue
        lines = listed.setdefault(key, _Listed())
        text, mask_text = _cell(row, table.image), _cell(row, table.mask)
        image, mask = find_image(text), find_mask(mask_text)
        if image is None or (mask_text and mask is None):
            gone = f"names {(mask_text if image else text)!r}, which is not there"
            lines.problems.append(_wrong(where, gone, f"paths are relative to {root.name}/"))
        elif (key, image) in seen:
            again = f"lists {text!r} a second time"
            lines.problems.append(_wrong(where, again, "each picture is listed once"))
        else:
            seen.add((key, image))
            lines.images.append(image)
            if mask is not None and key not in UNLABELLED:
                lines.masks[image] = mask


def _cell(row: list[str], column: int | None) -> str:
    return "" if column is None or column >= len(row) else row[column].strip()


def _split(word: str) -> str | None:
    return split_name(word) or (word.lower() if word.lower() in UNLABELLED else None)


@dataclass(frozen=True)
class _Finder:
    """Finds the file that a list names, in the first place that has it.

    Of absolute paths from another machine the last parts count.
    """

    places: list[Path]
    wanted: Callable[[Path], bool]

    def __call__(self, text: str) -> Path | None:
        if not text:
            return None
        ends = tails(text) if is_absolute(text) else [text.replace("\\", "/")]
        paths = (place / end for end in ends for place in self.places)
        there = (path for path in paths if is_there(path) and path.is_file())
        return next((path for path in there if self.wanted(path)), None)


def _places(root: Path, words: Sequence[str]) -> list[Path]:
    """The root, and the folders in it that are called so."""
    return [root, *(folder for word in words if (folder := named(root, word)))]


def _names(images: Iterable[Path]) -> dict[Path, str]:
    """A name for each picture: its path below the folder that holds all, without suffix."""
    images = list(dict.fromkeys(images))
    common = os.path.commonpath([path.parent for path in images])
    paths = {path: Path(os.path.relpath(path, common)) for path in images}
    bare = {path: plain(below.with_suffix("").as_posix()) for path, below in paths.items()}
    counts = Counter(bare.values())
    return {p: n if counts[n] == 1 else plain(paths[p].as_posix()) for p, n in bare.items()}


def _wrong(where: str, found: str, allowed: str) -> DataError:
    fix = "Correct the line, or add the file."
    return DataError(where, found=found, allowed=allowed, fix=fix, code="S106")
