"""What the first bytes of a TIFF or PNG tell, without any library: is it a raster, how does it lie?

A header may lie; what is read here only decides who opens the file, who then checks it.
"""

import os
import struct
from pathlib import Path
from typing import IO, Literal, NamedTuple

from atrous.data.images.refusals import PIXEL_LIMIT
from atrous.types import Size

_WIDTH, _HEIGHT, _COMPRESSION, _TURN, _ROWS, _TILE = 256, 257, 259, 274, 278, 322
_GEOREFERENCE = {33550, 33922, 34264, 34735}  # scale, tie points, matrix, keys of GeoTIFF
_READ = {_WIDTH, _HEIGHT, _COMPRESSION, _TURN, _ROWS, _TILE}
_WHOLE = {1: "B", 3: "H", 4: "I", 16: "Q"}  # types of TIFF that are whole numbers
_MOST_ENTRIES = 1000  # of a directory; files have a few dozen
_PNG = b"\x89PNG\r\n\x1a\n"


class Head(NamedTuple):
    """What a TIFF or PNG says of itself."""

    kind: Literal["TIFF", "PNG"]
    size: Size
    georeferenced: bool = False
    in_order: bool = False
    """Rows can be decoded from the first one on alone: there is no other way into the file."""
    rows: int = 0
    """Of a strip; 0 = it is in tiles."""
    interlaced: bool = False
    turn: int = 1
    """EXIF orientation, 1-8."""


def is_raster(path: Path, georeferenced: bool = True) -> bool:
    """Whether a picture is too large to be decoded whole; or `georeferenced`, if that counts."""
    head = read_head(path)
    if head is None:
        return False
    return (georeferenced and head.georeferenced) or head.size[0] * head.size[1] > PIXEL_LIMIT


def read_head(path: Path) -> Head | None:
    """The head of a TIFF or PNG file; None of other files, and of those too broken for it."""
    try:
        with path.open("rb") as file:
            start = file.read(29)
            if start.startswith(_PNG):
                return _png(start)
            return _tiff(file, start[:16], os.fstat(file.fileno()).st_size)
    except (OSError, ValueError, struct.error):
        return None


def _png(start: bytes) -> Head:
    width, height = struct.unpack(">II", start[16:24])
    return Head("PNG", (height, width), in_order=True, interlaced=start[28:29] == b"\1")


def _tiff(file: IO[bytes], start: bytes, length: int) -> Head | None:
    order = {b"II": "<", b"MM": ">"}.get(start[:2])
    if order is None:
        return None
    (version,) = struct.unpack(order + "H", start[2:4])
    if version == 42:
        (place,), count, entry, inline = struct.unpack(order + "I", start[4:8]), "H", "HHI", 4
    elif version == 43:  # BigTIFF
        (place,), count, entry, inline = struct.unpack(order + "Q", start[8:16]), "Q", "HHQ", 8
    else:
        return None
    if place >= length:
        return None
    file.seek(place)
    (entries,) = struct.unpack(order + count, file.read(struct.calcsize(order + count)))
    step = struct.calcsize(order + entry) + inline
    table = file.read(min(entries, _MOST_ENTRIES) * step)
    tags: dict[int, int] = {}
    for at in range(0, len(table) - step + 1, step):
        tag, kind, _ = struct.unpack_from(order + entry, table, at)
        if tag in _READ and kind in _WHOLE:
            value = struct.unpack_from(order + _WHOLE[kind], table, at + step - inline)[0]
            tags[tag] = value
        elif tag in _GEOREFERENCE:
            tags[tag] = 1
    return _told(tags)


def _told(tags: dict[int, int]) -> Head | None:
    if not tags.get(_WIDTH) or not tags.get(_HEIGHT):
        return None
    height, width = tags[_HEIGHT], tags[_WIDTH]
    rows = 0 if _TILE in tags else min(height, tags.get(_ROWS, height))
    return Head(
        "TIFF",
        (height, width),
        georeferenced=bool(_GEOREFERENCE & tags.keys()),
        in_order=rows == height > 1 and tags.get(_COMPRESSION, 1) != 1,
        rows=rows,
        turn=tags.get(_TURN, 1),
    )
