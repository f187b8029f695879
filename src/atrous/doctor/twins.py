"""Pictures that a data set holds twice: the same bytes, the same picture in other bytes."""

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8

from atrous.doctor.neighbours import find_neighbours
from atrous.doctor.sketches import (
    CELLS,
    VARIANTS,
    Sketch,
    cells,
    coefficients,
    hashes,
    variant,
    variant_signs,
)
from atrous.kernels.hamming import earlier_twins
from atrous.types import Size

# Measured on 2 000 painted scenes and five real sets (of streets, rock slices, cracks, retinas,
# membranes). Likeness, the cosine of two sketches' coefficients: copies that were scaled by 0.5-2,
# made JPEG of quality 50 and 10 % brighter reach 0.96 or more (cracks, whose contrast is 3-6 of
# 255; others 0.985), other pictures of one kind at most 0.58 (scenes) to 0.94 (retinas).
NEAR = 0.95
# What is left when the brightness of one is mapped onto that of the other, in 1/255 of the range:
# copies 2.0 at most, 1.65 of 95 in 100; rock slices side by side 2.05, frames of a film 1/12 s
# apart 1.9 or more. A car that came or went stands out in a few cells: copies differ by 10 of 255
# in no cell but for 5 in 100 (where white was cut off), films by 8 or more.
_RESIDUE, _LARGEST = 1.85, 10.0
_CUT_OFF = 0.27  # of the contrast: what white that was cut off leaves in a cell
_RELATIVE = 0.15  # of the contrast, that pictures of low contrast are held to as well
MIN_CONTRAST = 2.0  # of 255; below it noise and rounding decide what a sketch looks like
_BLOCK = 4096  # pictures at a time, for memory
_SCALE = 127  # of coefficients as int8: cosines are right to 0.007
_HOW = (
    "",
    "transposed",
    "flipped top to bottom",
    "turned 90 degrees left",
    "mirrored",
    "turned 90 degrees right",
    "turned 180 degrees",
    "transposed along the other diagonal",
)


class Twin(NamedTuple):
    """Two pictures (by index, `first` < `second`) that are one, or parts of one scene.

    exact: the same bytes. near: the same picture; `how` says what was done to the first.
    neighbour: of one scene, a little moved, as frames of a film or overlapping tiles.
    """

    first: int
    second: int
    kind: Literal["exact", "near", "neighbour"]
    how: str = ""


def find_twins(
    sketches: Sequence[Sketch],
    digests: Sequence[Hashable],
    *,
    sizes: Sequence[Size] | None = None,
    splits: Sequence[Hashable] | None = None,
) -> list[Twin]:
    """The twins of a data set, ordered by `second`; neighbours only across `splits`.

    A picture is named as `second` of the same bytes or the same picture at most twice: with its
    first (exact) or best (near) earlier twin in its own split, and with that in another. So ten
    copies of a picture are nine twins, not forty-five. `digests` are of the files' bytes,
    an empty one is unknown; without `splits` all are of one, and there are no neighbours.
    """
    groups = _numbered(splits or [0] * len(sketches))
    exact = _exact(digests, groups)
    copies = {twin.second for twin in exact}
    contrast = np.array([sketch.contrast for sketch in sketches])
    kept = np.flatnonzero(contrast >= MIN_CONTRAST)
    kept = kept[~np.isin(kept, list(copies))] if copies else kept
    few = [sketches[k] for k in kept.tolist()]
    near = [
        Twin(int(kept[a]), int(kept[b]), "near", _how(v, kept[a], kept[b], sizes))
        for a, b, v in _near(few, groups[kept])
    ]
    known = {twin[:2] for twin in near}
    neighbours = [
        Twin(int(kept[a]), int(kept[b]), "neighbour")
        for a, b in (find_neighbours(few, groups[kept]) if splits else [])
        if (kept[a], kept[b]) not in known
    ]
    return sorted([*exact, *near, *neighbours], key=lambda twin: (twin.second, twin.first))


def _numbered(splits: Sequence[Hashable]) -> Int64[np.ndarray, " N"]:
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(split, len(numbers)) for split in splits], np.int64)


def _exact(digests: Sequence[Hashable], groups: Int64[np.ndarray, " N"]) -> list[Twin]:
    """Each file with the first of its bytes in its own group and in any other."""
    counts = Counter(digest for digest in digests if digest)
    repeated = {digest for digest, count in counts.items() if count > 1}
    seen: dict[Hashable, dict[int, int]] = {}
    twins = []
    for second, (digest, group) in enumerate(zip(digests, groups.tolist(), strict=True)):
        if digest not in repeated:
            continue
        firsts = seen.setdefault(digest, {})
        if group in firsts:
            twins.append(Twin(firsts[group], second, "exact"))
        others = [first for other, first in firsts.items() if other != group]
        if others:
            twins.append(Twin(min(others), second, "exact"))
        firsts.setdefault(group, second)
    return twins


