"""TIFF and GeoTIFF: which of two libraries reads the first page.

Only the child imports this. Pillow (libtiff) reads what it reads without loss: up to 8 bits a
sample of grey, RGB, palettes and the colour spaces of print and video, in any compression.
tifffile reads the rest: more bits, signs, floats, bands beyond those. It decompresses deflate,
LZMA and PackBits by itself, and the rest where the package imagecodecs is installed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image as pil
from PIL.TiffImagePlugin import TiffImageFile
from tifffile import PHOTOMETRIC, TiffFile, TiffPage

from atrous.data.images import pages
from atrous.data.images.limits import Limits
from atrous.data.images.pages import Page
from atrous.errors import ImageError

_GREY = (PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.MINISBLACK)
_BUILT_IN = (1, 8, 32946, 32773, 34925)  # none, deflate (two numbers), PackBits, LZMA
_NOT_IN_PILLOW = (33003, 33004, 33005, 34712, 34887, 50001, 50002)  # JPEG 2000, LERC, WebP, JPEG XL
_WHOLE_IN_PILLOW = (("u", 12), ("u", 16), ("i", 16), ("i", 32), ("f", 32))  # kinds and bits


@contextmanager
def opened(path: Path, limits: Limits) -> Iterator[Page]:
    """The first page as that library opens it which reads it; not decoded yet.

    Raises:
        ImageError: it is too large, of complex numbers, or needs a package that is not there.
    """
    with path.open("rb") as file:
        page = _parsed(file)
        if page is None or _suits_pillow(page):
            yield _picture(file, path, limits)
        elif (lacking := _lacking(page)) is None:
            _admit(page, path, limits)
            yield page
        elif _pillow_keeps_all(page):
            yield _picture(file, path, limits)
        else:
            raise _needs_codec(path, lacking)


def is_cut(path: Path) -> bool:
    """Whether the first page, or strips or tiles of it, lie beyond the end of the file."""
    with path.open("rb") as file:
        head = file.read(16)
        place = head[8:16] if b"+" in head[:4] else head[4:8]  # BigTIFF
        begin = int.from_bytes(place, "little" if head.startswith(b"II") else "big")
        page = _parsed(file)
        return max(begin + 1, pages.end(page) if page else 0) > path.stat().st_size


def _parsed(file: IO[bytes]) -> TiffPage | None:
    """The page, parsed; None where the file is too broken for it, which Pillow may yet read."""
    file.seek(0)
    try:
        page = TiffFile(file).pages.first
    except Exception:
        return None
    return page if isinstance(page, TiffPage) else None


def _picture(file: IO[bytes], path: Path, limits: Limits) -> pil.Image:
    file.seek(0)
    picture = TiffImageFile(file, str(path))
    limits.admit(path, *picture.size, bands=len(picture.getbands()))
    return picture


def _suits_pillow(page: TiffPage) -> bool:
    if page.dtype is None:  # tifffile does not know what it is
        return True
    if page.compression in _NOT_IN_PILLOW:
        return False
    if page.photometric not in (*_GREY, PHOTOMETRIC.RGB):
        return True
    plain = len(pages.colour_bands(page)) == (1 if page.photometric in _GREY else 3)
    return plain and page.dtype in (np.bool_, np.uint8)


def _lacking(page: TiffPage) -> str | None:
    """What of this page cannot be read for want of imagecodecs."""
    if find_spec("imagecodecs"):
        return None
    if page.compression not in _BUILT_IN:
        return f"is compressed by {getattr(page.compression, 'name', page.compression)}"
    if page.predictor not in (1, 2, 3):
        return f"is compressed with the predictor {page.predictor}"
    if page.bitspersample not in (1, 8, 16, 32, 64):
        return f"has {page.bitspersample} bits a sample"
    return None


def _pillow_keeps_all(page: TiffPage) -> bool:
    """Whether Pillow, which reads one band of these, gives all the bits of the page's."""
    assert page.dtype is not None
    one_band = page.samplesperpixel == 1 and page.photometric == PHOTOMETRIC.MINISBLACK
    whole = (page.dtype.kind, page.bitspersample) in _WHOLE_IN_PILLOW
    predicted = page.bitspersample == 12 and page.predictor != 1  # it would leave that as it is
    return one_band and whole and not predicted and page.compression not in _NOT_IN_PILLOW


def _admit(page: TiffPage, path: Path, limits: Limits) -> None:
    assert page.dtype is not None
    limits.admit(
        path,
        page.imagewidth,
        page.imagelength,
        bands=page.samplesperpixel,
        value_bytes=page.dtype.itemsize,
    )
    if page.dtype.kind == "c" or page.imagedepth > 1:
        raise ImageError(
            path,
            found="holds complex numbers" if page.dtype.kind == "c" else "holds a volume",
            allowed="pictures are flat, of integers or floats",
            fix="Save it again as one or two bands of floats, or as slices.",
            code="F201",
        )


def _needs_codec(path: Path, lacking: str) -> ImageError:
    return ImageError(
        path,
        found=lacking,
        allowed="without the package imagecodecs such a TIFF must have 8, 16, 32 or 64 bits a "
        "sample, and be uncompressed or compressed by deflate, LZMA or PackBits",
        fix="Install it with `pip install 'atrous[tiff]'`, or save the file again with deflate.",
        code="F201",
    )
