"""Pictures: the only place where pixels are decoded.

The content of a file decides what it is, never its suffix. A file that cannot be decoded is
an `ImageError` that names it, whatever the decoder raised.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image as pil
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import jpeg_factory
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from atrous.errors import AtrousError, ImageError
from atrous.files import write_whole
from atrous.types import Image, Size

PIXEL_LIMIT = 500_000_000  # decoding RGB then takes 4 GB; larger files are bombs, or rasters
SUFFIXES = frozenset(
    ".png .jpg .jpeg .jpe .jfif .mpo .tif .tiff .bmp .webp .gif .ppm .pgm .pbm .pnm".split()
)
FORMATS = "PNG, JPEG, TIFF, BMP, WebP, GIF or PNM"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PNM = (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6")
# A PNG begins with 89 P N G CR LF 1A LF so that line-ending conversion shows.
_PNG_CONVERTED = (b"\x89PNG\n\x1a\n", b"\x89PNG\r\r\n", b"\x89PNG\r\n\x1a\r\n")
_TRANSPOSE = {
    2: pil.Transpose.FLIP_LEFT_RIGHT,
    3: pil.Transpose.ROTATE_180,
    4: pil.Transpose.FLIP_TOP_BOTTOM,
    5: pil.Transpose.TRANSPOSE,
    6: pil.Transpose.ROTATE_270,
    7: pil.Transpose.TRANSVERSE,
    8: pil.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112  # the EXIF tag
_GREY_8 = ("1", "L", "LA", "La")
_GREY_16 = ("I;16", "I;16B", "I;16L", "I;16N", "I")
_LUMA = np.array([19595, 38470, 7471], np.uint32)  # ITU-R 601 in 1/65536, as Pillow's grey


class Header(NamedTuple):
    """What a picture is, without its pixels; `size` is that after EXIF orientation."""

    size: Size
    bands: int
    dtype: str


@dataclass(frozen=True)
class Source:
    """A picture whose pixels are read when asked for; `nodata` is None for pictures."""

    path: Path
    size: Size
    bands: int
    dtype: str
    nodata: float | None = None

    def read(self, window: tuple[slice, slice] | None = None) -> Image:
        """The pixels, or those of a window (rows, columns); a picture is decoded whole."""
        image = read_image(self.path)
        return image if window is None else image[window]


def is_image(path: Path) -> bool:
    """Whether the suffix is that of a picture, in any case; hidden files are none.

    Example:
        >>> is_image(Path("a.JPG")), is_image(Path("._a.jpg")), is_image(Path("a.txt"))
        (True, False, False)
    """
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def read_image(path: Path) -> Image:
    """The pixels of a picture file, `C` = 1 (grey) or 3 (RGB), uint8 or uint16.

    EXIF orientation is applied. Alpha is dropped, not composited: the colours under
    transparent pixels come out as they are stored. Palettes, CMYK, YCbCr and LAB become
    RGB; 1-bit becomes 0/255; 16-bit grey stays uint16. Pillow decodes 16-bit RGB to 8 bits
    a band. Of several frames the first is read.

    Raises:
        ImageError: no such file, not a picture, damaged, too large, or of floats.
    """
    with open_picture(path) as picture:
        return _pixels(picture, orientation(picture), path)


def read_header(path: Path) -> Header:
    """Size, bands and dtype that `read_image` will give, without decoding pixels."""
    with open_picture(path) as picture:
        width, height = picture.size
        if orientation(picture) > 4:
            width, height = height, width
        _refuse_float(picture, path)
        bands = 1 if picture.mode in _GREY_8 + _GREY_16 else 3
        dtype = "uint16" if picture.mode in _GREY_16 else "uint8"
        return Header((height, width), bands, dtype)


def open_source(path: Path) -> Source:
    """What a picture file is, and a way to its pixels."""
    return Source(path, *read_header(path))


def write_jpeg(path: Path, image: UInt8[np.ndarray, "H W 3"]) -> None:
    """Write a picture for people to look at, without the metadata of its origin."""
    content = io.BytesIO()
    pil.fromarray(image).save(content, "JPEG", quality=92)
    write_whole(path, content.getvalue())


def as_image(obj: np.ndarray | str | Path | pil.Image) -> Image:
    """The pixels of anything that a caller may hand over: an array, a path, a Pillow picture.

    Arrays are `H W`, `H W 1` or `H W 3` of uint8 or uint16, and are not copied.

    Raises:
        ImageError: an array of another type or shape, or a file that `read_image` refuses.
    """
    if isinstance(obj, str | Path):
        return read_image(Path(obj))
    if isinstance(obj, pil.Image):
        where = "the Pillow picture"
        with _any_error_is_ours(where):
            obj.load()  # a TIFF turns itself while loading
            return _pixels(obj, obj.getexif().get(_ORIENTATION, 1), where)
    return _checked_array(obj)


def fit_image(image: Image, *, bands: int, dtype: str) -> Image:
    """The picture as a model of `bands` bands and `dtype` takes it.

    Grey is repeated; RGB becomes grey by luma (ITU-R 601). uint8 and uint16 map onto each
    other by their full range: times 257, or divided by 257 and rounded.

    Example:
        >>> fit_image(np.uint8([[[255]]]), bands=3, dtype="uint16").tolist()
        [[[65535, 65535, 65535]]]
    """
    if image.dtype == np.uint8 and dtype == "uint16":
        image = image.astype(np.uint16) * np.uint16(257)
    elif image.dtype == np.uint16 and dtype == "uint8":
        image = ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if image.shape[2] == bands:
        return image
    if image.shape[2] == 1:
        return np.repeat(image, bands, axis=2)
    if image.shape[2] == 3 and bands == 1:
        luma = (image.astype(np.uint32) @ _LUMA + np.uint32(32768)) >> np.uint32(16)
        return luma.astype(image.dtype)[..., None]
    raise ImageError(
        "the picture",
        found=f"has {image.shape[2]} bands",
        allowed=f"the model takes {bands}",
        fix="Give pictures with as many bands as the model was trained on.",
    )


@contextmanager
def open_picture(path: Path) -> Iterator[pil.Image]:
    """The Pillow picture of a file, checked by its header, pixels decoded on use.

    Whatever is raised inside the `with` becomes an `ImageError` that names the file.
    """
    with _any_error_is_ours(path), path.open("rb") as file:
        opener = _opener(file.read(16), path)
        file.seek(0)
        # The format's own class, not `Image.open`: Pillow's limit is process-wide, and
        # warnings cannot be silenced in one thread alone.
        picture = opener(file, str(path))
        width, height = picture.size
        if width * height > PIXEL_LIMIT:
            raise ImageError(
                path,
                found=f"claims {width} x {height} pixels ({width * height / 1e6:,.0f} million)",
                allowed=f"at most {PIXEL_LIMIT // 10**6} million are decoded",
                fix="Cut it into smaller pictures, or get the file again if that is wrong.",
            )
        yield picture


def orientation(picture: pil.Image) -> int:
    """EXIF orientation 1-8 that is still to be applied; 1 where EXIF is absent or broken.

    To be called before pixels are decoded. A TIFF turns itself while decoding.
    """
    if picture.format == "TIFF":
        return 1
    try:  # the base class' method: that of PNG decodes the whole picture first
        value = pil.Image.getexif(picture).get(_ORIENTATION, 1)
    except Exception:  # broken EXIF raises nearly anything; the pixels may be whole
        return 1
    return value if value in _TRANSPOSE else 1


def turn(picture: pil.Image, to: int) -> pil.Image:
    """The picture turned upright from EXIF orientation `to`."""
    return picture.transpose(_TRANSPOSE[to]) if to in _TRANSPOSE else picture


def _opener(prefix: bytes, path: Path) -> Callable[[IO[bytes], str], pil.Image]:
    if prefix.startswith(_PNG_CONVERTED):
        raise _line_endings(path)
    if prefix.startswith(b"\x89PNG\r\n\x1a\n"):
        return PngImageFile
    if prefix.startswith(b"\xff\xd8\xff"):
        return jpeg_factory
    if prefix.startswith(_TIFF):
        return TiffImageFile
    if prefix.startswith(b"BM"):
        return BmpImageFile
    if prefix.startswith(b"RIFF") and prefix[8:12] == b"WEBP":
        return WebPImageFile
    if prefix.startswith((b"GIF87a", b"GIF89a")):
        return GifImageFile
    if prefix.startswith(_PNM):
        return PpmImageFile
    if not prefix:
        raise _not_whole(path, "is empty (0 bytes)")
    raise _not_whole(path, f"is not a picture (it begins with {_shown(prefix)})")


def _pixels(picture: pil.Image, to: int, where: object) -> Image:
    _refuse_float(picture, where)
    picture = turn(_plain(picture), to)
    pixels = np.array(picture)
    if picture.mode in _GREY_16:
        pixels = _as_uint16(pixels, where)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _plain(picture: pil.Image) -> pil.Image:
    """The picture in one of the modes L, RGB, or grey of 16 bits."""
    mode = picture.mode
    if mode in ("L", "RGB", *_GREY_16):
        return picture
    if mode in ("La", "RGBa"):  # premultiplied alpha is undone before it is dropped
        picture = picture.convert("LA" if mode == "La" else "RGBA")
    return picture.convert("L" if mode in _GREY_8 else "RGB")


def _as_uint16(pixels: np.ndarray, where: object) -> np.ndarray:
    low, high = int(pixels.min()), int(pixels.max())
    if low < 0 or high > 65535:
        raise ImageError(
            where,
            found=f"holds values from {low} to {high}",
            allowed="grey pictures hold 0-65535",
            fix="Scale it to 16 bits and save it again.",
        )
    return pixels.astype(np.uint16)


def _refuse_float(picture: pil.Image, where: object) -> None:
    if picture.mode == "F":
        raise ImageError(
            where,
            found="holds 32-bit floats",
            allowed="pictures are of 8 or 16 bits a band",
            fix="Scale it to 8 or 16 bits and save it again.",
        )


def _checked_array(array: np.ndarray) -> Image:
    allowed = "arrays are H W, H W 1 or H W 3 of uint8 or uint16"
    where = "the array given as picture"
    if not isinstance(array, np.ndarray):
        kind = type(array).__name__
        fix = "Give a NumPy array, a path or a Pillow picture."
        raise ImageError(where, found=f"is a {kind}", allowed=allowed, fix=fix)
    if array.dtype.newbyteorder("=") not in (np.uint8, np.uint16):
        fix = "Convert it: 0-255 as uint8 or 0-65535 as uint16."
        raise ImageError(where, found=f"is of {array.dtype}", allowed=allowed, fix=fix)
    image = array[..., None] if array.ndim == 2 else array
    if image.ndim != 3 or image.shape[2] not in (1, 3) or image.size == 0:
        shape = " x ".join(map(str, array.shape)) or "a single number"
        fix = "Bands come last; drop alpha with `image[..., :3]`."
        raise ImageError(where, found=f"has the shape {shape}", allowed=allowed, fix=fix)
    return image.astype(image.dtype.newbyteorder("="), copy=False)


@contextmanager
def _any_error_is_ours(where: object) -> Iterator[None]:
    try:
        yield
    except AtrousError:
        raise
    except FileNotFoundError:
        raise ImageError(
            where,
            found="there is no such file",
            allowed=f"a picture ({FORMATS}) is needed",
            fix="Check the path.",
        ) from None
    except IsADirectoryError:
        raise _not_whole(where, "is a folder") from None
    except PermissionError:
        raise _not_whole(where, "may not be read by this user") from None
    except MemoryError as error:
        raise _not_whole(where, "does not fit into memory") from error
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, IndexError...
        reason = " ".join(str(error).split()) or type(error).__name__
        raise _not_whole(where, f"cannot be decoded ({reason})") from error


def _not_whole(where: object, found: str) -> ImageError:
    return ImageError(
        where,
        found=found,
        allowed=f"a whole {FORMATS} file is needed",
        fix="Get the file again from where it came from, or leave it out.",
    )


def _line_endings(path: Path) -> ImageError:
    return ImageError(
        path,
        found="is a PNG damaged by line-ending conversion (CR LF <-> LF, as git's autocrlf does)",
        allowed="a PNG's bytes must stay as they were written",
        fix="It cannot be repaired: get it again, and write `*.png binary` in .gitattributes.",
    )


def _shown(prefix: bytes) -> str:
    text = prefix.decode("ascii", "replace")
    return repr(text) if text.isprintable() and text.isascii() else prefix[:8].hex(" ")
