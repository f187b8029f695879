"""An open raster: its pixels as pictures have them, and which of them are known."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Shaped

from atrous.data.images.refusals import any_error_is_ours
from atrous.data.rasters.gdal import gdal, opened
from atrous.errors import ImageError
from atrous.types import Image, PixelType, Size

LARGEST_BLOCK = 1 << 28  # bytes of pixels that can only be decoded together
_INKS = ("cyan", "magenta", "yellow", "black", "Y", "Cb", "Cr", "hue", "saturation", "lightness")


class Place(NamedTuple):
    """Where a raster lies: what is copied to everything that is made of it."""

    crs: Any = None
    transform: Any = None
    gcps: Sequence[Any] = ()
    """Ground control points, whose reference system is then `crs`."""
    rpcs: Any = None
    point: bool = False
    """The transform is that of the middles of pixels, in the file; here it never is."""


class Stored:
    """A raster as it lies on disk. One thread at a time may read it."""

    def __init__(self, source: str | Path) -> None:
        self.source = source
        self.dataset, self.head = opened(source)
        with gdal(), any_error_is_ours(source):
            self._describe()

    def _describe(self) -> None:
        data = self.dataset
        inks = [colour.name for colour in data.colorinterp]
        self.size: Size = data.shape
        self.block: Size = data.block_shapes[0]
        self._colours = [i + 1 for i, ink in enumerate(inks) if ink != "alpha"]
        self._alpha = inks.index("alpha") + 1 if "alpha" in inks else 0
        self._check(inks)
        stored = np.dtype(data.dtypes[0])
        self._palette = self._table() if inks[0] == "palette" else None
        self._factor, self._inverted = self._bits()
        self.bands = len(self._colours) if self._palette is None else self._palette.shape[1]
        self.dtype: PixelType = _pixel_type(stored if self._palette is None else np.dtype(np.uint8))
        self.nodata = [data.nodatavals[band - 1] for band in self._colours]
        self._masked = any("per_dataset" in flag.name for flag in data.mask_flag_enums[0])
        self._mask = self._beside()
        # GDAL shows one strip of the whole picture as many, of which it then knows nothing.
        strips = self.head is None or self.head.rows in (0, self.block[0])
        self._tells_blocks = data.driver == "GTiff" and strips
        self._apart = data.interleaving is not None and data.interleaving.name != "pixel"

    @property
    def place(self) -> Place:
        """Where it lies."""
        data = self.dataset
        with gdal(), any_error_is_ours(self.source):
            point = data.tags().get("AREA_OR_POINT") == "Point"
            gcps, gcps_crs = data.gcps
            if gcps:
                return Place(gcps_crs, None, gcps, data.rpcs, point)
            transform = None if data.transform.is_identity else data.transform
            return Place(data.crs, transform, (), data.rpcs, point)

    def close(self) -> None:
        self.dataset.close()

    def is_absent(self, row: int, column: int) -> bool:
        """Whether a block, by its row and column among blocks, was never written to the file."""
        if not self._tells_blocks:
            return False
        name = f"BLOCK_OFFSET_{column}_{row}"
        bands = range(1, self.dataset.count + 1) if self._apart else (1,)
        return all(self.dataset.get_tag_item(name, "TIFF", bidx=b) is None for b in bands)

    def decode(self, rows: slice, columns: slice) -> tuple[Image, Bool[np.ndarray, "H W"] | None]:
        """The pixels of a window, and which are known; None = all.

        Raises:
            ImageError: they cannot be decoded.
        """
        window = ((rows.start, rows.stop), (columns.start, columns.stop))
        with gdal(), any_error_is_ours(self.source):
            values = self.dataset.read(self._colours, window=window)
            masks = []
            if self._alpha:
                masks.append(self.dataset.read(self._alpha, window=window) > 0)
            elif self._masked:
                masks.append(self.dataset.read_masks(1, window=window) > 0)
            if self._mask is not None:
                masks.append(self._mask.read(1, window=window) > 0)
            masks.append(self._has_data(values))
            known = np.logical_and.reduce([mask for mask in masks if mask is not None] or [True])
            return self._pixels(values), None if known.all() else known

    def _has_data(self, values: Shaped[np.ndarray, "C H W"]) -> Bool[np.ndarray, "H W"] | None:
        """Where there is data; None = everywhere.

        Of whole numbers a pixel has none where each band says so, for black in one of three is
        a colour; of floats where any does, or is no number, for a network would spread it.
        """
        floats = values.dtype.kind == "f"
        told = [value is not None for value in self.nodata]
        lacks = [
            band == np.asarray(value).astype(band.dtype)
            for band, value in zip(values, self.nodata, strict=True)
            if value is not None and not np.isnan(value) and _holds(band.dtype, value)
        ]
        if floats:
            lacks = [*lacks, *(~np.isfinite(values))]
            return ~np.logical_or.reduce(lacks)
        if not all(told) or len(lacks) < len(told):
            return None
        return ~np.logical_and.reduce(lacks)

    def _pixels(self, values: Shaped[np.ndarray, "C H W"]) -> Image:
        if self._palette is not None:
            return self._palette[values[0]]
        if self._inverted:
            values = np.iinfo(values.dtype).max - values if self._factor == 1 else 1 - values
        if self._factor != 1:
            values = values * values.dtype.type(self._factor)
        return np.ascontiguousarray(values.transpose(1, 2, 0), self.dtype)

    def _table(self) -> Image:
        """The colours of a palette, by index; of 1 bit in black and white the grey alone."""
        count = 1 << (8 * np.dtype(self.dataset.dtypes[0]).itemsize)
        table = np.zeros((count, 3), np.uint8)
        colours = self.dataset.colormap(1)
        for index, colour in colours.items():
            if index < count:
                table[index] = colour[:3]
        # GDAL gives one to pictures of 1 bit that have none.
        plain = len(colours) == 2 and sorted(table[:2].tolist()) == [[0] * 3, [255] * 3]
        return table[:, :1] if plain else table

    def _bits(self) -> tuple[int, bool]:
        """By what fewer than 8 bits are multiplied to span 0-255, and whether 0 is white."""
        said = self.dataset.tags(1, ns="IMAGE_STRUCTURE") | self.dataset.tags(ns="IMAGE_STRUCTURE")
        bits = int(said.get("NBITS", 8))
        white = said.get("MINISWHITE") == "YES" and self.dataset.dtypes[0] == "uint8"
        return (255 // ((1 << bits) - 1) if bits < 8 and self._palette is None else 1), white

    def _beside(self) -> Any:
        """The mask that lies beside the file as `FILE.msk`, which is a TIFF, if there is one."""
        path = Path(f"{self.source}.msk")
        if isinstance(self.source, str) or not path.is_file():
            return None
        mask, _ = opened(path)
        if mask.shape == self.size:
            return mask
        raise ImageError(
            path,
            found="is a mask of {} x {} pixels".format(*mask.shape),
            allowed="its raster has {} x {}".format(*self.size),
            fix="Make it again, or move it away.",
        )

    def _check(self, inks: list[str]) -> None:
        data = self.dataset
        types, (height, width) = set(data.dtypes), self.block
        size = height * width * data.count * np.dtype(data.dtypes[0]).itemsize
        allowed, fix = "grey, RGB or bands of numbers are read", "Save it as one of these."
        if not self._colours:
            found = "has no band but alpha"
        elif len(types) > 1:
            found = f"has bands of several types ({', '.join(sorted(types))})"
        elif np.dtype(data.dtypes[0]).kind == "c" or "complex" in data.dtypes[0]:
            found = "holds complex numbers"
        elif ink := next((ink for ink in inks if ink in _INKS), ""):
            found = f"has bands of ink or of other colour spaces ({ink})"
        elif data.tags(ns="IMAGE_STRUCTURE").get("SOURCE_COLOR_SPACE") in ("CMYK", "CIELAB"):
            found = "is of the colours of print"
        elif size > LARGEST_BLOCK:
            found = f"is stored in blocks of {height} x {width} pixels ({size >> 20} MiB)"
            allowed = f"what is decoded together has at most {LARGEST_BLOCK >> 20} MiB"
            fix = "Save it in tiles: `gdal_translate -co TILED=YES IN OUT.tif`."
        else:
            return
        raise ImageError(self.source, found=found, allowed=allowed, fix=fix, code="F201")


def _pixel_type(stored: np.dtype) -> PixelType:
    match str(stored):
        case "uint8":
            return "uint8"
        case "uint16":
            return "uint16"
        case _:
            return "float32"


def _holds(dtype: np.dtype, value: float) -> bool:
    """Whether a band of this type can have the value."""
    if dtype.kind == "f":
        return True
    limits = np.iinfo(dtype)
    return float(value).is_integer() and limits.min <= value <= limits.max
