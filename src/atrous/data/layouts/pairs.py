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
from atrous.data.masks import VOID, is_mask, plane_files
from atrous.errors import DataError
from atrous.types import Colour, Task

MASK_ENDING = "_mask"  # `x.jpg` and `x_mask.png`
SPLITS = ("train", "val", "test")
_ALIASES = {"training": "train", "valid": "val", "validation": "val", "testing": "test"}
UNDIVIDED = ""  # the split of pairs that no folder and no list divides


class Pair(NamedTuple):
    """A picture and its mask, a file or a folder of planes; `name` is unique within a split."""

    name: str
    image: Path
    mask: Path


@dataclass(frozen=True)
class Pool:
    """Pictures and masks by name, not yet paired.

    `partial` pools may hold pictures without masks, as Pascal VOC does.
    """

    images: dict[str, Path]
    masks: dict[str, Path]
    partial: bool = False


@dataclass(frozen=True)
class Layout:
    """Where the pairs of a data set lie, and what its layout says about labels.

    `names` and `task` are None where nothing declares them. `remap` is as in `Classes`.
    `planes` are the names of all planes where masks are folders of planes, void left out, else
    None. `notes` are the decisions taken, a sentence each, for printing.
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


@dataclass(frozen=True)
class Found:
    """What a layout recognised: its pools by split, and what it says about labels."""

    kind: str
    pools: dict[str, Pool]
    names: tuple[str, ...] | None = None
    colours: tuple[Colour, ...] | None = None
    remap: dict[int, int | str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


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
            )
        found[split] = folder
    return found


def named(folder: Path, word: str) -> Path | None:
    """The folder called `word` in any case, inside `folder`."""
    return next((p for p in folders(folder) if p.name.lower() == word), None)


def pictures(folder: Path) -> dict[str, Path]:
    """Picture files below a folder, by name."""
    return _by_name(folder, _files(folder), is_image)


def masks(folder: Path) -> dict[str, Path]:
    """Mask files below a folder, by name."""
    return _by_name(folder, _files(folder), is_mask)


def folder_pool(images: Path, masks_folder: Path) -> Pool:
    """The pool of a folder of pictures and one of masks.

    `x_mask.png` also serves `x.jpg`, and so does a folder `x/` of planes.

    Raises:
        DataError: a picture has both a mask file and a folder of planes.
    """
    found = pictures(images)
    truth: dict[str, Path] = {}
    for name, path in masks(masks_folder).items():
        bare, folder = _bare(name, found), name.rpartition("/")[0]
        if bare in found or folder not in found:
            truth[bare] = path
        elif truth.setdefault(folder, path.parent) != path.parent:
            raise _two_masks(truth[folder], path.parent)
    return Pool(found, truth)


def mixed_pool(folder: Path) -> Pool | None:
    """The pool of a folder that holds `x.jpg` beside `x_mask.png`; None without such masks."""
    files = [p for p in sorted(folder.iterdir()) if p.is_file()]
    marked = {p for p in files if is_mask(p) and p.stem.endswith(MASK_ENDING)}
    if not marked:
        return None
    found = _by_name(folder, [p for p in files if p not in marked], is_image)
    truth = _by_name(folder, sorted(marked), is_mask)
    return Pool(found, {name.removesuffix(MASK_ENDING): path for name, path in truth.items()})


def pair_up(pool: Pool, where: Path) -> tuple[Pair, ...]:
    """The pairs of a pool, by name.

    Raises:
        DataError: a picture without a mask or a mask without a picture; names up to three.
    """
    lonely_masks = sorted(pool.masks.keys() - pool.images.keys())
    lonely = [] if pool.partial else sorted(pool.images.keys() - pool.masks.keys())
    if lonely:
        raise _unpaired(where, "picture", "mask", [pool.images[name] for name in lonely])
    if lonely_masks:
        raise _unpaired(where, "mask", "picture", [pool.masks[name] for name in lonely_masks])
    return tuple(Pair(name, pool.images[name], pool.masks[name]) for name in sorted(pool.masks))


def planes_of(splits: dict[str, tuple[Pair, ...]]) -> tuple[str, ...] | None:
    """The names of all planes, sorted, void left out; None if no mask is a folder of planes.

    Raises:
        DataError: some masks are folders of planes, and some are not; a folder is empty.
    """
    masks = [pair.mask for pairs in splits.values() for pair in pairs]
    folders = [mask for mask in masks if mask.is_dir()]
    if not folders:
        return None
    if len(folders) < len(masks):
        file = next(mask for mask in masks if not mask.is_dir())
        raise DataError(
            file,
            found=f"is a file, while {folders[0]} is a folder of planes",
            allowed="masks are all files, or all folders with a picture a class",
            fix="Bring them into one form.",
        )
    return tuple(sorted({name for folder in folders for name in plane_files(folder)} - {VOID}))


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
    utf16 = content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    try:
        return content.decode("utf-16" if utf16 else "utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(
            path,
            found=f"is not UTF-8 (byte {error.start} is {content[error.start]:#04x})",
            allowed="lists are UTF-8 text",
            fix="Save it again as UTF-8.",
        ) from None


def relative(path: Path, root: Path) -> str:
    """`path` below `root` with forward slashes; as it is where it lies elsewhere."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def plain(text: str) -> str:
    """One spelling of a name for look-ups: accents composed, as macOS does not write them."""
    return unicodedata.normalize("NFC", text)


def _files(folder: Path) -> list[Path]:
    found = []
    for here, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        found += [Path(here, name) for name in sorted(names)]
    return found


def _by_name(folder: Path, files: list[Path], wanted: Callable[[Path], bool]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in filter(wanted, files):
        name = plain(path.relative_to(folder).with_suffix("").as_posix())
        if name in found:
            raise DataError(
                folder,
                found=f"holds {found[name].name} and {path.name}, which share the name {name!r}",
                allowed="pairs are made by name, so each name is there once",
                fix="Rename or remove one of the two.",
            )
        found[name] = path
    return found


def _bare(name: str, images: dict[str, Path]) -> str:
    bare = name.removesuffix(MASK_ENDING)
    return bare if name not in images and bare in images else name


def _two_masks(file: Path, folder: Path) -> DataError:
    return DataError(
        folder.parent,
        found=f"has both {file.name} and {folder.name}/ for one picture",
        allowed="a mask is a file, or a folder with a picture a class",
        fix="Remove one of the two.",
    )


def _unpaired(where: Path, one: str, other: str, paths: list[Path]) -> DataError:
    names = shown(path.relative_to(where).as_posix() for path in paths)
    plural = f"a {one}" if len(paths) == 1 else f"{len(paths)} {one}s"
    return DataError(
        where,
        found=f"has {plural} without a {other}: {names}",
        allowed="each picture needs a mask of the same name, and each mask a picture",
        fix=f"Add the missing {other}, or take the {one} out.",
    )
