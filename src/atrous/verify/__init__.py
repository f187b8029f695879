"""The gate: an exported file beside the run that it was made from, in each runtime found here."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from atrous.callable_module import make_callable
from atrous.errors import RecipeError, WeightsError
from atrous.types import Sample, Track
from atrous.verify.comparison import DEFINITIONS as DEFINITIONS
from atrous.verify.comparison import (
    FLIPPED,
    TIE,
    Comparison,
    Runtime,
    allowed_fall,
    runtime_of,
    unopened,
    version_of,
)
from atrous.verify.comparison import compared as compared
from atrous.verify.comparison import without_truth as without_truth

if TYPE_CHECKING:
    from atrous.exported import Manifest
    from atrous.predict.predictor import Predictor

Pictures = str | Path | Sequence[Any]  # a data set, or pictures without truth


@dataclass(frozen=True)
class Verification:
    """A row for each runtime, and the reasons to mistrust the file.

    `mismatches` were found before any picture was shown. Those of meaning (classes, pixels,
    placement) leave no rows, for masks cannot be compared then.
    """

    model: str
    run: str
    data: str
    reference: Runtime
    weights: str  # that answered as the reference, in words
    rows: tuple[Comparison, ...] = ()
    mismatches: tuple[str, ...] = ()
    budget: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the file is not to be trusted, a line each; none if it is."""
        over = (reason for row in self.rows for reason in row.reasons(self.budget))
        return (*self.mismatches, *over)

    @property
    def passed(self) -> bool:
        """Whether the file answers as the run, within the budgets, in each runtime."""
        return not self.reasons

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        rows = [
            {
                **row.to_dict(),
                "mIoU_fall_allowed": allowed_fall(row.runtime.precision, self.budget),
                "flipped_allowed": FLIPPED.get(row.runtime.precision),
                "passed": not row.reasons(self.budget),
            }
            for row in self.rows
        ]
        return {
            "passed": self.passed,
            "reasons": list(self.reasons),
            "model": self.model,
            "run": self.run,
            "data": self.data,
            "reference": {**self.reference._asdict(), "weights": self.weights},
            "rows": rows,
            "tie": TIE,
            "definitions": DEFINITIONS,
            "notes": list(self.notes),
        }


def verify(
    model: str | Path,
    run: str | Path,
    data: Pictures,
    *,
    budget: float | None = None,
    split: str = "val",
    limit: int | None = None,
    engine: str = "auto",
    precision: str = "auto",
    weights: str = "auto",
    output_stride: int = 0,
    threads: int = 0,
    manifest: str | Path | None = None,
    track: Track = iter,
) -> Verification:
    """Replay pictures through a run and its exported file, in each runtime of this machine.

    `data` is a data set, or a sequence of pictures (paths or arrays) without truth. `budget` is
    the largest fall of mIoU allowed: 0.001 in f32, 0.005 in bf16 and int8 unless it is given.
    In f32 at most 1e-4 of the pixels may differ that are no ties; without truth the others have
    nothing to be judged by, and do not pass. Masks are those of the network: the steps after it
    must be the same, option by option. `limit` pictures are taken evenly from the split.
    `engine` and `precision` narrow the runtimes; `weights` are those of the run, by themselves
    the ones that the file was made from. `track` wraps the pictures, to show progress.

    Raises:
        DataError: the data set cannot be read, or has another label space.
        RecipeError: `budget`, `limit` or a runtime is not possible, or there are no pictures.
        RunError, WeightsError: the file or the run cannot be used.

    Example:
        atrous.verify("street.onnx", "runs/street", "street").passed
    """
    from atrous.exported import read_exported
    from atrous.verify.agreement import disagreements, other_scale, other_steps

    model, run = Path(model), Path(run)
    _check(budget, limit)
    told = read_exported(model, Path(manifest) if manifest else None).manifest
    reference, foreign = _reference(run, told, weights, output_stride, threads)
    lines = disagreements(told, reference)
    doubts = [] if lines else [*other_scale(told, reference), *other_steps(told, reference)]
    result = Verification(
        str(model),
        str(run),
        str(data) if isinstance(data, str | Path) else f"{len(data)} pictures",
        runtime_of(reference),
        reference.description,
        mismatches=tuple(line for line in (*lines, *doubts, foreign) if line),
        budget=budget,
    )
    if lines:
        return result
    opened = _opened(model, told, engine, precision, threads=threads, manifest=manifest)
    network = replace(reference, postprocess=())  # steps have no tolerance, and are compared
    samples, notes = _samples(data, network, split, limit, track)
    rows = compared(network, opened.predictors, samples) if opened.predictors else ()
    notes = (*opened.notes, *notes, *_before_steps(told))
    return replace(result, rows=(*rows, *opened.failures), notes=notes)


