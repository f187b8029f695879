"""Finished regions -> GeoTIFFs: tiles of 512 pixels, deflate, place, colours, names.

Regions are written in their order, whoever made them and when, so the bytes depend on the plan
and on nothing else.
"""

import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Shaped

from atrous.classes import Classes
from atrous.data.rasters import gdal, open_file
from atrous.errors import RunError
from atrous.files import refusals_told
from atrous.predict.raster.answers import Answer, unpacked
from atrous.predict.raster.journal import At, Stretch
from atrous.predict.raster.plan import BLOCK, Plan, place_of
from atrous.predict.shares import Row

TAG = "ATROUS"  # in the mask's own metadata: which model, and how many pixels each class has
SMALLEST = 256  # pixels: the longer side of the last overview is at most that
_NOTHING = 255  # in planes

Window = tuple[tuple[int, int], tuple[int, int]]


class Written(NamedTuple):
    """Files that are whole, under names of their own."""

    mask: Path
    confidence: Path | None
    row: Row


def write_rasters(plan: Plan, done: Mapping[At, Stretch], within: Path) -> Written:
    """Write the mask of a raster, and its confidence, into the folder `within`.

    Raises:
        RunError: they cannot be written, or not be read again as they were.
    """
    mask, sure = within / "mask.tif", within / "confidence.tif" if plan.confidence else None
    classes = plan.classes
    counts, known = np.zeros(len(classes), np.int64), 0
    sums: dict[Path, dict[Window, int]] = {path: {} for path in (mask, sure) if path}
    with gdal() as rasterio:
        with ExitStack() as files:
            out = files.enter_context(_made(rasterio, mask, plan, _of_mask(classes)))
            _explain(out, classes)
            beside = files.enter_context(_made(rasterio, sure, plan, _GREY)) if sure else None
            for answer in answers(plan, done):
                planes, window = bands_of(answer.mask, classes), _window(answer)
                out.write(planes, window=window)
                sums[mask][window] = zlib.crc32(planes.tobytes())
                if sure and beside is not None and answer.confidence is not None:
                    beside.write(answer.confidence, 1, window=window)
                    sums[sure][window] = zlib.crc32(answer.confidence.tobytes())
                known, counts = known + answer.known, counts + answer.counts
            about = {"model": plan.about.get("model"), "known": known, "pixels": counts.tolist()}
            out.update_tags(**{TAG: json.dumps(about)})
        for path, expected in sums.items():
            _finish(rasterio, path, plan)
            _check(rasterio, path, expected)
    return Written(mask, sure, row_of(known, counts))


def answers(plan: Plan, done: Mapping[At, Stretch]) -> Iterator[Answer]:
    """What is known of a raster, in the order of its regions."""
    dtype = plan.classes.dtype
    for region in plan.regions():
        if done[region.at].length:
            yield from unpacked(done[region.at].read(), dtype)


def bands_of(mask: Shaped[np.ndarray, "H W"], classes: Classes) -> Shaped[np.ndarray, "C H W"]:
    """A mask as bands of a file: one of classes, or of multilabel one a class with 0 and 1."""
    if classes.task != "multilabel":
        return mask[None]
    unknown = mask == classes.ignore_index
    planes = [np.where(unknown, _NOTHING, (mask >> k) & 1) for k in range(len(classes))]
    return np.stack(planes).astype(np.uint8)


def row_of(known: int, counts: Iterable[int]) -> Row:
    """The row of shares: of the pixels of which something is known."""
    return Row(known, tuple(f"{count / max(known, 1):.6f}" for count in counts))


def read_row(path: Path, classes: Classes) -> Row | None:
    """The row of a mask that was written before; None where it is no such file, or not whole."""
    try:
        with gdal() as rasterio, open_file(rasterio, path, driver="GTiff") as file:
            told = json.loads(file.tags()[TAG])
        counts = [int(count) for count in told["pixels"]]
        return row_of(int(told["known"]), counts) if len(counts) == len(classes) else None
    except Exception:  # whatever GDAL or JSON say of it: it is done again
        return None


_GREY: dict[str, Any] = {"count": 1, "dtype": "uint8", "nodata": 0, "photometric": "minisblack"}


def _of_mask(classes: Classes) -> dict[str, Any]:
    if classes.task == "multilabel":
        bands = {"count": len(classes), "interleave": "band", "alpha": "no"}
        return _GREY | bands | {"nodata": _NOTHING}
    photometric = {"photometric": "palette"} if len(classes) <= 255 else {}
    return {"count": 1, "dtype": classes.dtype, "nodata": classes.ignore_index, **photometric}


@contextmanager
def _made(rasterio: Any, path: Path, plan: Plan, kind: dict[str, Any]) -> Iterator[Any]:
    place = place_of(plan.place, rasterio)
    where = {"crs": place.crs, "rpcs": place.rpcs}
    where |= {"gcps": place.gcps} if place.gcps else {"transform": place.transform}
    options: dict[str, Any] = {
        "driver": "GTiff",
        "height": plan.size[0],
        "width": plan.size[1],
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "compress": "deflate",
        "bigtiff": "if_safer",
        "sparse_ok": True,
    }
    given = {key: value for key, value in where.items() if value}
    with (
        refusals_told(path),
        _our_errors(rasterio, path),
        open_file(rasterio, path, "w", **options, **kind, **given) as out,
    ):
        if place.point:
            out.update_tags(AREA_OR_POINT="Point")
        yield out


def _explain(out: Any, classes: Classes) -> None:
    """Colours and names of the classes."""
    names = {f"CLASS_{i}": name for i, name in enumerate(classes.names)}
    if classes.task == "multilabel":
        for band, name in enumerate(classes.names, 1):
            out.set_band_description(band, name)
        return out.update_tags(**names)
    out.set_band_description(1, "class")
    out.update_tags(1, **names)
    if len(classes) <= 255:
        out.write_colormap(1, {i: (*colour, 255) for i, colour in enumerate(classes.colours)})
    return None


def _finish(rasterio: Any, path: Path, plan: Plan) -> None:
    """Overviews, if they are asked for; then the disk has the file."""
    factors = [2**i for i in range(1, 31) if max(plan.size) > SMALLEST << (i - 1)]
    if plan.overviews and factors:
        sparse = rasterio.Env(SPARSE_OK_OVERVIEW="YES")
        with _our_errors(rasterio, path), sparse, open_file(rasterio, path, "r+") as out:
            out.build_overviews(factors, rasterio.enums.Resampling.nearest)
    with refusals_told(path):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _check(rasterio: Any, path: Path, sums: Mapping[Window, int]) -> None:
    """Read a file again: a full disk is not always told when a file is closed."""
    with _our_errors(rasterio, path), open_file(rasterio, path, driver="GTiff") as file:
        for window, expected in sums.items():
            if zlib.crc32(file.read(window=window).tobytes()) != expected:
                raise _unwritten(path, "is not what was written to it")


@contextmanager
def _our_errors(rasterio: Any, path: Path) -> Iterator[None]:
    try:
        yield
    except rasterio.errors.RasterioError as error:
        raise _unwritten(path, f"cannot be written ({' '.join(str(error).split())})") from error


def _unwritten(path: Path, found: str) -> RunError:
    fix = "Make room on the disk, and give the same command again: what is done is kept."
    return RunError(path, found=found, allowed="the mask goes there first", fix=fix)


def _window(answer: Answer) -> Window:
    rows, columns = answer.rows, answer.columns
    return (rows.start, rows.stop), (columns.start, columns.stop)
