"""Names that count: frames of a film, tiles of a raster, divided between splits.

Numbers alone prove nothing: `img_001` to `img_999` are unrelated photographs in most data sets.
A film shows by a word in its name, by numbers that go in even steps larger than one (frames left
out between), or by pictures that look alike where numbers are next to each other. Tiles show by
two numbers that fill a grid.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Int64

Similar = Callable[[int, int], bool]

_NUMBER = re.compile(r"(?<![A-Za-z\d])\d+|\d+(?![A-Za-z\d])")  # not the 8 of leftImg8bit
_BETWEEN = r"[-_. ,]+(?:[A-Za-z]{1,6}[-_. ]?)?|[A-Za-z]"  # the two numbers of a tile
_TILE = re.compile(rf"(.*?)([A-Za-z]*)([-_. ]?)(?<!\d)(\d+)({_BETWEEN})(\d+)(?![A-Za-z\d])(\D*)")
_FILM = re.compile(r"(?<![a-z])(frames?|video|vid|clip|movie|film|seq|sequence)(?![a-z])", re.I)
_CUT = re.compile(r"(?<![a-z])(tiles?|patch|patches|chip|crop|window)(?![a-z])", re.I)
_AXES = ({"r", "c"}, {"row", "col"}, {"row", "column"}, {"x", "y"})
_LEAST = 8  # numbers in which an even step can be seen
_EVEN = 0.6  # of the steps are the usual one; of every other picture of a random half, 0.25
_SINGLE = 0.05  # at most so many steps are 1: numbers that leave no gaps count photographs
_FILLED = 0.5  # of the rectangle around the tiles; dates and times fill none
_ASKED = 64  # pairs whose pictures are compared
_DEVIATIONS = 1.3  # that a difference of two counts must have; 3 to 0 and 4 to 1 have
_ALIKE = 0.1  # of pictures with numbers side by side; of unrelated ones, none in a million


class Interleaving(NamedTuple):
    """A film or raster of which parts lie in different splits.

    `pairs` lie next to each other in different splits (indices of names), the closest first;
    `gap` is the distance of the closest in numbers. `proof` is what told.
    """

    prefix: str
    kind: Literal["frames", "tiles"]
    proof: Literal["names", "content"]
    gap: int
    pairs: tuple[tuple[int, int], ...]


class _Member(NamedTuple):
    number: int
    place: int
    split: Hashable


def sequence_of(name: str) -> tuple[str, int] | None:
    """What a name counts, and its number: the last one in the last part of the path.

    A `*` stands for the number where something follows it.

    Example:
        >>> sequence_of("0016E5_07959"), sequence_of("bonn/bonn_000012_left"), sequence_of("cat")
        (('0016E5_', 7959), ('bonn/bonn_*_left', 12), None)
    """
    start = name.rfind("/") + 1
    found = list(_NUMBER.finditer(name, start))
    if not found:
        return None
    head, tail = name[: found[-1].start()], name[found[-1].end() :]
    return (f"{head}*{tail}" if tail else head), int(found[-1][0])


def tile_of(name: str) -> tuple[str, int, int] | None:
    """What a name is a tile of, and its two numbers: row and column where it says so.

    Example:
        >>> tile_of("x_12_34"), tile_of("tile_r3_c4"), tile_of("town_x512_y0")
        (('x_', 12, 34), ('tile_', 3, 4), ('town_', 0, 512))
    """
    start = name.rfind("/") + 1
    found = _TILE.fullmatch(name, start)
    if not found:
        return None
    head, word, joint, first, between, second, tail = found.groups()
    axis = re.sub(r"[^a-z]", "", between.lower())
    prefix = name[:start] + head + tail
    if {word.lower(), axis} not in _AXES:
        prefix = name[:start] + head + word + joint + tail
    if (word.lower(), axis) in {("x", "y"), ("c", "r"), ("col", "row"), ("column", "row")}:
        first, second = second, first
    return prefix, int(first), int(second)


def interleaved(
    names: Sequence[str], splits: Sequence[Hashable], similar: Similar | None = None
) -> list[Interleaving]:
    """Films and rasters of which two splits hold parts, by prefix.

    `similar` says of two pictures (by index) whether they look alike, as neighbours do; asked
    of some dozens of pairs for each prefix. Without it only names can prove a film.
    """
    found = _rasters(names, splits)
    cut = {index for raster in found for pair in raster.pairs for index in pair}
    groups: dict[str, list[_Member]] = defaultdict(list)
    for index, (name, split) in enumerate(zip(names, splits, strict=True)):
        if (place := sequence_of(name)) and index not in cut:
            groups[place[0]].append(_Member(place[1], index, split))
    for prefix, members in sorted(groups.items()):
        members.sort(key=lambda member: (member.number, member.place))
        pairs = [(a, b) for a, b in pairwise(members) if a.split != b.split]
        proof = _proof(prefix, members, pairs, similar) if pairs else None
        if proof:
            pairs.sort(key=lambda pair: pair[1].number - pair[0].number)
            gap = pairs[0][1].number - pairs[0][0].number
            places = tuple((a.place, b.place) for a, b in pairs)
            found.append(Interleaving(prefix, "frames", proof, gap, places))
    return found


def _proof(
    prefix: str,
    members: list[_Member],
    pairs: list[tuple[_Member, _Member]],
    similar: Similar | None,
) -> Literal["names", "content"] | None:
    """What proves that the numbers count frames of one film, if anything does."""
    numbers = {member.number for member in members}
    if len(numbers) == len(members):  # else each split counts for itself
        if _FILM.search(prefix.rsplit("/", 1)[-1]):
            return "names"
        if _steps_evenly(members) and (not similar or _alike(list(pairwise(members)), similar)):
            return "names"
    return "content" if similar and _alike(pairs, similar) else None


def _steps_evenly(members: list[_Member]) -> bool:
    """Whether numbers, of all or of one split, go in even steps larger than one."""
    if np.mean(_steps(members) <= 1) > _SINGLE:
        return False
    by_split: dict[Hashable, list[_Member]] = defaultdict(list)
    for member in members:
        by_split[member.split].append(member)
    for part in (members, *by_split.values()):
        if len(part) > _LEAST:
            steps = _steps(part)
            usual = np.median(steps)
            if np.mean(np.abs(steps - usual) <= 0.05 * usual) >= _EVEN:
                return True
    return False


def _steps(members: list[_Member]) -> Int64[np.ndarray, " N"]:
    return np.diff([member.number for member in members])


def _alike(pairs: list[tuple[_Member, _Member]], similar: Similar) -> bool:
    """Whether pictures side by side look alike far more often than any two of them.

    One pair may be chance, three are not: of unrelated pictures one pair in a million is alike.
    """
    asked = pairs[:: 1 + len(pairs) // _ASKED]
    others = [(a, pairs[(k + len(pairs) // 2) % len(pairs)][1]) for k, (a, _) in enumerate(pairs)]
    others = others[:: 1 + len(others) // _ASKED] if len(pairs) > 3 else []
    together = sum(similar(a.place, b.place) for a, b in asked)
    apart = sum(similar(a.place, b.place) for a, b in others)
    chance = _DEVIATIONS * (together + apart) ** 0.5
    return together >= max(3, _ALIKE * len(asked), apart + chance)


def _rasters(names: Sequence[str], splits: Sequence[Hashable]) -> list[Interleaving]:
    """Tiles that touch, by a side or a corner, and are in different splits."""
    groups: dict[str, dict[tuple[int, int], int]] = defaultdict(dict)
    for index, name in enumerate(names):
        if place := tile_of(name):
            groups[place[0]].setdefault(place[1:], index)
    found = []
    for prefix, tiles in sorted(groups.items()):
        if len({splits[index] for index in tiles.values()}) < 2:
            continue
        grid, step = _grid(tiles)
        if _is_raster(prefix, grid, step, splits):
            pairs = _touching(grid, splits)
            if pairs:
                found.append(Interleaving(prefix, "tiles", "names", min(step), pairs))
    return found


def _grid(tiles: dict[tuple[int, int], int]) -> tuple[dict[tuple[int, int], int], tuple[int, int]]:
    """The tiles by whole steps from the first row and column, and these steps in numbers."""
    places = np.array(list(tiles), np.int64)
    places -= places.min(0)
    step = np.maximum(np.gcd.reduce(places, 0), 1)
    counted = map(tuple, (places // step).tolist())
    return dict(zip(counted, tiles.values(), strict=True)), (int(step[0]), int(step[1]))


def _is_raster(
    prefix: str,
    grid: dict[tuple[int, int], int],
    step: tuple[int, int],
    splits: Sequence[Hashable],
) -> bool:
    """Whether the numbers fill a grid, and do not count clips and their frames.

    Numbers without a word for tiles, in steps of one, may be a group and its members; if the
    groups were kept together, that was somebody's care.
    """
    rows, columns = {row for row, _ in grid}, {column for _, column in grid}
    filled = len(grid) / ((max(rows) + 1) * (max(columns) + 1))
    if min(len(rows), len(columns)) < 2 or len(grid) < _LEAST or filled < _FILLED:
        return False
    if _FILM.search(prefix):
        return False
    if _CUT.search(prefix) or min(step) > 1:
        return True
    return _mixed(grid, splits, 0) and _mixed(grid, splits, 1)


def _mixed(grid: dict[tuple[int, int], int], splits: Sequence[Hashable], axis: int) -> bool:
    """Whether some row (axis 0) or column (1) lies in two splits."""
    seen: dict[int, Hashable] = {}
    return any(
        seen.setdefault(place[axis], splits[index]) != splits[index]
        for place, index in grid.items()
    )


def _touching(
    grid: dict[tuple[int, int], int], splits: Sequence[Hashable]
) -> tuple[tuple[int, int], ...]:
    pairs = []
    for (row, column), index in sorted(grid.items()):
        for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
            other = grid.get((row + down, column + right))
            if other is not None and splits[other] != splits[index]:
                pairs.append((index, other))
    return tuple(pairs)
