"""The search itself: trials on one half of the pictures, a measurement on the other."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from atrous.metrics.intervals import Changes, paired_changes
from atrous.metrics.scores import mean_of_defined, ratio
from atrous.predict.postprocess import check_steps
from atrous.recipe import Step, Steps, make_steps
from atrous.recipe.postprocessing import plain_steps
from atrous.tune.answers import Answers
from atrous.tune.halves import Halves
from atrous.tune.space import drawn, with_step
from atrous.tune.trials import Ledger, Trial
from atrous.types import Tell, Track

Tracks = Callable[[str, str], Track]  # for a verb and a unit: shows how far a sequence has got


class Measured(NamedTuple):
    """What a step changes on pictures, and what it costs for one of them, in milliseconds."""

    changes: Changes
    milliseconds: float


@dataclass(frozen=True)
class Search:
    """A search for the numbers of one `kind` of step, which joins the steps of `base`."""

    kind: str
    seed: int
    base: Steps
    answers: Answers
    halves: Halves

    def facts(self) -> dict[str, Any]:
        """What its trials depend on beside the answers."""
        return {"step": self.kind, "seed": self.seed, "base": plain_steps(self.base)}

    def check(self) -> None:
        """Refuse a kind of step that does not fit the model.

        Raises:
            RecipeError: it is for another task, or other pictures.
        """
        predictor = self.answers.predictor
        steps = with_step(self.base, self._drawn(1))
        check_steps(steps, predictor.classes, dtype=predictor.engine.dtype)

    def best(self, ledger: Ledger, trials: int, *, track: Tracks, tell: Tell) -> Step:
        """The step of the best of so many trials; those of the ledger are not done again."""
        if not ledger.trials:
            ledger.add(self._trial(0, None))
        best = ledger.trials[0]
        tell(f"without {self.kind}: mIoU {100 * best.miou:.2f} on the half that is chosen on")
        for number in track("trying", "trials")(range(1, trials + 1)):
            if number == len(ledger.trials):
                ledger.add(self._trial(number, self._drawn(number)))
            trial = ledger.trials[number]
            if trial.miou > best.miou:
                tell(f"trial {number}: mIoU {100 * trial.miou:.2f}, best so far")
                best = trial
        tried = ledger.trials[1 : trials + 1]
        chosen = max(tried, key=lambda trial: trial.miou)
        return make_steps([chosen.step or {}], where=f"{ledger.path}, trial {chosen.number}")[0]

    def measured(self, step: Step, *, track: Tracks) -> Measured:
        """What a step changes on the half that was not chosen on."""
        steps = with_step(self.base, step)
        pictures = track("measuring", "images")(self.halves.reporting)
        count = self.answers.counted
        pairs = [(count(i, self.base), count(i, steps)) for i in pictures]
        before, after = np.array([[way.overlap for way in ways] for ways in pairs]).swapaxes(0, 1)
        cost = median(b.milliseconds - a.milliseconds for a, b in pairs)
        return Measured(paired_changes(before, after, seed=self.seed), cost)

    def _drawn(self, number: int) -> Step:
        classes = self.answers.dataset.classes
        return drawn(self.kind, number - 1, seed=self.seed, classes=classes)

    def _trial(self, number: int, step: Step | None) -> Trial:
        steps = with_step(self.base, step) if step else self.base
        counted = [self.answers.counted(i, steps) for i in self.halves.choosing]
        overlap = np.sum([each.overlap for each in counted], 0)
        miou = mean_of_defined(ratio(*overlap.T))
        cost = round(median(each.milliseconds for each in counted), 3)
        return Trial(number, step.model_dump(mode="json") if step else None, miou, cost)
