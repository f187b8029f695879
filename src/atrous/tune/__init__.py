"""Does a post-processing step earn its place, and with which numbers? A search that can be killed.

The model answers once (`answers`); a keyed random search (`space`) tries steps on one half of a
split (`halves`), line by line (`trials`); the best of them is measured on the other half. A step
whose gain is not sure to be one is kept off, and so is each where few pictures were measured on.
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from atrous.callable_module import make_callable
from atrous.data.dataset import DataSet, open_dataset
from atrous.exported import is_exported
from atrous.files import claimed, json_bytes, refusals_told, write_whole
from atrous.metrics.intervals import LEVEL, Changes
from atrous.metrics.scores import plain
from atrous.predict.flow import lanes_for
from atrous.predict.predictor import Loading, Predictor, load
from atrous.recipe import Step, Steps, read_steps, steps_to_toml
from atrous.recipe.postprocessing import named_steps, plain_steps
from atrous.runs import RunFolder
from atrous.tune.answers import Answers
from atrous.tune.halves import FEWEST, Halves, halves
from atrous.tune.search import Measured, Search, Tracks
from atrous.tune.space import check_search, with_step
from atrous.tune.trials import Ledger, Trial
from atrous.types import Tell, Track


@dataclass(frozen=True)
class Tuned:
    """What a search found: the best trial's step, and what it gave where nothing was chosen.

    `steps` are those that are worth taking, which `file` holds if they are others than before.
    The first of the `trials` took no step.
    """

    split: str
    names: tuple[str, ...]
    halves: Halves
    trials: tuple[Trial, ...]
    best: Step
    changes: Changes
    milliseconds: float  # a picture, that the step adds
    steps: Steps
    file: Path | None
    weights: str  # which answered, in words
    notes: tuple[str, ...]  # what was decided about engine and data set

    @property
    def kept(self) -> bool:
        """Whether the change of mIoU is sure to be a gain."""
        return _gains(self.changes, self.halves)

    @property
    def chosen(self) -> Trial:
        """The trial of the best step."""
        step = self.best.model_dump(mode="json")
        return next(trial for trial in self.trials if trial.step == step and not trial.failed)

    def to_dict(self) -> dict[str, Any]:
        """What `STEP.json` holds, and `--json` prints."""
        before, *trials = self.trials
        rows = zip(self.names, self.changes.classes, strict=True)
        return {
            "step": self.best.model_dump(mode="json"),
            "kept": self.kept,
            "split": self.split,
            "weights": self.weights,
            "chosen_on": {
                "images": len(self.halves.tried),
                "of": len(self.halves.choosing),
                "trials": len(trials),
                "failed": sum(bool(trial.failed) for trial in trials),
                "mIoU_before": plain(before.miou),
                "mIoU_after": plain(self.chosen.miou),
            },
            "num_images": len(self.halves.reporting),
            "mIoU": self.changes.miou.to_dict(),
            "milliseconds": round(self.milliseconds, 3),
            "classes": [{"name": name, **change.to_dict()} for name, change in rows],
            "postprocess": plain_steps(self.steps),
            "file": str(self.file) if self.file else None,
            "definitions": {
                "kept": f"the interval of mIoU lies above 0, of {FEWEST} images or more",
                "interval": f"the middle {LEVEL:.0%} of the changes over images drawn again and "
                "again with replacement, the same ones before and after",
                "milliseconds": "that the step adds, the median over the images measured on",
            },
        }


def _untracked(_verb: str, _unit: str) -> Track:
    return iter


def tune(
    run_or_file: str | Path,
    data: str | Path,
    *,
    step: str = "crf",
    trials: int = 30,
    out: str | Path | None = None,
    seed: int = 0,
    split: str = "val",
    track: Tracks = _untracked,
    tell: Tell = lambda _: None,
    **options: Unpack[Loading],
) -> Tuned:
    """The best numbers of a post-processing step for a model, and whether it is worth taking.

    The model's own numbers are tried first, then published or default ones, then random ones, on
    one half of the split, of which 200 pictures at most are taken, evenly spread; the best are
    measured on the other half. The step is kept where the 95 % interval of the change of mIoU
    there lies above 0, over 10 pictures or more (`halves.FEWEST` says why): of a run in
    `RUN/postprocess.toml`, which `load`, `evaluate` and `export` follow; of an exported file in
    `OUT/postprocess.toml`, from which a next search goes on. Other steps are taken before and
    after alike. A trial whose step a picture cannot take has failed, and is never chosen.

    `OUT/trials.jsonl` has a line a trial; the same call goes on after the last one, and to more
    `trials`, which are counted with those that are there. `out` is `RUN/tune`, or a folder beside
    the file, where it is not given. `track` gives for a verb and a unit what wraps a sequence to
    show progress; `tell` hears of each trial that is the best so far, or has failed.

    Raises:
        RecipeError: a step that has nothing to search or that no trial could take, or an option
            that cannot be followed.
        DataError: the data set cannot be read, has another label space, or too few pictures.
        RunError, WeightsError: there are no usable weights, or `out` cannot be written to.
    """
    model = Path(run_or_file)
    place = Path(out) if out is not None else _beside(model)
    options.setdefault("lanes", lanes_for(options.get("threads", 0)))
    check_search(step, trials, seed=seed)
    predictor = load(model, **options)
    dataset = open_dataset(Path(data), classes=predictor.classes, only=split)
    parts = halves(dataset.split(split), seed=seed, where=f"{dataset.root}, split {split}")
    tell(predictor.note)
    for note in _told_of(parts):
        tell(note)
    with claimed(place):
        asked = _asked(predictor, dataset, split, options)
        folder = place / f"answers-{_key(asked)}"
        answers = Answers(folder, predictor, dataset, split, options.get("threads", 0))
        kept = _kept_at(model, place)
        begun = _begun_with(kept, predictor, options, tell)
        search = Search(step, seed, begun, answers, parts)
        search.check()
        answers.make({*parts.tried, *parts.reporting}, track("answering", "images"))
        ledger = Ledger(place / "trials.jsonl", _key(asked | search.facts()))
        search.go(ledger, trials, track=track, tell=tell)
        measured = search.measured(ledger, track=track, tell=tell)
        tuned = _judged(search, measured, ledger.trials, kept)
        _write(tuned, place)
        answers.remove()
    return tuned


def _gains(changes: Changes, parts: Halves) -> bool:
    """Whether a gain is shown: its interval lies above 0, of enough pictures."""
    return changes.miou.low > 0 and parts.enough


def _told_of(parts: Halves) -> Iterator[str]:
    """What is to know of the two halves before a long search."""
    if len(parts.tried) < len(parts.choosing):
        yield f"Trials use {len(parts.tried)} of {len(parts.choosing)} images, evenly spread."
    if not parts.enough:
        yield (
            f"There are {len(parts.reporting)} images to measure on: of fewer than {FEWEST} no "
            "step is kept."
        )


def _judged(search: Search, measured: Measured, trials: Sequence[Trial], kept: Path) -> Tuned:
    """Whether the step that was measured is taken beside those of before."""
    answers, (best, changes, cost) = search.answers, measured
    steps = with_step(search.base, best) if _gains(changes, search.halves) else search.base
    return Tuned(
        split=answers.split,
        names=answers.predictor.classes.names,
        halves=search.halves,
        trials=tuple(trials),
        best=best,
        changes=changes,
        milliseconds=cost,
        steps=steps,
        file=kept if steps != search.begun else None,
        weights=answers.predictor.description,
        notes=answers.dataset.notes,
    )


def _beside(model: Path) -> Path:
    """Where a search lies if nobody says."""
    return model / "tune" if model.is_dir() else model.with_name(f"{model.stem}-tune")


def _kept_at(model: Path, out: Path) -> Path:
    """The file of the steps worth taking: that which a run answers by, else one to export with."""
    run = RunFolder(model if model.is_dir() else model.parent)
    return run.postprocess if run.is_run and not is_exported(model) else RunFolder(out).postprocess


def _begun_with(kept: Path, predictor: Predictor, options: Loading, tell: Tell) -> Steps:
    """The steps that are asked for, else those that a search kept, else those of the model."""
    if options.get("postprocess") is not None or not kept.is_file():
        return predictor.postprocess
    found = read_steps(kept)
    tell(f"The search goes on from {kept}: {named_steps(found)}.")
    return found


def _asked(predictor: Predictor, dataset: DataSet, split: str, options: Loading) -> dict[str, Any]:
    """What the answers are of, and how they were asked for."""
    engine, augmentation = predictor.engine, predictor.augmentation
    return {
        "model": predictor.digest,
        "data": dataset.fingerprint()["sha256"],
        "split": split,
        "output_stride": options.get("output_stride", 0),
        "engine": engine.name,
        "precision": engine.precision,
        "flip": augmentation.flip,
        "scales": list(augmentation.scales),
    }


def _key(facts: dict[str, Any]) -> str:
    """A short name that stands for facts."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def _write(tuned: Tuned, out: Path) -> None:
    """Write the result, and the steps where they are others than before."""
    result = out / f"{tuned.best.step}.json"
    with refusals_told(result):
        write_whole(result, json_bytes(tuned.to_dict()))
    if tuned.file:
        with refusals_told(tuned.file):
            write_whole(tuned.file, steps_to_toml(tuned.steps).encode())


make_callable(sys.modules[__name__])
