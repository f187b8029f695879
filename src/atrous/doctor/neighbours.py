"""Pictures of one scene, a little moved: frames of a film, overlapping tiles, a fixed camera."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from atrous.doctor.sketches import CELLS, Sketch, cells, details, moved_details
from atrous.kernels.overlaps import best_columns, overlaps

# The correlation of soft details where two pictures overlap. Painted streets moved by up to a fifth
# of the picture reach 0.85 (97 of 100), seen from 5 % nearer 0.8 (half of them). Of two million
# pairs of different streets the most alike reach 0.82, of cracked roads 0.72.
ALIKE = 0.83
HALVES_ALIKE = 0.85  # sharp details of halves; tiles that overlap by half reach 0.96
_CUT = 13.0  # waves in a picture from where on details fade: finer ones change with half a cell
# Where all pictures have one frame (retinas: 0.88 of any two), or are of one camera that does not
# move, alike is what stands out among them: by four deviations of Fisher's atanh, which makes
# correlations a bell curve (retinas reach 3.5, frames of a film among films 7 or more).
_DEVIATIONS, _HIGHEST = 4.0, 0.995  # what is as alike as this is one scene, whatever is usual
_SAMPLED, _STRIDE = 500, 104_729  # pairs that show what is usual; a prime, to come to all of them
_REACH = 4  # cells that one may be moved by, of 16
_PROMISING = 0.45  # at whole cells; below, half cells are not looked at
_FEW_PAIRS = 4000  # of which each is compared; of more, candidates are chosen
_CANDIDATES = 6  # of a picture, that are compared at every move
_WAVES_ALIKE = 0.3  # what any move leaves: 95 of 100 neighbours reach it, 1 in 100 others
_MOST_PAIRS = 100_000_000  # beyond, every n-th picture of the smaller split is looked for
_BLOCK = 2048


def find_neighbours(
    sketches: Sequence[Sketch], groups: Int64[np.ndarray, " N"]
) -> list[tuple[int, int]]:
    """Pairs from two groups that show one scene, the lower index first.

    Of any two groups each picture of the smaller is named with the one most like it in the
    larger. Where they make more than 100 million pairs, an even sample of the smaller is.
    """
    thumbs, found = cells(sketches), []
    for here, there in _pairs_of_groups(groups):
        here = here[:: 1 + len(here) * len(there) // _MOST_PAIRS]
        usual = _usual(thumbs, here, there)
        pairs = _candidates(thumbs, here, there)
        likeness = _likeness(thumbs, pairs)
        best = {}
        for (a, b), value in zip(pairs.tolist(), likeness.tolist(), strict=True):
            if value >= usual and value > best.get(a, (0.0, 0))[0]:
                best[a] = value, b
        found += [(min(a, b), max(a, b)) for a, (_, b) in best.items()]
    return sorted(set(found))


def alike(sketches: Sequence[Sketch]) -> Callable[[int, int], bool]:
    """A judge of two pictures (by index): do they show one scene, as neighbours do?"""
    thumbs, everything = cells(sketches), np.arange(len(sketches))
    usual = _usual(thumbs, everything, everything)
    return lambda a, b: bool(_likeness(thumbs, np.array([[a, b]]))[0] >= usual)


def _pairs_of_groups(
    groups: Int64[np.ndarray, " N"],
) -> Iterator[tuple[Int64[np.ndarray, " A"], Int64[np.ndarray, " B"]]]:
    """The members of every two groups, the smaller first."""
    members = sorted((np.flatnonzero(groups == group) for group in np.unique(groups)), key=len)
    for number, here in enumerate(members):
        for there in members[number + 1 :]:
            yield here, there


def _usual(thumbs: UInt8[np.ndarray, "N 16 16"], here: np.ndarray, there: np.ndarray) -> float:
    """The likeness from which on a pair is of one scene, by what any pairs have."""
    count = len(here) * len(there)
    number = np.arange(min(count, _SAMPLED)) * _STRIDE % count  # a fixed sample of the pairs
    pairs = np.stack([here[number // len(there)], there[number % len(there)]], 1)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    if len(pairs) == 0:
        return ALIKE
    spread = np.arctanh(np.minimum(_likeness(thumbs, pairs), np.float32(0.999)))
    middle = np.median(spread)
    deviation = 1.4826 * np.median(np.abs(spread - middle))  # that of a bell curve
    return float(np.clip(np.tanh(middle + _DEVIATIONS * deviation), ALIKE, _HIGHEST))


def _likeness(
    thumbs: UInt8[np.ndarray, "N 16 16"], pairs: Int64[np.ndarray, "M 2"]
) -> Float32[np.ndarray, " M"]:
    """The best correlation over all moves by half cells; or of two halves, from 0.85 on."""
    parts = [
        _likeness_of_few(thumbs, pairs[first : first + _BLOCK])
        for first in range(0, len(pairs), _BLOCK)
    ]
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def _likeness_of_few(
    thumbs: UInt8[np.ndarray, "N 16 16"], pairs: Int64[np.ndarray, "M 2"]
) -> Float32[np.ndarray, " M"]:
    """`_likeness` of so few pairs that all moves of their pictures may be held in memory."""
    used, numbers = np.unique(pairs, return_inverse=True)
    places, thumbs = numbers.reshape(pairs.shape), thumbs[used]
    soft = moved_details(thumbs, _CUT)
    best = overlaps(soft[0], places, _MOVES).max(1)
    promising = np.flatnonzero(best >= _PROMISING)
    for half_moved in soft[1:]:
        stack = np.concatenate([soft[0], half_moved])
        scores = overlaps(stack, places[promising] + [0, len(used)], _MOVES).max(1)
        best[promising] = np.maximum(best[promising], scores)
    halves = overlaps(details(thumbs), places, _HALVES).max(1)
    return np.maximum(best, np.where(halves >= HALVES_ALIKE, halves, np.float32(-1)))


def _candidates(
    thumbs: UInt8[np.ndarray, "N 16 16"], here: np.ndarray, there: np.ndarray
) -> Int64[np.ndarray, "M 2"]:
    """Pairs (here, there) that may be neighbours: a few of each picture here."""
    if len(here) * len(there) <= _FEW_PAIRS:
        return np.stack(np.meshgrid(here, there), -1).reshape(-1, 2)
    mean = _waves(thumbs[there[:: 1 + len(there) // _BLOCK]]).mean(0)
    found = []
    for first in range(0, len(here), _BLOCK):
        asked = here[first : first + _BLOCK]
        waves = _normed(_waves(thumbs[asked]) - mean)
        sides = _sides(thumbs[asked])
        for start in range(0, len(there), _BLOCK):
            known = there[start : start + _BLOCK]
            likeness = waves @ _normed(_waves(thumbs[known]) - mean).T
            found += _best(likeness, asked, known, _WAVES_ALIKE)
            for one, two in zip(sides, reversed(_sides(thumbs[known])), strict=True):
                found += _best(one @ two.T, asked, known, HALVES_ALIKE)
    pairs = np.concatenate(found)
    order = np.lexsort((-pairs["likeness"], pairs["here"]))
    pairs = pairs[order]
    rank = np.arange(len(pairs)) - np.searchsorted(pairs["here"], pairs["here"])
    few = pairs[rank < 2 * _CANDIDATES]
    return np.unique(np.stack([few["here"], few["there"]], 1), axis=0)


def _best(
    likeness: Float32[np.ndarray, "A B"], here: np.ndarray, there: np.ndarray, floor: float
) -> list[np.ndarray]:
    """The few best of each row that reach the floor, as records."""
    columns = best_columns(likeness, count=_CANDIDATES, floor=floor)
    row, k = np.nonzero(columns >= 0)
    column = columns[row, k]
    made = np.empty(len(row), [("here", "i8"), ("there", "i8"), ("likeness", "f4")])
    made["here"], made["there"] = here[row], there[column]
    made["likeness"] = likeness[row, column]
    return [made]


def _waves(thumbs: UInt8[np.ndarray, "N 16 16"]) -> Float32[np.ndarray, "N W"]:
    """The strength of each wave, wherever its crests lie: what a move changes least.

    Towards the frame details fade, for there a moved picture shows others. Roots, lest one
    strong wave decide.
    """
    fade = np.sqrt(np.hanning(CELLS + 2)[1:-1])
    waves = np.abs(np.fft.rfft2(details(thumbs) * np.outer(fade, fade)))
    return np.sqrt(waves).reshape(len(thumbs), -1).astype(np.float32)


def _sides(thumbs: UInt8[np.ndarray, "N 16 16"]) -> list[Float32[np.ndarray, "N H"]]:
    """Top, left, right and bottom half; in reverse order what each must equal of a half tile."""
    picture, half = details(thumbs), CELLS // 2
    halves = picture[:, :half], picture[:, :, :half], picture[:, :, half:], picture[:, half:]
    return [_normed(part.reshape(len(picture), -1)) for part in halves]


def _normed(rows: Float32[np.ndarray, "N M"]) -> Float32[np.ndarray, "N M"]:
    length = np.sqrt(np.square(rows).sum(1, keepdims=True))
    return rows / np.maximum(length, np.float32(1e-6))


_SIDE = np.arange(-_REACH, _REACH + 1)
_MOVES = np.stack(np.meshgrid(_SIDE, _SIDE, indexing="ij"), -1).reshape(-1, 2)
_HALVES = np.array([[-1, 0], [1, 0], [0, -1], [0, 1]]) * (CELLS // 2)
