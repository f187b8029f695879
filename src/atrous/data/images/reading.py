"""Picture files -> pixels, headers, and Pillow's pictures."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from jaxtyping import Shaped
from PIL import Image as pil

from atrous.data.images import pictures
from atrous.data.images.children import Answer, ask
from atrous.data.images.fitting import checked_array
from atrous.data.images.formats import PREFIX, Format, format_of
from atrous.data.images.pictures import Header
from atrous.data.images.refusals import any_error_is_ours, check_scans, known_format, not_whole
from atrous.types import Image, Size


@dataclass(frozen=True)
class Source:
    """A picture whose pixels are read when asked for.

    `nodata` is the value of pixels that nothing is known of, where a GeoTIFF names one.
    """

    path: Path
    size: Size
    bands: int
    dtype: str
    nodata: float | None = None

    def read(self, window: tuple[slice, slice] | None = None) -> Image:
        """The pixels, or those of a window (rows, columns); a picture is decoded whole."""
        image = read_image(self.path)
        return image if window is None else image[window]


def read_image(path: Path) -> Image:
    """The pixels of a picture file, of any number of bands, uint8, uint16 or float32.

    EXIF orientation is applied. Alpha is dropped, not composited: the colours under
    transparent pixels come out as they are stored. Palettes, CMYK, YCbCr and LAB become RGB;
    1-bit becomes 0/255. Of several frames or pages the first is read.

    A TIFF has as many bands as it says are not alpha. Its uint8 and uint16 stay; other numbers
    become float32: int8, int16 and float16 exactly, larger integers and float64 rounded to 24
    bits. NaN stays. A PNG keeps 16 bits a band; a PNM of 16-bit RGB comes out in 8.

    Raises:
        ImageError: no such file, not a picture, damaged, too large, or of complex numbers.
    """
    with _begun(path) as (kind, file):
        if kind == "TIFF" or kind == "WebP":
            return _array(ask(path, kind, "image"))
        picture = _picture(kind, file, path)
        to = pictures.orientation(picture)
        deep = pictures.deep_pixels(picture, to)
        return pictures.pixels(picture, to, path) if deep is None else deep


def as_image(obj: np.ndarray | str | Path | pil.Image) -> Image:
    """The pixels of anything that a caller may hand over: an array, a path, a Pillow picture.

    Arrays are `H W` or `H W C` of uint8, uint16 or float32, and are not copied.

    Raises:
        ImageError: an array of another type or shape, or a file that `read_image` refuses.
    """
    if isinstance(obj, str | Path):
        return read_image(Path(obj))
    if isinstance(obj, pil.Image):
        where = "the Pillow picture"
        with any_error_is_ours(where):
            obj.load()  # a TIFF turns itself while loading, and then says so
            return pictures.pixels(obj, pictures.stored_orientation(obj), where)
    return checked_array(obj)


def read_tiff(path: Path) -> Shaped[np.ndarray, "H W C"]:
    """The values of a TIFF as they lie in it, in their own type; for masks.

    Palettes give their indices, 1 bit 0 and 1, 2 and 4 bits of grey the stored number; CMYK,
    YCbCr and LAB are RGB; alpha is a band. EXIF orientation is applied.

    Raises:
        ImageError: as `read_image`, or it is no TIFF.
    """
    with _begun(path) as (kind, _):
        if kind != "TIFF":
            raise not_whole(path, f"is a {kind}, not a TIFF")
        return _array(ask(path, kind, "stored"))


def read_header(path: Path) -> Header:
    """Size, bands and dtype that `read_image` will give, without decoding pixels."""
    source = open_source(path)
    return Header(source.size, source.bands, source.dtype)


def open_source(path: Path) -> Source:
    """What a picture file is, and a way to its pixels."""
    with _begun(path) as (kind, file):
        if kind == "TIFF" or kind == "WebP":
            facts = ask(path, kind, "header").facts
            height, width = facts["size"]
            size = (height, width)
            return Source(path, size, facts["bands"], facts["dtype"], facts["nodata"])
        picture = _picture(kind, file, path)
        return Source(path, *pictures.header(picture, pictures.orientation(picture)))


def orientation_of(path: Path) -> int:
    """EXIF orientation 1-8 of a picture file; 1 where it has none. Pixels are not decoded.

    From 5 on, height and width of what `read_image` gives are those stored, swapped.
    """
    with _begun(path) as (kind, file):
        if kind == "TIFF" or kind == "WebP":
            return ask(path, kind, "header").facts["turn"]
        return pictures.orientation(_picture(kind, file, path))


def content_format(path: Path) -> Format | Literal[""]:
    """The format of a file by its first bytes, whatever its suffix says; "" if no picture's."""
    with any_error_is_ours(path), path.open("rb") as file:
        return format_of(file.read(PREFIX))


@contextmanager
def open_picture(path: Path) -> Iterator[pil.Image]:
    """The Pillow picture of a file, checked by its header, pixels decoded on use.

    Those of TIFF and WebP are decoded already, in a child process. Whatever is raised inside
    the `with` becomes an `ImageError` that names the file.
    """
    with _begun(path) as (kind, file):
        if kind == "TIFF" or kind == "WebP":
            yield _rebuilt(ask(path, kind, "picture"), kind)
        else:
            yield _picture(kind, file, path)


@contextmanager
def _begun(path: Path) -> Iterator[tuple[Format, IO[bytes]]]:
    with any_error_is_ours(path), path.open("rb") as file:
        kind = known_format(file.read(PREFIX), path)
        file.seek(0)
        yield kind, file


def _picture(kind: Format, file: IO[bytes], path: Path) -> pil.Image:
    if kind == "JPEG":
        check_scans(file.read(), path)
        file.seek(0)
    picture = pictures.opener(kind)(file, str(path))
    pictures.check_size(picture, os.fstat(file.fileno()).st_size, path)
    return picture


def _array(answer: Answer) -> Any:
    return answer.content.view(answer.facts["dtype"]).reshape(answer.facts["shape"])


def _rebuilt(answer: Answer, kind: Format) -> pil.Image:
    facts, size = answer.facts, answer.facts["size"]
    picture = pil.frombytes(facts["mode"], (size[0], size[1]), answer.content.tobytes())
    if facts["palette"]:
        picture.putpalette(facts["palette"])
    picture.format = kind.upper()
    picture.info["exif"] = bytes.fromhex(facts["exif"])
    # As on a picture of Pillow's that is not decoded yet: how its pixels are packed.
    vars(picture)["tile"] = [("", (0, 0, *size), 0, facts["raw"])]
    return picture
