"""Which pair belongs to which split: by list files, or by a hash of its group."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from atrous.data.images import is_image
from atrous.data.layouts.pairs import (
    SPLITS,
    Pair,
    Pool,
    Problems,
    plain,
    read_lines,
    relative,
    shown,
    split_name,
)
from atrous.data.layouts.paths import is_absolute, is_there, tails
from atrous.data.masks import is_mask
from atrous.errors import DataError

_SPACE = re.compile(r"\s+")
VAL_SHARE = 0.2  # of train, where a data set has no val split


def list_files(*places: Path) -> dict[str, Path]:
    """`train.txt`, `val.txt`, `test.txt` (or an alias) in the first place that has any."""
    for place in places:
        if not place.is_dir():
            continue
        texts = sorted(p for p in place.iterdir() if p.suffix.lower() == ".txt" and p.is_file())
        found = {split: p for p in texts if (split := split_name(p.stem)) is not None}
        if found:
            return {split: found[split] for split in SPLITS if split in found}
    return {}


def read_list(file: Path, root: Path, pool: Pool) -> tuple[tuple[Pair, ...], str, Problems]:
    """The pairs that a list file names, in its order, a note on how, and lines without a pair.

    A line is a name in the pool or a picture's path, or a picture's and a mask's path, relative
    to `root`. Of paths from another machine the last parts count that lead somewhere.
    """
    lines = read_lines(file)
    known = _Names(pool, root)
    pairs: dict[str, Pair] = {}
    problems: list[DataError] = []
    by_path = 0
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line:
            continue
        pair = known.pair(line)
        by_path += pair is None
        pair = pair or _two_paths(line, known)
        if pair is None:
            problems.append(_missing(f"{file}:{number}", line, known))
        elif pairs.setdefault(pair.name, pair) is not pair:
            problems.append(_listed_twice(f"{file}:{number}", pair.name))
    if not pairs and not problems:
        problems.append(empty(file, "lists no pair"))
    ways = "paths of pictures and masks" if by_path else "names"
    note = f"{file.name} lists {len(pairs)} {ways}."
    return tuple(pairs.values()), note, tuple(problems)


def divide(
    pairs: tuple[Pair, ...],
    share: float,
    group: re.Pattern[str] | None,
    where: Path,
    *,
    seed: int = 0,
) -> tuple[tuple[Pair, ...], tuple[Pair, ...], str]:
    """Train pairs, val pairs and a note: whole groups go to val, in the order of their hash.

    The answer depends on the names and the seed alone, not on the order of the files. At least
    one group goes to val and one stays in train. Blocks of rasters are divided as pairs are.
    """
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(_key(pair, group, where), []).append(pair)
    if len(groups) < 2:
        noun = "block of a raster" if pairs[0].window else "pair"
        what = f"one group ({next(iter(groups))!r})" if group else f"{len(pairs)} {noun}"
        raise DataError(
            where,
            found=f"holds {what} and no val split",
            allowed="at least two are needed to set some aside for validation",
            fix="Make blocks smaller ([raster] block in dataset.toml), or add a val split."
            if pairs[0].window
            else "Add pairs, or a val split.",
            code="S110",
        )
    salt = str(seed) if seed else ""
    order = sorted(groups, key=lambda key: hashlib.sha256((salt + key).encode()).digest())
    taken: set[str] = set()
    count = 0
    for key in order[:-1]:
        if count >= share * len(pairs):
            break
        taken.add(key)
        count += len(groups[key])
    val = tuple(p for p in pairs if _key(p, group, where) in taken)
    train = tuple(p for p in pairs if _key(p, group, where) not in taken)
    of = f" ({len(taken)} of {len(groups)} groups)" if group else ""
    what = "blocks of rasters" if pairs[0].window else "train pairs"
    note = f"No val split was found: {len(val)} of {len(pairs)} {what}{of} were set aside"
    return train, val, note + ", chosen by a hash of their names."


def empty(where: object, found: str) -> DataError:
    """The error for a split without pairs."""
    return DataError(
        where,
        found=found,
        allowed="a split holds at least one picture and its mask",
        fix="Fill it, or remove it.",
        code="S110",
    )


def _key(pair: Pair, group: re.Pattern[str] | None, where: Path) -> str:
    name = pair.name
    if group is None:
        return name
    if pair.window:
        name = name.rpartition("/")[0]  # of the raster
    match = group.match(name)
    if match is None or match["group"] is None:
        raise DataError(
            where,
            found=f"holds {name!r}, which the group pattern {group.pattern!r} does not match",
            allowed="each name must have a group",
            fix="Change [splits] group in dataset.toml.",
            code="S109",
        )
    return match["group"]


class _Names:
    """Look-up of what a list's line may say: a name, a file name, a path, the last part."""

    def __init__(self, pool: Pool, root: Path) -> None:
        self.pool, self.root = pool, root
        self.last: dict[str, list[str]] = {}
        for name in pool.images:
            self.last.setdefault(name.rsplit("/", 1)[-1], []).append(name)
        self.paths = {plain(relative(p, root)): name for name, p in pool.images.items()}

    def name(self, line: str) -> str | None:
        line = plain(line.replace("\\", "/").removeprefix("./"))
        stem = _stem(line)
        for candidate in (line, stem, self.paths.get(line), *self._unique(stem)):
            if candidate in self.pool.images:
                return candidate
        return self._foreign(line)

    def pair(self, line: str) -> Pair | None:
        name = self.name(line)
        if name is None or name not in self.pool.masks:
            return None
        return self.pool.pair(name)

    def _foreign(self, line: str) -> str | None:
        """The name that a path from another machine means, by its last parts.

        They are a picture's path below the root. Of an absolute path they may be a name, too, and
        its very last part counts if one name alone ends so.
        """
        if any(is_mask(Path(line[: space.start()])) for space in _SPACE.finditer(line)):
            return None  # two paths
        *several, last = tails(line) or [""]
        absolute = is_absolute(line)
        for tail in several:
            name = self.paths.get(tail) or _stem(tail) * absolute
            if name in self.pool.images:
                return name
        return next(iter(self._unique(_stem(last))), None) if absolute else None

    def _unique(self, stem: str) -> list[str]:
        names = self.last.get(stem, [])
        return names if len(names) == 1 else []


