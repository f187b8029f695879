"""What a planted defect is, and a kind of them."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Planted(NamedTuple):
    """A set with one defect; its near-misses are written in the same words.

    `files` are relative to `root`, with forward slashes: a finding must name any one of them,
    or anything at all where there are none. `pixel` is (row, column) where the defect has one.
    `also` are other codes, errors or warnings, that honestly follow from the defect.
    """

    root: Path
    code: str
    files: tuple[str, ...] = ()
    pixel: tuple[int, int] | None = None
    also: frozenset[str] = frozenset()


Plant = Callable[[Path, np.random.Generator], Planted]


class Kind(NamedTuple):
    """A way to plant a defect, or a near-miss of it.

    Of the statistical ones one in twenty may be missed.
    """

    code: str
    plant: Plant
    statistical: bool = False

    @property
    def name(self) -> str:
        return getattr(self.plant, "__name__", "?")
