"""What Pillow decodes, each format by its own class; used here and in the child alike."""

from collections.abc import Callable
from typing import IO, Any, NamedTuple

import numpy as np
from jaxtyping import Shaped
from PIL import Image as pil
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import jpeg_factory
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile

from atrous.data.images.formats import Format
from atrous.data.images.refusals import check_pixels, too_many
from atrous.errors import ImageError
from atrous.types import Image, Size

GREY_8 = ("1", "L", "LA", "La")
GREY_16 = ("I;16", "I;16B", "I;16L", "I;16N", "I")
_ORIENTATION = 0x0112  # the EXIF tag
_TRANSPOSE = {
    2: pil.Transpose.FLIP_LEFT_RIGHT,
    3: pil.Transpose.ROTATE_180,
    4: pil.Transpose.FLIP_TOP_BOTTOM,
    5: pil.Transpose.TRANSPOSE,
    6: pil.Transpose.ROTATE_270,
    7: pil.Transpose.TRANSVERSE,
    8: pil.Transpose.ROTATE_90,
}
# LZW's longest code has 12 bits and stands for at most 4096 pixels: no GIF holds more a byte.
_GIF_PIXELS_A_BYTE = 4096
STRETCHED = {"L;2": 85, "L;4": 17}  # Pillow spreads 2 and 4 bits of grey over 0-255


class Header(NamedTuple):
    """What a picture is, without its pixels; `size` is that after EXIF orientation."""

    size: Size
    bands: int
    dtype: str


def opener(kind: Format) -> Callable[[IO[bytes], str], pil.Image]:
    """The class of a format that is decoded in this process.

    Not `Image.open`: it would try formats outside the list, Pillow's limit is process-wide,
    and warnings cannot be silenced in one thread alone.
    """
    match kind:
        case "PNG":
            return PngImageFile
        case "JPEG":
            return jpeg_factory
        case "BMP":
            return BmpImageFile
        case "GIF":
            return GifImageFile
        case "PNM":
            return PpmImageFile
        case _:
            raise AssertionError(f"{kind} is decoded in a child")


def check_size(picture: pil.Image, file_bytes: int, where: object) -> None:
    """Refuse, by its header, a picture that is too large or cannot be in so short a file."""
    width, height = picture.size
    check_pixels(where, width, height)
    if picture.format == "GIF" and width * height > _GIF_PIXELS_A_BYTE * file_bytes:
        found = f"claims {width} x {height} pixels in {file_bytes} bytes"
        raise too_many(where, found, f"a GIF holds at most {_GIF_PIXELS_A_BYTE} a byte")


def orientation(picture: pil.Image) -> int:
    """EXIF orientation 1-8 that is still to be applied; 1 where EXIF is absent or broken.

    To be called before pixels are decoded. A TIFF turns itself while decoding.
    """
    return 1 if picture.format == "TIFF" else stored_orientation(picture)


def stored_orientation(picture: pil.Image) -> int:
    """EXIF orientation 1-8 as the file has it; 1 where EXIF is absent or broken."""
    try:  # the base class' method: that of PNG decodes the whole picture first
        value = pil.Image.getexif(picture).get(_ORIENTATION, 1)
    except Exception:  # broken EXIF raises nearly anything; the pixels may be whole
        return 1
    return value if value in _TRANSPOSE else 1


def turn(picture: pil.Image, to: int) -> pil.Image:
    """The picture turned upright from EXIF orientation `to`."""
    return picture.transpose(_TRANSPOSE[to]) if to in _TRANSPOSE else picture


def turn_array(pixels: Shaped[np.ndarray, "H W *C"], to: int) -> Shaped[np.ndarray, "h w *C"]:
    """`turn` for an array, such as a mask of the stored picture.

    Example:
        >>> turn_array(np.uint8([[1, 2, 3]]), 6)
        array([[1],
               [2],
               [3]], dtype=uint8)
    """
    turned = pixels.swapaxes(0, 1) if to > 4 else pixels
    rows = -1 if to in (3, 4, 7, 8) else 1
    columns = -1 if to in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(turned[::rows, ::columns])


def header(picture: pil.Image, to: int) -> Header:
    """What `pixels` will give."""
    width, height = picture.size
    size = (width, height) if to > 4 else (height, width)
    if picture.mode == "F":
        return Header(size, 1, "float32")
    if raw := _deep_colours(picture):
        return Header(size, 1 if raw.startswith("LA") else 3, "uint16")
    bands = 1 if picture.mode in GREY_8 + GREY_16 else 3
    return Header(size, bands, "uint16" if picture.mode in GREY_16 else "uint8")


def pixels(picture: pil.Image, to: int, where: object) -> Image:
    """The pixels of a picture, turned upright from EXIF orientation `to`."""
    picture = turn(_plain(picture), to)
    array = np.array(picture)
    if picture.mode in GREY_16:
        array = _as_uint16(array, where)
    return array[..., None] if array.ndim == 2 else array


def deep_pixels(picture: pil.Image, to: int) -> Image | None:
    """The pixels of a PNG that has 16 bits for each of several bands; None of any other.

    Pillow keeps the upper byte of each value alone. `picture` is not decoded yet.
    """
    if not isinstance(picture, PngImageFile):
        return None
    match _deep_colours(picture):
        case "LA;16B":  # as four bands of 8 bits: grey's upper byte, its lower one, alpha's two
            bands = _unpacked(picture, "RGBA", to)
            upper, lower = bands[..., :1], bands[..., 1:2]
        case "RGB;16B" | "RGBA;16B" as raw:
            file = picture.fp
            assert file is not None  # it is not decoded yet
            upper = _unpacked(picture, raw, to)[..., :3]
            file.seek(0)
            # Decoded again as if the upper byte came last, the lower one is what Pillow keeps.
            lower = _unpacked(PngImageFile(file), raw.replace("16B", "16L"), to)[..., :3]
        case _:
            return None
    return upper.astype(np.uint16) << np.uint16(8) | lower


def _deep_colours(picture: pil.Image) -> str:
    """How a PNG of several 16-bit bands is packed, such as `"RGB;16B"`; "" of any other."""
    raw = raw_mode(picture) if picture.format == "PNG" else ""
    return raw if raw in ("LA;16B", "RGB;16B", "RGBA;16B") else ""


def raw_mode(picture: pil.Image) -> str:
    """How pixels are packed in the file, such as `"L;4"`; to be asked before decoding."""
    tiles: list[Any] = getattr(picture, "tile", [])
    arguments = tiles[0][3] if tiles else ""
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def _unpacked(picture: pil.Image, raw: str, to: int) -> np.ndarray:
    tiles: list[Any] = getattr(picture, "tile", [])
    tiles[:] = [(*tile[:3], raw) for tile in tiles]
    return np.array(turn(picture, to))


def _plain(picture: pil.Image) -> pil.Image:
    """The picture in one of the modes L, RGB, F, or grey of 16 bits."""
    mode = picture.mode
    if mode in ("L", "RGB", "F", *GREY_16):
        return picture
    if mode in ("La", "RGBa"):  # premultiplied alpha is undone before it is dropped
        picture = picture.convert("LA" if mode == "La" else "RGBA")
    return picture.convert("L" if mode in GREY_8 else "RGB")


def _as_uint16(array: np.ndarray, where: object) -> np.ndarray:
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > 65535:
        raise ImageError(
            where,
            found=f"holds values from {low} to {high}",
            allowed="grey pictures of Pillow hold 0-65535",
            fix="Scale it to 16 bits, or give it as an array of float32.",
        )
    return array.astype(np.uint16)