def _stem(text: str) -> str:
    """A path without the suffix of a picture or a mask."""
    path = Path(text)
    return path.with_suffix("").as_posix() if is_image(path) or is_mask(path) else text


def _two_paths(line: str, known: _Names) -> Pair | None:
    for space in _SPACE.finditer(line):
        image = _existing(line[: space.start()], known.root)
        mask = _existing(line[space.end() :], known.root)
        if image and mask:
            path = plain(relative(image, known.root))
            return Pair(known.paths.get(path) or _stem(path), image, mask)
    return None


def _existing(text: str, root: Path) -> Path | None:
    ends = tails(text) if is_absolute(text) else [text.replace("\\", "/")]
    paths = (root / end for end in ends)
    there = (path for path in paths if is_there(path) and path.is_file())
    return next((path for path in there if is_mask(path)), None)


def _listed_twice(where: str, name: str) -> DataError:
    return DataError(
        where,
        found=f"lists {name!r} a second time",
        allowed="each pair is listed once",
        fix="Remove the line.",
        code="S106",
    )


def _missing(where: str, line: str, known: _Names) -> DataError:
    name = known.name(line)
    if name is not None:
        found = f"lists {line!r}, which has a picture ({known.pool.images[name].name}) but no mask"
    else:
        found = f"lists {line!r}, which is not there"
    some = shown(known.pool.images) or "none found"
    return DataError(
        where,
        found=found,
        allowed=f"a line is a name ({some}), or a picture's and a mask's path",
        fix="Correct the line, or add the file.",
        code="S106" if name is None else "S101",
    )


def count_unlisted(pool: Pool, listed: Mapping[str, tuple[Pair, ...]]) -> int:
    """How many pictures of a pool no list names."""
    images = {pair.image for pairs in listed.values() for pair in pairs}
    return sum(path not in images for path in pool.images.values())


def shared(splits: Mapping[str, tuple[Pair, ...]]) -> list[DataError]:
    """Pictures that are in two splits."""
    owner: dict[Path, str] = {}
    return [
        DataError(
            pair.image,
            found=f"is in both {owner[pair.image]} and {split}",
            allowed="a picture belongs to one split",
            fix="Take it out of one list.",
            code="S107",
        )
        for split, pairs in splits.items()
        for pair in pairs
        if owner.setdefault(pair.image, split) != split
    ]
