"""What a step after the network does to the scores, and how sure that is."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from atrous.metrics.intervals import DRAWS, RULE, Change, Changes
from atrous.metrics.scores import plain

STEP_DEFINITIONS = {
    "steps": (
        "of each step after the network, in their order: mIoU and boundary mIoU, IoU and boundary "
        "IoU of each class before and after it, the change and its 95 % interval, and its median "
        "time for a picture, with other pictures beside it; the first has the making of "
        "probabilities at full size too, where a step needs them"
    ),
    "interval": (
        f"the middle 95 % of the changes in {DRAWS} draws (paired bootstrap, percentiles; always "
        f"the same draws). {RULE} None of a single picture"
    ),
}


@dataclass(frozen=True)
class StepScores:
    """What a step changes; `ms` is its median time for a picture."""

    step: str
    names: tuple[str, ...]
    iou: Changes
    boundary: Changes
    ms: float

    @property
    def rows(self) -> Iterator[tuple[str, Change, Change]]:
        """Of each class its name, the change of its IoU and that of its boundary IoU."""
        return zip(self.names, self.iou.classes, self.boundary.classes, strict=True)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; None where a number is not defined."""
        return {
            "step": self.step,
            **_named(self.iou.miou, "mIoU", "mIoU_"),
            **_named(self.boundary.miou, "boundary_mIoU", "boundary_mIoU_"),
            "ms": plain(self.ms),
            "classes": [
                {
                    "name": name,
                    **_named(iou, "IoU", ""),
                    **_named(boundary, "boundary_IoU", "boundary_IoU_"),
                }
                for name, iou, boundary in self.rows
            ],
        }


def _named(change: Change, score: str, prefix: str) -> dict[str, Any]:
    """The values of a change, under the name of its score."""
    values = change.to_dict()
    return {
        f"{score}_before": values["before"],
        score: values["after"],
        f"{prefix}change": values["change"],
        f"{prefix}interval": values["interval"],
    }
