"""Windows -> pixels and labels, through files that stay open.

What is open is kept by process, for a data worker that was forked opens files of its own, and
by the state of the file, for one that was written anew is another.
"""

import os
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from atrous.classes import TRANSPARENT
from atrous.data.images.refusals import any_error_is_ours
from atrous.data.rasters import Pixels, Raster
from atrous.data.rasters.raster import open_anywhere
from atrous.data.windows.label_rasters import LabelRaster
from atrous.data.windows.polygons import Polygons, is_polygons
from atrous.data.windows.window import Source, Window
from atrous.types import Image, RawMask

CACHE = 64 << 20  # bytes of decoded pixels that are kept of a raster
RASTERS, LABELS = 4, 32  # that are kept open


def pixels_of(window: Window) -> Image:
    """The pixels of a window; where nothing is known, the mean of the others, by band."""
    image, known = _read(window)
    if known.all():
        return image
    there = image[known]
    mean = there.mean(axis=0, dtype=np.float64) if len(there) else np.zeros(image.shape[2])
    image = image.copy()
    image[~known] = mean if image.dtype.kind == "f" else np.rint(mean)
    return image


def known_of(window: Window) -> Bool[np.ndarray, "H W"]:
    """Which pixels of a window are known."""
    return _read(window).known


def labels_of(window: Window) -> RawMask:
    """The labels of a window; `TRANSPARENT` where the picture or the labels are not known.

    Raises:
        DataError: they cannot be read.
    """
    known = known_of(window)
    if not known.any():
        return np.full(known.shape, TRANSPARENT, np.int32)
    labels = _labels_of(window.source).read(window.box)
    return labels if known.all() else np.where(known, labels, np.int32(TRANSPARENT))


def check_source(source: Source) -> None:
    """Labels and raster lie on one ground.

    Raises:
        DataError: they do not, or nothing says where one of them lies.
    """
    _labels_of(source)


def raster_of(path: Path) -> Raster:
    """The open raster of a file, of this process."""
    return _raster(path, _state(path))


def _read(window: Window) -> Pixels:
    return raster_of(window.source.image).read(window.box.rows, window.box.columns)


def _labels_of(source: Source) -> LabelRaster | Polygons:
    return _labels(source, _state(source.image), _state(source.labels))


def _state(path: Path) -> tuple[int, ...]:
    with any_error_is_ours(path):
        told = path.stat()
    return os.getpid(), told.st_size, told.st_mtime_ns


@lru_cache(maxsize=RASTERS)
def _raster(path: Path, state: tuple[int, ...]) -> Raster:
    return open_anywhere(path, room=CACHE)


@lru_cache(maxsize=LABELS)
def _labels(
    source: Source, image: tuple[int, ...], labels: tuple[int, ...]
) -> LabelRaster | Polygons:
    raster = raster_of(source.image)
    kind = Polygons if is_polygons(source.labels) else LabelRaster
    return kind(source, raster.place, raster.size)
