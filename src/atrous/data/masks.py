"""Mask files <-> class indices; folders of planes <-> multilabel masks.

Reading gives the label values as they lie on disk; `Classes.encode` turns them into class
indices. Writing gives index PNGs with the classes' palette. A multilabel mask is a folder with
a picture a class, its plane: 0 where the class is not, anything else where it is.
"""

import io
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64, UInt8
from PIL import Image as pil

from atrous.classes import Classes
from atrous.data.images import fit_image, is_image, open_picture, orientation, turn
from atrous.errors import DataError, ImageError, MaskError
from atrous.files import write_whole
from atrous.types import Colour, Image, Mask, RawMask

IGNORE_COLOUR: Colour = (240, 240, 232)  # near-white
INDICES = "a mask holds class indices (8 or 16-bit grey, palette, 1-bit, or an integer .npy)"
VOID = "void"  # the plane of the pixels that nothing is known of
_SHOWN = 20  # classes in a message
_NOT_IN_NAMES = re.compile(r'[<>:"/\\|?*\x00-\x1f]')  # of files, on one system or another
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # Windows
# Pillow stretches 2 and 4-bit grey to 0-255; a label is the stored number.
_STRETCH = {"L;2": 85, "L;4": 17}


def is_mask(path: Path) -> bool:
    """Whether the suffix is that of a mask file: a picture's, or `.npy`."""
    return is_image(path) or (path.suffix.lower() == ".npy" and not path.name.startswith("."))


def read_mask(path: Path) -> RawMask:
    """Label values of a mask file as they are stored.

    Palette masks give their indices (a GIF of greys alone gives its grey levels), 1-bit masks
    0 and 1. EXIF orientation is applied where the mask file itself has it.

    Raises:
        MaskError: unreadable, lossy (JPEG), or colours or floats in place of indices.
    """
    if path.suffix.lower() == ".npy":
        return _read_array(path)
    try:
        with open_picture(path) as picture:
            return _read_picture(picture, path)
    except ImageError as error:
        raise MaskError(
            error.where, found=error.found, allowed=error.allowed, fix=error.fix
        ) from error


def write_mask(path: Path, mask: Mask, classes: Classes) -> None:
    """Write class indices as a PNG that shows the classes' colours.

    8-bit with a palette, ignore in near-white; 16-bit grey beyond 255 classes.
    """
    picture = pil.fromarray(np.ascontiguousarray(mask))
    if len(classes) <= 255:
        picture.putpalette(_palette(classes).tobytes())
    content = io.BytesIO()
    picture.save(content, format="PNG")
    write_whole(path, content.getvalue())


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
    )


def read_planes(folder: Path, classes: Classes) -> Mask:
    """The multilabel mask of a folder of planes; a class without a plane is nowhere.

    Raises:
        MaskError: a plane cannot be read, is of no class, or is not of the others' size.
    """
    names = plane_names(classes.names, folder)
    places = {name: k for k, name in (*enumerate(classes.names), *enumerate(names))}
    planes = {name: (path, read_mask(path) != 0) for name, path in plane_files(folder).items()}
    size = next(iter(planes.values()))[1].shape
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
    void = mask == classes.ignore_index
    planes = {VOID: void} if void.any() else {}
    for k, name in enumerate(plane_names(classes.names, folder)):
        planes[name] = plane(mask, k, classes) == 1
    for name, there in planes.items():
        content = io.BytesIO()
        pil.fromarray(there.astype(np.uint8) * np.uint8(255)).save(content, format="PNG")
        write_whole(folder / f"{name}.png", content.getvalue())


def plane(mask: Mask, index: int, classes: Classes) -> UInt8[np.ndarray, "H W"]:
    """One class of a multilabel mask: 1 where it is, 0 where not, 255 where nothing is known."""
    there = (mask >> index & 1).astype(np.uint8)
    return np.where(mask == classes.ignore_index, np.uint8(255), there)


def colourise(mask: Mask, classes: Classes) -> UInt8[np.ndarray, "H W 3"]:
    """The mask in the classes' colours, ignore in near-white.

    Where a multilabel mask has several classes, the mean of their colours; where none, black.
    """
    if classes.task != "multilabel":
        return _palette(classes)[mask]
    if mask.dtype != np.int64:
        return _mixed(np.arange(classes.ignore_index + 1), classes)[mask]
    values, places = np.unique(mask, return_inverse=True)
    return _mixed(values, classes)[places.reshape(mask.shape)]


def has_colour(mask: Mask, classes: Classes) -> Bool[np.ndarray, "H W"]:
    """Where there is a class to show: neither void nor, in a multilabel mask, nothing."""
    known = mask != classes.ignore_index
    return known & (mask != 0) if classes.task == "multilabel" else known


def blend(
    image: Image, mask: Mask, classes: Classes, opacity: float = 0.55
) -> UInt8[np.ndarray, "H W 3"]:
    """The picture with the mask's colours laid over it; pixels without a class stay as they are.

    `opacity` 0 gives the picture, 1 the colours.
    """
    below = fit_image(image, bands=3, dtype="uint8").astype(np.uint16)
    weight = round(opacity * 256)
    mixed = (below * (256 - weight) + colourise(mask, classes) * np.uint16(weight) + 128) >> 8
    return np.where(has_colour(mask, classes)[..., None], mixed, below).astype(np.uint8)


