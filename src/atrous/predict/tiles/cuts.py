"""How a picture is cut: whole, in exact tiles or in blended ones, and what that costs."""

from collections.abc import Iterator, Sequence
from math import ceil, isqrt
from typing import Literal, NamedTuple, NoReturn, get_args

from atrous.errors import RecipeError
from atrous.machine import memory as machine_memory
from atrous.predict.engines import Engine
from atrous.types import Grid, Size, Tiling

TileMode = Literal["auto", "exact", "blend", "off"]
Region = tuple[slice, slice]  # rows and columns of pixels, in steps of 1

EVERYWHERE: Region = (slice(None), slice(None))
SHARE = 0.5  # of the machine's memory, for what the network holds of all tiles at work
FALLBACK = 2 << 30  # bytes, where the machine does not tell its memory
UNKNOWN = 1024  # bytes a pixel of a network that does not tell; most take less
SMALL = 1 << 20  # pixels: such pictures are not cut, and nobody has to know how they would be
DEAR = 4.0  # times that each pixel is worked at in exact tiles: above, they are only made if asked
BLENDED = 2048  # pixels: the side of the largest tile that is blended
OVERLAP = 4  # a tile shares a fourth of its side with each neighbour


class Cut(NamedTuple):
    """How pictures of one size are cut."""

    mode: Literal["whole", "exact", "blend"]
    side: int = 0
    """Pixels: of a tile's own part, or of all of it where it is blended."""
    halo: int = 0
    """Pixels that are read around the own part."""
    cost: float = 1.0
    """How often each pixel is worked at."""
    why: str = ""

    def __str__(self) -> str:
        if self.mode == "whole":
            return "Whole, not in tiles."
        how = f"exact, of {self.side} px and a halo of {self.halo}"
        differ = ""
        if self.mode == "blend":
            how = f"blended, of {self.side} px, a fourth of it shared with each neighbour"
            differ = f" Expect another class than the whole picture's at {_expected(self.side)}."
        return f"Tiles: {how}; each pixel is worked at {self.cost:.1f} times{self.why}.{differ}"


WHOLE = Cut("whole")


def _expected(side: int) -> str:
    """Where blended tiles of a side differ, as DeepLab v3+ did on street scenes (docs/tiles.md)."""
    if side >= BLENDED:
        return "about 6 % of pixels"
    return "6 to 17 % of pixels" if side >= BLENDED // 2 else "17 % of pixels or more"


class Tile(NamedTuple):
    """A tile along one axis, in pixels: its own part, and what is read."""

    own: slice
    read: slice


def cut_for(
    engine: Engine,
    size: Size,
    *,
    tile: str = "auto",
    memory: int = 0,
    scales: Sequence[float] = (1.0,),
) -> Cut:
    """How a picture of this size is cut, so that the network holds `memory` MiB at most.

    0 = half of the machine's. Where tiles are shown at other `scales` too, halos are as wide as
    the smallest needs, and tiles as small as the largest.

    Raises:
        RecipeError: exact tiles are asked for, and the model has none; or memory is too small.
    """
    check_tiles(tile, memory)
    pixels = size[0] * size[1]
    if tile == "off" or (tile == "auto" and pixels <= SMALL):
        return WHOLE
    tiling, all_held = engine.tiling, _pixels_held(engine, memory)
    if tile == "auto" and pixels <= all_held:
        return WHOLE
    held = int(all_held / (max(1, engine.lanes) * max(1.0, *scales) ** 2))  # by a tile
    most = _down(isqrt(held), tiling.alignment)
    if tiling.inexact:
        if tile == "exact":
            _refuse("tile", "is exact", f"{tiling.inexact}, so tiles of this model are blended")
        return _blended(size, tiling, most, f" (none are exact: {tiling.inexact})")
    exact = _exact(size, tiling, held, _up(int(tiling.halo / min(1.0, *scales)), tiling.alignment))
    if tile == "exact":
        return exact or _refuse_halo(tiling, most)
    if tile == "auto" and exact and exact.cost <= DEAR and tiling.means <= 1:
        return exact
    instead = f"exact ones: {exact.cost:.1f} times" if exact else "exact ones need more memory"
    return _blended(size, tiling, most, f" ({instead})")


