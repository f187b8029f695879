"""What labels a raw mask holds: their pixels, those inside their regions, the first of each."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from atrous.kernels.compiled import compiled
from atrous.types import RawMask

MOST_VALUES = 4096  # a file with more is no label mask, and a table of them nobody reads
_SLOTS = 1 << 14  # of the hash table; MOST_VALUES fill a quarter of it
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: neighbours fall far apart
_TOP = np.uint64(64 - 14)
_KEPT = ("uint8", "uint16", "int32", "int64")  # other types become int64: four kernels, not ten


class LabelFacts(NamedTuple):
    """Of each label value, ascending: its pixels, its core pixels, its first pixel.

    A core pixel has no neighbour of another value: none of the four that lie inside the
    picture. `first` are flat indices. Where `many`, the count ended at the pixel that would
    have been value number 4097.
    """

    values: Int64[np.ndarray, " N"]
    counts: Int64[np.ndarray, " N"]
    cores: Int64[np.ndarray, " N"]
    first: Int64[np.ndarray, " N"]
    many: bool


def label_facts(raw: RawMask) -> LabelFacts:
    """The label values of a mask with their pixels.

    Example:
        >>> facts = label_facts(np.uint8([[7, 7, 0], [7, 7, 0]]))
        >>> facts.values.tolist(), facts.counts.tolist(), facts.cores.tolist()
        ([0, 7], [2, 4], [0, 2])
    """
    if raw.dtype.name not in _KEPT or not raw.dtype.isnative:
        raw = raw.astype(np.int64)
    values, counts, cores, first = np.zeros((4, MOST_VALUES), np.int64)
    slots = np.full(_SLOTS, -1, np.int64)
    found, many = _count(np.require(raw, None, ["C", "W"]), values, counts, cores, first, slots)
    order = np.argsort(values[:found])
    return LabelFacts(values[order], counts[order], cores[order], first[order], bool(many))


def label_facts_reference(raw: RawMask) -> LabelFacts:
    """`label_facts` in plain NumPy, of masks of few values."""
    padded = np.pad(raw.astype(np.int64), 1, mode="edge")
    same = np.ones(raw.shape, bool)
    for down, right in ((0, 1), (2, 1), (1, 0), (1, 2)):
        same &= padded[down:, right:][: raw.shape[0], : raw.shape[1]] == raw
    values, first, counts = np.unique(raw, return_index=True, return_counts=True)
    cores = [(same & (raw == value)).sum() for value in values]
    return LabelFacts(values.astype(np.int64), counts, np.array(cores, np.int64), first, False)


def _count_labels(raw, values, counts, cores, first, slots):
    """Run by run of a row: masks are piecewise constant, so runs are long."""
    height, width = raw.shape
    found = 0
    for y in range(height):
        row, above, below = raw[y], raw[max(y - 1, 0)], raw[min(y + 1, height - 1)]
        x = 0
        while x < width:
            value = row[x]
            end = x + 1
            while end < width and row[end] == value:
                end += 1
            label = np.int64(value)
            slot = np.int64((np.uint64(label) * _SPREAD) >> _TOP)
            while slots[slot] >= 0 and values[slots[slot]] != label:
                slot = (slot + 1) % _SLOTS
            k = slots[slot]
            if k < 0:
                if found == values.size:
                    return found, True
                k = slots[slot] = found
                values[k], first[k] = label, y * width + x
                found += 1
            counts[k] += end - x
            inner = 0
            for i in range(x + (x > 0), end - (end < width)):
                inner += (above[i] == value) & (below[i] == value)
            cores[k] += inner
            x = end
    return found, False


_count = compiled(_count_labels)
