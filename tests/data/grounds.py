"""Small scenes on the ground, with labels that lie in another system, for windows of rasters."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

UTM, DEGREES = "EPSG:32633", "EPSG:4326"
SIZE = (200, 240)
PLACE = (2.0, 0.0, 500000.0, 0.0, -2.0, 5000000.0)  # of two metres a pixel
RINGS = [  # in pixels, x and y
    [(10.3, 12.7), (90.2, 20.1), (60.6, 80.9)],
    [(100.4, 5.2), (230.7, 8.3), (221.1, 70.6), (130.9, 120.2)],
    [(30.1, 110.8), (95.3, 101.4), (110.2, 190.3), (20.9, 180.6)],
    [(150.6, 130.2), (210.3, 140.7), (180.4, 195.9)],
]


def write_raster(path: Path, values: np.ndarray, **options: Any) -> Path:
    """Bands `C H W`, or one `H W`, as a GeoTIFF in small tiles; `crs=None` for no place."""
    import rasterio

    values = values[None] if values.ndim == 2 else values
    count, height, width = values.shape
    facts = {"height": height, "width": width, "count": count, "dtype": values.dtype}
    place = {"crs": UTM, "transform": rasterio.Affine(*PLACE)}
    tiles = {"tiled": True, "blockxsize": 32, "blockysize": 16}
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {**facts, **place, **tiles, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if told["crs"] is None:
            del told["crs"], told["transform"]
        with rasterio.open(path, "w", driver="GTiff", **told) as out:
            out.write(values)
    return path


def noise(bands: int = 3, dtype: str = "uint8", seed: int = 0, size=SIZE) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 250, (bands, *size)).astype(dtype)


def on_ground(rings: Sequence, crs: str = UTM) -> list[list[tuple[float, float]]]:
    """Rings of pixels in metres, or in another system."""
    from rasterio.warp import transform

    a, _, c, _, e, f = PLACE
    placed = [[(a * x + c, e * y + f) for x, y in [*ring, ring[0]]] for ring in rings]
    if crs == UTM:
        return placed
    return [[*zip(*transform(UTM, crs, *zip(*ring, strict=True)), strict=True)] for ring in placed]


def write_geojson(
    path: Path, rings: Sequence, properties: Sequence[dict], crs: str | None = None
) -> Path:
    """Polygons of rings on the ground; `crs` is the old way to name another than degrees."""
    features = [
        {
            "type": "Feature",
            "properties": told,
            "geometry": ring and {"type": "Polygon", "coordinates": [ring]},
        }
        for ring, told in zip(rings, properties, strict=True)
    ]
    document: dict[str, Any] = {"type": "FeatureCollection", "features": features}
    if crs:
        document["crs"] = {"type": "name", "properties": {"name": crs}}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def write_gpkg(
    path: Path, rings: Sequence, properties: Sequence[dict], crs: str | None = UTM
) -> Path:
    import shapely
    from pyogrio.raw import write

    names = [*properties[0]]
    outlines = np.array([shapely.to_wkb(shapely.Polygon(ring)) for ring in rings], object)
    columns = [np.array([told[name] for told in properties]) for name in names]
    columns = [column.astype(object) if column.dtype.kind == "U" else column for column in columns]
    kinds: dict[str, Any] = {"layer": "labels", "driver": "GPKG", "geometry_type": "Polygon"}
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is no system, where there is none
        write(path, outlines, columns, names, crs=crs, **kinds)
    return path


def burnt(rings: Sequence, labels: Sequence[int], size=SIZE) -> np.ndarray:
    """What rasterio itself burns of rings on the ground, all at once."""
    import rasterio
    from rasterio.features import rasterize

    shapes = [{"type": "Polygon", "coordinates": [ring]} for ring in rings]
    pairs = zip(shapes, labels, strict=True)
    return rasterize(pairs, out_shape=size, transform=rasterio.Affine(*PLACE), dtype="uint8")


def declare(root: Path, text: str = "[raster]\nwindow = 48") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset.toml").write_text(text + "\n", encoding="utf-8")
    return root