def _reference(
    run: Path, told: "Manifest", weights: str, output_stride: int, threads: int
) -> tuple["Predictor", str]:
    """What the file is compared with; and that it was made from other weights, if so."""
    from atrous.predict.predictor import load
    from atrous.verify.agreement import same_weights

    which, foreign = same_weights(run, told, weights)
    stride = output_stride or int(told.model.get("output_stride", 0))
    predictor = load(run, weights=which, device="cpu", threads=threads, output_stride=stride)
    return predictor, foreign


def _before_steps(told: "Manifest") -> Iterator[str]:
    from atrous.recipe.postprocessing import named_steps

    if told.postprocess:
        yield f"Compared before the steps after the network: {named_steps(told.postprocess)}."


def record(rows: Sequence[Comparison]) -> dict[str, Any]:
    """What the manifest of an exported file keeps of its comparison with its run.

    Left out are times, which are those of one machine, classes, and what all rows have alike.
    """
    first, alike = rows[0].to_dict(), ("pictures", "pixels", "reference_mIoU")
    left_out = (*alike, "ms", "reference_ms", "classes", "failure")
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        **{key: first[key] for key in alike},
        "runtimes": [
            {key: value for key, value in row.to_dict().items() if key not in left_out}
            for row in rows
        ],
    }


def _check(budget: float | None, limit: int | None) -> None:
    for where, value, wrong, allowed in (
        ("--budget", budget, budget is not None and not 0 <= budget <= 1, "from 0 to 1"),
        ("--limit", limit, limit is not None and limit < 1, "1 or more"),
    ):
        if wrong:
            raise RecipeError(
                where, found=f"is {value}", allowed=f"it is {allowed}", fix="Leave it out."
            )


class _Opened(NamedTuple):
    predictors: list["Predictor"]
    failures: tuple[Comparison, ...]
    """Of runtimes that do not take the file."""
    notes: tuple[str, ...]
    """On those that this machine lacks."""


def _opened(
    model: Path,
    told: "Manifest",
    engine: str,
    precision: str,
    *,
    threads: int,
    manifest: str | Path | None,
) -> _Opened:
    """A predictor for each runtime that this machine has for the file.

    Raises:
        RecipeError: it has none of those asked for.
    """
    from atrous.predict.engines.choices import choices
    from atrous.predict.predictor import load

    predictors, failures, refusals = [], [], {}
    for choice in choices(told, engine=engine, precision=precision):
        try:
            options: dict[str, Any] = {**choice._asdict(), "threads": threads, "manifest": manifest}
            predictors.append(load(model, **options, postprocess=()))
        except WeightsError as error:
            runtime = Runtime(*choice, version_of(choice.engine))
            failures.append(unopened(runtime, error.found, told.classes))
        except RecipeError as error:  # not installed, or not on this CPU
            refusals[choice] = error
    if not predictors and not failures:
        raise next(iter(refusals.values()))
    notes = (f"{choice} is not tried: {error.allowed}." for choice, error in refusals.items())
    return _Opened(predictors, tuple(failures), tuple(notes))


def _samples(
    data: Pictures, reference: "Predictor", split: str, limit: int | None, track: Track
) -> tuple[Iterator[Sample], tuple[str, ...]]:
    """The pictures, one at a time, with their truth if it is known; and notes on them.

    Raises:
        DataError: the data set cannot be read, or has another label space or no such split.
        RecipeError: there are none.
    """
    from atrous.data.dataset import open_dataset

    if not isinstance(data, str | Path):
        chosen = _evenly(data, limit)
        if not len(chosen):
            raise RecipeError(
                "pictures",
                found="are none",
                allowed="a file is judged by what it makes of pictures",
                fix="Give some, or a data set.",
            )
        return without_truth(_images(track(chosen), reference), reference.classes), ()
    dataset = open_dataset(Path(data), classes=reference.classes, only=split)
    pairs = _evenly(dataset.split(split), limit)
    return (dataset.read(pair) for pair in track(pairs)), dataset.notes


def _images(pictures: Iterable[Any], reference: "Predictor") -> Iterator[Any]:
    from atrous.data.images import as_image, fit_image

    engine = reference.engine
    for picture in pictures:
        yield fit_image(as_image(picture), bands=engine.bands, dtype=engine.dtype)


def _evenly(items: Sequence[Any], limit: int | None) -> Sequence[Any]:
    """At most `limit` of them, from all over.

    Example:
        >>> _evenly(range(10), 3)
        [0, 3, 6]
    """
    if limit is None or limit >= len(items):
        return items
    return [items[number * len(items) // limit] for number in range(limit)]


make_callable(sys.modules[__name__])
