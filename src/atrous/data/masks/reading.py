"""Mask files -> the labels that they hold.

A label is a number where the file has one band (grey, palette, 1 bit, an array), and a colour
where it has three. Colours, and pixels that are not there, are labels beyond all others: see
`classes`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import numpy as np
from jaxtyping import Int32, Shaped, UInt8
from PIL import Image as pil

from atrous.classes import COLOURED, TRANSPARENT
from atrous.data.images import (
    STRETCHED,
    content_format,
    is_image,
    open_picture,
    orientation,
    raw_mode,
    read_image,
    read_tiff,
    turn,
)
from atrous.data.images.refusals import check_pixels
from atrous.data.masks.lossy import lossy_form
from atrous.errors import ImageError, MaskError
from atrous.types import RawMask

INDICES = "a mask holds class indices (8 or 16-bit grey, palette, 1-bit, or an integer .npy)"
COLOURS = "a mask has one band of class indices, or three of colours"
_BLACK, _WHITE = (0, COLOURED), (255, COLOURED + 0xFFFFFF)  # as numbers and as colours
_DEEP = 257  # times a colour of 8 bits is the same of 16

Bands = Shaped[np.ndarray, "H W C"]


def is_mask(path: Path) -> bool:
    """Whether the suffix is that of a mask file: a picture's, or `.npy`."""
    return is_image(path) or (path.suffix.lower() == ".npy" and not path.name.startswith("."))


def read_mask(path: Path) -> RawMask:
    """Label values of a mask file as they are stored.

    Palette masks give their indices (a GIF of greys alone gives its grey levels), 1-bit masks
    0 and 1, masks of three bands int32 labels of colours. EXIF orientation is applied where the
    mask file itself has it.

    Of masks with alpha, a palette's among them, pixels of alpha 0 are `TRANSPARENT`, and others
    are their colour; of grey, their number. Alpha that is the same everywhere says nothing. Where
    the whole picture is of one colour, or all that shows is black or all white, the mask is alpha
    itself.

    Raises:
        MaskError: unreadable, lossy (JPEG), floats, or bands that are no colours.
    """
    if path.suffix.lower() == ".npy":
        return _read_array(path)
    with _as_mask_error():
        kind = content_format(path)
        if form := lossy_form(path, kind):
            raise MaskError(
                path,
                found=f"is {form}",
                allowed="lossy compression changes labels at every border, and masks must be exact",
                fix="Make the mask again from its source and save it as PNG.",
                code="M406",
            )
        if kind == "TIFF":
            return _labels_of(read_tiff(path), path)
        with open_picture(path) as picture:
            return _read_picture(picture, path)


def read_lossy_mask(path: Path) -> UInt8[np.ndarray, "H W"] | UInt8[np.ndarray, "H W 3"]:
    """The pixels of a picture in which labels were blurred: 8 bits, grey or RGB.

    Grey where the three bands are alike. EXIF orientation is applied.

    Raises:
        MaskError: it cannot be decoded.
    """
    with _as_mask_error(), open_picture(path) as picture:
        to = orientation(picture)
        pixels = np.array(turn(picture if picture.mode == "L" else picture.convert("RGB"), to))
    if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
        return np.ascontiguousarray(pixels[..., 0])
    return pixels


@contextmanager
def _as_mask_error() -> Iterator[None]:
    try:
        yield
    except ImageError as error:
        raise MaskError(
            error.where,
            found=error.found,
            allowed=error.allowed,
            fix=error.fix,
            code=error.code,
            pixel=error.pixel,
        ) from error


def _read_picture(picture: pil.Image, path: Path) -> RawMask:
    packing, to = raw_mode(picture), orientation(picture)
    if picture.mode in ("1", "L", "I") or picture.mode.startswith("I;16"):
        largest = _largest(picture)  # to be asked before decoding
        return _numbers(
            _unstretched(np.array(turn(picture, to)), largest), STRETCHED.get(packing, 1)
        )
    if picture.mode == "P":
        return _read_palette(picture, to)
    if ";16" in packing:  # Pillow keeps 8 of 16 bits of colours
        bands = read_image(path)
        if picture.mode in ("LA", "RGBA"):
            alpha = np.array(turn(picture.getchannel("A"), to))
            bands = np.concatenate([bands, alpha[..., None]], axis=2)
        return _labels_of(bands, path)
    plain = {"LA": "LA", "La": "LA", "RGBA": "RGBA", "RGBa": "RGBA", "PA": "RGBA"}
    picture = picture.convert(plain.get(picture.mode, "RGB"))
    return _labels_of(np.array(turn(picture, to)), path)


def _read_palette(picture: pil.Image, to: int) -> RawMask:
    indices = turn(picture, to)
    if picture.format == "GIF":
        indices = _grey_levels(indices)
    return np.array(indices)


def _grey_levels(picture: pil.Image) -> pil.Image:
    """A GIF's levels, if all its colours are grey.

    It cannot store grey but by a palette, and programs renumber that on saving. Other
    palettes stay indices.
    """
    pixels = np.asarray(picture.convert("RGB"))
    return picture.convert("L") if (pixels == pixels[..., :1]).all() else picture


