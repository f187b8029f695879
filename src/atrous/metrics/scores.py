"""One int64 confusion matrix -> `Scores`: every number with one declared meaning."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float64

from atrous.types import Confusion

DEFINITIONS = {
    "mIoU": "mean of IoU over the classes present in truth or prediction",
    "IoU": "TP / (TP + FP + FN), summed over all pixels of the split",
    "precision": "TP / (TP + FP); none where the class was never predicted",
    "recall": "TP / (TP + FN); none where the class is not in the truth",
    "pixel_accuracy": "pixels predicted right / pixels with truth",
    "pixel_share": "pixels of the class in truth / pixels with truth",
    "mIoU_per_image": "mean over images of the mIoU of each image alone",
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

    @cached_property
    def iou(self) -> Float64[np.ndarray, " K"]:
        """Intersection over union of each class."""
        return _ratio(self._hits, self._truth + self._predicted - self._hits)

    @cached_property
    def precision(self) -> Float64[np.ndarray, " K"]:
        """Share of what was predicted as the class that is the class."""
        return _ratio(self._hits, self._predicted)

    @cached_property
    def recall(self) -> Float64[np.ndarray, " K"]:
        """Share of the class that was predicted as the class."""
        return _ratio(self._hits, self._truth)

    @cached_property
    def pixel_share(self) -> Float64[np.ndarray, " K"]:
        """Share of each class in the truth."""
        return _ratio(self._truth, np.full(len(self.names), self.pixels))

    @property
    def miou(self) -> float:
        """Mean IoU over the classes present in truth or prediction; NaN without pixels."""
        present = self.iou[~np.isnan(self.iou)]
        return float(present.mean()) if present.size else float("nan")

    @property
    def pixel_accuracy(self) -> float:
        """Share of pixels predicted right."""
        return float(_ratio(self._hits.sum(), np.asarray(self.pixels)))

    @property
    def pixels(self) -> int:
        """Pixels with truth."""
        return int(self.confusion.sum())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; None where a number is not defined."""
        rows = zip(self.names, self.iou, self.precision, self.recall, self.pixel_share, strict=True)
        return {
            "mIoU": _plain(self.miou),
            "pixel_accuracy": _plain(self.pixel_accuracy),
            "pixels": self.pixels,
            "classes": [
                {
                    "name": name,
                    "IoU": _plain(iou),
                    "precision": _plain(precision),
                    "recall": _plain(recall),
                    "pixel_share": _plain(share),
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


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole != 0)


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
