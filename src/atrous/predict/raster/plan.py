"""What all parts of a raster's prediction share, however many machines make them."""

import hashlib
import json
from collections.abc import Iterator
from math import lcm
from pathlib import Path
from typing import Any, NamedTuple

from atrous.classes import Classes
from atrous.data.rasters import Place, Raster
from atrous.errors import RunError
from atrous.files import json_bytes, refusals_told, write_whole
from atrous.types import Grid, Placement, Size, Tiling

FILE = "plan.json"
BLOCK = 512  # pixels a side of a tile of what is written
LARGEST = 4096  # pixels a side of a region, where tiles need wide halos
NARROW = 128  # pixels of a halo that costs little
LOGITS = 64 << 20  # bytes of those of a region


class Region(NamedTuple):
    """A rectangle of a raster that is worked at as one; `at` is its row and column."""

    at: tuple[int, int]
    rows: slice
    columns: slice

    @property
    def size(self) -> Size:
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    @property
    def pixels(self) -> int:
        return self.size[0] * self.size[1]


class Plan(NamedTuple):
    """The facts on which every byte of the result depends."""

    name: str
    """Of the raster, as it was given."""
    fingerprint: str
    """Of its file."""
    size: Size
    side: int
    """Pixels of a region."""
    tiles: str
    """How the network is shown them."""
    about: dict[str, Any]
    """The model, and how it answers."""
    labels: dict[str, Any]
    """Its classes, as `Classes.to_dict` gives them."""
    confidence: bool
    overviews: bool
    polygons: str
    """"gpkg", "geojson", or none."""
    simplify: float
    """Pixels."""
    place: dict[str, Any]
    """Where it lies, as `placed` gives it."""
    format: int = 1

    @property
    def classes(self) -> Classes:
        return Classes.from_dict(self.labels)

    @property
    def counts(self) -> tuple[int, int]:
        """Rows and columns of regions."""
        height, width = (-(-n // self.side) for n in self.size)
        return height, width

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.content).digest()

    @property
    def content(self) -> bytes:
        return json_bytes(self._asdict())

    def region(self, row: int, column: int) -> Region:
        """The region of a row and a column among regions."""
        rows, columns = (
            slice(i * self.side, min((i + 1) * self.side, n))
            for i, n in zip((row, column), self.size, strict=True)
        )
        return Region((row, column), rows, columns)

    def regions(self) -> Iterator[Region]:
        """All, row by row."""
        rows, columns = self.counts
        return (self.region(r, c) for r in range(rows) for c in range(columns))


def side_of(tiling: Tiling, grid: Placement, *, tile: int, num_logits: int, size: Size) -> int:
    """Pixels of a region: multiples of what is written and of what the network is cut by.

    As large as a tile of the network, as its logits and `LARGEST` let it be.

    Example:
        >>> side_of(Tiling(8, 24), Grid(4), tile=1500, num_logits=5, size=(9000, 9000))
        1024
    """
    unit = lcm(BLOCK, tiling.alignment)
    stride = grid.stride if isinstance(grid, Grid) else 1
    of_logits = int((LOGITS / (4 * num_logits)) ** 0.5) * stride
    largest = LARGEST // 2 if tile and tiling.halo <= NARROW else LARGEST
    most = min(largest, of_logits, tile or largest)
    needed = -(-max(size) // unit) * unit
    return min(needed, max(unit, most // unit * unit))


def agreed(folder: Path, mine: Plan) -> Plan:
    """The plan of a folder of parts: mine, which is written there, or the same that is there.

    Raises:
        RunError: what is there is of other facts.
    """
    path = folder / FILE
    if not path.is_file():
        with refusals_told(path):
            write_whole(path, mine.content, durable=True)
        return mine
    theirs = read_plan(folder)
    for key, ours in mine._asdict().items():
        if json.loads(json_bytes(ours)) != json.loads(json_bytes(theirs._asdict()[key])):
            raise RunError(
                folder,
                found=f"holds parts made with {key} {_short(theirs._asdict()[key])}",
                allowed=f"now it is {_short(ours)}; parts are of one raster, made in one way",
                fix="Use the same options and memory, give another --out, or remove the folder.",
            )
    return theirs


def read_plan(folder: Path) -> Plan:
    """The plan of a folder of parts.

    Raises:
        RunError: it has none that can be read.
    """
    try:
        told = json.loads((folder / FILE).read_bytes())
        return Plan(**told | {"size": tuple(told["size"])})
    except (OSError, ValueError, TypeError, KeyError):
        raise RunError(
            folder / FILE,
            found="cannot be read",
            allowed="it says of which raster and model the parts beside it are",
            fix="Copy it from another machine that works at the same raster, or begin anew.",
        ) from None


def placed(raster: Raster) -> dict[str, Any]:
    """Where a raster lies, as plain values."""
    place = raster.place
    points = [
        {key: getattr(p, key) for key in ("row", "col", "x", "y", "z", "id", "info")}
        for p in place.gcps
    ]
    return {
        "crs": place.crs.to_wkt() if place.crs else "",
        "transform": list(place.transform)[:6] if place.transform else [],
        "gcps": points,
        "rpcs": place.rpcs.to_gdal() if place.rpcs else {},
        "point": place.point,
    }


def place_of(told: dict[str, Any], rasterio: Any) -> Place:
    """The place that `placed` told."""
    from rasterio.control import GroundControlPoint
    from rasterio.crs import CRS
    from rasterio.rpc import RPC
    from rasterio.transform import Affine

    return Place(
        CRS.from_wkt(told["crs"]) if told["crs"] else None,
        Affine(*told["transform"]) if told["transform"] else None,
        [GroundControlPoint(**point) for point in told["gcps"]],
        RPC.from_gdal(told["rpcs"]) if told["rpcs"] else None,
        told["point"],
    )


def _short(value: Any) -> str:
    text = json_bytes(value, indent=None).decode()
    return text if len(text) <= 80 else f"{text[:77]}..."
