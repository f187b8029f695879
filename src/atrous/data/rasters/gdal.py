"""GDAL at arm's length: which driver may open what, and with which settings.

A path is made absolute and must be a file, so that no text is taken for a driver's expression
(`NETCDF:...`, `/vsizip/...`, XML). Files beside a file are not looked for: one of them could
name others. Remote addresses are opened only by those who say so.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from atrous.data.images.refusals import any_error_is_ours
from atrous.data.rasters.headers import Head, read_head
from atrous.errors import ImageError

DRIVERS = {"TIFF": "GTiff", "PNG": "PNG"}
SCHEMES = {"https": "vsicurl", "http": "vsicurl", "s3": "vsis3", "gs": "vsigs", "az": "vsiaz"}
CACHE = 32 << 20  # bytes of blocks that GDAL itself keeps
SETTINGS: dict[str, Any] = {
    "GDAL_CACHEMAX": CACHE,
    "GDAL_PAM_ENABLED": "NO",  # no .aux.xml is read, or left behind
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_NUM_THREADS": 1,  # bytes that are written do not depend on the machine
    "GDAL_TIFF_INTERNAL_MASK": "YES",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".tif,.tiff,.png",
}
_ONE_AT_A_TIME = Lock()


def is_address(text: str) -> bool:
    """Whether a text names something that GDAL would fetch from another machine, or unpack.

    Example:
        >>> is_address("https://example.org/a.tif"), is_address("/vsicurl/x"), is_address("a.tif")
        (True, True, False)
    """
    scheme = urlsplit(text).scheme if "://" in text else ""
    return len(scheme) > 1 or text.replace("\\", "/").startswith("/vsi")


@contextmanager
def gdal() -> Iterator[Any]:
    """rasterio, with the settings of this package; in any thread.

    Raises:
        ImageError: it is not installed.
    """
    try:
        import rasterio
    except ModuleNotFoundError:
        raise ImageError(
            "rasters",
            found="are read and written by the package rasterio, which is not there",
            allowed="georeferenced pictures and those too large for memory need it",
            fix="Install it with `pip install 'atrous[geo]'`.",
        ) from None
    with rasterio.Env(**SETTINGS):
        yield rasterio


def opened(source: str | Path) -> tuple[Any, Head | None]:
    """The open dataset of a raster, and its head where it lies on this machine.

    A text is an address of `SCHEMES`, a path is a file.

    Raises:
        ImageError: it cannot be opened, or not in windows.
    """
    with gdal() as rasterio:
        if isinstance(source, str):
            with any_error_is_ours(source):
                return _dataset(rasterio, remote(source), "GTiff"), None
        head = _head(source)
        with any_error_is_ours(source):
            return _dataset(rasterio, str(source.resolve(strict=True)), DRIVERS[head.kind]), head


def remote(address: str) -> str:
    """The name by which GDAL reaches an address.

    Example:
        >>> remote("s3://scenes/a.tif")
        '/vsis3/scenes/a.tif'

    Raises:
        ImageError: of a scheme that is not reached.
    """
    parts = urlsplit(address)
    if parts.scheme not in SCHEMES or not parts.netloc or address.startswith("/"):
        raise ImageError(
            address,
            found="is no address that is reached",
            allowed=f"addresses begin with {', '.join(f'{name}://' for name in SCHEMES)}",
            fix="Give one of these, or the path of a file.",
        )
    kind = SCHEMES[parts.scheme]
    return f"/{kind}/{address if kind == 'vsicurl' else parts.netloc + parts.path}"


def _head(path: Path) -> Head:
    """The head of a file that can be read in windows."""
    if is_address(str(path)):
        raise _refused(path, "is a name that GDAL gives to what is not a file")
    with any_error_is_ours(path), path.open("rb") as file:
        file.read(1)
    head = read_head(path)
    if head is None:
        raise _refused(path, "is neither, or its header is broken")
    if head.interlaced:
        raise _refused(path, "is interlaced, so that no part of it can be decoded alone")
    if head.turn != 1:
        raise _refused(path, f"is stored turned (orientation {head.turn})")
    return head


def _refused(path: Path, found: str) -> ImageError:
    return ImageError(
        path,
        found=found,
        allowed="rasters are TIFF and PNG files, upright and not interlaced",
        fix="Save it as a tiled TIFF: `gdal_translate -co TILED=YES IN OUT.tif`.",
        code="F201",
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing is said of a raster that is not georeferenced, which is no fault; for short work.

    Filters of warnings belong to the process: two threads that change them at once, as rasterio
    itself does, would undo what the other has done. So one thread at a time is here.
    """
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def open_file(rasterio: Any, path: str | Path, mode: str = "r", **options: Any) -> Any:
    """A file that this package names or makes itself, opened without a word."""
    with quiet():
        return rasterio.open(path, mode, **options)


def _dataset(rasterio: Any, name: str, driver: str) -> Any:
    return open_file(rasterio, name, driver=driver, sharing=False)
