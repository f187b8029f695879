"""Data set x predictor -> scores, per image and whole; of an image only counts are kept."""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

import numpy as np
from jaxtyping import Int64

from atrous.callable_module import make_callable
from atrous.errors import RunError
from atrous.files import json_bytes, refusals_told, whole_folder, write_whole
from atrous.metrics.boundary import DISTANCE, BoundaryScores
from atrous.metrics.intervals import Changes, paired_changes
from atrous.metrics.scores import RULES, Scores, no_counts, scored, scores_from
from atrous.metrics.steps import STEP_DEFINITIONS, StepScores
from atrous.recipe.postprocessing import named_steps, plain_steps
from atrous.runs import RunFolder
from atrous.types import Track

if TYPE_CHECKING:
    from atrous.classes import Classes
    from atrous.data.dataset import DataSet
    from atrous.data.layouts import Pair
    from atrous.predict.predictor import Loading, Predictor
    from atrous.types import Mask


class Passed(NamedTuple):
    """A step that an image went through: what was counted before it, and how long it took."""

    step: str
    scores: Scores
    boundary: BoundaryScores
    seconds: float


class Counted(NamedTuple):
    """The name of one image and what was counted on it, also before each step."""

    name: str
    scores: Scores
    boundary: BoundaryScores
    steps: tuple[Passed, ...] = ()


class ImageScore(NamedTuple):
    """What is kept of one image."""

    name: str
    miou: float
    pixel_accuracy: float


@dataclass(frozen=True)
class Evaluation:
    """Scores of a split: whole, and of each image that has truth, of `num_images` in all."""

    split: str
    scores: Scores
    boundary: BoundaryScores
    num_images: int
    images: tuple[ImageScore, ...]
    weights: str = ""  # which weights answered, in words
    notes: tuple[str, ...] = ()  # what was decided about engine and data set
    engine: str = ""  # what answered, and how it was asked, where not as in training
    steps: tuple[StepScores, ...] = ()  # what each step after the network changed

    @property
    def miou_per_image(self) -> float:
        """Mean over images of the mIoU of each image alone; NaN without any."""
        return float(np.mean([image.miou for image in self.images])) if self.images else np.nan

    @property
    def definitions(self) -> dict[str, str]:
        """What the numbers mean."""
        steps = STEP_DEFINITIONS if self.steps else {}
        return self.scores.definitions | self.boundary.definitions | steps

    def to_dict(self) -> dict[str, Any]:
        """What `scores.json` holds."""
        return {
            "split": self.split,
            "weights": self.weights,
            **({"engine": self.engine} if self.engine else {}),
            "num_images": self.num_images,
            "mIoU_per_image": self.miou_per_image if self.images else None,
            **self.scores.to_dict(),
            **self._boundary(),
            **({"steps": [step.to_dict() for step in self.steps]} if self.steps else {}),
            "images": [
                {"name": image.name, "mIoU": image.miou, "pixel_accuracy": image.pixel_accuracy}
                for image in self.images
            ],
            "definitions": self.definitions,
            "rules": RULES,
        }

    def _boundary(self) -> dict[str, Any]:
        """The boundary scores, those of a class beside its others."""
        scores, boundary = self.scores.to_dict(), self.boundary.to_dict()
        rows = zip(scores["classes"], boundary["classes"], strict=True)
        return boundary | {"classes": [row | more for row, more in rows]}


def score_images(
    predictor: "Predictor",
    dataset: "DataSet",
    split: str,
    *,
    track: Track = iter,
    threads: int = 1,
) -> Iterator[Counted]:
    """The counts of one image after the other; `track` wraps the pairs.

    With several `threads` images are in flight at once; counts and their order stay the same.
    """
    from atrous.predict.flow import in_flight

    pairs = dataset.split(split)
    each = predictor.threads if threads <= 1 else 1
    count = partial(_counted, predictor=predictor, dataset=dataset, threads=each)
    with closing(in_flight(count, pairs, threads=threads)) as counted:
        for _, image in zip(track(pairs), counted, strict=True):
            yield image


