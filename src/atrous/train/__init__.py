"""Training: the state on disk, the rate and the averages, the probe, one update, the loop."""

import sys
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from atrous.callable_module import make_callable
from atrous.errors import RecipeError, RunError
from atrous.files import claimed
from atrous.recipe import Recipe, make_recipe
from atrous.runs import RunFolder

if TYPE_CHECKING:
    from atrous.train.events import Event, Finished
    from atrous.types import Track


def train(
    data: str | Path,
    *,
    out: str | Path,
    model: str | None = None,
    encoder: str | None = None,
    steps: int | None = None,
    config: str | Path | None = None,
    set: str | Iterable[str] = (),
    resume: bool = False,
    workers: int = 0,
) -> "Finished":
    """Train a model on a folder of images and masks into the run folder `out`.

    `set` holds `section.key=value` texts; `workers` are processes that read pictures, and change
    nothing but speed. Ctrl-C and SIGTERM write a checkpoint; `resume` goes on from it.

    Raises:
        DataError, RecipeError, RunError: with where, what was found, what is allowed, what to do.
        KeyboardInterrupt: a signal came; the checkpoint is written.
    """
    from atrous.train.events import Finished

    sets = [set] if isinstance(set, str) else set
    flags = {"model.name": model, "model.encoder": encoder, "train.steps": steps}
    options = {"config": config, "flags": flags, "sets": sets}
    for event in train_events(data, out=out, resume=resume, workers=workers, **options):
        if isinstance(event, Finished):
            return event
    raise KeyboardInterrupt


def train_events(
    data: str | Path,
    *,
    out: str | Path,
    config: str | Path | None = None,
    flags: dict[str, object] | None = None,
    sets: Iterable[str] = (),
    resume: bool = False,
    workers: int = 0,
    track: "Track | None" = None,
) -> "Generator[Event]":
    """What `train` does, as a stream of events; see `atrous.train.events`.

    `track` shows how far the data set has been looked at.
    """
    from atrous.doctor import examine
    from atrous.train.events import Note
    from atrous.train.loop import training
    from atrous.train.start import refuse_taken

    run = RunFolder(Path(out))
    _check(run, Path(data), workers)
    with claimed(run.path):
        if not resume:
            refuse_taken(run)
        recipe = run_recipe(run, config=config, flags=flags, sets=sets, resume=resume)
        diagnosis = examine(Path(data), task=recipe.task, layout=recipe.layout, track=track)
        dataset = diagnosis.require_sound()
        yield from (Note(note) for note in (*dataset.notes, *diagnosis.summary))
        yield from training(run, recipe, dataset, resume=resume, workers=workers)


def _check(run: RunFolder, data: Path, workers: int) -> None:
    if run.path.resolve() == data.resolve():
        raise RunError(
            run.path,
            found="is the data set itself",
            allowed="user data is never written to",
            fix="Give another --out.",
        )
    if workers < 0:
        raise RecipeError(
            "--workers",
            found=f"is {workers}",
            allowed="0 reads in the training process, more are processes of their own",
            fix="Leave it out.",
        )


def run_recipe(
    run: RunFolder,
    *,
    config: str | Path | None = None,
    flags: dict[str, object] | None = None,
    sets: Iterable[str] = (),
    resume: bool = False,
) -> Recipe:
    """The recipe asked for; when going on, what is not asked for is as the run began."""
    begun = resume and run.is_run
    base = Path(config) if config else run.recipe if begun else None
    return make_recipe(config=base, flags=flags, sets=sets)


make_callable(sys.modules[__name__])
