"""One int64 confusion matrix -> `Scores`: every number with one declared meaning."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64, Int64

from atrous.types import Confusion, Mask, MultilabelConfusion

if TYPE_CHECKING:
    from atrous.classes import Classes

DEFINITIONS = {
    "mIoU": "mean of IoU over the classes present in truth or prediction",
    "IoU": "TP / (TP + FP + FN), summed over all pixels of the split",
    "precision": "TP / (TP + FP); none where the class was never predicted",
    "recall": "TP / (TP + FN); none where the class is not in the truth",
    "pixel_accuracy": "pixels predicted right / pixels with truth",
    "pixel_share": "pixels of the class in truth / pixels with truth",
    "mIoU_per_image": "mean over images of the mIoU of each image alone",
}
MULTILABEL_DEFINITIONS = DEFINITIONS | {
    "pixel_accuracy": (
        "decisions that are right / decisions, one for each class at each pixel with truth"
    ),
}
RULES = (
    "Pixels whose truth is ignored are left out. Counted at the original size of each image. "
    "A class absent from truth and prediction has no IoU and is left out of the mean."
)


@dataclass(frozen=True)
class Scores:
    """What a confusion matrix says; class numbers are NaN where they are not defined.

    Example:
        >>> Scores(("sky", "road"), np.array([[3, 1], [0, 4]])).miou
        0.775
    """

    names: tuple[str, ...]
    confusion: Confusion

    @property
    def definitions(self) -> dict[str, str]:
        """What the numbers mean."""
        return DEFINITIONS

    @cached_property
    def iou(self) -> Float64[np.ndarray, " K"]:
        """Intersection over union of each class."""
        return ratio(*self.overlap.T)

    @property
    def overlap(self) -> Int64[np.ndarray, "K 2"]:
        """Intersection and union of each class; those of the pictures of a data set add up."""
        return np.stack([self._hits, self._truth + self._predicted - self._hits], 1)

    @cached_property
    def precision(self) -> Float64[np.ndarray, " K"]:
        """Share of what was predicted as the class that is the class."""
        return ratio(self._hits, self._predicted)

    @cached_property
    def recall(self) -> Float64[np.ndarray, " K"]:
        """Share of the class that was predicted as the class."""
        return ratio(self._hits, self._truth)

    @cached_property
    def pixel_share(self) -> Float64[np.ndarray, " K"]:
        """Share of each class in the truth."""
        return ratio(self._truth, np.full(len(self.names), self.pixels))

    @property
    def miou(self) -> float:
        """Mean IoU over the classes present in truth or prediction; NaN without pixels."""
        return mean_of_defined(self.iou)

    @property
    def pixel_accuracy(self) -> float:
        """Share of pixels predicted right."""
        return float(ratio(self._hits.sum(), np.asarray(self.pixels)))

    @property
    def pixels(self) -> int:
        """Pixels with truth."""
        return int(self.confusion.sum())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; None where a number is not defined."""
        rows = zip(self.names, self.iou, self.precision, self.recall, self.pixel_share, strict=True)
        return {
            "mIoU": plain(self.miou),
            "pixel_accuracy": plain(self.pixel_accuracy),
            "pixels": self.pixels,
            "classes": [
                {
                    "name": name,
                    "IoU": plain(iou),
                    "precision": plain(precision),
                    "recall": plain(recall),
                    "pixel_share": plain(share),
                }
                for name, iou, precision, recall, share in rows
            ],
            "confusion": self.confusion.tolist(),
        }

    @property
    def _hits(self) -> np.ndarray:
        return np.diagonal(self.confusion)

    @property
    def _truth(self) -> np.ndarray:
        return self.confusion.sum(1)

    @property
    def _predicted(self) -> np.ndarray:
        return self.confusion.sum(0)


@dataclass(frozen=True)
class MultilabelScores(Scores):
    """What the counts of each class say where a pixel may have any number of classes.

    Example:
        >>> counts = np.array([[[2, 1], [0, 1]], [[3, 0], [0, 1]]])
        >>> MultilabelScores(("road", "wet"), counts).miou
        0.75
    """

    confusion: MultilabelConfusion

    @property
    def definitions(self) -> dict[str, str]:
        """What the numbers mean."""
        return MULTILABEL_DEFINITIONS

    @property
    def pixel_accuracy(self) -> float:
        """Share of decisions that are right, one for each class at each pixel."""
        right = self.confusion[:, 0, 0] + self._hits
        return float(ratio(right.sum(), self.confusion.sum()))

    @property
    def pixels(self) -> int:
        """Pixels with truth."""
        return int(self.confusion[0].sum())  # the same for each class

    @property
    def _hits(self) -> np.ndarray:
        return self.confusion[:, 1, 1]

    @property
    def _truth(self) -> np.ndarray:
        return self.confusion[:, 1].sum(1)

    @property
    def _predicted(self) -> np.ndarray:
        return self.confusion[:, :, 1].sum(1)


def scored(pred: Mask, mask: Mask, classes: "Classes", *, threads: int = 0) -> Scores:
    """The scores of a predicted mask against the true one."""
    from atrous.kernels.counts import confusion_counts, multilabel_counts

    count = multilabel_counts if classes.task == "multilabel" else confusion_counts
    return scores_from(
        classes,
        count(
            pred,
            mask,
            num_classes=len(classes),
            ignore_index=classes.ignore_index,
            threads=threads,
        ),
    )


def scores_from(classes: "Classes", counts: Confusion | MultilabelConfusion) -> Scores:
    """The scores that counts give, which are `K K`, or `K 2 2` for multilabel."""
    kind = MultilabelScores if classes.task == "multilabel" else Scores
    return kind(classes.names, counts)


def no_counts(classes: "Classes") -> Confusion | MultilabelConfusion:
    """What counts begin with."""
    each = (2, 2) if classes.task == "multilabel" else (len(classes),)
    return np.zeros((len(classes), *each), np.int64)


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """`part / whole`; NaN where there is no whole."""
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole != 0)


def mean_of_defined(values: Float64[np.ndarray, " K"]) -> float:
    """The mean of the values that are not NaN; NaN if there are none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")


def plain(value: float) -> float | None:
    """For JSON, which knows no NaN: None instead."""
    return None if np.isnan(value) else float(value)
