"""Polygons as files: GeoPackage or GeoJSON, on the ground where the raster lies."""

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from atrous.errors import RunError
from atrous.files import refusals_told
from atrous.predict.raster.plan import Plan

LAYER = "classes"
BATCH = 4096  # polygons that are written at once
_DATE = "2000-01-01T00:00:00Z"  # of every GeoPackage: the same masks are the same bytes


class Feature(NamedTuple):
    """A polygon and what is said of it."""

    outline: Any
    """Of shapely, in pixels: x to the right, y down."""
    name: str
    label: int
    pixels: int
    confidence: float


def write_features(path: Path, features: Iterable[Feature], plan: Plan) -> None:
    """Write polygons to a file that is not there yet.

    Raises:
        RunError: they cannot be written.
    """
    with refusals_told(path):
        path.unlink(missing_ok=True)
    if plan.polygons == "gpkg":
        _geopackage(path, iter(features), plan)
    else:
        _geojson(path, iter(features), plan)


def _geopackage(path: Path, features: Iterator[Feature], plan: Plan) -> None:
    import pyogrio
    import shapely
    from pyogrio.errors import DataLayerError, DataSourceError
    from pyogrio.raw import write

    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": _DATE})
    options: dict[str, Any] = {"layer": LAYER, "driver": "GPKG", "crs": plan.place["crs"] or None}
    fields = ("class", "index", "pixels", "area", "confidence")
    batch, begun = [*islice(features, BATCH)], False
    while batch or not begun:
        placed = _placed([feature.outline for feature in batch], plan)
        columns = [
            np.array([feature.name for feature in batch], object),
            np.array([feature.label for feature in batch], np.int32),
            np.array([feature.pixels for feature in batch], np.int64),
            np.array([area(feature, plan) for feature in batch], np.float64),
            np.array([feature.confidence for feature in batch], np.float64),
        ]
        try:
            write(
                path,
                np.asarray(shapely.to_wkb(placed), object),
                columns,
                fields,
                geometry_type="MultiPolygon",
                promote_to_multi=True,
                append=begun,
                **options,
            )
        except (DataSourceError, DataLayerError) as error:
            raise RunError(
                path,
                found=f"cannot be written ({error})",
                allowed="polygons go there first",
                fix="Make room on the disk, and give the same command again.",
            ) from error
        batch, begun = [*islice(features, BATCH)], True


def _geojson(path: Path, features: Iterator[Feature], plan: Plan) -> None:
    """GeoJSON is in degrees (RFC 7946), where the reference system of the raster is known."""
    import shapely
    from shapely.geometry import mapping

    comma = ""
    with refusals_told(path), path.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        while batch := [*islice(features, BATCH)]:
            outlines = _placed([feature.outline for feature in batch], plan)
            if plan.place["crs"] and plan.place["transform"]:
                outlines = shapely.transform(outlines, partial(_degrees, crs=plan.place["crs"]))
            for feature, outline in zip(batch, outlines, strict=True):
                about = {
                    "class": feature.name,
                    "index": feature.label,
                    "pixels": feature.pixels,
                    "area": area(feature, plan),
                    "confidence": round(feature.confidence, 6),
                }
                told = {"type": "Feature", "properties": about, "geometry": mapping(outline)}
                file.write(comma + json.dumps(told, ensure_ascii=False))
                comma = ",\n"
        file.write("]}\n")


def _degrees(points: Float64[np.ndarray, "N 2"], *, crs: str) -> Float64[np.ndarray, "N 2"]:
    """Longitude and latitude."""
    from rasterio.warp import transform

    return np.stack(transform(crs, "EPSG:4326", *points.T)[:2], 1)


def area(feature: Feature, plan: Plan) -> float:
    """The area of its pixels in the units of the reference system, squared; else in pixels."""
    transform = plan.place["transform"]
    if not transform:
        return float(feature.pixels)
    a, b, _, d, e, _ = transform
    return feature.pixels * abs(a * e - b * d)


def _placed(outlines: Sequence[Any], plan: Plan) -> Any:
    """Outlines on the ground; in pixels where the transform is not known."""
    import shapely

    transform = plan.place["transform"]
    if not transform:
        return np.array(outlines, object)
    a, b, c, d, e, f = transform
    matrix, origin = np.array([[a, d], [b, e]]), np.array([c, f])
    return shapely.transform(np.array(outlines, object), lambda points: points @ matrix + origin)
