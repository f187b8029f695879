"""Whether labels and their raster lie on one ground."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from atrous.data.rasters import Place, gdal
from atrous.data.windows.window import Box, Source
from atrous.errors import DataError
from atrous.types import Size

Points = Float64[np.ndarray, "N 2"]  # x and y
Bounds = tuple[float, float, float, float]  # left, bottom, right, top


def check_placed(source: Source, place: Place, labels_crs: Any) -> None:
    """Both the raster and its labels say where they lie.

    Raises:
        DataError: one of them does not.
    """
    if place.crs is None or place.transform is None:
        raise unplaced(source.image, source.labels, points=bool(place.gcps))
    if not labels_crs:
        raise unplaced(source.labels, source.image)


def unplaced(path: Path, other: Path, *, points: bool = False) -> DataError:
    """The error for a file that does not say where it lies."""
    found = "lies by ground control points alone" if points else "does not say where it lies"
    fix = "Give it its place: `gdalwarp IN OUT`." if points else "Give it its reference system: "
    how = "`gdal_translate -a_srs EPSG:... -a_ullr LEFT TOP RIGHT BOTTOM IN OUT`, or of polygons "
    return DataError(
        path,
        found=found,
        allowed=f"it and {other.name} are brought together by their places on the ground",
        fix=fix + ("" if points else how + "`ogr2ogr -a_srs EPSG:... OUT IN`."),
        code="F201",
    )


def carried(transform: Any, points: Points) -> Points:
    """Where an affine transform carries points."""
    a, b, c, d, e, f = transform[:6]
    return points @ np.array([[a, d], [b, e]]) + (c, f)


def corners_of(box: Box) -> Points:
    """The corners of a part of a raster: x to the right, y down."""
    top, left, bottom, right = box
    return np.array([(left, top), (left, bottom), (right, top), (right, bottom)], np.float64)


def bounds_of(transform: Any, box: Box) -> Bounds:
    """The bounds, on the ground, of a part of a raster."""
    there = carried(transform, corners_of(box))
    (left, bottom), (right, top) = there.min(0).tolist(), there.max(0).tolist()
    return left, bottom, right, top


def brought(bounds: Bounds, crs: Any, to: Any) -> Bounds:
    """Bounds in another reference system, that hold all of the area.

    Raises:
        Exception: of GDAL: they cannot be brought there.
    """
    with gdal():
        from rasterio.warp import transform_bounds

        return transform_bounds(crs, to, *bounds, densify_pts=21) if crs != to else bounds


def check_meet(source: Source, place: Place, size: Size, labels: Bounds, crs: Any) -> None:
    """Labels lie, at least in part, on their raster.

    Raises:
        DataError: they do not.
    """
    raster = bounds_of(place.transform, Box(0, 0, *size))
    try:
        there = brought(labels, crs, place.crs)
        meet = (
            there[0] < raster[2]
            and raster[0] < there[2]
            and there[1] < raster[3]
            and raster[1] < there[3]
        )
    except Exception:  # of GDAL: numbers that are nowhere in that system
        there, meet = labels, False
    if meet:
        return
    degrees = crs.is_geographic and max(map(abs, labels)) > 360
    raise DataError(
        source.labels,
        found=f"lies at {_words(labels)}"
        + (", which are no degrees," if degrees else f" of {_name(crs)},")
        + f" and {source.image.name} at {_words(raster)} of {_name(place.crs)}",
        allowed="labels lie, at least in part, on their raster",
        fix=f"Say in which system its numbers are: `ogr2ogr -a_srs {_name(place.crs)} OUT IN`."
        if degrees
        else "Check that the two belong together, and that both name the right system.",
        code="F201",
    )


def _words(bounds: Bounds) -> str:
    left, bottom, right, top = bounds
    return f"x {left:.6g} to {right:.6g}, y {bottom:.6g} to {top:.6g}"


def _name(crs: Any) -> str:
    text = crs.to_string()
    return text if len(text) < 20 else "its system"
