"""A picture of any size, of which parts are read: the logits of its cells, tile by tile."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64

from atrous.kernels.resize import positions
from atrous.predict.augmentation import AS_IT_IS, Augmentation, moved
from atrous.predict.engines import Counted, Engine, Means
from atrous.predict.flow import in_flight
from atrous.predict.tiles.cuts import EVERYWHERE, Cut, Region, Tile, lattice, reach_of, windows
from atrous.predict.tiles.shared import Shared
from atrous.types import Grid, GridLogits, Image, Images, Size

Read = Callable[[Region], Image]  # the pixels of a part, in the engine's own form
Known = Callable[[Region], Bool[np.ndarray, "H W"] | None]  # which are pixels; None = all

SIGMA = 8  # the Gaussian's is an eighth of a tile's side (as of nnU-Net, Isensee et al. 2021)


def everywhere(_: Region) -> None:
    """Of a picture all pixels are known."""


@dataclass(frozen=True)
class Scene:
    """A picture of `size`, of which `read` gives parts; its logits lie on `grid`.

    `known` says which of its pixels are pixels: a tile that has none is not worked at, and gets
    logits of 0. `turn` is held while the engine works. `means` are those over the whole picture
    that are known; `with_means` finds all.
    """

    engine: Engine
    size: Size
    read: Read
    cut: Cut
    grid: Grid
    num_logits: int
    beyond: int = 0
    """Cells beyond those of the padded picture, on each axis, as of FCN's published padding."""
    known: Known = everywhere
    augmentation: Augmentation = AS_IT_IS
    turn: AbstractContextManager[Any] = field(default_factory=nullcontext)
    means: Means = ()
    shared: Shared = field(default_factory=Shared)
    """Of blended tiles, those that the part to the right needs too."""

    def cells(self, region: Region = EVERYWHERE) -> GridLogits:
        """The logits of a part that begins at multiples of the alignment, and ends so or ends all.

        Each part has the same cells as it has of the whole.
        """
        rows, columns = (
            slice(*part.indices(n)[:2]) for part, n in zip(region, self.size, strict=True)
        )
        return (self._exact if self.cut.mode == "exact" else self._blended)((rows, columns))

    @property
    def unit(self) -> int:
        """Parts begin at multiples of it, in pixels."""
        return self.engine.tiling.alignment

    @property
    def reach(self) -> int:
        """Pixels beside a part whose cells its own pixels read too."""
        return reach_of(self.grid, self.unit)

    def grown(self, region: Region) -> tuple[Region, Region]:
        """A part with all that it reads, and where in that it lies."""
        around = self.reach
        rows, columns = (
            slice(max(0, part.start - around), min(n, _up(part.stop, self.unit) + around))
            for part, n in zip(region, self.size, strict=True)
        )
        first, second = region
        inner = (
            slice(first.start - rows.start, first.stop - rows.start),
            slice(second.start - columns.start, second.stop - columns.start),
        )
        return (rows, columns), inner

    def with_means(self) -> "Scene":
        """With the means over the whole picture that its tiles need, which cost a pass each."""
        scene = self
        while self.cut.mode == "exact" and len(scene.means) < self.engine.tiling.means:
            scene = replace(scene, means=(*scene.means, scene._next_mean()))
        return scene

    def _answer(self, image: Image) -> GridLogits:
        def answer(view: Image) -> GridLogits:
            with self.turn:
                return self.engine(view[None], self.means)[0]

        return self.augmentation.logits(answer, image, grid=self.engine.grid)

    def _exact(self, region: Region) -> GridLogits:
        side, halo = self.cut.side, self.cut.halo
        down, across = (
            [*lattice(n, side, halo, part)] for n, part in zip(self.size, region, strict=True)
        )
        parts = in_flight(self._own_cells, product(down, across), threads=self.engine.lanes)
        lines = [np.concatenate([next(parts) for _ in across], 2) for _ in down]
        return lines[0] if len(lines) == 1 else np.concatenate(lines, 1)

    def _own_cells(self, tile: tuple[Tile, Tile]) -> GridLogits:
        begins = [self._cells(of.own.start - of.read.start) for of in tile]
        counts = [self._count(of.own, n) for of, n in zip(tile, self.size, strict=True)]
        if not self._is_known((tile[0].own, tile[1].own)):
            return np.zeros((self.num_logits, *counts), np.float32)
        logits = self._answer(self.read((tile[0].read, tile[1].read)))
        own = (slice(b, b + count) for b, count in zip(begins, counts, strict=True))
        return logits[:, *own]

    def _blended(self, region: Region) -> GridLogits:
        size = [self._count(part, n) for part, n in zip(region, self.size, strict=True)]
        total = np.zeros((self.num_logits, *size), np.float32)
        weight = np.zeros(size, np.float32)
        down, across = (
            [w for w in windows(n, self.cut.side, self.unit) if _meet(w, part)]
            for part, n in zip(region, self.size, strict=True)
        )
        tiles = [tile for tile in product(down, across) if self._is_known(tile)]
        inside = region[1]

        def answer(tile: Region) -> GridLogits:
            if inside.start <= tile[1].start and tile[1].stop <= inside.stop:
                return self._on_grid(tile)
            return self.shared(tile, self._on_grid)

        answers = in_flight(answer, tiles, threads=self.engine.lanes)
        for tile, logits in zip(tiles, answers, strict=True):
            rows, columns = (
                self._overlap(w, self._count(w, n), part, count)
                for w, n, part, count in zip(tile, self.size, region, size, strict=True)
            )
            gain = rows.gains[:, None] * columns.gains
            total[:, rows.inside, columns.inside] += logits[:, rows.taken, columns.taken] * gain
            weight[rows.inside, columns.inside] += gain
        return np.divide(total, weight, out=total, where=weight > 0)

    def _on_grid(self, tile: Region) -> GridLogits:
        """The logits of a tile that is blended; those that are spread over it are put on cells."""
        logits, spread = self._answer(self.read(tile)), self.engine.grid
        if isinstance(spread, Grid):
            return logits
        places = []
        for part, cells in zip(tile, logits.shape[1:], strict=True):
            pixels = part.stop - part.start
            own = (np.arange(self._cells(pixels)) + 0.5) * self.grid.stride - 0.5
            places.append(positions(own, pixels, cells, spread))
        return moved(logits, (places[0], places[1]))

    def _overlap(self, tile: slice, cells: int, part: slice, count: int) -> "_Overlap":
        first, begin = self._cells(tile.start), self._cells(part.start)
        start, stop = max(first, begin), min(first + cells, begin + count)
        centres = np.arange(start - first, stop - first) + 0.5 + self.grid.offset
        off = centres * self.grid.stride - self.cut.side / 2
        gains = np.exp(-0.5 * (off * SIGMA / self.cut.side) ** 2).astype(np.float32)
        return _Overlap(
            slice(start - begin, stop - begin), slice(start - first, stop - first), gains
        )

    def _next_mean(self) -> Float64[np.ndarray, " C"]:
        """The next mean over the whole picture, summed up in float64."""
        total, cells = np.zeros(1), 0
        down, across = (lattice(n, self.cut.side, self.cut.halo) for n in self.size)
        for part in in_flight(self._counted, product(down, across), threads=self.engine.lanes):
            if part is not None:
                total, cells = total + part.sums, cells + part.cells
        return total / max(cells, 1)

    def _counted(self, tile: tuple[Tile, Tile]) -> Counted | None:
        """What a tile's own cells add; padding counts, as in the whole, no-data does not."""
        region = tile[0].own, tile[1].own
        if not self._is_known(region):
            return None
        known = self.known(region)
        own = np.zeros([_up(of.read.stop - of.read.start, self.unit) for of in tile], bool)
        rows, columns = (
            slice(
                of.own.start - of.read.start,
                None if of.own.stop == n else of.own.stop - of.read.start,
            )
            for of, n in zip(tile, self.size, strict=True)
        )
        own[rows, columns] = True
        if known is not None:
            height, width = known.shape
            own[rows, columns][:height, :width] = known
        with self.turn:
            return self.engine.next_mean(self.read((tile[0].read, tile[1].read)), own, self.means)

    def _is_known(self, region: Region) -> bool:
        known = self.known(region)
        return known is None or bool(known.any())

    def _count(self, part: slice, n: int) -> int:
        """The cells of a part of `n` pixels; the last has those of what is padded too."""
        if part.stop == n:
            return self._cells(_up(n, self.unit) - part.start) + self.beyond
        return self._cells(part.stop - part.start)

    def _cells(self, pixels: int) -> int:
        return -(-pixels // self.grid.stride)


@dataclass(frozen=True)
class _Overlap:
    """Of one axis, the cells of a part that a tile has, where it has them, and their weights."""

    inside: slice
    taken: slice
    gains: Float32[np.ndarray, " c"]


def scene_of(engine: Engine, size: Size, read: Read, cut: Cut, **options: Any) -> Scene:
    """A picture that is cut into tiles so; logits that a model spreads over them get a grid.

    Where that, or the number of cells, is not said, it is seen on a picture without content.
    """
    grid, unit, beyond = engine.grid, engine.tiling.alignment, 0
    if not isinstance(grid, Grid):
        cells = engine(_blank(engine, cut.side)).shape[2]
        grid = Grid(max(1, round(cut.side / cells)))
    elif grid.offset:
        beyond = engine(_blank(engine, unit)).shape[2] - unit // grid.stride
    return Scene(engine, size, read, cut, grid, beyond=beyond, **options)


def _blank(engine: Engine, side: int) -> Images:
    return np.zeros((1, side, side, engine.bands), engine.dtype)


def _meet(a: slice, b: slice) -> bool:
    return a.start < b.stop and b.start < a.stop


def _up(number: int, unit: int) -> int:
    return -(-number // unit) * unit
