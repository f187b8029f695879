"""Polygons of GeoJSON and GeoPackage files, burnt into windows of a raster.

A pixel has the label of a polygon that holds its centre; of several, that of the last in the
file. Corners are brought into the reference system of the picture, edges stay straight.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int32, Int64, Shaped

from atrous.classes import IGNORE, TRANSPARENT
from atrous.data.images.refusals import any_error_is_ours
from atrous.data.rasters import Place, gdal, quiet
from atrous.data.windows.placing import (
    Bounds,
    Points,
    bounds_of,
    brought,
    carried,
    check_meet,
    check_placed,
)
from atrous.data.windows.window import Box, Source
from atrous.errors import DataError
from atrous.types import Size

SUFFIXES = {".geojson": "GeoJSON", ".gpkg": "GPKG"}
FIELD = "class"  # where none is named
BATCH = 10_000  # polygons of a GeoPackage that are looked at together
_SQLITE = b"SQLite format 3\0"
_FLAT = ("Polygon", "MultiPolygon")

Outlines = Shaped[np.ndarray, " N"]  # of shapely
Values = Shaped[np.ndarray, " N"] | None


def is_polygons(path: Path) -> bool:
    """Whether the suffix is that of a file of polygons.

    Example:
        >>> is_polygons(Path("a.geojson")), is_polygons(Path("a.json"))
        (True, False)
    """
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


class Facts(NamedTuple):
    """What a file of polygons says: its fields, and the values of the one that was asked for."""

    fields: tuple[str, ...]
    values: frozenset[Any]
    bounds: Bounds
    crs: Any


def read_facts(path: Path, field: str) -> Facts:
    """The facts of a file; each of its features is looked at.

    Raises:
        DataError: it cannot be read, a feature has no geometry, or is no polygon.
    """
    layer, fields, crs = _head(path)
    values: set[Any] = set()
    bounds = np.array([np.inf, np.inf, -np.inf, -np.inf])
    for ids, outlines, held in _batches(path, layer, field if field in fields else ""):
        _check_outlines(path, ids, outlines)
        if held is not None:
            values.update(_plain(value) for value in held.tolist())
        low_high = np.array([outline.bounds for outline in outlines]).reshape(-1, 4)
        if len(low_high):
            bounds[:2] = np.minimum(bounds[:2], low_high[:, :2].min(0))
            bounds[2:] = np.maximum(bounds[2:], low_high[:, 2:].max(0))
    left, bottom, right, top = bounds.tolist()
    return Facts(fields, frozenset(values), (left, bottom, right, top), crs)


class Polygons:
    """The polygons that lie on a raster; any thread may read them.

    Those of a GeoPackage are read window by window, by its own index; of GeoJSON, which has
    none, all are kept, with an index.
    """

    def __init__(self, source: Source, place: Place, size: Size) -> None:
        self.source, self.place = source, place
        facts = read_facts(source.labels, source.field)
        check_placed(source, place, facts.crs)
        self.crs = facts.crs
        if np.isfinite(facts.bounds[0]):
            check_meet(source, place, size, facts.bounds, facts.crs)
        self.layer, _, _ = _head(source.labels)
        self._kept = None
        if SUFFIXES[source.labels.suffix.lower()] == "GeoJSON":
            self._kept = _Kept(*self._placed(*_read(source.labels, self.layer, source.field)))

    def read(self, box: Box) -> Int32[np.ndarray, "H W"]:
        """The labels of a part of the picture, 0 where no polygon is.

        Raises:
            DataError: a polygon is of no class.
        """
        outlines, labels = self._kept.touching(box) if self._kept else self._in_file(box)
        if not len(outlines):
            return np.zeros(box.size, np.int32)
        with gdal():
            from rasterio.features import rasterize
            from rasterio.transform import Affine

            with quiet():
                return rasterize(
                    zip(outlines, labels.tolist(), strict=True),
                    out_shape=box.size,
                    transform=Affine.translation(box.left, box.top),
                    dtype="int32",
                )

    def _in_file(self, box: Box) -> tuple[Outlines, Int64[np.ndarray, " N"]]:
        here = bounds_of(self.place.transform, box)
        left, bottom, right, top = brought(here, self.place.crs, self.crs)
        wide, high = (right - left) / 10, (top - bottom) / 10  # edges are straight there
        around = left - wide, bottom - high, right + wide, top + high
        found = _read(self.source.labels, self.layer, self.source.field, bbox=around)
        return self._placed(*found)

    def _placed(
        self, ids: Int64[np.ndarray, " N"], outlines: Outlines, values: Values
    ) -> tuple[Outlines, Int64[np.ndarray, " N"]]:
        """Outlines in pixels of the picture, x to the right and y down, and their labels."""
        import shapely

        there = ~self.place.transform

        def pixels(points: Points) -> Points:
            if self.crs != self.place.crs:
                with gdal():
                    from rasterio.warp import transform

                    points = np.stack(transform(self.crs, self.place.crs, *points.T), axis=1)
            return carried(there, points)

        flat = shapely.force_2d(outlines)
        return shapely.transform(flat, pixels), self._labels(ids, values)

    def _labels(self, ids: Int64[np.ndarray, " N"], values: Values) -> Int64[np.ndarray, " N"]:
        if values is None:
            return np.ones(len(ids), np.int64)
        pairs = zip(ids.tolist(), map(_plain, values.tolist()), strict=True)
        return np.array([self._label(value, number) for number, value in pairs], np.int64)

    def _label(self, value: Any, number: int) -> int:
        if value == IGNORE:
            return TRANSPARENT
        if isinstance(value, int):
            return value
        if value in self.source.names:
            return self.source.names.index(value)
        raise DataError(
            self.source.labels,
            found=f"feature {number} has the {self.source.field} {value!r}",
            allowed=f"classes are {', '.join(self.source.names)}",
            fix='Correct it, or write "ignore" where nothing is known.',
            code="A705",
        )


class _Kept:
    """Outlines in memory, with an index."""

    def __init__(self, outlines: Outlines, labels: Int64[np.ndarray, " N"]) -> None:
        from shapely import STRtree

        self.outlines, self.labels = outlines, labels
        self.tree = STRtree(outlines)

    def touching(self, box: Box) -> tuple[Outlines, Int64[np.ndarray, " N"]]:
        from shapely import box as rectangle

        area = rectangle(box.left, box.top, box.right, box.bottom)
        found = np.sort(self.tree.query(area))
        return self.outlines[found], self.labels[found]


def _head(path: Path) -> tuple[str, tuple[str, ...], Any]:
    """The one layer of a file, its fields, its reference system."""
    pyogrio = _checked(path)
    with gdal() as rasterio, any_error_is_ours(path):
        layers = [name for name, kind in pyogrio.list_layers(path) if kind is not None]
        if len(layers) == 1:
            told = pyogrio.read_info(path, layer=layers[0])
            crs = rasterio.crs.CRS.from_user_input(told["crs"]) if told["crs"] else None
            return layers[0], tuple(told["fields"].tolist()), crs
    raise DataError(
        path,
        found=f"has the layers {', '.join(layers)}" if layers else "has no layer of polygons",
        allowed="labels are one layer",
        fix="Write it alone: `ogr2ogr OUT.gpkg IN.gpkg LAYER`.",
        code="F201",
    )


def _batches(path: Path, layer: str, field: str) -> Iterator[tuple[Any, Outlines, Values]]:
    """All features, some at a time; of a GeoJSON, which is parsed whole, all at once."""
    if SUFFIXES[path.suffix.lower()] == "GeoJSON":
        yield _read(path, layer, field)
        return
    at = 0
    while True:
        batch = _read(path, layer, field, skip_features=at, max_features=BATCH)
        yield batch
        at += len(batch[0])
        if len(batch[0]) < BATCH:
            return


def _read(
    path: Path, layer: str, field: str, **some: Any
) -> tuple[Int64[np.ndarray, " N"], Outlines, Values]:
    """Numbers, outlines and values of features, in the order of the file."""
    import shapely
    from pyogrio.raw import read

    columns = [field] if field else []
    with any_error_is_ours(path):
        _, ids, outlines, held = read(path, layer=layer, columns=columns, return_fids=True, **some)
        # An index gives them in an order of its own; the ids of GeoJSON may be any.
        order = np.argsort(ids) if "bbox" in some else slice(None)
        values = held[0][order] if field else None
        return ids[order], shapely.from_wkb(outlines[order]), values


def _checked(path: Path) -> Any:
    """pyogrio, for a file that begins as its suffix says.

    Raises:
        DataError: it does not, or pyogrio or shapely is not installed.
    """
    try:
        import pyogrio
        import shapely  # noqa: F401
    except ModuleNotFoundError as error:
        raise DataError(
            path,
            found=f"is read by the package {error.name}, which is not there",
            allowed="polygons as labels need pyogrio and shapely",
            fix="Install them with `pip install 'atrous[geo]'`.",
            code="F201",
        ) from None
    with any_error_is_ours(path), path.open("rb") as file:
        begin = file.read(64)
    kind = SUFFIXES[path.suffix.lower()]
    text = begin.removeprefix(b"\xef\xbb\xbf").lstrip()
    if begin.startswith(_SQLITE) if kind == "GPKG" else text.startswith(b"{"):
        return pyogrio
    raise DataError(
        path,
        found=f"is no {kind} file" if begin else "is empty",
        allowed="polygons are GeoJSON or GeoPackage files",
        fix="Export the polygons again.",
        code="F201" if begin else "F203",
    )


def _check_outlines(path: Path, ids: Int64[np.ndarray, " N"], outlines: Outlines) -> None:
    for number, outline in zip(ids.tolist(), outlines, strict=True):
        if outline is None or outline.is_empty:
            found, fix = "has no geometry", "Remove it, or draw it."
        elif outline.geom_type not in _FLAT:
            found = f"is a {outline.geom_type}"
            fix = "Make an area of it (a buffer), or take it out."
        else:
            continue
        raise DataError(
            path,
            found=f"feature {number} {found}",
            allowed="labels are polygons",
            fix=fix,
            code="F201",
        )


def _plain(value: Any) -> Any:
    """A value of a field: whole numbers as such, nothing as None."""
    if isinstance(value, float):
        return None if np.isnan(value) else int(value) if value.is_integer() else value
    return value
