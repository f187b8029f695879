"""Which labels of a set somebody drew, and which are left of blending by JPEG or by resizing.

A label that was drawn fills a region somewhere, or lies in masks that are sound. Blending leaves
many labels of few pixels each, near those that were drawn or between them, along borders.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

from atrous.classes import COLOURED
from atrous.kernels.labels import LabelFacts
from atrous.kernels.ramps import Ramps
from atrous.types import RawMask

# Real and painted masks through JPEG of quality 50 to 95 and resizing by 0.5 to 3, beside
# themselves: clean ones hold two weak labels at most, damaged ones 14 or more of numbers far
# apart; out of order are 0.8 of the crossings of damaged ones, the faintest 0.2 (quality 95).
_WEAK = 0.05  # share of a label's pixels inside its regions, below which nothing says it is meant
_WEAK_LABELS, _DISORDER = 3, 0.15
# Ramps beside steps, where only labels that exist are left: 0.2 at most in clean masks, 0.6 in
# those that were resized; by chance more, of few crossings, in masks of 100 px. A class that lies
# between two others by nature has its pixels in ramps, many of them both ways; others have their
# regions, and a ratio of 0.3 at most when resized.
_RAMPS, _FEWEST_RAMPS, _BY_NATURE = 0.5, 60, 0.5
# Photographs saved as masks are as ragged. Of small masks of colours through JPEG 0.85 of the
# pixels or more are near labels that fill areas; of photographs 0.6, on black (retinas) 0.8 at
# most, and 0.9 of a white sky, if the count of colours ends there: then masks have 0.94.
# Of grey photographs 0.4 are near, of grey masks of 3 px thin membranes, halved, 0.7.
_SOLID, _OF_PIXELS, _COVERED = 0.25, 0.01, 0.1
_NEAR_OF_NUMBERS, _NEAR_OF_COLOURS, _NEAR_OF_MANY = 0.6, 0.8, 0.92
_NEAR_NUMBER, _NEAR_COLOUR = 12, 24
_USUAL = 0.05  # share of the masks in which a label must fill areas, to be a sign of order
# JPEG moves flat regions by 3 levels at most, of qualities from 50; beside borders by 12.
_ECHO, _NEXT = 3, 12
_FAR = 64  # labels up to here may count classes
_RIMS = 255  # lie around objects, between whatever labels

Damage = Literal["numbers", "ramps", "colours", "smoothed colours"]


class Blend(NamedTuple):
    """What was found in one mask: its labels that nobody drew, all at once and the first."""

    damage: Damage
    labels: tuple[int, ...]
    pixels: int
    first: int


class Meant(NamedTuple):
    """Labels of a set that were drawn; and of these the ones that fill areas."""

    labels: frozenset[int]
    solid: frozenset[int]


def meant_labels(masks: Iterable[LabelFacts]) -> Meant:
    """The labels that have an inside in some mask of a set."""
    labels, solid, number = set[int](), Counter[int](), 0
    for facts in masks:
        number += 1
        inside = (facts.cores >= _WEAK * facts.counts) & (facts.cores > 1)
        labels.update(facts.values[inside].tolist())
        solid.update(facts.values[_is_solid(facts)].tolist())
    least = _USUAL * number
    return Meant(frozenset(labels), frozenset(v for v, count in solid.items() if count >= least))


def thin_labels(masks: Iterable[tuple[LabelFacts, Ramps]]) -> frozenset[int]:
    """Labels of which a great part lies between two others, as a kerb does."""
    pixels, between = Counter[int](), Counter[int]()
    for facts, ramps in masks:
        pixels.update(dict(zip(facts.values.tolist(), facts.counts.tolist(), strict=True)))
        between[ramps.middle] += ramps.pixels
    return frozenset(v for v, count in between.items() if count > _BY_NATURE * pixels[v])


def blend_of(facts: LabelFacts, ramps: Ramps, meant: Meant, thin: frozenset[int]) -> Blend | None:
    """How a mask is blended, if it is; `thin` are labels that lie between others by nature."""
    weak = ~np.isin(facts.values, [*meant.labels])
    if weak.sum() < _WEAK_LABELS:
        many = ramps.ramps >= max(_FEWEST_RAMPS, _RAMPS * (ramps.ramps + ramps.steps))
        if not many or ramps.middle in thin or ramps.middle in (-1, _RIMS):
            return None
        return Blend("ramps", (ramps.middle,), ramps.ramps, ramps.first)
    if ramps.ramps + ramps.mixed < _DISORDER * sum(ramps[:4]) or not _is_near(facts, meant.solid):
        return None
    damage: Damage = "numbers"
    if facts.values[-1] >= COLOURED:
        damage = "smoothed colours" if ramps.ramps > ramps.mixed else "colours"
    order = np.argsort(-facts.counts * weak, kind="stable")[: int(weak.sum())]
    pixels, first = int(facts.counts[weak].sum()), int(facts.first[weak].min())
    return Blend(damage, tuple(facts.values[order].tolist()), pixels, first)


def true_labels(
    known: Collection[int], damaged: Iterable[tuple[LabelFacts, bool]]
) -> frozenset[int]:
    """The labels that are meant in a set: those that are known, and what fills areas elsewhere.

    Of each damaged mask stands beside its facts whether it went through JPEG. That turns whole
    regions of 0 into 1: labels so near to a known one, or one of greater areas, are echoes of it.
    In masks of small numbers they are the next class.
    """
    labels, areas, far = set(known), Counter[int](), max(known, default=0) >= _FAR
    through_jpeg = set[int]()
    for facts, jpeg in damaged:
        solid = _is_solid(facts)
        values = facts.values[solid].tolist()
        areas.update(dict(zip(values, facts.cores[solid].tolist(), strict=True)))
        through_jpeg.update(values if jpeg else ())
        far |= max(values, default=0) >= _FAR
    for label, _ in areas.most_common():
        echoes = far and label in through_jpeg and labels
        if not echoes or _distance(np.array([label]), labels).min() > _ECHO:
            labels.add(label)
    return frozenset(labels)


def settled(raw: RawMask, labels: Collection[int]) -> RawMask:
    """The mask with each value that is next to a label, and to no other, turned into it.

    Where there are but two labels, every value is next to one of them.
    """
    values, places = np.unique(raw, return_inverse=True)
    ordered = np.array(sorted(labels))
    if len(ordered) < 2:
        return raw
    gap = min(
        _distance(ordered[i : i + 1], ordered[i + 1 :]).min() for i in range(len(ordered) - 1)
    )
    reach = gap / 2 if len(ordered) == 2 else min(gap / 4, _NEXT)
    away = np.stack([_distance(values, [label]) for label in ordered.tolist()])
    taken = np.where(away.min(0) <= reach, ordered[away.argmin(0)], values)
    return taken[places].reshape(raw.shape).astype(raw.dtype)


def apart(one: RawMask, other: RawMask) -> Int64[np.ndarray, "H W"]:
    """How far labels are apart, pixel by pixel; of colours, the sum over the bands."""
    one, other = one.astype(np.int64), other.astype(np.int64)
    bands = sum(abs((one >> shift & 255) - (other >> shift & 255)) for shift in (0, 8, 16))
    return np.where((one >= COLOURED) & (other >= COLOURED), bands, abs(one - other))


def _distance(values: Int64[np.ndarray, " N"], labels: Collection[int]) -> Int64[np.ndarray, " N"]:
    """From each value to the nearest of the labels; of colours, the greatest of the bands."""
    away = np.full(len(values), np.iinfo(np.int64).max)
    points = _points(values.astype(np.int64))
    for point in _points(np.array([*labels], np.int64)):
        if len(point) == points.shape[1]:
            away = np.minimum(away, abs(points - point).max(1))
    return away


def _is_solid(facts: LabelFacts) -> Bool[np.ndarray, " N"]:
    inside = facts.cores >= _SOLID * facts.counts
    return inside & (facts.cores >= _OF_PIXELS * facts.counts.sum())


def _is_near(facts: LabelFacts, solid: frozenset[int]) -> bool:
    """Whether most pixels have a label near one that fills areas, and some such a label."""
    total = facts.counts.sum()
    covered = facts.counts[_is_solid(facts)].sum()
    if len(solid) < 2 or covered < _COVERED * total:
        return False
    coloured = facts.values[-1] >= COLOURED
    near = _distance(facts.values, solid) <= (_NEAR_COLOUR if coloured else _NEAR_NUMBER)
    needed = _NEAR_OF_COLOURS if coloured else _NEAR_OF_NUMBERS
    needed = _NEAR_OF_MANY if facts.many else needed
    return bool(facts.counts[near].sum() >= needed * total)


def _points(values: Int64[np.ndarray, " N"]) -> Int64[np.ndarray, "N C"]:
    """Labels as points: numbers on a line, colours in a cube."""
    if not len(values) or values.max() < COLOURED:
        return values[:, None]
    return np.stack([values >> 16 & 255, values >> 8 & 255, values & 255], 1)
