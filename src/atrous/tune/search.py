"""The search itself: trials on one half of the pictures, a measurement on the other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from atrous.errors import RecipeError
from atrous.metrics.intervals import Changes, paired_changes
from atrous.metrics.scores import mean_of_defined, ratio
from atrous.predict.postprocess import check_steps
from atrous.recipe import Step, Steps, make_steps
from atrous.recipe.postprocessing import plain_steps
from atrous.tune.answers import Answers, Counted, Untaken
from atrous.tune.halves import Halves
from atrous.tune.space import next_step, of_kind, with_step, without
from atrous.tune.trials import Ledger, Trial
from atrous.types import Tell, Track

Tracks = Callable[[str, str], Track]  # for a verb and a unit: shows how far a sequence has got


class Measured(NamedTuple):
    """What a step changes on pictures, and what it costs for one of them, in milliseconds."""

    step: Step
    changes: Changes
    milliseconds: float


@dataclass(frozen=True)
class Search:
    """A search for the numbers of one `kind` of step, for a model with the steps `begun`."""

    kind: str
    seed: int
    begun: Steps
    answers: Answers
    halves: Halves

    @property
    def base(self) -> Steps:
        """The other steps, which the one that is searched joins."""
        return without(self.begun, self.kind)

    @property
    def own(self) -> Steps:
        """Those of this kind that the model has; they are tried before any other."""
        return of_kind(self.begun, self.kind)

    def facts(self) -> dict[str, Any]:
        """What its trials depend on beside the answers.

        The model's own step is not one of them: a trial gives the same whoever names it, and a
        search that has written its best step goes on.
        """
        return {
            "step": self.kind,
            "seed": self.seed,
            "base": plain_steps(self.base),
            "pictures": self.halves.tried,
        }

    def check(self) -> None:
        """Refuse a kind of step that does not fit the model.

        Raises:
            RecipeError: it is for another task, or other pictures.
        """
        predictor = self.answers.predictor
        for step in (*self.own, self._next([])):
            steps = with_step(self.base, step)
            check_steps(steps, predictor.classes, dtype=predictor.engine.dtype)

    def go(self, ledger: Ledger, trials: int, *, track: Tracks, tell: Tell) -> None:
        """Try until the ledger has so many trials, and the model's own step among them."""
        if not ledger.trials:
            ledger.add(self._trial(0, None))
        best = ledger.trials[0].miou
        tell(f"without {self.kind}: mIoU {100 * best:.2f} on the half that is chosen on")
        tried = _steps(ledger)
        missing = sum(own not in tried for own in plain_steps(self.own))
        numbers = range(1, max(trials, len(tried) + missing) + 1)
        for number in track("trying", "trials")(numbers):
            if number == len(ledger.trials):
                ledger.add(self._trial(number, self._next(_steps(ledger))))
            trial = ledger.trials[number]
            if trial.failed:
                tell(f"trial {number} failed: {trial.failed}")
            elif trial.miou > best:
                tell(f"trial {number}: mIoU {100 * trial.miou:.2f}, best so far")
                best = trial.miou

    def measured(self, ledger: Ledger, *, track: Tracks, tell: Tell) -> Measured:
        """The best step, and what it changes on the half that was not chosen on.

        A step that a picture there cannot take gives way to the next best.

        Raises:
            RecipeError: no trial is left.
        """
        left = [trial for trial in ledger.trials[1:] if not trial.failed]
        for trial in sorted(left, key=lambda trial: -trial.miou):
            where = f"{ledger.path}, trial {trial.number}"
            step = make_steps([trial.step or {}], where=where)[0]
            pictures = track("measuring", "images")(self.halves.reporting)
            ways = [self._both_ways(i, step) for i in pictures]
            pairs = [pair for pair in ways if not isinstance(pair, Untaken)]
            if len(pairs) == len(ways):
                return self._compared(step, pairs)
            failed = next(way for way in ways if isinstance(way, Untaken))
            tell(f"trial {trial.number} is not taken: {failed}")
        raise RecipeError(
            f"{ledger.path}, step {self.kind}",
            found=f"none of {len(ledger.trials) - 1} trials could be taken on every picture",
            allowed="a step is chosen that every picture can take",
            fix='What was wrong with each is told there under "failed"; take smaller pictures, '
            "or another --step.",
        )

    def _next(self, tried: Sequence[Any]) -> Step:
        classes = self.answers.dataset.classes
        return next_step(self.kind, tried, own=self.own, seed=self.seed, classes=classes)

    def _trial(self, number: int, step: Step | None) -> Trial:
        steps = with_step(self.base, step) if step else self.base
        told = step.model_dump(mode="json") if step else None
        try:
            counted = [self.answers.counted(i, steps) for i in self.halves.tried]
        except Untaken as error:
            if not step:
                raise
            return Trial(number, told, float("nan"), float("nan"), str(error))
        overlap = np.sum([each.overlap for each in counted], 0)
        miou = mean_of_defined(ratio(*overlap.T))
        cost = round(median(each.milliseconds for each in counted), 3)
        return Trial(number, told, miou, cost)

    def _both_ways(self, i: int, step: Step) -> tuple[Counted, Counted] | Untaken:
        """A picture without the step and with it."""
        before = self.answers.counted(i, self.base)
        try:
            return before, self.answers.counted(i, with_step(self.base, step))
        except Untaken as error:
            return error

    def _compared(self, step: Step, pairs: Sequence[tuple[Counted, Counted]]) -> Measured:
        before, after = np.array([[way.overlap for way in ways] for ways in pairs]).swapaxes(0, 1)
        cost = median(b.milliseconds - a.milliseconds for a, b in pairs)
        return Measured(step, paired_changes(before, after, seed=self.seed), cost)


def _steps(ledger: Ledger) -> list[Any]:
    """What has been tried."""
    return [trial.step for trial in ledger.trials[1:]]
