"""Pictures and masks by name, and how they become pairs.

A name is the path inside its folder, without suffix, with `/` between folders. No file is
opened here.
"""

import codecs
import os
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from atrous.data.images import is_image
from atrous.data.layouts.marks import MASK, partners, unmarked, usual_mark
from atrous.data.masks import is_mask
from atrous.data.shapes import Drawing
from atrous.data.windows import Window, is_polygons
from atrous.errors import DataError
from atrous.types import Colour, Task

SPLITS = ("train", "val", "test")
_ALIASES = {"training": "train", "valid": "val", "validation": "val", "testing": "test"}
UNDIVIDED = ""  # the split of pairs that no folder and no list divides


class Pair(NamedTuple):
    """A picture and its mask; `name` is unique within a split.

    The mask is a file, a folder of planes, or the annotation file that it is drawn in. `bands`
    are further files whose bands follow those of the picture. A `window` is the part of a raster
    that is the picture; `image` and `mask` are then files of many pairs.
    """

    name: str
    image: Path
    mask: Path
    bands: tuple[Path, ...] = ()
    window: Window | None = None

    @property
    def is_file(self) -> bool:
        """Whether the file of the picture holds all of it, and nothing else."""
        return not self.bands and self.window is None


Drawings = Callable[[Pair], Drawing]  # what annotation files say of a pair
Problems = tuple[DataError, ...]  # what is wrong with single files; the rest can be used


class Files(NamedTuple):
    """Files by name; of several with one name the first, and a problem."""

    by_name: dict[str, Path]
    problems: Problems = ()


@dataclass(frozen=True)
class Pool:
    """Pictures and masks by name, not yet paired.

    `partial` pools may hold pictures without masks, as Pascal VOC does. `bands` are further
    files of pictures, by name.
    """

    images: dict[str, Path]
    masks: dict[str, Path]
    partial: bool = False
    bands: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    problems: Problems = ()

    def pair(self, name: str) -> Pair:
        """The pair of a name that has a picture and a mask."""
        return Pair(name, self.images[name], self.masks[name], self.bands.get(name, ()))


