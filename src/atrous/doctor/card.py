"""The summary of a data set: what is in it, and what to train with."""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from atrous.classes import class_weights, to_hex
from atrous.data.dataset import DataSet
from atrous.recipe import Recipe
from atrous.types import Colour, Size

STRIDES = 32  # crops are multiples of the largest output stride
SMALLEST_CROP, LARGEST_CROP = 96, 512
SIGHTS, FEWEST_STEPS, MOST_STEPS = 12, 300, 20_000  # of each part of each picture


class ClassRow(NamedTuple):
    """A class: its share of labelled pixels, and of the pictures that hold it, by split.

    `weight` is that of the default loss.
    """

    name: str
    colour: Colour
    pixels: dict[str, float]
    images: dict[str, float]
    weight: float


class Recommended(NamedTuple):
    """What to begin with: the side of the crop, updates, pictures an update."""

    crop: int
    steps: int
    batch: int


@dataclass(frozen=True)
class Card:
    """What a data set holds; `how` says how it was read, a sentence each."""

    kind: str
    task: str
    how: tuple[str, ...]
    splits: dict[str, int]
    unlabelled: int
    bands: int
    dtype: str
    smallest: Size
    median: Size
    largest: Size
    sizes: int
    classes: tuple[ClassRow, ...]
    recommended: Recommended

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        rows = [{**row._asdict(), "colour": to_hex(row.colour)} for row in self.classes]
        return {**asdict(self), "classes": rows, "recommended": self.recommended._asdict()}


def card_of(data: DataSet, unlabelled: int) -> Card:
    """The card of an opened data set."""
    sizes = np.array([file.header.size for file in data.files])
    order = np.argsort(sizes.prod(1), kind="stable")
    smallest, median, largest = (
        (int(sizes[i][0]), int(sizes[i][1])) for i in (order[0], order[len(order) // 2], order[-1])
    )
    return Card(
        kind=data.kind,
        task=data.classes.task,
        how=data.notes,
        splits={split: len(pairs) for split, pairs in data.splits.items()},
        unlabelled=unlabelled,
        bands=data.bands,
        dtype=data.dtype,
        smallest=smallest,
        median=median,
        largest=largest,
        sizes=len(np.unique(sizes, axis=0)),
        classes=_rows(data),
        recommended=recommended(data, median),
    )


def recommended(data: DataSet, median: Size) -> Recommended:
    """A crop that most pictures fill, and steps enough to see each part of them a dozen times.

    The crop is two thirds of the median picture's shorter side, a multiple of 32, at most 512:
    random crops must differ. `augment.crop` and `train.steps` take them.
    """
    side = min(median) * 2 // 3 // STRIDES * STRIDES
    crop = min(max(side, SMALLEST_CROP), LARGEST_CROP)
    batch = Recipe().train.batch
    seen = median[0] * median[1] / crop**2  # crops that make up a picture
    pictures = len(data.splits.get("train", data.files))
    steps = round(SIGHTS * pictures * max(1, seen) / batch, -2)
    return Recommended(crop, int(min(max(steps, FEWEST_STEPS), MOST_STEPS)), batch)


def _rows(data: DataSet) -> tuple[ClassRow, ...]:
    names = data.splits if data.splits else ()
    counts = {split: data.counts[split] for split in names}
    held = {split: data.images_with(split) for split in names}
    first = next(iter(counts.values()))
    default = Recipe().loss
    weights = class_weights(
        counts.get("train", first),
        default.class_weights,
        power=default.class_power,
        beta=default.effective_beta,
    )
    return tuple(
        ClassRow(
            name,
            data.classes.colours[k],
            {s: float(n[k] / max(n.sum(), 1)) for s, n in counts.items()},
            {s: float(n[k] / max(len(data.splits[s]), 1)) for s, n in held.items()},
            float(weights[k]),
        )
        for k, name in enumerate(data.classes.names)
    )