def _counted(pair: "Pair", *, predictor: "Predictor", dataset: "DataSet", threads: int) -> Counted:
    """The counts of one image, on so many threads."""
    sample, classes = dataset.read(pair), dataset.classes
    stages = predictor.stages(sample.image)
    count = partial(_scored, mask=sample.mask, classes=classes, threads=threads)
    pred, passed = next(stages).mask, []
    for step in predictor.postprocess:
        before = count(pred)
        began = time.perf_counter()
        pred = next(stages).mask
        passed.append(Passed(step.step, *before, time.perf_counter() - began))
    return Counted(pair.name, *count(pred), tuple(passed))


def _scored(
    pred: "Mask", mask: "Mask", classes: "Classes", *, threads: int
) -> tuple[Scores, BoundaryScores]:
    borders = _borders(pred, mask, classes, threads=threads)
    scores = scored(pred, mask, classes, threads=threads)
    return scores, BoundaryScores(classes.names, borders)


def summed(
    split: str, classes: "Classes", images: Iterable[Counted], *, weights: str = ""
) -> Evaluation:
    """The scores of a whole split from those of its images: counts are added as they come.

    For the intervals of steps, `K 2` counts of each image are kept, before and after each.
    """
    confusion = no_counts(classes)
    borders = np.zeros((len(classes), 3), np.int64)
    count, kept, stages = 0, [], []
    for image in images:
        count += 1
        confusion += image.scores.confusion
        borders += image.boundary.counts
        if image.steps:
            stages.append(_stages(image))
        if not isnan(image.scores.miou):  # it is where nothing was there and nothing was found
            kept.append(ImageScore(image.name, image.scores.miou, image.scores.pixel_accuracy))
    scores, boundary = scores_from(classes, confusion), BoundaryScores(classes.names, borders)
    steps = _step_scores(classes, stages)
    return Evaluation(split, scores, boundary, count, tuple(kept), weights, steps=steps)


class _Stages(NamedTuple):
    """What is kept of an image and the steps it went through: before each, and after the last."""

    steps: tuple[str, ...]
    overlaps: Int64[np.ndarray, "S+1 K 2"]
    borders: Int64[np.ndarray, "S+1 K 2"]
    seconds: tuple[float, ...]


def _stages(image: Counted) -> _Stages:
    stages = (*image.steps, image)
    return _Stages(
        tuple(passed.step for passed in image.steps),
        np.array([stage.scores.overlap for stage in stages]),
        np.array([stage.boundary.overlap for stage in stages]),
        tuple(passed.seconds for passed in image.steps),
    )


def _step_scores(classes: "Classes", images: list[_Stages]) -> tuple[StepScores, ...]:
    """What each step changed, over all images."""
    if not images:
        return ()
    steps, overlaps, borders, seconds = zip(*images, strict=True)
    ms = 1000 * np.median(seconds, axis=0)

    def changes(counts: Sequence[np.ndarray], i: int) -> Changes:
        before, after = (np.array([each[stage] for each in counts]) for stage in (i, i + 1))
        return paired_changes(before, after, seed=0)  # the same draws always, for all steps

    return tuple(
        StepScores(step, classes.names, changes(overlaps, i), changes(borders, i), float(ms[i]))
        for i, step in enumerate(steps[0])
    )


def _borders(
    pred: "Mask", mask: "Mask", classes: "Classes", *, threads: int
) -> Int64[np.ndarray, "K 3"]:
    """Border counts of one image; where classes overlap, of each class by itself."""
    from atrous.data.masks import plane
    from atrous.kernels.borders import border_counts

    count = partial(border_counts, distance=DISTANCE, threads=threads)
    if classes.task != "multilabel":
        return count(pred, mask, num_classes=len(classes), ignore_index=classes.ignore_index)
    counts = [
        count(plane(pred, k, classes), plane(mask, k, classes), num_classes=2, ignore_index=255)
        for k in range(len(classes))
    ]
    return np.stack([absent_and_there[1] for absent_and_there in counts])


