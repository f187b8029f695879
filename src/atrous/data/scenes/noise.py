"""Value noise from fixed periodic tiles, and the keyed generators of a scene.

The tiles are constants (their own Philox keys), made once a process; a scene only chooses where in
them it reads, so that a texture costs a slice and not an interpolation.
"""

from functools import lru_cache

import numpy as np

TILE = 512  # a power of two: wrapping is then a bit mask
_SPAN = (1024, 1280)  # the tile repeated, so that any crop up to 512 x 768 is one slice


def generator(seed: int, index: int, stream: int = 0) -> np.random.Generator:
    """A generator that depends on its three numbers alone, each from 0 to 2**64 - 1."""
    key = np.array([seed, index], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, stream]))


def _upsample(grid: np.ndarray, axis: int) -> np.ndarray:
    """Stretch a periodic grid to TILE along one axis with smooth-step weights."""
    cells = grid.shape[axis]
    place = np.arange(TILE, dtype=np.float32) * cells / TILE
    low = place.astype(np.intp)
    t = place - low
    t = t * t * (3 - 2 * t)
    t = t[:, None] if axis == 0 else t[None, :]
    return grid.take(low, axis) * (1 - t) + grid.take((low + 1) % cells, axis) * t


@lru_cache(maxsize=16)
def tile(cells: int, octaves: int) -> np.ndarray:
    """A periodic TILE x TILE float32 texture in 0..1 whose largest lumps are TILE / cells wide."""
    rng = generator(20_150_608, cells * 16 + octaves)
    total = np.zeros((TILE, TILE), np.float32)
    for octave in range(octaves):
        side = min(cells << octave, TILE)
        grid = rng.random((side, side), dtype=np.float32) - 0.5
        total += _upsample(_upsample(grid, 0), 1) * 0.55**octave
    total = np.clip(0.5 + total * (0.24 / total.std()), 0, 1)
    total.setflags(write=False)
    return total


@lru_cache(maxsize=16)
def _wide(cells: int, octaves: int) -> np.ndarray:
    rows, cols = _SPAN
    return np.ascontiguousarray(np.tile(tile(cells, octaves), (2, 3))[:rows, :cols])


def crop(height: int, width: int, *, cells: int, octaves: int, grain: int) -> np.ndarray:
    """A height x width piece of a tile (a view, at most 512 x 768); `grain` says which piece."""
    top, left = grain % TILE, (grain // TILE) % TILE
    return _wide(cells, octaves)[top : top + height, left : left + width]


def at(y: np.ndarray, x: np.ndarray, *, cells: int, octaves: int, grain: int) -> np.ndarray:
    """The tile read at the whole parts of y and x, which broadcast against each other."""
    row = (y.astype(np.int32) + grain % TILE) & (TILE - 1)
    col = (x.astype(np.int32) + grain // TILE % TILE) & (TILE - 1)
    return tile(cells, octaves).ravel().take(row * TILE + col)


@lru_cache(maxsize=1)
def _dice() -> np.ndarray:
    return generator(20_170_617, 0).random(1 << 14, dtype=np.float32)


def frac(x: np.ndarray) -> np.ndarray:
    """What is left of x above its floor, in 0..1 (several times faster than np.mod)."""
    return x - np.floor(x)


def dice(y: np.ndarray, x: np.ndarray, *, grain: int) -> np.ndarray:
    """A number in 0..1 for each pair of whole numbers: what a window or a slab draws for itself."""
    place = y.astype(np.int32) * 131 + x.astype(np.int32) * 7919 + grain
    return _dice().take(place & 16383)
