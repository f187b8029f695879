"""`atrous tune`: whether a post-processing step earns its place, and with which numbers."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from atrous.cli.flags import Engine, Json, Manifest, Precision, Sets, Threads
from atrous.cli.predicting import Model
from atrous.cli.speaking import as_json, say

if TYPE_CHECKING:
    from atrous.tune.search import Tracks
    from atrous.types import Tell, Track


def tune(
    run_or_file: Model,
    data: Annotated[Path, Parameter(help="Folder of images and masks.")],
    /,
    *,
    step: Annotated[
        str, Parameter(help="crf, bilateral_grid, small_regions, holes or thresholds.")
    ] = "crf",
    trials: Annotated[int, Parameter(help="How many sets of numbers to try.")] = 30,
    out: Annotated[Path | None, Parameter(help="Folder for the trials; else RUN/tune.")] = None,
    seed: Annotated[int, Parameter(help="Of the trials and of the two halves.")] = 0,
    split: Annotated[str, Parameter(help="Which part of the data.")] = "val",
    engine: Engine = None,
    precision: Precision = None,
    threads: Threads = None,
    manifest: Manifest = None,
    set: Sets = (),
    json: Json = False,
) -> int:
    """Search the numbers of a post-processing step, and keep it only if it is worth it.

    The trials are compared on one half of the split, on 200 of its images at most; the best is
    measured on the other. The same command goes on where it was stopped.
    """
    from atrous.cli.options import answering
    from atrous.cli.tuned import tuned_table
    from atrous.tune import tune as tuned_by

    options = answering(set, engine=engine, precision=precision, threads=threads, manifest=manifest)
    track, tell = _shown()
    try:
        tuned = tuned_by(
            run_or_file,
            data,
            step=step,
            trials=trials,
            out=out,
            seed=seed,
            split=split,
            track=track,
            tell=tell,
            **options,
        )
    except KeyboardInterrupt:
        say("The trials that are done are kept; the same command goes on.")
        raise
    for note in tuned.notes:
        say(note)
    print(as_json(tuned.to_dict()) if json else tuned_table(tuned))
    if tuned.file:
        say(_go_on(tuned.file))
    return 0


def _shown() -> tuple["Tracks", "Tell"]:
    """A bar for each part of the work, and lines above it."""
    from rich.console import Console

    from atrous.cli.progress import Progress

    console = Console(stderr=True)

    def track(verb: str, unit: str) -> "Track":
        return Progress(verb, console, unit=unit).track

    return track, Progress("", console).line


def _go_on(file: Path) -> str:
    """What to do with the steps that were found."""
    from atrous.runs import RunFolder

    if RunFolder(file.parent).is_run:
        return f"{shlex.quote(str(file.parent))} answers so from now on; export it again."
    return (
        f"Put {shlex.quote(str(file))} into the folder of the run that was exported, and export "
        "it again: the new file answers so."
    )
