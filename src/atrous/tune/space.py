"""What a search may try: a random step is a function of (seed, number of the trial)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from atrous.classes import Classes
from atrous.errors import RecipeError
from atrous.recipe import Step, Steps, make_steps
from atrous.recipe.postprocessing import PRESETS, Thresholds

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


# Of the CRF: what DeepLab v1 and v2 search, as `recipe.postprocessing` cites it beside its presets,
# and beyond: smaller widths in pixels, larger ones in values, small weights, which change little.
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


def check_search(kind: str, trials: int, *, seed: int) -> None:
    """Refuse a step that has nothing to search, a search without trials, and a negative seed.

    Raises:
        RecipeError: the step has no numbers, there are no trials, or the seed is below 0.
    """
    if kind not in KINDS:
        raise RecipeError(
            "--step",
            found=f"is {kind!r}",
            allowed=f"what can be searched is {', '.join(KINDS)}",
            fix="Take one of them.",
        )
    if trials < 1:
        raise RecipeError(
            "--trials", found=f"is {trials}", allowed="it is 1 or more", fix="Take 30."
        )
    if seed < 0:
        raise RecipeError("--seed", found=f"is {seed}", allowed="it is 0 or more", fix="Take 0.")


def next_step(
    kind: str, tried: Sequence[Any], *, own: Steps = (), seed: int, classes: Classes
) -> Step:
    """The step to try after those `tried`, which are plain values.

    It is the first that was not of the model's `own` and of those published or default; when all
    of them were tried, one is drawn.
    """
    for step in (*own, *_known(kind)):
        if step.model_dump(mode="json") not in tried:
            return step
    return _drawn(kind, len(tried), seed=seed, classes=classes)


def _drawn(kind: str, number: int, *, seed: int, classes: Classes) -> Step:
    counter = [0, 0, number, _STREAM]
    random = np.random.Generator(np.random.Philox(key=seed, counter=counter))
    if kind == "thresholds":
        values = random.uniform(*THRESHOLDS, classes.num_logits).round(DIGITS)
        return Thresholds(probabilities=tuple(values.tolist()))
    return _step(kind, {name: range.draw(random) for name, range in RANGES[kind].items()})


def _step(kind: str, values: dict[str, float]) -> Step:
    return make_steps([{"step": kind, **values}], where="a trial")[0]


def _known(kind: str) -> Steps:
    """Published or default steps."""
    if kind == "crf":
        return tuple(PRESETS.values())
    return () if kind == "thresholds" else (_step(kind, {}),)


def of_kind(steps: Steps, kind: str) -> Steps:
    """The steps of a kind."""
    return tuple(step for step in steps if step.step == kind)


def without(steps: Steps, kind: str) -> Steps:
    """The steps but those of a kind."""
    return tuple(step for step in steps if step.step != kind)


def with_step(steps: Steps, step: Step) -> Steps:
    """The steps with one more, at its place by `ORDER`; the order of the others stays."""
    place = sum(1 for other in steps if ORDER.index(other.step) <= ORDER.index(step.step))
    return (*steps[:place], step, *steps[place:])
