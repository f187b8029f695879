"""Planes of labels -> the labels of each pixel side by side, and back."""

import numpy as np
from jaxtyping import Float32, Int64

from atrous.kernels.compiled import compiled, in_strips
from atrous.kernels.meanfield import highest

_PIXELS = 64  # at once, while all their labels stay in the nearest cache
_INFINITE = np.float32(np.inf)
_CHUNK = 4096  # pixels whose logarithms are taken at once


def log_rows(
    probs: Float32[np.ndarray, "K N"], *, lanes: int, least: float, rest: np.float32, threads: int
) -> Float32[np.ndarray, "N L"]:
    """The logarithms of the probabilities, a row for each pixel, filled up with `rest`.

    What is below `least` counts as `least`.
    """
    rows = np.empty((probs.shape[1], lanes), np.float32)

    def strip(first: int, end: int) -> None:
        for begin in range(first, end, _CHUNK):
            own = slice(begin, min(begin + _CHUNK, end))
            part = np.maximum(probs[:, own], np.float32(least))
            _turn(np.log(part, out=part), rest, rows[own])

    in_strips(strip, len(rows), threads=threads)
    return rows


def fill_planes(
    rows: Float32[np.ndarray, "N L"],
    labels: Int64[np.ndarray, " R"],
    out: Float32[np.ndarray, "K N"],
    *,
    threads: int,
) -> None:
    """Fill the planes of these labels with the first lanes of each row."""

    def strip(first: int, end: int) -> None:
        _turn_back(rows, labels, first, end, out)

    in_strips(strip, len(rows), threads=threads)


def taken(
    rows: Float32[np.ndarray, "N L"],
    lanes: Int64[np.ndarray, " R"],
    width: int,
    rest: np.float32,
    *,
    threads: int,
) -> Float32[np.ndarray, "N L"]:
    """Some lanes of each row, filled up with `rest` to so many."""
    out = np.empty((len(rows), width), np.float32)

    def strip(first: int, end: int) -> None:
        _take(rows, lanes, rest, first, end, out)

    in_strips(strip, len(rows), threads=threads)
    return out


def shown(
    rows: Float32[np.ndarray, "N L"], labels: int, least: float, *, threads: int
) -> Int64[np.ndarray, " R"]:
    """Those of the first lanes that somewhere hold more than `least`, or more than all others.

    Example:
        >>> rows = np.float32([[0.2, 0.3, 0.5, 0], [0.6, 0.3, 0.1, 0]])
        >>> shown(rows, 4, 0.55, threads=1)
        array([0, 2])
    """
    found = []

    def strip(first: int, end: int) -> None:
        found.append(_most(rows[first:end], np.float32(least)))

    in_strips(strip, len(rows), threads=threads)
    return np.flatnonzero(np.max(found, axis=0)[:labels] > least)


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


def _take_lanes(rows, lanes, rest, first, end, out):
    for i in range(first, end):
        for k in range(lanes.size):
            out[i, k] = rows[i, lanes[k]]
        for k in range(lanes.size, out.shape[1]):
            out[i, k] = rest


def _largest_of_lanes(rows, least):
    """The largest number of each lane; infinite if it wins a row that holds none above `least`."""
    most = rows[0].copy()
    for i in range(rows.shape[0]):
        for k in range(most.size):
            value, old = rows[i, k], most[k]
            most[k] = value if value > old else old
        if highest(rows, i) <= least:
            most[rows[i].argmax()] = _INFINITE
    return most


_take = compiled(_take_lanes)
_most = compiled(_largest_of_lanes)
_turn = compiled(_to_rows)
_turn_back = compiled(_to_planes)
