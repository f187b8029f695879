"""A raster to read windows of, however it lies on disk."""

import hashlib
import os
from pathlib import Path

import numpy as np

from atrous.data.images.refusals import any_error_is_ours
from atrous.data.rasters.cells import Cells, Pixels, cell_size
from atrous.data.rasters.gdal import gdal, open_file, opened
from atrous.data.rasters.stored import Place, Stored
from atrous.errors import ImageError
from atrous.files import TEMPORARY, refusals_told
from atrous.types import PixelType, Size

STRIPS = 256 << 20  # bytes of rows that may be kept so that each is decoded once
BAND = 16 << 20  # bytes of the rows that are copied at once
TILE = 512  # pixels across a tile of a copy
ENDS = 1 << 16  # bytes at the beginning and end of a file that tell it from others


class Raster:
    """A raster that is read in windows. Threads may share it.

    Bands are those that are not alpha, of a palette red, green and blue; uint8 and uint16 stay,
    other numbers become float32, as `read_image` has it.
    """

    def __init__(self, facts: Stored, cells: Cells) -> None:
        self.source = facts.source
        self.size: Size = facts.size
        self.bands: int = facts.bands
        self.dtype: PixelType = facts.dtype
        self.place: Place = facts.place
        self._cells = cells

    def read(self, rows: slice, columns: slice) -> Pixels:
        """The pixels of a window within the raster.

        Raises:
            ImageError: they cannot be decoded.
        """
        return self._cells.read(rows, columns)

    def is_absent(self, rows: slice, columns: slice) -> bool:
        """Whether nothing of a window was ever written to the file; it costs next to nothing."""
        return self._cells.is_absent(rows, columns)

    def close(self) -> None:
        self._cells.stored.close()


def open_raster(source: str | Path, *, window: Size, scratch: Path) -> Raster:
    """The raster of a file (a path) or of an address (a text), read in windows of up to `window`.

    They are expected row by row. A file of long rows, or whose rows can only be decoded one
    after the other, is first copied into tiles, in the folder `scratch`, so that no row is
    decoded many times. A copy of the same file that is there already is used.

    Raises:
        ImageError: it cannot be opened, or not in windows.
        RunError: there is no room for the copy.
    """
    stored = Stored(source)
    if not _must_be_copied(stored, window):
        return Raster(stored, Cells(stored, room=_room(stored, window)))
    copy = Stored(_copied(stored, scratch / f"{fingerprint(source)[:16]}.tif"))
    raster = Raster(stored, Cells(copy, room=_room(copy, window)))
    stored.close()
    return raster


def open_anywhere(path: Path, *, room: int) -> Raster:
    """The raster of a file, read in windows anywhere, of which `room` bytes are kept.

    Raises:
        ImageError: it cannot be opened; its rows are decoded in order, and are too many to keep.
    """
    stored = Stored(path)
    if stored.head is None or not stored.head.in_order:
        return Raster(stored, Cells(stored, room=room))
    whole = _room(stored, (1, 1))
    if whole <= STRIPS:
        return Raster(stored, Cells(stored, room=whole))
    raise ImageError(
        path,
        found="is stored so that a row can only be decoded after all rows above it",
        allowed=f"such rasters may have {STRIPS >> 20} MiB where windows are drawn from them",
        fix="Save it in tiles: `gdal_translate -co TILED=YES IN OUT.tif`.",
        code="F201",
    )


def raster_size(source: str | Path) -> Size:
    """Height and width of a raster.

    Raises:
        ImageError: it cannot be opened.
    """
    dataset, _ = opened(source)
    with dataset:
        return dataset.shape


def fingerprint(source: str | Path) -> str:
    """A digest of what tells a raster from others: its length, its first and last bytes.

    Of an address it is that of its text.
    """
    if isinstance(source, str):
        return hashlib.sha256(source.encode()).hexdigest()
    with any_error_is_ours(source), source.open("rb") as file:
        length = os.fstat(file.fileno()).st_size
        told = hashlib.sha256(f"{length}\n".encode() + file.read(ENDS))
        file.seek(max(0, length - ENDS))
        told.update(file.read(ENDS))
    return told.hexdigest()


def _must_be_copied(stored: Stored, window: Size) -> bool:
    """Whether windows would decode rows again and again."""
    in_order = stored.head is not None and stored.head.in_order
    strips = stored.block[1] >= stored.size[1] > window[1]
    return (in_order or strips) and _room(stored, window) > STRIPS


def _room(stored: Stored, window: Size) -> int:
    """Bytes of the cells that a row of windows needs, or of tiles one window."""
    cell, (height, width) = cell_size(stored), stored.size
    pixel = stored.bands * np.dtype(stored.dtype).itemsize + 1
    rows = min(height, window[0] + 2 * cell[0])
    if stored.head is not None and stored.head.in_order:
        rows = height  # all, for going back means beginning anew
    across = width if cell[1] >= width else min(width, window[1] + 2 * cell[1])
    return rows * across * pixel


def _copied(stored: Stored, path: Path) -> Path:
    """A copy in tiles, known pixels in its alpha band; each row is decoded once."""
    if path.is_file():
        return path
    height, width = stored.size
    row = width * (stored.bands + 1) * np.dtype(stored.dtype).itemsize
    band = max(16, min(TILE, BAND // row // 16 * 16))
    half_made = path.with_name(f"{TEMPORARY}{path.name}")
    with gdal() as rasterio, refusals_told(path), any_error_is_ours(stored.source):
        inks = rasterio.enums.ColorInterp
        with open_file(rasterio, half_made, "w", **_layout(stored, band)) as out:
            out.colorinterp = [inks.gray] + [inks.undefined] * (stored.bands - 1) + [inks.alpha]
            for top in range(0, height, band):
                rows = slice(top, min(top + band, height))
                image, known = stored.decode(rows, slice(0, width))
                alpha = np.ones(image.shape[:2], bool) if known is None else known
                alpha = alpha[..., None].astype(image.dtype)
                values = np.concatenate([image, alpha], axis=2).transpose(2, 0, 1)
                out.write(values, window=((rows.start, rows.stop), (0, width)))
    os.replace(half_made, path)
    return path


def _layout(stored: Stored, band: int) -> dict[str, object]:
    """How the copy is stored: a tile is written once, when all its rows are there."""
    return {
        "driver": "GTiff",
        "height": stored.size[0],
        "width": stored.size[1],
        "count": stored.bands + 1,
        "dtype": stored.dtype,
        "tiled": True,
        "blockxsize": TILE,
        "blockysize": band,
        "compress": "deflate",
        "zlevel": 1,
        "interleave": "pixel",
        "photometric": "minisblack",
        "bigtiff": "yes",
        "sparse_ok": True,  # what is unknown, and 0, in all of a tile is not written
    }