def _near(sketches: list[Sketch], groups: Int64[np.ndarray, " N"]) -> list[tuple[int, int, int]]:
    """Pairs of one picture with the variant of the first that the second is."""
    if len(sketches) < 2:
        return []
    thumbs = cells(sketches)
    vectors = np.empty((len(thumbs), CELLS**2), np.int8)
    codes = np.empty((len(thumbs), VARIANTS), np.uint64)
    for first in range(0, len(thumbs), _BLOCK):
        part = coefficients(thumbs[first : first + _BLOCK])
        codes[first : first + _BLOCK] = hashes(part)
        vectors[first : first + _BLOCK] = np.rint(part * _SCALE).reshape(len(part), -1)
    del thumbs  # of 100 000 pictures 26 MB; made again below
    places, signs = _turns()
    partner, turned, _ = earlier_twins(
        codes, vectors, places=places, signs=signs, groups=groups, floor=NEAR * _SCALE**2
    )
    second, other = np.nonzero(partner >= 0)
    first, number = partner[second, other], turned[second, other]
    contrast = np.array([sketch.contrast for sketch in sketches])
    same = _same_picture(cells(sketches), contrast, first, second, number)
    return list(
        zip(first[same].tolist(), second[same].tolist(), number[same].tolist(), strict=True)
    )


def _turns() -> tuple[np.ndarray, np.ndarray]:
    """Where the coefficients of each variant lie in those of the picture, and their signs."""
    plain = np.arange(CELLS**2).reshape(CELLS, CELLS)
    places = [plain.T if number & 1 else plain for number in range(VARIANTS)]
    signs = [variant_signs(CELLS, number) for number in range(VARIANTS)]
    return (
        np.array(places).reshape(VARIANTS, -1),
        np.array(signs, np.int16).reshape(VARIANTS, -1),
    )


def _same_picture(
    thumbs: UInt8[np.ndarray, "N 16 16"],
    contrast: Float64[np.ndarray, " N"],
    first: np.ndarray,
    second: np.ndarray,
    number: np.ndarray,
) -> Bool[np.ndarray, " M"]:
    """Whether a change of brightness explains all differences, in every cell."""
    same = np.zeros(len(first), bool)
    for start in range(0, len(first), _BLOCK):
        part = slice(start, start + _BLOCK)
        turned = [variant(thumbs[a], v) for a, v in zip(first[part], number[part], strict=True)]
        one, two = (
            np.array(turned).reshape(-1, CELLS**2),
            thumbs[second[part]].reshape(-1, CELLS**2),
        )
        there, back = _unexplained(one, two), _unexplained(two, one)
        lower = np.minimum(contrast[first[part]], contrast[second[part]])
        typical = np.minimum(there[0], back[0]) * lower
        largest = np.minimum(there[1], back[1]) * lower
        same[part] = (typical <= np.minimum(_RESIDUE, _RELATIVE * lower)) & (
            largest <= np.maximum(_LARGEST, _CUT_OFF * lower)
        )
    return same


def _unexplained(
    one: UInt8[np.ndarray, "N M"], two: UInt8[np.ndarray, "N M"]
) -> tuple[Float64[np.ndarray, " N"], Float64[np.ndarray, " N"]]:
    """Root mean square and largest difference after a monotone change of brightness of `one`.

    In units of the contrast. The brightest cell of one becomes the brightest of the other, and
    so on: whatever gamma, exposure or cut-off white lie between them, only what moved is left.
    """
    mapped = np.empty(one.shape)
    np.put_along_axis(mapped, np.argsort(one, axis=1, kind="stable"), np.sort(two, axis=1), 1)
    off = (mapped - two) / two.std(1, keepdims=True)
    return np.sqrt(np.square(off).mean(1)), np.abs(off).max(1)


def _how(number: int, first: int, second: int, sizes: Sequence[Size] | None) -> str:
    scaled = False
    if sizes is not None:
        height, width = sizes[first]
        scaled = tuple(sizes[second]) != ((width, height) if number & 1 else (height, width))
    return ", ".join(filter(None, (_HOW[number], "scaled" * scaled))) or "re-encoded"
