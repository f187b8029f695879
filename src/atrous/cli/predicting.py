"""`atrous predict` and `atrous evaluate`: a trained model at work on pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from atrous.cli.flags import Engine, Flag, Json, Manifest, Precision, Sets, Threads
from atrous.cli.speaking import as_json, say
from atrous.errors import AtrousError

Model = Annotated[Path, Parameter(help="A run folder, a weights file or an exported file.")]


def predict(
    run_or_file: Model,
    /,
    *inputs: Annotated[str, Parameter(help="Pictures, videos, folders, globs.")],
    out: Annotated[Path, Parameter(help="Folder for the masks.")],
    overlay: Annotated[
        bool, Flag, Parameter(help="Also write pictures under their masks.")
    ] = False,
    probabilities: Annotated[
        bool, Flag, Parameter(help="Also write those of all classes (.npy, float16).")
    ] = False,
    confidence: Annotated[
        bool, Flag, Parameter(help="Also write how sure each pixel is (grey PNG).")
    ] = False,
    palette: Annotated[
        str | None,
        Parameter(help="Colours: voc, cityscapes, camvid, a dataset.toml, or #rrggbb a line."),
    ] = None,
    shard: Annotated[str, Parameter(help="Do the part I of N: I/N.")] = "1/1",
    tile: Annotated[
        str | None, Parameter(help="Cut large pictures: auto, exact, blend or off.")
    ] = None,
    memory: Annotated[
        int | None, Parameter(help="MiB that the network may hold; else half of all.")
    ] = None,
    every: Annotated[int | None, Parameter(help="Of videos, every Nth frame.")] = None,
    ray: Annotated[
        str, Parameter(help="By the workers of a Ray cluster: HOST:PORT, auto or local.")
    ] = "",
    engine: Engine = None,
    precision: Precision = None,
    threads: Threads = None,
    manifest: Manifest = None,
    set: Sets = (),
    json: Json = False,
) -> int:
    """Write the masks of pictures as index PNGs with the classes' palette.

    Those of a multilabel model are folders with a 0/255 PNG a class; those of georeferenced
    pictures, and of such that are too large for memory, GeoTIFFs. What is finished is not done
    again: go on with the same command. Exit code 1: some pictures were left out, and are listed.
    """
    from atrous.cli.options import answering
    from atrous.cli.progress import Progress
    from atrous.predict import predict as predicted

    named = {"engine": engine, "precision": precision, "threads": threads, "manifest": manifest}
    options = answering(set, **named, tile=tile, memory=memory, every=every, of_files=True)
    wanted = {"overlay": overlay, "probabilities": probabilities, "confidence": confidence}
    asked: dict[str, Any] = {"out": out, "palette": palette, "shard": shard, **wanted}
    try:
        with Progress("predicting") as progress:
            shown = {"track": progress.track, "watch": progress.watch, "follow": progress.follow}
            asked |= {**shown, "tell": progress.line, "ray": ray, **options}
            masks, failures = predicted(run_or_file, inputs, **asked)
    except KeyboardInterrupt:
        say("What is finished is kept; the same command goes on.")
        raise
    return _answered(out, masks, failures, json=json)


def merge(
    out: Annotated[Path, Parameter(help="The --out of `atrous predict --shard`.")],
    /,
    *,
    json: Json = False,
) -> int:
    """Write the masks of rasters whose parts several machines made, once all are in one folder.

    Shards that share a folder need it not: the last one does it. Exit code 1: parts are missing.
    """
    from atrous.predict.raster.merging import merge as merged

    masks, failures = merged(out, tell=say)
    return _answered(out, masks, failures, json=json)


def _answered(
    out: Path, masks: Sequence[Path], failures: Sequence[AtrousError], *, json: bool
) -> int:
    """Say what became of a folder; returns the exit code."""
    if failures:
        say("Left out:")
    for failure in failures:
        say(f"  {failure}")
    if json:
        skipped = [{"picture": error.where, "reason": str(error)} for error in failures]
        answer = {"out": str(out), "masks": [str(path) for path in masks], "skipped": skipped}
        print(as_json(answer))
    else:
        left = f", {len(failures)} left out" if failures else ""
        print(f"{len(masks)} masks in {out}{left}")
    return 1 if failures else 0


def evaluate(
    run_or_file: Model,
    data: Annotated[Path, Parameter(help="Folder of images and masks.")],
    /,
    *,
    split: Annotated[str, Parameter(help="Which part of the data.")] = "val",
    out: Annotated[
        Path | None, Parameter(help="Also write scores.json there, for `atrous report`.")
    ] = None,
    engine: Engine = None,
    precision: Precision = None,
    threads: Threads = None,
    manifest: Manifest = None,
    set: Sets = (),
    json: Json = False,
) -> int:
    """Score a model on a data set: per class and whole, at the pictures' own sizes."""
    from atrous.cli.options import answering
    from atrous.cli.progress import Progress
    from atrous.cli.tables import scores_table
    from atrous.evaluate import evaluate as evaluated

    options = answering(
        set,
        engine=engine,
        precision=precision,
        threads=threads,
        manifest=manifest,
    )
    with Progress("evaluating") as progress:
        evaluation = evaluated(
            run_or_file, data, split=split, out=out, track=progress.track, **options
        )
    for note in evaluation.notes:
        say(note)
    print(as_json(evaluation.to_dict()) if json else scores_table(evaluation))
    return 0
