"""Splits put right: what belongs together goes to one split."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from atrous.data.layouts.pairs import relative
from atrous.data.survey import FileRecord
from atrous.doctor.findings import Finding
from atrous.doctor.sequences import sequence_of, tile_of

VAL_SHARE = 0.2  # of one film that is all there is


def regrouped(
    files: list[FileRecord], findings: Iterable[Finding], root: Path
) -> tuple[list[FileRecord], dict[str, str]]:
    """The records with films, rasters and scenes in one split each; pictures that moved, to where.

    A group goes where most of it is. Where train or val would have none, the group that lies in
    both is cut in two, at one place of its order. Pictures of test stay there.
    """
    names = {relative(file.pair.image, root): k for k, file in enumerate(files)}
    told = [f for f in findings if f.code in ("D605", "D606")]
    linked = [[names[n] for n in (f.where, *f.others) if n in names] for f in told]
    if not any(linked):
        return files, {}
    splits = {}
    for group in _groups(files, linked):
        splits |= _one_split(group, files)
    after = [splits.get(k, file.split) for k, file in enumerate(files)]
    if {"train", "val"} - {*after}:
        splits = _cut(max(_groups(files, linked), key=len), files)
    moved = {
        n: splits[k] for n, k in names.items() if splits.get(k, files[k].split) != files[k].split
    }
    return [f._replace(split=splits.get(k, f.split)) for k, f in enumerate(files)], moved


def _groups(files: list[FileRecord], linked: list[list[int]]) -> list[list[int]]:
    """Indices of files that belong together: linked by a finding, or by the prefix of a link."""
    owner = list(range(len(files)))

    def root_of(k: int) -> int:
        while owner[k] != k:
            owner[k] = owner[owner[k]]
            k = owner[k]
        return k

    by_prefix: dict[str, list[int]] = defaultdict(list)
    for k, file in enumerate(files):
        by_prefix[_prefix(file)].append(k)
    for link in linked:
        together = [k for index in link for k in by_prefix[_prefix(files[index])]]
        for k in together[1:]:
            owner[root_of(k)] = root_of(together[0])
    groups: dict[int, list[int]] = defaultdict(list)
    for k in range(len(files)):
        groups[root_of(k)].append(k)
    moved = [[k for k in group if files[k].split != "test"] for group in groups.values()]
    return [group for group in moved if len(group) > 1]


def _prefix(file: FileRecord) -> str:
    """What a name counts; a name without number stands for itself."""
    name = file.pair.name
    place = tile_of(name) or sequence_of(name)
    return place[0] if place else f"={file.split}/{name}"


def _one_split(group: list[int], files: list[FileRecord]) -> dict[int, str]:
    counts = Counter(files[k].split for k in group)
    return dict.fromkeys(group, counts.most_common(1)[0][0])


def _cut(group: list[int], files: list[FileRecord]) -> dict[int, str]:
    order = sorted(group, key=lambda k: ((sequence_of(files[k].pair.name) or ("", 0))[1], k))
    at = len(order) - max(1, round(VAL_SHARE * len(order)))
    return {k: "train" if place < at else "val" for place, k in enumerate(order)}
