"""One mask put right: what each finding about it asks for."""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from atrous.classes import COLOURED
from atrous.data.images import orientation_of, turn_array
from atrous.data.layouts import Pair
from atrous.data.layouts.pairs import Drawings
from atrous.data.masks import read_lossy_mask, read_mask
from atrous.data.survey import read_raw
from atrous.doctor.meant import apart, settled
from atrous.types import RawMask, Size

IGNORED = -1  # the label given to pixels whose label is lost


class Remedy(NamedTuple):
    """What is to be done to masks of a set.

    `labels` are those that are meant, where damaged masks hold others; `shift` is where masks
    lie, in rows and columns; `on` is the label that 255 stands for.
    """

    labels: frozenset[int]
    shift: tuple[int, int]
    on: int


def mended(
    pair: Pair, size: Size, drawings: Drawings | None, codes: Collection[str], remedy: Remedy
) -> tuple[RawMask, list[str]]:
    """The raw mask of a pair put right by the codes found for it, and what was done."""
    done: list[str] = []
    raw = read_damaged(pair, size, drawings, codes)
    if "M402" in codes:
        raw = turn_array(raw, orientation_of(pair.image))
        done.append("turned as EXIF turns the picture")
    if {"M406", "M407", "M410"} & {*codes}:
        changed = snapped(settled(raw, remedy.labels), remedy.labels)
        done.append(f"{(changed != raw).sum()} blended pixels took the label beside them")
        raw = changed
    if "M404" in codes:
        raw = np.where(raw == 255, remedy.on, raw)
        done.append(f"255 became {remedy.on}")
    if "M405" in codes:
        lower = raw.astype(np.int64) - 1  # 0, a rim, is lost
        raw = np.where(raw == 255, 255, np.where(raw == 0, IGNORED, lower))
        done.append("labels moved down by one")
    if "M413" in codes:
        raw = moved_back(raw, remedy.shift)
        done.append(f"moved back by {remedy.shift[0]} rows, {remedy.shift[1]} columns")
    return raw, done


def snapped(raw: RawMask, labels: Collection[int]) -> RawMask:
    """The mask with each pixel of no label, or of a border alone, given the nearest one's.

    A label is believed where it lies in, or beside, the inside of a region. Of several that are
    equally near, a pixel takes the one that its value is closest to.
    """
    out = raw.copy()
    known = np.isin(raw, [*labels]) & _beside_core(raw)
    if not known.any():
        return out
    while not known.all():
        before, labelled = known.copy(), out.copy()
        least = np.full(raw.shape, np.inf)
        for here, there in _NEIGHBOURS:
            away = apart(raw[here], labelled[there])
            take = ~before[here] & before[there] & (away < least[here])
            out[here] = np.where(take, labelled[there], out[here])
            least[here] = np.where(take, away, least[here])
            known[here] |= take
    return out


def moved_back(raw: RawMask, shift: tuple[int, int]) -> RawMask:
    """The mask moved against its shift; what comes in from outside is ignored."""
    out = np.full(raw.shape, IGNORED, np.int64)
    (to_rows, from_rows), (to_columns, from_columns) = map(_overlap, shift)
    out[to_rows, to_columns] = raw[from_rows, from_columns]
    return out


_NEIGHBOURS = (
    (np.s_[1:, :], np.s_[:-1, :]),
    (np.s_[:-1, :], np.s_[1:, :]),
    (np.s_[:, 1:], np.s_[:, :-1]),
    (np.s_[:, :-1], np.s_[:, 1:]),
)


def read_damaged(
    pair: Pair, size: Size, drawings: Drawings | None, codes: Collection[str]
) -> RawMask:
    """The raw mask of a pair as it is, also where it is a JPEG or lies across its picture.

    Raises:
        DataError: it cannot be read, or is not of the picture's size.
    """
    if "M406" not in codes:
        return read_mask(pair.mask) if "M402" in codes else read_raw(pair, size, drawings)
    pixels = read_lossy_mask(pair.mask)
    if pixels.ndim == 2:
        return pixels
    return COLOURED + pixels.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)


def _beside_core(raw: RawMask) -> Bool[np.ndarray, "H W"]:
    """Pixels inside a region of their label, or two steps from there: the corners of a square."""
    inside = np.ones(raw.shape, bool)
    for here, there in _NEIGHBOURS:
        inside[here] &= raw[here] == raw[there]
    for _ in range(2):
        before = inside.copy()
        for here, there in _NEIGHBOURS:
            inside[here] |= before[there] & (raw[here] == raw[there])
    return inside


def _overlap(by: int) -> tuple[slice, slice]:
    """Where to and where from, along one axis, to move back by `by`."""
    if by >= 0:
        return slice(None, -by or None), slice(by, None)
    return slice(-by, None), slice(None, by)
