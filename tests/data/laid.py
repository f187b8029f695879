"""Data sets of empty files, for layouts open none."""

from pathlib import Path

import pytest

from atrous.classes import Classes
from atrous.data.layouts import Layout, find_layout
from atrous.data.layouts.pairs import first_problem
from atrous.errors import DataError


def lay(root: Path, *names: str) -> Path:
    """Empty files."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def write(root: Path, name: str, *lines: str) -> Path:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def pool(root: Path, *stems: str, folder: str = "") -> Path:
    return lay(
        root,
        *(f"images/{folder}{stem}.jpg" for stem in stems),
        *(f"masks/{folder}{stem}.png" for stem in stems),
    )


def names(layout: Layout, *splits: str) -> list[str]:
    """The names of the pairs of some splits, sorted; of all splits if none is given."""
    wanted = splits or tuple(layout.splits)
    return sorted(pair.name for split in wanted for pair in layout.splits[split])


def index_of(layout: Layout, *labels: int) -> list[int | None]:
    """What labels are in the layout's own label space."""
    assert layout.names is not None
    classes = Classes(layout.names, layout.colours or (), layout.remap)
    return [classes.index_of(label) for label in labels]


def refused(root: Path, *said: str) -> DataError:
    """An error, or the first of the problems of single files, that says all this."""
    with pytest.raises(DataError) as error:
        _find_without_problems(root)
    for text in said:
        assert text in str(error.value)
    return error.value


def _find_without_problems(root: Path) -> None:
    if problem := first_problem(find_layout(root).problems):
        raise problem
