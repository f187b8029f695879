"""What is in an opened TIFF or WebP: a page as tifffile has parsed it, or a picture of Pillow.

Only the child imports this.
"""

from typing import Any

import numpy as np
from PIL import Image as pil
from tifffile import PHOTOMETRIC, TiffPage

from atrous.data.images import pictures
from atrous.data.images.pictures import Header
from atrous.data.images.predictor import unpredicted
from atrous.data.images.refusals import cut_short, not_whole
from atrous.errors import ImageError
from atrous.types import Image

Page = TiffPage | pil.Image
_ORIENTATION = 274
_NODATA = 42113  # GDAL's tag, a number in ASCII


def header(page: Page) -> Header:
    """What `image` will give."""
    if isinstance(page, pil.Image):
        found = pictures.header(page, pictures.orientation(page))
        return found._replace(dtype="float32") if page.mode == "I" else found
    height, width = page.imagelength, page.imagewidth
    size = (width, height) if orientation(page) > 4 else (height, width)
    dtype = str(page.dtype)
    whole = dtype if dtype in ("uint8", "uint16") else "float32"
    return Header(size, len(colour_bands(page)), whole)


def image(page: Page, where: object) -> Image:
    """The pixels as a picture: upright, without alpha, black is low.

    What is neither uint8 nor uint16 is float32. Colours that were multiplied by alpha beyond
    8 bits stay so.
    """
    if isinstance(page, pil.Image):
        to = pictures.orientation(page)
        return pictures.pixels(page.convert("F") if page.mode == "I" else page, to, where)
    array, bands = stored(page, where), colour_bands(page)
    if len(bands) < page.samplesperpixel:
        array = array[..., bands]
    if page.photometric == PHOTOMETRIC.MINISWHITE and array.dtype.kind == "u":
        array = array.dtype.type((1 << page.bitspersample) - 1) - array
    if array.dtype in (np.uint8, np.uint16):
        return array
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
        return array.astype(np.float32)


def stored(page: Page, where: object) -> np.ndarray:
    """The values as they are stored, upright, `H W C`: palette indices, 1 bit as 0 and 1.

    The colour spaces of print and video become RGB.
    """
    if isinstance(page, pil.Image):
        packing = pictures.raw_mode(page)
        stretched = pictures.STRETCHED.get(packing[:3], 1)
        to = pictures.orientation(page)
        page = page.convert("RGB") if page.mode in ("CMYK", "YCbCr", "LAB") else page
        array = np.array(pictures.turn(page, to))
        if packing.startswith("L;") and packing.endswith("I"):  # white is 0: Pillow turns it round
            array = np.uint8(255) - array
        if array.dtype == bool or stretched > 1:
            array = array.astype(np.uint8) // np.uint8(stretched)
        return _native(array[..., None] if array.ndim == 2 else array)
    _check_segments(page, where)
    # With more workers each would take memory of its own.
    array = unpredicted(page) if page.predictor == 3 else page.asarray(maxworkers=1)
    if page.axes.startswith("S"):
        array = np.moveaxis(array, 0, -1)
    array = array.reshape(page.imagelength, page.imagewidth, page.samplesperpixel)
    return _native(pictures.turn_array(array, orientation(page)))


def picture(page: Page, where: object) -> pil.Image:
    """The page as Pillow's picture; more than 8 bits only of one band."""
    if isinstance(page, pil.Image):
        return page
    array = stored(page, where)
    if array.shape[2] > 1:
        raise ImageError(
            where,
            found=f"has {array.shape[2]} bands of {array.dtype}",
            allowed="several bands are read only of 8 bits here",
            fix="Save it as one band of integers.",
            code="F201",
        )
    if array.dtype.kind == "f" or array.dtype.itemsize > 4 or array.dtype == np.uint32:
        return pil.fromarray(array[..., 0].astype(np.float32))
    return pil.fromarray(
        array[..., 0] if array.dtype.kind == "u" else array[..., 0].astype(np.int32)
    )


def orientation(page: Page) -> int:
    """EXIF orientation 1-8 of what is stored; all that is given here stands upright."""
    if isinstance(page, pil.Image):
        return pictures.stored_orientation(page)
    value = page.tags.valueof(_ORIENTATION)
    return value if value in range(1, 9) else 1


def nodata(page: Page) -> float | None:
    """The value of pixels that nothing is known of, as GDAL writes it."""
    tiff = isinstance(page, TiffPage)
    text: Any = page.tags.valueof(_NODATA) if tiff else getattr(page, "tag_v2", {}).get(_NODATA)
    try:
        return float(str(text).strip(" \0"))
    except ValueError:
        return None


def colour_bands(page: TiffPage) -> list[int]:
    """The bands that are not alpha; the file says what those beyond grey or RGB are."""
    first_extra = page.samplesperpixel - len(page.extrasamples)
    alpha = {first_extra + i for i, kind in enumerate(page.extrasamples) if kind in (1, 2)}
    return [band for band in range(page.samplesperpixel) if band not in alpha]


def end(page: TiffPage) -> int:
    """The byte after the last that the page's strips or tiles claim."""
    segments = zip(page.dataoffsets, page.databytecounts, strict=False)
    return max((sum(segment) for segment in segments), default=0)


def _check_segments(page: TiffPage, where: object) -> None:
    """Refuse a page whose strips or tiles are not all there; tifffile would leave them black."""
    size, count, wanted = page.parent.filehandle.size, len(page.dataoffsets), np.prod(page.chunked)
    if end(page) > size:
        raise cut_short(where, f"its pixels go on to byte {end(page)} of {size}")
    if count < wanted:
        raise not_whole(where, f"has {count} of {wanted} strips or tiles")


def _native(array: np.ndarray) -> np.ndarray:
    return array.astype(array.dtype.newbyteorder("="), copy=False)
