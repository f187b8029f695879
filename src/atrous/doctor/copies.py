"""Checks of pictures against each other: copies, and neighbours in different splits."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from atrous.data.layouts.pairs import relative
from atrous.data.survey import FileRecord
from atrous.doctor.findings import Finding
from atrous.doctor.neighbours import alike
from atrous.doctor.sequences import Interleaving, interleaved
from atrous.doctor.twins import Twin, find_twins

LEAVE_OUT = "Leave one of the two out."
DIVIDE = "Divide by group, whole films to one split: [splits] group in dataset.toml."


def check_copies(files: Sequence[FileRecord], root: Path) -> Iterator[Finding]:
    """Pictures that are there twice; those that show one scene in two splits.

    The file of a finding is the one to leave out: in two splits that of train, else the later.
    Windows of rasters lie side by side by nature, and are divided by blocks.
    """
    files = [file for file in files if not file.pair.window]
    if len(files) < 2:
        return
    sketches = [file.signs.sketch for file in files]
    twins = find_twins(
        sketches,
        [file.image_sha256 for file in files],
        sizes=[file.header.size for file in files],
        splits=[file.split for file in files],
    )
    neighbours: dict[int, list[int]] = defaultdict(list)
    for twin in twins:
        extra, kept = _ordered(files, twin)
        if twin.kind == "neighbour":
            neighbours[kept].append(extra)
        else:
            yield _copy(files[extra], files[kept], twin, root)
    for kept, others in neighbours.items():
        where, *names = (relative(files[i].pair.image, root) for i in (kept, *others))
        found = f"shows the scene of {names[0]}, which is in {files[others[0]].split}"
        yield Finding("D605", where, found, DIVIDE, others=tuple(names))
    names = [file.pair.name for file in files]
    for film in interleaved(names, [file.split for file in files], alike(sketches)):
        yield _interleaved(film, files, root)


def _interleaved(film: Interleaving, files: Sequence[FileRecord], root: Path) -> Finding:
    """A film or raster of which two splits hold parts."""
    one, other = (files[k] for k in film.pairs[0])
    pictures = {relative(files[k].pair.image, root): None for pair in film.pairs for k in pair}
    where, *others = pictures
    places = f"at {len(film.pairs)} place{'s' * (len(film.pairs) > 1)}"
    beside = "tiles side by side" if film.kind == "tiles" else f"frames {film.gap} apart"
    name = film.prefix or "a numbered sequence"
    found = (
        f"belongs to {name}, which {one.split} and {other.split} share: {beside} "
        f"({one.pair.name} and {other.pair.name}), {places}"
    )
    return Finding("D606", where, found, DIVIDE, others=tuple(others))


def _ordered(files: Sequence[FileRecord], twin: Twin) -> tuple[int, int]:
    """The one to leave out, the one to keep."""
    if files[twin.second].split != "train" and files[twin.first].split == "train":
        return twin.first, twin.second
    return twin.second, twin.first


def _copy(extra: FileRecord, kept: FileRecord, twin: Twin, root: Path) -> Finding:
    across = extra.split != kept.split
    code = {"exact": ("D601", "D602"), "near": ("D603", "D604")}[twin.kind][across]
    where, other = relative(extra.pair.image, root), relative(kept.pair.image, root)
    place = f"{other} (in {kept.split})" if across else other
    if twin.kind == "exact" and not _same_mask(extra, kept):
        found = f"is the same picture as {place}, with another mask"
        fix = "Find out which mask is right, and leave the other pair out."
        return Finding("D607", where, found, fix, others=(other,))
    what = "the same file as" if twin.kind == "exact" else "nearly the same picture as"
    how = f", {twin.how}" if twin.how else ""
    return Finding(code, where, f"is {what} {place}{how}", LEAVE_OUT, others=(other,))


def _same_mask(one: FileRecord, other: FileRecord) -> bool:
    """Whether two masks hold the same labels; the bytes of their files may differ."""
    if one.mask_sha256 == other.mask_sha256:
        return True
    pairs = zip(one.facts[:4], other.facts[:4], strict=True)
    return all(a.tolist() == b.tolist() for a, b in pairs)
