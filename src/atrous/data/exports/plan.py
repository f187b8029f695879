"""What an export writes where: the pairs with the names they get, and how files come into OUT."""

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple

from atrous.classes import IGNORE, Classes
from atrous.data.dataset import DataSet
from atrous.data.exports.pixels import tiff
from atrous.data.images import orientation_of
from atrous.data.layouts import Pair
from atrous.data.masks import write_mask, write_planes
from atrous.data.survey import read_bits, read_picture, read_raw
from atrous.errors import DataError, RunError
from atrous.files import LOCK, TEMPORARY, make_folder, write_whole
from atrous.types import Mask, Size, Track

_CHUNK = 1 << 20
_TIFF = ".tif"


class Item(NamedTuple):
    """A pair to be written; `name` is its path below the split's folder, without suffix.

    `stem` is that path where all splits share one folder.
    """

    split: str
    name: str
    stem: str
    pair: Pair
    size: Size
    suffix: str


@dataclass(frozen=True)
class Plan:
    """A data set, the folder it is written to, and its pairs in the order of its splits."""

    data: DataSet
    out: Path
    items: tuple[Item, ...]
    notes: tuple[str, ...] = ()
    track: Track | None = None

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that hold pairs."""
        return tuple(dict.fromkeys(item.split for item in self.items))

    def each(self) -> Iterator[Item]:
        """The pairs, one after the other, while progress is shown."""
        yield from self.track(self.items) if self.track else self.items

    def mask(self, item: Item) -> Mask:
        """The mask of a pair, as in `Classes`.

        Raises:
            DataError: the files changed since opening and are no longer fit.
        """
        data, pair = self.data, item.pair
        if data.planes:
            return read_bits(pair, item.size, data.drawings, data.classes)
        raw = read_raw(pair, item.size, data.drawings)
        return data.classes.encode(raw, where=pair.mask)


def make_plan(data: DataSet, out: Path, track: Track | None = None) -> Plan:
    """The pairs with names that stay below OUT and fit into lists. Nothing is written.

    Raises:
        RunError: OUT holds something, or lies inside the data set.
        DataError: a class has a name that `dataset.toml` cannot hold.
    """
    _check_names(data)
    names = _unique((file.split, _safe(file.pair.name)) for file in data.files)
    shared = max(Counter(names).values(), default=0) > 1
    items = tuple(
        Item(
            file.split,
            name,
            f"{file.split}/{name}" if shared else name,
            file.pair,
            file.header.size,
            file.pair.image.suffix if file.pair.is_file else _TIFF,
        )
        for file, name in zip(data.files, names, strict=True)
    )
    number = sum(item.name != item.pair.name for item in items)
    note = f"Names that lead elsewhere, are hidden or fit into no list were changed: {number}."
    return Plan(data, out, items, (note,) * bool(number), track)


def renamed(plan: Plan, name_of: Callable[[Item], str]) -> Plan:
    """The plan with other names, each once in its split, and a note on how many are others."""
    names = _unique((item.split, name_of(item)) for item in plan.items)
    items = tuple(item._replace(name=n) for item, n in zip(plan.items, names, strict=True))
    number = sum(item.name != n for item, n in zip(plan.items, names, strict=True))
    note = f"Names that readers of the format would take for others were changed: {number}."
    return replace(plan, items=items, notes=plan.notes + (note,) * bool(number))


def joined(name: str) -> str:
    """A name without folders.

    Example:
        >>> joined("a/b/c")
        'a_b_c'
    """
    return name.replace("/", "_")


def put(path: Path, content: bytes | str | Iterable[bytes]) -> None:
    """Write a new file whole, with the folders above it.

    Raises:
        RunError: there is one already, or it cannot be written.
    """
    with _new(path):
        write_whole(path, content.encode() if isinstance(content, str) else content)


def put_mask(path: Path, mask: Mask, classes: Classes) -> None:
    """Write class indices as a new PNG, or bits as a new folder of planes, as `put` does."""
    with _new(path):
        if classes.task == "multilabel":
            make_folder(path)
            write_planes(path, mask, classes)
        else:
            write_mask(path, mask, classes)


def put_picture(path: Path, item: Item) -> None:
    """Copy the bytes of a pair's picture, whatever they are; else its pixels as a TIFF."""
    pair = item.pair
    put(path, _chunks(pair.image) if pair.is_file else tiff(read_picture(pair)))


