"""Prediction: engines, the predictor for one image, and the command for many files."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from atrous.callable_module import make_callable
from atrous.errors import DataError, RunError
from atrous.files import make_folder, write_whole

if TYPE_CHECKING:
    from atrous.predict.folders import Job
    from atrous.predict.predictor import Predictor


class Predicted(NamedTuple):
    """Masks that were written, and the errors of pictures that could not be read.

    A multilabel mask is a folder of planes.
    """

    masks: tuple[Path, ...]
    failures: tuple[DataError, ...]


def predict(
    run_or_file: str | Path,
    inputs: str | Path | Sequence[str | Path],
    *,
    out: str | Path,
    overlay: bool = False,
    weights: str = "last",
    device: str = "auto",
    threads: int = 0,
    output_stride: int = 0,
    track: Callable[[Sequence[Any]], Iterable[Any]] = iter,
) -> Predicted:
    """Write the masks of pictures, folders and globs as index PNGs with the classes' palette.

    A multilabel mask is a folder with a 0/255 PNG a class, its plane. A picture that cannot be
    read is left out and listed; the others go on. `track` wraps the sequence of jobs, to show
    progress.

    Raises:
        DataError, RunError: nothing to do, names that collide (of pictures, or of classes as
            files), a folder of other predictions.
    """
    from atrous.data.masks import plane_names
    from atrous.predict.folders import plan
    from atrous.predict.predictor import load

    answering = {"weights": weights, "device": device, "threads": threads}
    predictor = load(run_or_file, **answering, output_stride=output_stride)
    classes, several = predictor.classes, predictor.classes.task == "multilabel"
    planes = plane_names(classes.names, run_or_file) if several else ()
    jobs = plan([inputs] if isinstance(inputs, str | Path) else inputs, Path(out), planes=planes)
    _claim(Path(out), predictor)
    masks, failures = [], []
    for job in track(jobs):
        try:
            _write(predictor, job, overlay)
            masks.append(job.mask)
        except DataError as error:
            failures.append(error)
    return Predicted(tuple(masks), tuple(failures))


def _write(predictor: "Predictor", job: "Job", overlay: bool) -> None:
    from atrous.data.images import write_jpeg
    from atrous.data.masks import write_mask, write_planes

    prediction = predictor(job.image)
    make_folder(job.mask if job.planes else job.mask.parent)
    write = write_planes if job.planes else write_mask
    write(job.mask, prediction.mask, prediction.classes)
    if overlay:
        make_folder(job.overlay.parent)
        write_jpeg(job.overlay, prediction.overlay())


def _claim(out: Path, predictor: "Predictor") -> None:
    """Mark the folder as this model's; masks of two models must not mix unseen.

    Raises:
        RunError: it holds the predictions of another model.
    """
    note = out / "predict.json"
    mine = {
        "model": predictor.digest,
        "weights": predictor.description,
        "classes": predictor.classes.to_dict(),
    }
    theirs = _read_note(note) if note.is_file() else mine
    if theirs != mine:
        raise RunError(
            out,
            found=f"holds masks of the model {_named(theirs)}",
            allowed=f"this model is {_named(mine)}; a folder holds the masks of one",
            fix="Give another --out.",
        )
    make_folder(out)
    write_whole(note, json.dumps(mine, ensure_ascii=False, indent=1).encode())


def _named(note: dict[str, Any]) -> str:
    return f"{str(note.get('model'))[:12]} ({note.get('weights', 'unknown weights')})"


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
