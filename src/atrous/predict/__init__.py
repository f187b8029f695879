"""Prediction: engines, the predictor for one image, and the command for many files.

Many files are worked at at once (`flow`). What is finished is not done again, what is
half-written has no final name (`outputs`), and several processes may share a folder (`folders`).
"""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

from atrous.callable_module import make_callable
from atrous.errors import AtrousError, DataError, RunError
from atrous.files import TEMPORARY, claimed, make_folder, remove_leftovers, write_whole
from atrous.types import Tell, Track

if TYPE_CHECKING:
    from atrous.predict.folders import Job, Shard, Wanted
    from atrous.predict.predictor import Loading, Predictor
    from atrous.predict.shares import Row

NOTE = "predict.json"
PATIENCE = 60.0  # seconds that a process waits for another to write one of the small files


class Predicted(NamedTuple):
    """Masks that are there now, and why those of the other pictures are not.

    A multilabel mask is a folder of planes.
    """

    masks: tuple[Path, ...]
    failures: tuple[AtrousError, ...]


def predict(
    run_or_file: str | Path,
    inputs: str | Path | Sequence[str | Path],
    *,
    out: str | Path,
    overlay: bool = False,
    probabilities: bool = False,
    confidence: bool = False,
    palette: str | Path | None = None,
    shard: str = "1/1",
    track: Track = iter,
    tell: Tell = lambda _: None,
    **options: Unpack["Loading"],
) -> Predicted:
    """Write the masks of pictures, folders and globs as index PNGs with the classes' palette.

    The mask of `FOLDER/a/b.jpg` is `OUT/a/b.png`; a multilabel mask is a folder with a 0/255 PNG a
    class, its plane. `OUT/shares.csv` has the share of each class in each picture. Also, if asked
    for, all at the size of the picture:

    - `overlay`: `OUT/overlay/a/b.jpg`, the picture under its mask;
    - `probabilities`: `OUT/probabilities/a/b.npy`, float16 `K H W`, so 2 K bytes a pixel;
    - `confidence`: `OUT/confidence/a/b.png`, 8 bits, 255 where the model is sure.

    A picture whose files are all there is not done again; one that cannot be predicted is left
    out and listed, and the others go on. `shard` is `I/N`: the part I of N, the same wherever the
    pictures are the same. `palette` gives the classes other colours (`palettes`). `options` are
    those of `load`. `track` wraps the sequence of jobs, to show progress; `tell` is given lines
    for a person.

    Raises:
        DataError: nothing to do, or names of classes that collide as files.
        RunError: names of pictures that collide, a folder that cannot be written to, holds other
            predictions, or is being written to by another process.
        WeightsError: the model answers for no picture at all.
        RecipeError: an option that cannot be followed.
    """
    from atrous.predict.flow import lanes_for
    from atrous.predict.folders import Wanted, pictures, shard_of
    from atrous.predict.predictor import load

    out, part = Path(out), shard_of(shard)
    wanted = Wanted(overlay, probabilities, confidence)
    found = pictures([inputs] if isinstance(inputs, str | Path) else inputs, out)
    own = -(-len(found) // part.total)
    options.setdefault("lanes", lanes_for(own, options.get("threads", 0)))
    predictor = load(run_or_file, **options)
    if palette is not None:
        from atrous.predict.palettes import recoloured

        predictor = replace(predictor, classes=recoloured(predictor.classes, palette))
    jobs = part.of(_planned(found, out, predictor, wanted, run_or_file))
    tell(predictor.note)
    return _done(jobs, out, part, predictor, wanted, track=track, tell=tell)


def _done(
    jobs: Sequence["Job"],
    out: Path,
    part: "Shard",
    predictor: "Predictor",
    wanted: "Wanted",
    *,
    track: Track,
    tell: Tell,
) -> Predicted:
    """Do the jobs, several at once, and bring the shares of `out` up to date."""
    from atrous.predict.flow import in_flight, threads_for
    from atrous.predict.outputs import refusals_told
    from atrous.predict.shares import FILE, update_shares

    with _place(out, part, predictor) as within:
        work = partial(_outcome, predictor=predictor, wanted=wanted, within=within, tell=tell)
        threads = min(len(jobs), threads_for(predictor.engine))
        with closing(in_flight(work, jobs, threads=threads)) as outcomes:
            done = [outcome for _, outcome in zip(track(jobs), outcomes, strict=True)]
        pairs = [*zip(jobs, done, strict=True)]
        rows = {job.name: row for job, row in pairs if not isinstance(row, AtrousError)}
        with claimed(out, patience=PATIENCE), refusals_told(out / FILE):
            update_shares(out, rows, predictor.classes)
    failures = tuple(error for error in done if isinstance(error, AtrousError))
    if failures and not rows and not any(isinstance(error, DataError) for error in failures):
        raise failures[0]  # not the pictures are wrong
    return Predicted(tuple(job.mask for job in jobs if job.name in rows), failures)


def _planned(
    found: list[tuple[Path, Path]],
    out: Path,
    predictor: "Predictor",
    wanted: "Wanted",
    where: str | Path,
) -> list["Job"]:
    from atrous.data.masks import plane_names
    from atrous.predict.folders import plan

    classes = predictor.classes
    planes = plane_names(classes.names, where) if classes.task == "multilabel" else ()
    return plan(found, out, planes=planes, wanted=wanted)


def _outcome(
    job: "Job", *, predictor: "Predictor", wanted: "Wanted", within: Path, tell: Tell
) -> "Row | AtrousError":
    """What became of a job: the row of its mask, or why there is none."""
    from atrous.predict.outputs import finished, write_outputs

    if row := finished(job, wanted, predictor.classes):
        return row
    try:
        return write_outputs(predictor(job.image), job, wanted, within=within)
    except RunError:  # no other picture would fare better
        raise
    except AtrousError as error:
        tell(f"left out: {job.image} ({error.found})")
        if isinstance(error, DataError) or error.where == str(job.image):
            return error
        told = {"allowed": error.allowed, "fix": error.fix}  # for its picture, which it lacks
        return type(error)(job.image, found=f"{error.where} {error.found}", **told)


@contextmanager
def _place(out: Path, part: "Shard", predictor: "Predictor") -> Iterator[Path]:
    """A hidden folder in `out` for what is half-written, held by this process alone.

    Raises:
        RunError: another process does the same part, or `out` belongs to another model.
    """
    make_folder(out)
    with claimed(out, patience=PATIENCE):
        _mark(out, predictor)
    within = out / f"{TEMPORARY}{part.number}-of-{part.total}"
    with claimed(within):
        remove_leftovers(within)
        yield within


def _mark(out: Path, predictor: "Predictor") -> None:
    """Mark the folder as this model's; masks of two models, or two ways, must not mix unseen.

    Raises:
        RunError: it holds the predictions of another model.
    """
    from atrous.predict.outputs import refusals_told

    path, mine = out / NOTE, _about(predictor)
    if not path.is_file():
        with refusals_told(path):
            write_whole(path, json.dumps(mine, ensure_ascii=False, indent=1).encode())
        return
    theirs = _read_note(path)
    if theirs == mine:
        return
    if theirs.get("model") == mine["model"]:
        key = next(key for key in mine if theirs.get(key) != mine[key])
        found = f"holds masks made with {key} {_brief(theirs.get(key))}"
        allowed = f"now it is {_brief(mine[key])}; a folder holds masks made in one way"
    else:
        found = f"holds masks of the model {_named(theirs)}"
        allowed = f"this model is {_named(mine)}; a folder holds the masks of one"
    raise RunError(out, found=found, allowed=allowed, fix="Give another --out.")


def _about(predictor: "Predictor") -> dict[str, Any]:
    """What masks depend on."""
    engine, augmentation = predictor.engine, predictor.augmentation
    return {
        "model": predictor.digest,
        "weights": predictor.description,
        "classes": predictor.classes.to_dict(),
        "engine": engine.name,
        "precision": engine.precision,
        "flip": augmentation.flip,
        "scales": list(augmentation.scales),
    }


def _named(note: dict[str, Any]) -> str:
    return f"{str(note.get('model'))[:12]} ({note.get('weights', 'unknown weights')})"


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _read_note(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        raise RunError(
            path,
            found="cannot be read",
            allowed="it says of which model the masks beside it are",
            fix="Give another --out.",
        ) from None


make_callable(sys.modules[__name__])