def _palette(classes: Classes) -> UInt8[np.ndarray, "N 3"]:
    palette = np.zeros((np.iinfo(classes.dtype).max + 1, 3), np.uint8)
    palette[: len(classes)] = classes.colours
    palette[classes.ignore_index] = IGNORE_COLOUR
    return palette


def _mixed(values: Int64[np.ndarray, " N"], classes: Classes) -> UInt8[np.ndarray, "N 3"]:
    """The colour of each value of a multilabel mask."""
    there = values[:, None] >> np.arange(len(classes)) & 1
    total = there @ np.array(classes.colours)
    mean = np.rint(total / np.maximum(there.sum(1, keepdims=True), 1)).astype(np.uint8)
    mean[values == classes.ignore_index] = IGNORE_COLOUR
    return mean


def _read_picture(picture: pil.Image, path: Path) -> RawMask:
    if picture.format in ("JPEG", "MPO"):
        raise MaskError(
            path,
            found="is a JPEG",
            allowed="lossy compression changes labels at every border, and masks must be exact",
            fix="Make the mask again from its source and save it as PNG.",
        )
    to, stretch = orientation(picture), _STRETCH.get(_raw_mode(picture), 1)
    if picture.mode == "F":
        raise _not_indices(path, "holds 32-bit floats", "Round it and save it as 8-bit PNG.")
    if picture.mode not in ("1", "L", "P", "I") and not picture.mode.startswith("I;16"):
        raise _colours(picture, path)
    if picture.format == "GIF" and picture.mode == "P":
        picture = _grey_levels(picture)
    raw = np.array(turn(picture, to))
    if raw.dtype == bool or stretch > 1:
        return raw.astype(np.uint8) // np.uint8(stretch)
    return raw.astype(raw.dtype.newbyteorder("="), copy=False)


def _grey_levels(picture: pil.Image) -> pil.Image:
    """A GIF's levels, if all its colours are grey.

    It cannot store grey but by a palette, and programs renumber that on saving. Other
    palettes stay indices.
    """
    pixels = np.asarray(picture.convert("RGB"))
    return picture.convert("L") if (pixels == pixels[..., :1]).all() else picture


def _raw_mode(picture: pil.Image) -> str:
    """How grey is packed in the file, such as `"L;4"`; to be asked before decoding."""
    tiles: list[Any] = getattr(picture, "tile", [])
    arguments = tiles[0][3] if tiles else ""
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)[:3]


def _read_array(path: Path) -> RawMask:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # np.load raises ValueError, OSError, EOFError, SyntaxError...
        detail = " ".join(str(error).split()) or type(error).__name__
        found = f"cannot be read as an array ({detail})"
        raise _not_indices(path, found, "Save it again with np.save.") from error
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.size == 0:
        shape = " x ".join(map(str, getattr(array, "shape", ())))
        raise _not_indices(path, f"has the shape {shape or 'of no array'}", "Save it as H x W.")
    if array.dtype.kind not in "iub":
        fix = "Save it as an integer array: np.save(path, mask.astype(np.uint8))."
        raise _not_indices(path, f"holds {array.dtype}", fix)
    dtype = np.dtype(np.uint8) if array.dtype == bool else array.dtype.newbyteorder("=")
    return np.array(array, dtype)


def _colours(picture: pil.Image, path: Path) -> MaskError:
    pixels = np.array(picture.convert("RGB"))
    coloured = np.argwhere((pixels != pixels[..., :1]).any(axis=2))
    y, x = coloured[0] if len(coloured) else np.argwhere(pixels[..., 0] == pixels[..., 0].max())[0]
    colour = ", ".join(map(str, pixels[y, x]))
    found = f"holds colours ({picture.mode}; {colour} at row {y}, column {x})"
    fix = (
        "Replace each colour by its class index and save an 8-bit PNG."
        if len(coloured)
        else "All are grey: if the values are indices, save one band as an 8-bit PNG."
    )
    return _not_indices(path, f"{found} where class indices were expected", fix)


def _no_class(path: Path, name: str, classes: Classes) -> MaskError:
    names = [*classes.names[:_SHOWN], *["..."] * (len(classes) > _SHOWN)]
    return MaskError(
        path,
        found=f"is the plane of {name!r}",
        allowed=f"the classes are {', '.join(names)}, and {VOID} is what nothing is known of",
        fix="Rename the file, add the class to dataset.toml, or take the file out.",
    )


def _other_size(path: Path, size: tuple[int, ...], others: tuple[int, ...]) -> MaskError:
    return MaskError(
        path,
        found=f"is {size[0]} x {size[1]} (height x width)",
        allowed=f"the plane before it is {others[0]} x {others[1]}",
        fix="Make all planes of a picture at its size.",
    )


def _not_indices(path: Path, found: str, fix: str) -> MaskError:
    return MaskError(path, found=found, allowed=INDICES, fix=fix)
