"""Planes of labels -> the labels of each pixel side by side, and back."""

import numpy as np
from jaxtyping import Float32

from atrous.kernels.compiled import compiled, in_strips

_PIXELS = 64  # at once, while all their labels stay in the nearest cache
_CHUNK = 4096  # pixels whose logarithms are taken at once


def log_rows(
    probs: Float32[np.ndarray, "K N"],
    kept: np.ndarray,
    *,
    lanes: int,
    least: float,
    rest: np.float32,
    threads: int,
) -> Float32[np.ndarray, "N L"]:
    """The logarithms of the `kept` labels, a row for each pixel, filled up with `rest`.

    What is below `least` counts as `least`.
    """
    rows = np.empty((probs.shape[1], lanes), np.float32)

    def strip(first: int, end: int) -> None:
        for begin in range(first, end, _CHUNK):
            own = slice(begin, min(begin + _CHUNK, end))
            part = np.maximum(probs[kept, own], np.float32(least))
            _turn(np.log(part, out=part), rest, rows[own])

    in_strips(strip, len(rows), threads=threads)
    return rows


def planes(
    rows: Float32[np.ndarray, "N L"], kept: np.ndarray, labels: int, *, threads: int
) -> Float32[np.ndarray, "K N"]:
    """The first lanes of each row as planes of the `kept` labels; the others are 0."""
    out = np.zeros((labels, len(rows)), np.float32)

    def strip(first: int, end: int) -> None:
        _turn_back(rows, kept, first, end, out)

    in_strips(strip, len(rows), threads=threads)
    return out


def _to_rows(part, rest, rows):
    labels, lanes = part.shape[0], rows.shape[1]
    for begin in range(0, rows.shape[0], _PIXELS):
        stop = min(begin + _PIXELS, rows.shape[0])
        for i in range(begin, stop):
            for k in range(labels, lanes):
                rows[i, k] = rest
        for k in range(labels):
            for i in range(begin, stop):
                rows[i, k] = part[k, i]


def _to_planes(rows, kept, first, end, out):
    for begin in range(first, end, _PIXELS):
        stop = min(begin + _PIXELS, end)
        for k in range(kept.size):
            for i in range(begin, stop):
                out[kept[k], i] = rows[i, k]


_turn = compiled(_to_rows)
_turn_back = compiled(_to_planes)
