"""Data set x predictor -> scores, per image and whole, in constant memory."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from atrous.callable_module import make_callable
from atrous.metrics.boundary import DISTANCE, BoundaryScores
from atrous.metrics.scores import RULES, Scores, no_counts, scored, scores_from

if TYPE_CHECKING:
    from atrous.classes import Classes
    from atrous.data.dataset import DataSet
    from atrous.predict.predictor import Predictor
    from atrous.types import Mask


class Counted(NamedTuple):
    """The name of one image and what was counted on it."""

    name: str
    scores: Scores
    boundary: BoundaryScores


class ImageScore(NamedTuple):
    """What is kept of one image."""

    name: str
    miou: float
    pixel_accuracy: float


@dataclass(frozen=True)
class Evaluation:
    """Scores of a split: whole, and of each image that has truth, of `num_images` in all."""

    split: str
    scores: Scores
    boundary: BoundaryScores
    num_images: int
    images: tuple[ImageScore, ...]
    weights: str = ""  # which weights answered, in words
    notes: tuple[str, ...] = ()  # what was decided about the data set

    @property
    def miou_per_image(self) -> float:
        """Mean over images of the mIoU of each image alone; NaN without any."""
        return float(np.mean([image.miou for image in self.images])) if self.images else np.nan

    def to_dict(self) -> dict[str, Any]:
        """What `scores.json` holds."""
        return {
            "split": self.split,
            "weights": self.weights,
            "num_images": self.num_images,
            "mIoU_per_image": self.miou_per_image if self.images else None,
            **self.scores.to_dict(),
            **self._boundary(),
            "images": [
                {"name": image.name, "mIoU": image.miou, "pixel_accuracy": image.pixel_accuracy}
                for image in self.images
            ],
            "definitions": self.scores.definitions | self.boundary.definitions,
            "rules": RULES,
        }

    def _boundary(self) -> dict[str, Any]:
        """The boundary scores, those of a class beside its others."""
        scores, boundary = self.scores.to_dict(), self.boundary.to_dict()
        rows = zip(scores["classes"], boundary["classes"], strict=True)
        return boundary | {"classes": [row | more for row, more in rows]}


Track = Callable[[Sequence[Any]], Iterable[Any]]


def score_images(
    predictor: "Predictor", dataset: "DataSet", split: str, *, track: Track = iter
) -> Iterator[Counted]:
    """The counts of one image after the other; `track` wraps the pairs."""
    classes = dataset.classes
    for pair in track(dataset.split(split)):
        sample = dataset.read(pair)
        pred = predictor(sample.image).mask
        borders = _borders(pred, sample.mask, classes)
        yield Counted(
            pair.name, scored(pred, sample.mask, classes), BoundaryScores(classes.names, borders)
        )


def summed(
    split: str, classes: "Classes", images: Iterable[Counted], *, weights: str = ""
) -> Evaluation:
    """The scores of a whole split from those of its images: counts are added as they come."""
    confusion = no_counts(classes)
    borders = np.zeros((len(classes), 3), np.int64)
    count, kept = 0, []
    for name, scores, boundary in images:
        count += 1
        confusion += scores.confusion
        borders += boundary.counts
        if not isnan(scores.miou):  # it is where nothing was there and nothing was found
            kept.append(ImageScore(name, scores.miou, scores.pixel_accuracy))
    scores, boundary = scores_from(classes, confusion), BoundaryScores(classes.names, borders)
    return Evaluation(split, scores, boundary, count, tuple(kept), weights)


def _borders(pred: "Mask", mask: "Mask", classes: "Classes") -> np.ndarray:
    """Border counts of one image, `K 3`; where classes overlap, of each class by itself."""
    from atrous.data.masks import plane
    from atrous.kernels.borders import border_counts

    if classes.task != "multilabel":
        k, ignore = len(classes), classes.ignore_index
        return border_counts(pred, mask, num_classes=k, ignore_index=ignore, distance=DISTANCE)
    counts = [
        border_counts(
            plane(pred, k, classes),
            plane(mask, k, classes),
            num_classes=2,
            ignore_index=255,
            distance=DISTANCE,
        )
        for k in range(len(classes))
    ]
    return np.stack([absent_and_there[1] for absent_and_there in counts])


def evaluate(
    run_or_file: str | Path,
    data: str | Path,
    *,
    split: str = "val",
    weights: str = "last",
    device: str = "auto",
    threads: int = 0,
    output_stride: int = 0,
    track: Track = iter,
) -> Evaluation:
    """Scores of a run or weights file on a split of a data set.

    `track` wraps the sequence of pairs, to show progress.

    Raises:
        DataError: the data set cannot be read, or has another label space.
        RunError, WeightsError: there are no usable weights.
    """
    from atrous.data.dataset import open_dataset
    from atrous.predict.predictor import load

    answering = {"weights": weights, "device": device, "threads": threads}
    predictor = load(run_or_file, **answering, output_stride=output_stride)
    dataset = open_dataset(Path(data), classes=predictor.classes, only=split)
    images = score_images(predictor, dataset, split, track=track)
    evaluation = summed(split, predictor.classes, images, weights=predictor.description)
    return replace(evaluation, notes=dataset.notes)


make_callable(sys.modules[__name__])
