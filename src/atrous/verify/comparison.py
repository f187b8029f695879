"""Predictors beside a reference, picture by picture: what differs, by how much, at what speed."""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from math import isnan, nan
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from atrous.kernels.patches import LARGEST
from atrous.kernels.resize import taps, without_infinite
from atrous.metrics.scores import Scores, no_counts, plain, scored, scores_from
from atrous.types import GridLogits, Image, Mask, Placement, Sample, Task

if TYPE_CHECKING:
    from atrous.classes import Classes
    from atrous.predict.predictor import Prediction, Predictor

TIE = 1e-5  # of the largest logit of the picture: what adding up in another order may turn
BUDGETS = {"f32": 0.001, "bf16": 0.005, "int8": 0.005}  # largest fall of mIoU
FLIPPED = {"f32": 1e-4}  # largest share of pixels that differ and are no ties; else reported only
PIXELS = 1 << 16  # that differ, looked at in one go
DEFINITIONS = {
    "differing": "pixels whose mask differs from the reference's",
    "flipped": "those of them that are no ties",
    "tie": f"the reference's two largest logits there (of binary and multilabel: the logit and 0) "
    f"differ by less than {TIE:g} of the largest finite logit of the picture",
    "largest_logit_difference": "over all cells of the grid, before any resizing; infinite logits "
    "count as 2**126",
    "ms": "median time of a picture, from decoded pixels to mask, in turn with the reference; "
    "rough, for threads of whoever answered before may still spin (`bench` waits for them)",
}


class Runtime(NamedTuple):
    """What answers: an engine, its precision, the version of its library."""

    engine: str
    precision: str
    version: str

    def __str__(self) -> str:
        return f"{self.engine} {self.precision}"


@dataclass(frozen=True)
class Comparison:
    """How a runtime answered beside the reference; `failure` says what stopped it, if anything.

    It then has no scores: those of a part of the pictures say nothing beside those of all.
    """

    runtime: Runtime
    pictures: int
    pixels: int
    differing: int
    flipped: int
    largest: float
    scale: float
    scores: Scores
    reference: Scores
    ms: float
    reference_ms: float
    failure: str = ""

    @property
    def change(self) -> float:
        """Of mIoU, from the reference's; NaN without truth, or where it failed."""
        return self.scores.miou - self.reference.miou

    def reasons(self, budget: float | None = None) -> list[str]:
        """Why this is no faithful answer, a line each; none where it is within its budget.

        `budget` is the largest fall of mIoU allowed; None = that of the precision.
        """
        name, allowed = self.runtime, allowed_fall(self.runtime.precision, budget)
        lines = [f"{name}: {self.failure}"] if self.failure else []
        if -self.change > allowed:
            fall = f"{-self.change:.4f} ({self.reference.miou:.4f} -> {self.scores.miou:.4f})"
            lines.append(f"{name}: mIoU falls by {fall}; {allowed:g} allowed")
        judged = self.pixels and (name.precision in FLIPPED or not isnan(self.change))
        if not judged and not self.failure:
            lines.append(f"{name}: nothing to judge by: {self._lacks}")
        share = FLIPPED.get(name.precision, 1.0)
        if self.flipped > share * self.pixels:
            part = f"{self.flipped} of {self.pixels} pixels ({self.flipped / self.pixels:.2e})"
            lines.append(f"{name}: {part} differ and are no ties; {share:g} allowed")
        return lines

    @property
    def _lacks(self) -> str:
        if not self.pixels:
            return "no picture was shown"
        return f"no pixel has truth, and masks alone are judged in {' and '.join(FLIPPED)} only"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; None where a number is not defined."""
        rows = zip(self.scores.names, self.scores.iou, self.reference.iou, strict=True)
        return {
            **self.runtime._asdict(),
            "pictures": self.pictures,
            "pixels": self.pixels,
            "differing": self.differing,
            "flipped": self.flipped,
            "largest_logit_difference": plain(self.largest),
            "largest_logit": plain(self.scale),
            "mIoU": plain(self.scores.miou),
            "mIoU_change": plain(self.change),
            "reference_mIoU": plain(self.reference.miou),
            "ms": plain(self.ms),
            "reference_ms": plain(self.reference_ms),
            "classes": [
                {"name": name, "IoU": plain(iou), "change": plain(iou - reference)}
                for name, iou, reference in rows
            ],
            "failure": self.failure or None,
        }


def allowed_fall(precision: str, budget: float | None) -> float:
    """The largest fall of mIoU that a runtime of a precision may show."""
    return BUDGETS[precision] if budget is None else budget


def compared(
    reference: "Predictor", others: Sequence["Predictor"], samples: Iterable[Sample]
) -> tuple[Comparison, ...]:
    """How each of the others answered on the samples, beside the reference, in their order.

    One picture is held at a time. A predictor that fails is asked no more, and its comparison
    says why. Samples that have no truth (`without_truth`) tell of all but scores.
    """
    tallies = [_Tally(other, reference.classes) for other in others]
    counts, times = no_counts(reference.classes), _Times()
    turns = deque(tallies)
    for sample in samples:
        answer = times.ask(reference, sample.image)
        counts += scored(
            answer.mask, sample.mask, reference.classes, threads=answer.threads
        ).confusion
        for tally in turns:
            tally.add(answer, sample)
        turns.rotate(-1)  # nobody always stands behind the same one
    whole = scores_from(reference.classes, counts)
    return tuple(tally.comparison(whole, times.median) for tally in tallies)


def unopened(runtime: Runtime, failure: str, classes: "Classes") -> Comparison:
    """That of a runtime which does not take the file, and so was shown nothing."""
    none = scores_from(classes, no_counts(classes))
    return Comparison(runtime, 0, 0, 0, 0, 0.0, 0.0, none, none, nan, nan, failure)


def without_truth(images: Iterable[Image], classes: "Classes") -> Iterator[Sample]:
    """Samples of pictures whose masks nobody knows: all of it is ignored in scores."""
    for number, image in enumerate(images):
        mask = np.full(image.shape[:2], classes.ignore_index, classes.dtype)
        yield Sample(image, mask, f"picture {number}")


def runtime_of(predictor: "Predictor") -> Runtime:
    """What answers for a predictor."""
    engine = predictor.engine
    return Runtime(engine.name, engine.precision, version_of(engine.name))


def version_of(package: str) -> str:
    """The version of an installed package; empty where it goes by another name."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


