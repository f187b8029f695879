"""Folders of planes <-> multilabel masks.

A multilabel mask is a folder with a picture a class, its plane: 0, black or transparent where
the class is not, anything else where it is.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image as pil

from atrous.classes import COLOURED, TRANSPARENT, Classes
from atrous.data.masks.painting import flat_png
from atrous.data.masks.reading import is_mask, read_mask
from atrous.errors import DataError, MaskError
from atrous.files import write_whole
from atrous.types import Mask, RawMask

VOID = "void"  # the plane of the pixels that nothing is known of
_SHOWN = 20  # classes in a message
_NOT_IN_NAMES = re.compile(r'[<>:"/\\|?*\x00-\x1f]')  # of files, on one system or another
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # Windows


def plane_names(names: Iterable[str], where: object) -> tuple[str, ...]:
    """What the file of each class is called, without suffix: what no system accepts is `_`.

    Example:
        >>> plane_names(("road", "wet/icy"), "a.toml")
        ('road', 'wet_icy')

    Raises:
        DataError: two classes would share a file, or one that of void.
    """
    owner = {VOID: "the pixels that nothing is known of"}
    safe: list[str] = []
    for name in names:
        file = unicodedata.normalize("NFC", _NOT_IN_NAMES.sub("_", name)).strip(" .") or "_"
        file += "_" * bool(_DEVICES.fullmatch(file))
        other = owner.setdefault(file.casefold(), repr(name))
        if other != repr(name):
            raise DataError(
                where,
                found=f"has the class {name!r}, whose file {file}.png would be that of {other}",
                allowed="in masks of several classes a pixel, each class has a file of its own",
                fix="Rename the class.",
            )
        safe.append(file)
    return tuple(safe)


def plane_files(folder: Path) -> dict[str, Path]:
    """The planes of a folder by name, that of void among them.

    Raises:
        MaskError: there are none, or two have the same name.
    """
    paths = [p for p in sorted(folder.iterdir()) if is_mask(p) and p.is_file()]
    found = {unicodedata.normalize("NFC", path.stem): path for path in paths}
    if 0 < len(found) == len(paths):
        return found
    raise MaskError(
        folder,
        found="holds two files of one name" if found else "holds no plane",
        allowed="a mask of planes is a folder with one picture a class",
        fix="Rename or remove one of the two." if found else "Add a plane, if only void.png.",
        code="M416",
    )


def read_planes(folder: Path, classes: Classes) -> Mask:
    """The multilabel mask of a folder of planes; a class without a plane is nowhere.

    Raises:
        MaskError: a plane cannot be read, is of no class, or is not of the others' size.
    """
    names = plane_names(classes.names, folder)
    places = {name: k for k, name in (*enumerate(classes.names), *enumerate(names))}
    planes = {name: (path, _there(read_mask(path))) for name, path in plane_files(folder).items()}
    size = Counter(there.shape for _, there in planes.values()).most_common(1)[0][0]
    mask = np.zeros(size, classes.dtype)
    for name, (path, there) in planes.items():
        if there.shape != size:
            raise _other_size(path, there.shape, size)
        if name == VOID:
            continue
        if name not in places:
            raise _no_class(path, name, classes)
        mask |= there * classes.dtype(1 << places[name])
    if VOID in planes:
        mask[planes[VOID][1]] = classes.ignore_index
    return mask


def write_planes(folder: Path, mask: Mask, classes: Classes) -> None:
    """Write a multilabel mask as 0/255 PNGs, one a class; and `void.png` if there is void."""
    for name, content in plane_pngs(mask, classes, folder):
        write_whole(folder / name, content)


def plane_pngs(mask: Mask, classes: Classes, where: object) -> Iterator[tuple[str, bytes]]:
    """The files that `write_planes` writes, each with its name, one after the other."""
    void = mask == classes.ignore_index
    if void.any():
        yield f"{VOID}.png", _png(void)
    for k, name in enumerate(plane_names(classes.names, where)):
        yield f"{name}.png", _png(plane(mask, k, classes) == 1)


def _png(there: Bool[np.ndarray, "H W"]) -> bytes:
    return flat_png(pil.fromarray(there.astype(np.uint8) * np.uint8(255)))


def plane(mask: Mask, index: int, classes: Classes) -> UInt8[np.ndarray, "H W"]:
    """One class of a multilabel mask: 1 where it is, 0 where not, 255 where nothing is known."""
    there = (mask >> index & 1).astype(np.uint8)
    return np.where(mask == classes.ignore_index, np.uint8(255), there)


def _there(raw: RawMask) -> Bool[np.ndarray, "H W"]:
    return (raw != 0) & (raw != COLOURED) & (raw != TRANSPARENT)


def _no_class(path: Path, name: str, classes: Classes) -> MaskError:
    names = [*classes.names[:_SHOWN], *["..."] * (len(classes) > _SHOWN)]
    return MaskError(
        path,
        found=f"is the plane of {name!r}",
        allowed=f"the classes are {', '.join(names)}, and {VOID} is what nothing is known of",
        fix="Rename the file, add the class to dataset.toml, or take the file out.",
        code="M416",
    )


def _other_size(path: Path, size: tuple[int, ...], others: tuple[int, ...]) -> MaskError:
    return MaskError(
        path,
        found=f"is {size[0]} x {size[1]} (height x width)",
        allowed=f"the other planes are {others[0]} x {others[1]}",
        fix="Make all planes of a picture at its size.",
        code="M416",
    )
