"""Data set x predictor -> scores, per image and whole, in constant memory."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from atrous.callable_module import make_callable
from atrous.metrics.scores import DEFINITIONS, RULES, Scores

if TYPE_CHECKING:
    from atrous.classes import Classes
    from atrous.data.dataset import DataSet
    from atrous.predict.predictor import Predictor


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
            "images": [
                {"name": image.name, "mIoU": image.miou, "pixel_accuracy": image.pixel_accuracy}
                for image in self.images
            ],
            "definitions": DEFINITIONS,
            "rules": RULES,
        }


Track = Callable[[Sequence[Any]], Iterable[Any]]


def score_images(
    predictor: "Predictor", dataset: "DataSet", split: str, *, track: Track = iter
) -> Iterator[tuple[str, Scores]]:
    """The name and the scores of one image after the other; `track` wraps the pairs."""
    from atrous.kernels.counts import confusion_counts

    classes = dataset.classes
    for pair in track(dataset.split(split)):
        sample = dataset.read(pair)
        pred = predictor(sample.image).mask
        counts = confusion_counts(
            pred, sample.mask, num_classes=len(classes), ignore_index=classes.ignore_index
        )
        yield pair.name, Scores(classes.names, counts)


def summed(
    split: str, classes: "Classes", images: Iterable[tuple[str, Scores]], *, weights: str = ""
) -> Evaluation:
    """The scores of a whole split from those of its images: counts are added as they come."""
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    count, kept = 0, []
    for name, scores in images:
        count += 1
        confusion += scores.confusion
        if scores.pixels:
            kept.append(ImageScore(name, scores.miou, scores.pixel_accuracy))
    return Evaluation(split, Scores(classes.names, confusion), count, tuple(kept), weights)


def evaluate(
    run_or_file: str | Path,
    data: str | Path,
    *,
    split: str = "val",
    weights: str = "last",
    device: str = "auto",
    threads: int = 0,
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

    predictor = load(run_or_file, weights=weights, device=device, threads=threads)
    dataset = open_dataset(Path(data), classes=predictor.classes, only=split)
    images = score_images(predictor, dataset, split, track=track)
    evaluation = summed(split, predictor.classes, images, weights=predictor.description)
    return replace(evaluation, notes=dataset.notes)


make_callable(sys.modules[__name__])