@dataclass(frozen=True)
class Layout:
    """Where the pairs of a data set lie, and what its layout says about labels.

    `names` and `task` are None where nothing declares them. `remap` is as in `Classes`.
    `planes` are the names of all planes where masks are folders of planes, void left out, else
    None; `drawings` gives what is drawn where masks are annotations, else it is None.
    `unlabelled` are pictures that need no mask and have none. `notes` are the decisions taken, a
    sentence each, for printing; `problems` concern single files, which are in no split.
    `accept` are codes of errors that the owner accepts.
    """

    kind: str
    root: Path
    splits: dict[str, tuple[Pair, ...]]
    names: tuple[str, ...] | None = None
    colours: tuple[Colour, ...] | None = None
    remap: dict[int, int | str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    task: Task | None = None
    planes: tuple[str, ...] | None = None
    drawings: Drawings | None = None
    unlabelled: tuple[Path, ...] = ()
    problems: Problems = ()
    accept: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """What a layout recognised: its pools by split, and what it says about labels.

    `drawings` is set where masks are annotations; a pool's masks are then the annotation files.
    `label_note` says what labels stand for, unless `dataset.toml` names the classes.
    """

    kind: str
    pools: dict[str, Pool]
    names: tuple[str, ...] | None = None
    colours: tuple[Colour, ...] | None = None
    remap: dict[int, int | str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    drawings: Drawings | None = None
    unlabelled: tuple[Path, ...] = ()
    label_note: str = ""


def split_name(text: str) -> str | None:
    """`train`, `val` or `test` for a name or its alias in any case; else None.

    Example:
        >>> split_name("Valid"), split_name("images")
        ('val', None)
    """
    word = text.lower()
    word = _ALIASES.get(word, word)
    return word if word in SPLITS else None


def folders(root: Path) -> list[Path]:
    """The folders inside `root`, hidden ones left out, by name."""
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def split_folders(root: Path, ending: str = "") -> dict[str, Path]:
    """The folders of `root` that are named by splits, such as `valid`, or `valannot`.

    Raises:
        DataError: two of them are the same split.
    """
    found: dict[str, Path] = {}
    for folder in folders(root):
        split = split_name(folder.name.lower().removesuffix(ending))
        if split is None or not folder.name.lower().endswith(ending):
            continue
        if split in found:
            raise DataError(
                root,
                found=f"has {found[split].name}/ and {folder.name}/, which are both {split}",
                allowed="each split is one folder",
                fix="Put them together, or rename one.",
                code="S109",
            )
        found[split] = folder
    return found


def named(folder: Path, word: str) -> Path | None:
    """The folder called `word` in any case, inside `folder`."""
    return next((p for p in folders(folder) if p.name.lower() == word), None)


def pictures(folder: Path) -> Files:
    """Picture files below a folder, by name."""
    return by_name(folder, files_below(folder), is_image)


def masks(folder: Path) -> Files:
    """Mask files below a folder, and files of polygons, by name."""
    return by_name(folder, files_below(folder), holds_labels)


def holds_labels(path: Path) -> bool:
    """Whether the suffix is that of a mask, or of polygons on a raster."""
    return is_mask(path) or is_polygons(path)


def folder_pool(images: Path, masks_folder: Path) -> Pool:
    """The pool of a folder of pictures and one of masks.

    `x_mask.png` also serves `x.jpg`, and so does a folder `x/` of planes.
    """
    return _pool(pictures(images), masks(masks_folder))


def mixed_pool(folder: Path) -> Pool | None:
    """The pool of a folder that holds `x.jpg` beside `x_mask.png`; None without such masks.

    `_mask` may be another word of `marks`; the one that most masks have is taken for all. The
    pairs may lie in the folders inside instead, one for each patient, say, if masks abound.
    """
    deeper = [path for inside in folders(folder) for path in sorted(inside.iterdir())]
    return _beside(folder, sorted(folder.iterdir()), 0.0) or _beside(folder, deeper, 1 / 3)


def _beside(folder: Path, files: list[Path], least: float) -> Pool | None:
    """The pool of these files, if at least this share of the pictures are marked as masks."""
    named = {p: _name(p, folder) for p in files if is_mask(p) and p.is_file()}
    mark = usual_mark(named.values())
    marked = {path for path, name in named.items() if unmarked(name, MASK).mark == mark}
    if mark is None or len(marked) < least * len(named):
        return None
    found = by_name(folder, [path for path in named if path not in marked], is_image)
    return _pool(found, by_name(folder, sorted(marked), is_mask))


def _pool(found: Files, labels: Files) -> Pool:
    """Pictures, and masks under the names of their pictures."""
    problems = [*found.problems]
    truth: dict[str, Path] = {}
    picture = partners(found.by_name, labels.by_name)
    for name, path in labels.by_name.items():
        bare, folder = picture[name], name.rpartition("/")[0]
        if bare not in found.by_name and folder in found.by_name:
            bare, path = folder, path.parent
        if truth.setdefault(bare, path) != path:
            problems.append(_two_masks(path, truth[bare]))
    # Of a folder of planes, files of one name are its own affair.
    used = {*truth.values()}
    problems += [p for p in labels.problems if Path(p.where).parent not in used]
    return Pool(found.by_name, truth, problems=tuple(problems))


def pair_up(pool: Pool, where: Path) -> tuple[tuple[Pair, ...], Problems]:
    """The pairs of a pool by name, and what has no partner."""
    lonely = [
        _unpaired(pool.masks[name], where, "S102", "picture", "mask")
        for name in sorted(pool.masks.keys() - pool.images.keys())
    ]
    if not pool.partial:
        lonely += [
            _unpaired(pool.images[name], where, "S101", "mask", "picture")
            for name in sorted(pool.images.keys() - pool.masks.keys())
        ]
    names = sorted(pool.masks.keys() & pool.images.keys())
    return tuple(pool.pair(name) for name in names), (*pool.problems, *lonely)


def first_problem(problems: Iterable[DataError]) -> DataError | None:
    """The first of several problems, which also tells how many more there are."""
    problems = list(problems)
    if len(problems) < 2:
        return problems[0] if problems else None
    first, more = problems[0], len(problems) - 1
    return type(first)(
        first.where,
        found=f"{first.found} (and {more} more problem{'s' * (more > 1)})",
        allowed=first.allowed,
        fix=first.fix,
        code=first.code,
        pixel=first.pixel,
    )


def shown(names: Iterable[object], limit: int = 3) -> str:
    """Up to `limit` names for a message, then how many more there are.

    Example:
        >>> shown("abcde")
        'a, b, c and 2 more'
    """
    words = [str(name) for name in names]
    more = f" and {len(words) - limit} more" if len(words) > limit else ""
    return ", ".join(words[:limit]) + more


def read_lines(path: Path) -> list[str]:
    """The lines of a text file in UTF-8, or in UTF-16 with its mark, as Notepad may write it.

    Raises:
        DataError: it is neither.
    """
    content = path.read_bytes()
    try:
        return content.decode(encoding_of(content)).splitlines()
    except UnicodeDecodeError as error:
        raise DataError(
            path,
            found=f"is not UTF-8 (byte {error.start} is {content[error.start]:#04x})",
            allowed="lists are UTF-8 text",
            fix="Save it again as UTF-8.",
            code="S106",
        ) from None


def encoding_of(content: bytes) -> str:
    """How a text is written that begins so: UTF-16 with its mark, else UTF-8 with one or without.

    Example:
        >>> encoding_of("a".encode("utf-16")), encoding_of(b"a")
        ('utf-16', 'utf-8-sig')
    """
    utf16 = content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return "utf-16" if utf16 else "utf-8-sig"


def relative(path: Path, root: Path) -> str:
    """`path` below `root` with forward slashes; as it is where it lies elsewhere."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def plain(text: str) -> str:
    """One spelling of a name for look-ups: accents composed, as macOS does not write them."""
    return unicodedata.normalize("NFC", text)


def files_below(folder: Path) -> list[Path]:
    """All files below a folder by name, hidden ones left out with what is in hidden folders.

    Folders that are linked there belong to it, each once: links may lead in circles.
    """
    found, seen = [], set()
    for here, below, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(here)
        if real in seen:
            below.clear()
            continue
        seen.add(real)
        below[:] = sorted(name for name in below if not name.startswith("."))
        found += [Path(here, name) for name in sorted(names)]
    return found


def by_name(folder: Path, files: list[Path], wanted: Callable[[Path], bool]) -> Files:
    """The wanted files by their path below `folder`, without suffix."""
    found: dict[str, Path] = {}
    problems = []
    for path in filter(wanted, files):
        name = _name(path, folder)
        if found.setdefault(name, path) != path:
            problems.append(_doubled(path, found[name], folder))
    return Files(found, tuple(problems))


def _name(path: Path, folder: Path) -> str:
    return plain(path.relative_to(folder).with_suffix("").as_posix())


def _doubled(path: Path, first: Path, folder: Path) -> DataError:
    name = _name(path, folder)
    spelt = filter(None, (_spelling(p, folder) for p in (path, first)))
    return DataError(
        path,
        found="; ".join([f"shares the name {name!r} with {first.name}", *spelt]),
        allowed="pairs are made by name, so each name is there once",
        fix="Rename or remove one of the two.",
        code="S103",
    )


def _spelling(path: Path, folder: Path) -> str:
    """Which letter of a name is written in another way than usual, as macOS does; "" for none."""
    text = path.relative_to(folder).with_suffix("").as_posix()
    sign = next((sign for sign in plain(text) if sign not in text), None)
    if sign is None:
        return ""
    signs = "as several signs" if len(text) > len(plain(text)) else "as another sign"
    return f"{sign!r} is written {signs} in the {path.suffix[1:]} file"


def _two_masks(path: Path, first: Path) -> DataError:
    file, other = sorted((path, first), key=lambda p: not is_mask(p))
    return DataError(
        path.parent,
        found=f"has both {file.name} and {other.name}{'' if is_mask(other) else '/'} "
        "for one picture",
        allowed="a mask is a file, or a folder with a picture a class",
        fix="Remove one of the two.",
        code="S103",
    )


def _unpaired(path: Path, where: Path, code: str, missing: str, one: str) -> DataError:
    return DataError(
        path,
        found=f"has no {missing} (none is called {path.stem!r} below {where.name}/)",
        allowed=f"each {one} needs a {missing} of the same name",
        fix=f"Add the {missing}, or take the {one} out.",
        code=code,
    )