def lanes_of(engine: Engine, size: Size, memory: int) -> int:
    """How many lanes have the memory that a picture takes which is shown whole."""
    pixels = size[0] * size[1]
    if engine.lanes <= 1 or pixels <= SMALL:
        return 1
    return max(1, min(engine.lanes, ceil(pixels * engine.lanes / _pixels_held(engine, memory))))


def _pixels_held(engine: Engine, memory: int) -> int:
    """The pixels of which the network holds the maps in all of its memory, which is in MiB."""
    budget = (memory << 20) or int(machine_memory() * SHARE) or FALLBACK
    return budget // (engine.tiling.room or UNKNOWN)


def check_tiles(tile: str, memory: int) -> None:
    """Refuse what no picture can be cut by.

    Raises:
        RecipeError: an unknown mode, or memory that is negative.
    """
    if tile not in get_args(TileMode):
        _refuse("tile", f"is {tile!r}", f"tiles are {', '.join(get_args(TileMode))}")
    if memory < 0:
        _refuse("memory", f"is {memory}", "it is MiB; 0 = half of the machine's")


def _exact(size: Size, tiling: Tiling, held: int, halo: int) -> Cut | None:
    """Exact tiles, as large as `held` pixels let them be; one, if they hold the whole picture."""
    short, long = sorted(_up(n, tiling.alignment) for n in size)
    most = _down(max(isqrt(held), held // short), tiling.alignment)  # a strip's are longer
    side = long if long <= most else most - 2 * halo
    if side < tiling.alignment:
        return None
    passes = 1 + tiling.means
    read = [sum(tile.read.stop - tile.read.start for tile in lattice(n, side, halo)) for n in size]
    cost = passes * read[0] * read[1] / (size[0] * size[1])
    return Cut("exact", side, halo, cost, f", in {passes} passes" if passes > 1 else "")


def _blended(size: Size, tiling: Tiling, most: int, why: str) -> Cut:
    unit = tiling.alignment
    side = min(most, max(_down(BLENDED, unit), OVERLAP * unit))
    if side < OVERLAP * unit:
        _refuse(
            "memory",
            f"is enough for tiles of {most} px",
            f"the network works in steps of {unit} px, and tiles have {OVERLAP} of them or more",
            "Give more, or fewer lanes.",
        )
    read = [sum(w.stop - w.start for w in windows(n, side, unit)) for n in size]
    return Cut("blend", side, 0, read[0] * read[1] / (size[0] * size[1]), why)


def lattice(n: int, side: int, halo: int, part: slice | None = None) -> Iterator[Tile]:
    """Exact tiles of a part of `n` pixels, or of all, one beside the other.

    Example:
        >>> [(t.own.start, t.read.stop) for t in lattice(10, 4, 1)]
        [(0, 5), (4, 9), (8, 10)]
    """
    begin, stop = (part.start, part.stop) if part else (0, n)
    for start in range(begin, stop, side):
        end = min(start + side, stop)
        yield Tile(slice(start, end), slice(max(start - halo, 0), min(end + halo, n)))


def windows(n: int, side: int, unit: int) -> list[slice]:
    """Blended tiles of `n` pixels, which overlap; all but the last have the whole side.

    Example:
        >>> [(w.start, w.stop) for w in windows(19, 8, 1)]
        [(0, 8), (6, 14), (12, 19)]
    """
    step = max(side - _up(side // OVERLAP, unit), unit)
    count = 1 + max(0, -(-(n - side) // step))
    return [slice(i * step, min(i * step + side, n)) for i in range(count)]


def reach_of(grid: Grid, unit: int) -> int:
    """Pixels beside a part whose cells its own pixels read too, in whole units.

    Example:
        >>> reach_of(Grid(4), 16), reach_of(Grid(8, offset=-3.4), 32)
        (16, 64)
    """
    return _up((2 + ceil(abs(grid.offset))) * grid.stride, unit)


def _down(number: int, unit: int) -> int:
    return number // unit * unit


def _up(number: int, unit: int) -> int:
    return -(-number // unit) * unit


def _refuse_halo(tiling: Tiling, most: int) -> NoReturn:
    _refuse(
        "memory",
        f"is enough for tiles of {most} px",
        f"an exact tile has a halo of {tiling.halo} px on each side",
        "Give more, or fewer lanes, or --tile blend.",
    )


def _refuse(
    where: str, found: str, allowed: str, fix: str = "Leave it at its default."
) -> NoReturn:
    raise RecipeError(where, found=found, allowed=allowed, fix=fix)
