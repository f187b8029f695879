"""Checks of names: what one file system takes for the same."""

from collections.abc import Iterator
from pathlib import Path

from atrous.data.layouts import Layout
from atrous.data.layouts.marks import MASK, unmarked
from atrous.data.layouts.pairs import plain, relative
from atrous.doctor.findings import Finding


def check_names(layout: Layout) -> Iterator[Finding]:
    """Names that differ in case only: of two pairs, or of a picture and the mask it lacks."""
    for pairs in layout.splits.values():
        seen: dict[str, str] = {}
        for pair in pairs:
            where = relative(pair.image, layout.root)
            other = seen.setdefault(_folded(pair.name), where)
            if other != where:
                yield _alike(where, other)
    lonely: dict[str, str] = {}
    for problem in layout.problems:
        if problem.code in ("S101", "S102"):
            path = Path(problem.where)
            where = relative(path, layout.root)
            other = lonely.setdefault(_folded(unmarked(path.stem, MASK).name), where)
            if other != where:
                yield _alike(where, other)


def _folded(name: str) -> str:
    return plain(name).casefold()


def _alike(where: str, other: str) -> Finding:
    found = f"differs from {other} in case only"
    return Finding("S104", where, found, "Rename one of them.", others=(other,))
