"""A split in two: on one half is chosen, on the other measured; how many of each are enough."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from atrous.errors import DataError

BLOCKS = 10  # of neighbouring pictures; as many as that and less are blocks of one
LEAST = 4  # pictures that can be divided
MOST = 200  # that trials use: twice those of DeepLab's searches (`recipe.postprocessing`)
# Percentiles of a bootstrap are too narrow for few pictures: by (n - 1) / n in the variance, and as
# a normal distribution is beside Student's (Hesterberg 2015, What teachers should know about the
# bootstrap). Of n normal changes without a gain, the 95 % interval lies above 0 as often as
# Student's t of n - 1 is above 1.96 * sqrt((n - 1) / n): 7.7 % of 5, 5.1 % of 9, 4.8 % of 10, where
# 2.5 % are meant. From 10 on it is at most 1 time in 20.
FEWEST = 10  # pictures on which a gain can be shown
_STREAM = 1  # of random numbers; `space` and `metrics.intervals` have others


class Halves(NamedTuple):
    """The places of pictures in their split."""

    choosing: tuple[int, ...]
    reporting: tuple[int, ...]

    @property
    def tried(self) -> tuple[int, ...]:
        """Those of the choosing half that trials use: all, or `MOST` that are evenly spread.

        Example:
            >>> halves(range(1000), seed=0, where="data").tried[:4]
            (100, 102, 105, 107)
        """
        count = len(self.choosing)
        if count <= MOST:
            return self.choosing
        return tuple(self.choosing[i * count // MOST] for i in range(MOST))

    @property
    def enough(self) -> bool:
        """Whether a gain can be shown on the reporting half: it has `FEWEST` pictures or more."""
        return len(self.reporting) >= FEWEST


def halves(pairs: Sequence[Any], *, seed: int, where: object) -> Halves:
    """Two halves of whole pictures, in contiguous blocks of them, by an order keyed by the seed.

    Neighbours in a split are often frames of one drive, or parts of one scene, and alike: one of
    them to choose on and one to measure on would be to measure on what was chosen on. In blocks
    only few have a neighbour in the other half.

    Example:
        >>> halves(range(8), seed=0, where="data")
        Halves(choosing=(1, 2, 3, 7), reporting=(0, 4, 5, 6))

    Raises:
        DataError: there are too few pictures.
    """
    if len(pairs) < LEAST:
        raise DataError(
            where,
            found=f"has {len(pairs)} pictures",
            allowed=f"half of them are chosen on and half are measured on, so {LEAST} are needed",
            fix="Take a larger split.",
        )
    random = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, _STREAM]))
    blocks = np.array_split(np.arange(len(pairs)), min(len(pairs), BLOCKS))
    first = {*random.permutation(len(blocks))[: len(blocks) // 2].tolist()}
    parts = [
        tuple(int(i) for n, block in enumerate(blocks) if (n in first) == chosen for i in block)
        for chosen in (True, False)
    ]
    return Halves(*parts)