def refuse_multilabel(plan: Plan, to: str) -> None:
    """One class a pixel is all that masks of indices hold.

    Raises:
        DataError: classes may overlap.
    """
    if plan.data.classes.task == "multilabel":
        raise DataError(
            plan.data.root,
            found="has masks of several classes a pixel (multilabel)",
            allowed=f"the masks of {to} hold one class a pixel",
            fix="Export to folder, coco, labelme or yolo, where classes may overlap.",
        )


def turned_note(items: Iterable[Item]) -> tuple[str, ...]:
    """A sentence on pictures that EXIF turns, if there are any: masks are those of turned ones."""
    turned = sum(item.pair.is_file and orientation_of(item.pair.image) > 1 for item in items)
    if not turned:
        return ()
    return (
        f"Pictures that EXIF turns: {turned}. Their bytes are unchanged and their masks fit the "
        "turned pictures; programs that overlook EXIF see them lie on their side.",
    )


@contextmanager
def _new(path: Path) -> Iterator[None]:
    """Room for a new file: the folder it lies in, and errors that say what went wrong."""
    make_folder(path.parent)
    if path.exists():
        raise RunError(
            path,
            found="is there already",
            allowed="two names that differ only in case are one file on this disk",
            fix="Rename one of the pictures.",
        )
    try:
        yield
    except OSError as error:
        raise RunError(
            error.filename or path,
            found=f"cannot be read or written ({error.strerror or error})",
            allowed="a data set is written whole or not at all",
            fix="Make room or choose another --out, and export again into an empty folder.",
        ) from error


def check_place(root: Path, out: Path) -> None:
    """A data set is written into a new or an empty folder outside of that it is made of.

    Raises:
        RunError: it is another.
    """
    allowed, fix = "a data set is written into a new or an empty folder", "Give another folder."
    if out.resolve().is_relative_to(root.resolve()):
        raise RunError(
            out,
            found="lies in the data set",
            allowed="nothing is written into a data set",
            fix=fix,
        )
    if out.is_dir() and any(not p.name.startswith((TEMPORARY, LOCK)) for p in out.iterdir()):
        raise RunError(out, found="is not empty", allowed=allowed, fix=fix)
    if out.exists() and not out.is_dir():
        raise RunError(out, found="is a file", allowed=allowed, fix=fix)


def _check_names(data: DataSet) -> None:
    """`dataset.toml` takes different words and no "ignore"; other layouts are less strict."""
    times = Counter(data.classes.names)
    bad = [name for name in times if not name.strip() or name == IGNORE or times[name] > 1]
    if bad:
        raise DataError(
            data.root,
            found=f"has a class called {bad[0]!r}" + " twice" * (times[bad[0]] > 1),
            allowed='what is written needs a different word for each class, none of them "ignore"',
            fix="Name the classes in dataset.toml: classes = [...].",
        )


def _unique(names: Iterable[tuple[str, str]]) -> list[str]:
    """The names by split, those that are there already with a number."""
    taken: dict[tuple[str, str], None] = {}  # in their order
    for split, name in names:
        tries = chain([name], (f"{name}_{number}" for number in count(2)))
        taken[next((split, free) for free in tries if (split, free) not in taken)] = None
    return [name for _, name in taken]


def _safe(name: str) -> str:
    """A relative path that leads nowhere else, is not hidden, and fits into one line of a list.

    Example:
        >>> _safe("../a b/.c\\n ")
        '_../a b/_.c_'
    """
    text = name.encode("utf-8", "replace").decode().replace("\\", "/")
    parts = [_safe_part(part) for part in text.split("/") if part]
    return "/".join(parts) or "_"


def _safe_part(part: str) -> str:
    plain = "".join("_" if _breaks(sign) else sign for sign in part).strip() or "_"
    return f"_{plain}" if plain.startswith(".") else plain


def _breaks(sign: str) -> bool:
    drive = os.name == "nt" and sign == ":"
    return drive or unicodedata.category(sign) in ("Cc", "Zl", "Zp")


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