def _labels_of(bands: Bands, path: Path) -> RawMask:
    """The labels in one band of numbers or three of a colour, either with alpha or without."""
    count = bands.shape[2]
    if bands.dtype.kind == "f":
        found = f"holds {bands.dtype.itemsize * 8}-bit floats"
        raise _not_indices(path, found, "Round it and save it as 8-bit PNG.", "M415")
    if count > 4:
        raise MaskError(
            path,
            found=f"has {count} bands",
            allowed=COLOURS,
            fix="Save one band; or a folder of planes, one picture for each class.",
            code="M416",
        )
    if count < 3:
        plain = _numbers(bands[..., 0])
    else:
        plain = _colour_labels(_eight_bits(bands[..., :3], path))
    if count in (1, 3):
        return plain
    alpha = bands[..., -1]
    if count == 2:  # numbers say what they are; the mask is not in the alpha
        varies = (alpha != alpha.flat[0]).any()
        return np.where(alpha == 0, np.int32(TRANSPARENT), plain) if varies else plain
    return _with_alpha(plain, alpha)


def _largest(picture: pil.Image) -> int:
    """The largest number that a PGM says it holds; Pillow stretches to 255 or 65535. Else 0."""
    tiles = getattr(picture, "tile", []) if picture.format == "PPM" else []
    arguments = tiles[0][3] if tiles else ()
    return int(arguments[1]) if isinstance(arguments, tuple) and len(arguments) > 1 else 0


def _unstretched(array: np.ndarray, largest: int) -> np.ndarray:
    """The stored numbers of a PGM."""
    if largest in (0, 255, 65535) or array.dtype == bool:
        return array
    full = 255 if array.dtype == np.uint8 else 65535
    return np.rint(array.astype(np.float64) * largest / full).astype(array.dtype)


def _numbers(array: Shaped[np.ndarray, "H W"], stretch: int = 1) -> RawMask:
    if array.dtype == bool or stretch > 1:
        return array.astype(np.uint8) // np.uint8(stretch)
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False))


def _colour_labels(bands: UInt8[np.ndarray, "H W C"]) -> Int32[np.ndarray, "H W"]:
    """The labels of the colours in the first three bands."""
    label = np.empty((*bands.shape[:2], 4), np.uint8)  # of each byte, the lowest first
    label[..., 0], label[..., 1], label[..., 2] = bands[..., 2], bands[..., 1], bands[..., 0]
    label[..., 3] = COLOURED >> 24
    return label.view("<i4")[..., 0].astype(np.int32, copy=False)


def _eight_bits(bands: Bands, path: Path) -> UInt8[np.ndarray, "H W 3"]:
    """Colours of 8 bits that were saved with more: as they are, or times 257."""
    if bands.dtype == np.uint8:
        return bands
    low, high = int(bands.min()), int(bands.max())
    if low >= 0 and high <= 255:
        return bands.astype(np.uint8)
    wide = bands.astype(np.int64)
    if low < 0 or high > 65535 or (wide % _DEEP).any():
        raise MaskError(
            path,
            found=f"has three bands of {bands.dtype} from {low} to {high}",
            allowed=COLOURS + " of 8 bits",
            fix="Save the band that holds the labels, or colours of 8 bits.",
            code="M416",
        )
    return (wide // _DEEP).astype(np.uint8)


def _with_alpha(labels: RawMask, alpha: Shaped[np.ndarray, "H W"]) -> RawMask:
    """The labels of a mask with alpha: see `read_mask`.

    Black that is transparent everywhere is an empty mask among others that show colours.
    """
    constant = (labels == labels.flat[0]).all()
    hidden = alpha == 0
    if (alpha == alpha.flat[0]).all() and (
        not constant or alpha.flat[0] == np.iinfo(alpha.dtype).max
    ):
        return labels
    if constant and not (hidden.all() and labels.flat[0] in _BLACK):
        return np.ascontiguousarray(alpha)
    shown = labels[~hidden]
    if shown.size and (shown == shown[0]).all() and shown[0] in _BLACK + _WHITE:
        return np.ascontiguousarray(alpha)
    return np.where(hidden, np.int32(TRANSPARENT), labels)


# NumPy parses an array's header as a Python literal, and CPython 3.11 raises SystemError where two
# threads do that at once.
_ONE_HEADER = Lock()


def _read_array(path: Path) -> RawMask:
    try:
        with _ONE_HEADER:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # np.load raises ValueError, OSError, EOFError, SyntaxError...
        detail = " ".join(str(error).split()) or type(error).__name__
        found = f"cannot be read as an array ({detail})"
        empty = path.is_file() and not path.stat().st_size
        code = "F203" if empty else "F201"
        raise _not_indices(path, found, "Save it again with np.save.", code) from error
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.size == 0:
        shape = " x ".join(map(str, getattr(array, "shape", ())))
        raise _not_indices(
            path, f"has the shape {shape or 'of no array'}", "Save it as H x W.", "M416"
        )
    if array.dtype.kind not in "iub":
        fix = "Save it as an integer array: np.save(path, mask.astype(np.uint8))."
        raise _not_indices(path, f"holds {array.dtype}", fix, "M415")
    height, width = array.shape
    check_pixels(path, width, height)
    if array.dtype == np.uint64 and array.max() > np.iinfo(np.int64).max:
        found = f"holds {array.max()}"
        raise _not_indices(path, found, "Number the classes from 0.", "M403")
    return np.array(_numbers(array))


def _not_indices(path: Path, found: str, fix: str, code: str) -> MaskError:
    return MaskError(path, found=found, allowed=INDICES, fix=fix, code=code)