def evaluate(
    run_or_file: str | Path,
    data: str | Path,
    *,
    split: str = "val",
    out: str | Path | None = None,
    track: Track = iter,
    **options: Unpack["Loading"],
) -> Evaluation:
    """Scores of a run, weights file or exported file on a split of a data set.

    `options` are those of `load`. `out` is a folder for what `report` makes its page of:
    `scores.json`, `dataset.json`, `model.json`. It is held from before the first picture, and is
    not a run's. `track` wraps the sequence of pairs, to show progress.

    Raises:
        DataError: the data set cannot be read, or has another label space.
        RunError, WeightsError: there are no usable weights, or `out` cannot be written to.
        RecipeError: an option that cannot be followed.
    """
    from atrous.data.dataset import open_dataset
    from atrous.predict.flow import lanes_for, threads_for
    from atrous.predict.predictor import load

    if out is not None:
        _refuse_run(Path(out))
    options.setdefault("lanes", lanes_for(options.get("threads", 0)))
    predictor = load(run_or_file, **options)
    dataset = open_dataset(Path(data), classes=predictor.classes, only=split)
    known = dataset.record()
    model = _model(run_or_file, predictor, options)
    with nullcontext() if out is None else whole_folder(Path(out)) as place:
        threads = threads_for(predictor.engine)
        images = score_images(predictor, dataset, split, track=track, threads=threads)
        evaluation = replace(
            summed(split, predictor.classes, images, weights=predictor.description),
            notes=(predictor.note, *dataset.notes),
            engine=_answered(predictor),
        )
        if place is not None:
            _write(place, known, model, evaluation)
    return evaluation


def _refuse_run(out: Path) -> None:
    if RunFolder(out).is_run:
        raise RunError(
            out,
            found="holds a run",
            allowed="scores go into a folder of their own, for a run has some of its own training",
            fix="Give another --out, such as a folder inside it.",
        )


def _answered(predictor: "Predictor") -> str:
    """What answered, and how it was asked, in words; nothing where it is as in training."""
    engine, augmentation, steps = predictor.engine, predictor.augmentation, predictor.postprocess
    if engine.name == "torch" and augmentation.views == 1 and not steps:
        return ""
    after = f"then {named_steps(steps)}" if steps else ""
    return ", ".join(filter(None, (engine.name, engine.precision, str(augmentation), after)))


def _model(run_or_file: str | Path, predictor: "Predictor", options: "Loading") -> dict[str, Any]:
    """Which model was scored, and the options that `load` it as it was."""
    asked: dict[str, Any] = {key: value for key, value in options.items() if key != "lanes"}
    if asked.get("manifest"):
        asked["manifest"] = str(Path(asked["manifest"]).resolve())
    if "scales" in asked:
        asked["scales"] = list(predictor.augmentation.scales)
    if predictor.postprocess or "postprocess" in asked:  # of a run they may change
        asked["postprocess"] = plain_steps(predictor.postprocess)
    return {
        "model": str(Path(run_or_file).resolve()),
        "digest": predictor.digest,
        "description": predictor.description,
        "options": asked,
    }


def _write(
    place: Path, dataset: dict[str, Any], model: dict[str, Any], evaluation: Evaluation
) -> None:
    """Write what was scored into a hidden folder of `out`."""
    with refusals_told(place.parent):
        write_whole(place / "dataset.json", json_bytes(dataset, indent=None))
        write_whole(place / "model.json", json_bytes(model))
        write_whole(place / "scores.json", json_bytes(evaluation.to_dict()))


make_callable(sys.modules[__name__])
