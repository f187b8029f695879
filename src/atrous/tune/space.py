"""What a search may try: each trial's step is a function of (seed, number of the trial)."""

from typing import NamedTuple, get_args

import numpy as np
from pydantic import TypeAdapter

from atrous.classes import Classes
from atrous.errors import RecipeError
from atrous.recipe.postprocessing import PRESETS, Crf, Step

DIGITS = 3  # of a drawn number
_STREAM = 2  # of random numbers; `halves` and `metrics.intervals` have others


class Range(NamedTuple):
    """Between which values an option is drawn, evenly in its logarithm."""

    low: float
    high: float
    whole: bool = False

    def draw(self, random: np.random.Generator) -> float | int:
        """A number that is short to write."""
        value = float(np.exp(random.uniform(np.log(self.low), np.log(self.high))))
        return round(value) if self.whole else float(f"{value:.{DIGITS}g}")


# The CRF: DeepLab v1 (sec. 4.1) and v2 (sec. 4.1) search bilateral weights from 3 to 10, 30 to
# 100 pixels and 3 to 10 grey levels, for pictures of 500 x 375 and networks of stride 8. Networks
# with finer answers and pictures of other sizes want less of it, so all begin lower.
RANGES = {
    "crf": {
        "gaussian_sxy": Range(1, 5),
        "gaussian_weight": Range(0.3, 5),
        "bilateral_sxy": Range(15, 100),
        "bilateral_srgb": Range(3, 15),
        "bilateral_weight": Range(0.3, 10),
    },
    "bilateral_grid": {
        "sxy": Range(4, 64),
        "srgb": Range(4, 64),
        "weight": Range(0.3, 10),
    },
    "small_regions": {"pixels": Range(8, 2048, whole=True)},
    "holes": {"pixels": Range(8, 2048, whole=True)},
}
THRESHOLDS = 0.1, 0.9  # those of binary and multilabel, drawn evenly, one a class
KINDS = (*RANGES, "thresholds")
# Where a new step goes: what moves probabilities comes before what decides, and that before
# what mends the mask.
ORDER = ("crf", "bilateral_grid", "thresholds", "priority", "small_regions", "holes")

_STEP: TypeAdapter[Step] = TypeAdapter(Step)


def check_kind(kind: str, classes: Classes) -> None:
    """Refuse a step that has nothing to be searched.

    Raises:
        RecipeError: it has no numbers, or is none for this task.
    """
    if kind not in KINDS:
        raise RecipeError(
            "--step",
            found=f"is {kind!r}",
            allowed=f"what can be searched is {', '.join(KINDS)}",
            fix="Take one of them.",
        )
    if kind == "thresholds" and classes.task == "multiclass":
        raise RecipeError(
            "--step",
            found="is 'thresholds'",
            allowed="in a multiclass model the most probable class wins, without a threshold",
            fix="Take another step.",
        )


def drawn(kind: str, number: int, *, seed: int, classes: Classes) -> Step:
    """The step of a trial; the first ones are published or default, the others drawn."""
    known = _known(kind)
    if number < len(known):
        return known[number]
    counter = [0, 0, number, _STREAM]
    random = np.random.Generator(np.random.Philox(key=seed, counter=counter))
    if kind == "thresholds":
        values = random.uniform(*THRESHOLDS, len(classes)).round(DIGITS)
        return _STEP.validate_python({"step": kind, "probabilities": tuple(values.tolist())})
    values = {name: wide.draw(random) for name, wide in RANGES[kind].items()}
    return _STEP.validate_python({"step": kind, **values})
