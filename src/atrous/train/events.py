"""What happens in a training, as values: the loop yields them, whoever calls it shows them."""

from math import isfinite
from typing import Any, NamedTuple

from atrous.evaluate import Evaluation
from atrous.train.step import Update


class Note(NamedTuple):
    """A sentence on what was decided."""

    text: str


class Started(NamedTuple):
    """Training is about to begin; `seconds` estimates what is left."""

    step: int
    steps: int
    seconds: float


class Stepped(NamedTuple):
    """A step is done."""

    step: int
    update: Update
    lr: float
    images_per_s: float

    def to_dict(self) -> dict[str, Any]:
        """A line of the log."""
        loss, norm, _ = self.update
        line = {
            "step": self.step,
            "loss": loss,
            "lr": self.lr,
            "grad_norm": norm if isfinite(norm) else None,
        }
        return line | {"images_per_s": round(self.images_per_s, 3)}


class Validated(NamedTuple):
    """The averaged weights were scored on val; `best` if they are the best so far."""

    step: int
    evaluation: Evaluation
    best: bool

    def to_dict(self) -> dict[str, Any]:
        """A line of the log."""
        scores = self.evaluation.scores.to_dict()
        values = {key: scores[key] for key in ("mIoU", "pixel_accuracy")}
        return {"step": self.step, "val": values | {"IoU": [c["IoU"] for c in scores["classes"]]}}


class Stopped(NamedTuple):
    """A signal came and a checkpoint was written."""

    step: int
    signal: int


class Finished(NamedTuple):
    """All steps are done; `evaluation` is that of the last weights, if it was made now."""

    step: int
    evaluation: Evaluation | None


Event = Note | Started | Stepped | Validated | Stopped | Finished
