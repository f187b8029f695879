"""Counts of border zones -> boundary IoU: how well the borders of each class are met."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from atrous.metrics.scores import mean_of_defined, plain, ratio

DISTANCE = 2  # pixels


@dataclass(frozen=True)
class BoundaryScores:
    """Boundary IoU (Cheng et al. 2021, sec. 3) from counts of pixels in border zones.

    The border zone of a class is its pixels within `distance` pixels of one that is not of the
    class. `counts` holds, for each class, the pixels in the zone of the truth, of the prediction
    and of both, as `kernels.borders` counts them; those of the pictures of a data set add up.

    Example:
        >>> BoundaryScores(("sky", "road"), np.array([[4, 4, 2], [6, 4, 4]])).miou
        0.5
    """

    names: tuple[str, ...]
    counts: Int64[np.ndarray, "K 3"]
    distance: int = DISTANCE

    @cached_property
    def iou(self) -> Float64[np.ndarray, " K"]:
        """Boundary IoU of each class; NaN where neither truth nor prediction has a border."""
        return ratio(*self.overlap.T)

    @property
    def overlap(self) -> Int64[np.ndarray, "K 2"]:
        """Pixels in both zones and in either, of each class; those of pictures add up."""
        truth, predicted, both = self.counts.T
        return np.stack([both, truth + predicted - both], 1)

    @property
    def miou(self) -> float:
        """Mean over the classes with a border in truth or prediction; NaN without any."""
        return mean_of_defined(self.iou)

    @property
    def definitions(self) -> dict[str, str]:
        """What the numbers mean."""
        return {
            "boundary_IoU": (
                f"pixels in both border zones / pixels in either, summed over the split; the zone "
                f"of a class in truth or prediction is its pixels within {self.distance} px "
                f"(Euclidean) of one that is not of the class. The picture's frame and void are no "
                f"borders; pixels that close to void, with no border of the truth that close, are "
                f"left out. None where neither truth nor prediction has a border"
            ),
            "boundary_mIoU": "mean of boundary IoU over the classes that have one",
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; None where a number is not defined."""
        return {
            "boundary_mIoU": plain(self.miou),
            "boundary_distance": self.distance,
            "classes": [
                {"name": name, "boundary_IoU": plain(iou)}
                for name, iou in zip(self.names, self.iou, strict=True)
            ],
        }
