"""Labels in a raster, brought onto the grid of the picture."""

from threading import Lock
from typing import Any

import numpy as np
from jaxtyping import Int32

from atrous.classes import TRANSPARENT
from atrous.data.images.refusals import any_error_is_ours
from atrous.data.rasters import Place, gdal
from atrous.data.rasters.gdal import opened
from atrous.data.windows.placing import (
    bounds_of,
    carried,
    check_meet,
    check_placed,
    corners_of,
    unplaced,
)
from atrous.data.windows.window import Box, Source
from atrous.errors import MaskError
from atrous.types import Size

SAME = 0.01  # of a pixel: grids that differ by less are one
EXACT = 1e-6  # of a pixel: how far a place may be off; rasterio's VRT takes no 0
OUTSIDE = -(2**31)  # where the labels do not reach
_WHOLE = ("uint8", "int8", "uint16", "int16", "uint32", "int32")


class LabelRaster:
    """A raster of labels on the grid of its picture; any thread may read it.

    On another grid or in another reference system, a pixel takes the label under its centre.
    """

    def __init__(self, source: Source, place: Place, size: Size) -> None:
        self.source = source
        self.dataset, _ = opened(source.labels)
        self._one_at_a_time = Lock()
        _check_bands(source, self.dataset)
        own, transform = self.dataset.crs, self.dataset.transform
        plain = transform.is_identity or place.transform is None or not own or not place.crs
        if plain and self.dataset.shape == size:
            self._warped = None  # pixel by pixel, as masks of pictures are
            return
        if transform.is_identity:
            raise unplaced(source.labels, source.image)
        check_placed(source, place, own)
        check_meet(source, place, size, bounds_of(transform, Box(0, 0, *self.dataset.shape)), own)
        self._warped = None
        if not self._is_grid(place, size):
            self._warped = self._on_grid(place, size)

    def read(self, box: Box) -> Int32[np.ndarray, "H W"]:
        """The labels of a part of the picture; `TRANSPARENT` where there is no data.

        Raises:
            ImageError: they cannot be decoded.
        """
        window = ((box.top, box.bottom), (box.left, box.right))
        source = self.dataset if self._warped is None else self._warped
        with self._one_at_a_time, gdal(), any_error_is_ours(self.source.labels):
            values = source.read(1, window=window)
            if self._warped is not None:
                known = values != OUTSIDE
            elif self.dataset.nodata in self.source.kept:
                known = np.bool_(True)
            else:
                known = source.read_masks(1, window=window) > 0
        return np.where(known, values.astype(np.int32), np.int32(TRANSPARENT))

    def _is_grid(self, place: Place, size: Size) -> bool:
        """Whether pixels are those of the picture, but for what rounding leaves."""
        if self.dataset.shape != size or self.dataset.crs != place.crs:
            return False
        corners = corners_of(Box(0, 0, *size))
        there = carried(~place.transform, carried(self.dataset.transform, corners))
        return bool(np.abs(there - corners).max() < SAME)

    def _on_grid(self, place: Place, size: Size) -> Any:
        from rasterio.enums import Resampling
        from rasterio.vrt import WarpedVRT

        nodata = self.dataset.nodata
        lacking = None if nodata in self.source.kept else nodata
        with gdal(), any_error_is_ours(self.source.labels):
            return WarpedVRT(
                self.dataset,
                crs=place.crs,
                transform=place.transform,
                height=size[0],
                width=size[1],
                resampling=Resampling.nearest,
                tolerance=EXACT,
                dtype="int32",
                nodata=OUTSIDE,
                init_dest_nodata=True,
                src_nodata=lacking,
            )


def _check_bands(source: Source, dataset: Any) -> None:
    kind = str(dataset.dtypes[0])
    if kind not in _WHOLE:
        found, code = f"holds {kind}", "M415"
    elif dataset.count > 1:
        found, code = f"has {dataset.count} bands", "M416"
    else:
        return
    raise MaskError(
        source.labels,
        found=found,
        allowed="labels of a raster are one band of whole numbers",
        fix="Save them so, for example with `gdal_translate -b 1 -ot Byte`.",
        code=code,
    )
