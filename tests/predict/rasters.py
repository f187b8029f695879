"""Rasters and models for the tests of predicting them."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from atrous.classes import Classes
from atrous.exported import read_exported, write_exported
from tiny_models import CLASSES, STRIDE, write_tiny

PLACE: dict[str, Any] = {"crs": "EPSG:32633"}


def write_exact(path: Path, *, classes: Classes = CLASSES, weights: np.ndarray | None = None):
    """A tiny model whose file says that its tiles are exact; 4 MiB make small ones."""
    write_tiny(path, classes=classes, weights=weights)
    graph, manifest, _ = read_exported(path)
    told = {"alignment": STRIDE, "tiling": "exact", "room": 64, "mean": (90.0, 100.0, 110.0)}
    write_exported(path, graph, replace(manifest, **told))
    return path


def scene(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A picture `H W 3` of cells of a few pixels, of values from 1 on."""
    random = np.random.default_rng(seed)
    cells = random.integers(1, 256, (height // 9 + 1, width // 9 + 1, 3), np.uint8)
    return cells.repeat(9, 0).repeat(9, 1)[:height, :width]


def write_geotiff(path: Path, picture: np.ndarray, **options: Any) -> Path:
    """A picture as GeoTIFF in tiles, with a place of its own, turned a little."""
    import rasterio

    height, width, count = picture.shape
    facts = {"height": height, "width": width, "count": count, "dtype": picture.dtype}
    tiles = {"tiled": True, "blockxsize": 128, "blockysize": 128, "photometric": "rgb"}
    turned = rasterio.Affine(2, 0.5, 300000, 0.5, -2, 5000000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = PLACE | {"transform": turned} | tiles | options
        with rasterio.open(path, "w", driver="GTiff", **facts, **options) as out:
            out.write(picture.transpose(2, 0, 1))
    return path