class _Times:
    """Seconds of the answers of one predictor; the first answer, which warms up, is given twice."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def ask(self, predictor: "Predictor", image: Image) -> "Prediction":
        if not self.seconds:
            predictor(image)
        began = time.perf_counter()
        answer = predictor(image)
        self.seconds.append(time.perf_counter() - began)
        return answer

    @property
    def median(self) -> float:
        """In milliseconds; NaN without any."""
        return 1000 * float(np.median(self.seconds)) if self.seconds else nan


class _Tally:
    """What is counted of one predictor."""

    def __init__(self, predictor: "Predictor", classes: "Classes") -> None:
        self.predictor, self.classes = predictor, classes
        self.counts, self.times = no_counts(classes), _Times()
        self.pictures = self.pixels = self.differing = self.flipped = 0
        self.largest = self.scale = 0.0
        self.failure = ""

    def add(self, reference: "Prediction", sample: Sample) -> None:
        """Ask for a picture and count what differs."""
        if self.failure:
            return
        try:
            answer = self.times.ask(self.predictor, sample.image)
        except Exception as error:  # each runtime has its own; one that fails has failed the test
            self.failure = f"{sample.name}: {type(error).__name__}: {error}"
            return
        if answer.logits.shape != reference.logits.shape:
            shapes = [" x ".join(map(str, a.logits.shape)) for a in (answer, reference)]
            self.failure = f"{sample.name}: gives logits {shapes[0]}, the reference {shapes[1]}"
            return
        theirs, ours = (without_infinite(a.logits) for a in (answer, reference))
        scale = largest_finite(ours)
        self.pictures += 1
        self.pixels += reference.mask.size
        self.differing += int(np.count_nonzero(answer.mask != reference.mask))
        self.flipped += flipped(reference, answer.mask, least=TIE * scale)
        self.largest = max(self.largest, float(np.abs(theirs - ours).max()))
        self.scale = max(self.scale, scale)
        self.counts += scored(
            answer.mask, sample.mask, self.classes, threads=answer.threads
        ).confusion

    def comparison(self, reference: Scores, reference_ms: float) -> Comparison:
        """All that was counted."""
        return Comparison(
            runtime=runtime_of(self.predictor),
            pictures=self.pictures,
            pixels=self.pixels,
            differing=self.differing,
            flipped=self.flipped,
            largest=self.largest,
            scale=self.scale,
            scores=scores_from(
                self.classes, no_counts(self.classes) if self.failure else self.counts
            ),
            reference=reference,
            ms=self.times.median,
            reference_ms=reference_ms,
            failure=self.failure,
        )


def largest_finite(logits: GridLogits) -> float:
    """The largest finite logit but for its sign, of logits without infinite ones; 0 without any.

    Example:
        >>> largest_finite(without_infinite(np.float32([[[3, -4, -np.inf]]])))
        4.0
    """
    sizes = np.abs(logits)
    return float(sizes.max(where=sizes < LARGEST, initial=0))


def flipped(reference: "Prediction", mask: Mask, *, least: float) -> int:
    """Pixels that differ from the reference's though it was sure of them by `least` or more.

    Its logits are interpolated at these pixels alone.
    """
    rows, columns = np.nonzero(mask != reference.mask)
    known, count = without_infinite(reference.logits), 0
    for first in range(0, len(rows), PIXELS):
        place = rows[first : first + PIXELS], columns[first : first + PIXELS]
        logits = logits_at(known, reference.grid, mask.shape, place)
        changed = mask[place] ^ reference.mask[place]
        count += int(np.count_nonzero(margins(logits, changed, reference.classes.task) >= least))
    return count


def logits_at(
    logits: GridLogits,
    grid: Placement,
    size: tuple[int, ...],
    place: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """The logits `K n` at n pixels, rows and columns in `place`, of a picture of `size`."""
    (rows, columns), (_, height, width) = place, logits.shape
    top, bottom, down = (tap[rows] for tap in taps(size[0], height, grid))
    left, right, across = (tap[columns] for tap in taps(size[1], width, grid))
    above, below = (
        logits[:, row, left] * (1 - across) + logits[:, row, right] * across
        for row in (top, bottom)
    )
    return above * (1 - down) + below * down


def margins(logits: np.ndarray, changed: np.ndarray, task: Task) -> np.ndarray:
    """How sure n decisions are by their logits `K n`: the lead of the largest, or over 0.

    Of multilabel that of the surest class among the bits that are `changed`.
    """
    if task == "multiclass":
        second, first = np.partition(logits, -2, axis=0)[-2:]
        return first - second
    if task == "binary":
        return np.abs(logits[0])
    bits = changed[None].astype(np.int64) >> np.arange(len(logits))[:, None] & 1
    return np.where(bits, np.abs(logits), 0).max(0)
