"""Prediction: engines, the predictor for one image, and the command for many files.

Many files are worked at at once (`flow`). What is finished is not done again, what is
half-written has no final name (`outputs`), and several processes may share a folder (`folders`).
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

from atrous.callable_module import make_callable
from atrous.errors import AtrousError, DataError, RunError
from atrous.files import PATIENCE, TEMPORARY, claimed, refusals_told, remove_leftovers
from atrous.types import Tell, Track

if TYPE_CHECKING:
    from atrous.predict.folders import Found, Job, Shard, Wanted
    from atrous.predict.predictor import Predictor
    from atrous.predict.raster import Asked, Predicting
    from atrous.predict.shares import Row
    from atrous.predict.video.walk import Pace


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
    watch: Track = iter,
    follow: Track = iter,
    tell: Tell = lambda _: None,
    every: int = 1,
    smoothing: float = 0.0,
    **options: Unpack["Predicting"],
) -> Predicted:
    """Write the masks of pictures, folders and globs as index PNGs with the classes' palette.

    The mask of `FOLDER/a/b.jpg` is `OUT/a/b.png`; a multilabel mask is a folder with a 0/255 PNG a
    class, its plane. `OUT/shares.csv` has the share of each class in each picture. Also, if asked
    for, all at the size of the picture:

    - `overlay`: `OUT/overlay/a/b.jpg`, the picture under its mask;
    - `probabilities`: `OUT/probabilities/a/b.npy`, float16 `K H W`, so 2 K bytes a pixel;
    - `confidence`: `OUT/confidence/a/b.png`, 8 bits, 255 where the model is sure.

    Pictures that are georeferenced, or too large for memory, are rasters: their masks are GeoTIFFs,
    `OUT/a/b.tif`, with `geotiff=True` (docs/rasters.md). Of videos there is a mask a frame,
    `OUT/a/b/000000.png`, and one overlay, `OUT/overlay/a/b.mp4` (docs/video.md): `every` Nth frame
    is predicted, `smoothing` is how much of the past is in each answer, 0 to below 1.

    A picture whose files are all there is not done again; one that cannot be predicted is left
    out and listed, and the others go on. `shard` is `I/N`: the part I of N, the same wherever the
    pictures are the same; of rasters it is a part of each. `palette` gives the classes other
    colours (`palettes`). `options` are those of `load`, and of rasters. `track` wraps the sequence
    of jobs, `watch` that of the regions of a raster, `follow` one as long as a video has frames, to
    show progress; `tell` is given lines for a person.

    Raises:
        DataError: nothing to do, or names of classes that collide as files.
        RunError: names of pictures that collide, a folder that cannot be written to, holds other
            predictions or files in their place, or is being written to by another process.
        WeightsError: the model answers for no picture at all.
        RecipeError: an option that cannot be followed.
    """
    from atrous.predict.flow import lanes_for
    from atrous.predict.folders import Wanted, lanes_wanted, pictures, shard_of
    from atrous.predict.note import about_masks, mark
    from atrous.predict.predictor import load
    from atrous.predict.raster import take_asked
    from atrous.predict.video.walk import checked_pace

    out, part = Path(out), shard_of(shard)
    wanted = Wanted(overlay, probabilities, confidence)
    inputs = [inputs] if isinstance(inputs, str | Path) else inputs
    geotiff, remote = options.pop("geotiff", True), options.pop("remote", False)
    found = pictures(inputs, out, geotiff=geotiff, remote=remote)
    if not find_spec("rasterio"):
        found = _without_geotiffs(found, tell)
    asked = take_asked(options, confidence=confidence, shard=part)
    pace, lanes = checked_pace(every, smoothing), lanes_wanted(found, part)
    options.setdefault("lanes", lanes_for(options.get("threads", 0), pictures=lanes))
    predictor = load(run_or_file, **options)
    if palette is not None:
        from atrous.predict.palettes import recoloured

        predictor = replace(predictor, classes=recoloured(predictor.classes, palette))
    jobs = _planned(found, out, predictor, wanted, run_or_file, asked=asked)
    tell(predictor.note)
    about = {**about_masks(predictor, options.get("output_stride", 0)), **pace.facts()}
    do = partial(_outcome, predictor=predictor, wanted=wanted, tell=tell)
    of = partial(_of_raster, predictor=predictor, asked=asked, about=about, watch=watch, tell=tell)
    clip = partial(
        _of_video, predictor=predictor, wanted=wanted, pace=pace, track=follow, tell=tell
    )
    with _place(out, part) as within:
        mark(out, about, jobs, wanted, within=within)
        own = part.of([job for job in jobs if not job.is_raster])
        own += [job for job in jobs if job.is_raster]  # of which each shard does a part
        do, of = partial(do, within=within), partial(of, within=within)
        clip = partial(clip, within=within)
        return _done(own, out, predictor, do, of, clip, within=within, track=track)


def _without_geotiffs(found: "Found", tell: Tell) -> "Found":
    """The same, with PNGs for what is georeferenced: GeoTIFFs need a package that is not there."""
    from atrous.data.rasters import is_raster

    plain = [p for p in found.pictures if p.is_raster and not is_raster(p.image, False)]
    if not plain:
        return found
    tell(f"{plain[0].image} is georeferenced; its mask will not be: `pip install 'atrous[geo]'`")
    return found._replace(
        pictures=[p._replace(is_raster=False) if p in plain else p for p in found.pictures]
    )


def _done(
    jobs: Sequence["Job"],
    out: Path,
    predictor: "Predictor",
    do: Callable[["Job"], "Row | AtrousError"],
    do_raster: Callable[["Job"], "Row | AtrousError | None"],
    do_video: Callable[["Job"], "Row | AtrousError"],
    *,
    within: Path,
    track: Track,
) -> Predicted:
    """Do the jobs, several pictures at once, and bring the shares of `out` up to date."""
    from atrous.predict.flow import in_flight, threads_for
    from atrous.predict.shares import FILE, update_shares

    plain = [job for job in jobs if not job.is_walked]
    threads = min(len(plain), threads_for(predictor.engine))
    with closing(in_flight(do, plain, threads=threads)) as outcomes:
        done: list[Row | AtrousError | None] = [
            outcome for _, outcome in zip(track(plain), outcomes, strict=True)
        ]
    walked = [job for job in jobs if job.is_walked]
    done += [do_raster(job) if job.is_raster else do_video(job) for job in walked]
    jobs = [*plain, *walked]
    pairs = zip(jobs, done, strict=True)
    rows = {job.name: row for job, row in pairs if row and not isinstance(row, AtrousError)}
    with claimed(out, patience=PATIENCE), refusals_told(out / FILE):
        update_shares(out, rows, predictor.classes, within=within)
    failures = tuple(error for error in done if isinstance(error, AtrousError))
    if failures and not rows and not any(isinstance(error, DataError) for error in failures):
        raise failures[0]  # not the pictures are wrong
    return Predicted(tuple(job.mask for job in jobs if job.name in rows), failures)


def _planned(
    found: "Found",
    out: Path,
    predictor: "Predictor",
    wanted: "Wanted",
    where: str | Path,
    *,
    asked: "Asked",
) -> list["Job"]:
    from atrous.data.masks import plane_names
    from atrous.predict.folders import plan
    from atrous.predict.raster import check_asked

    classes = predictor.classes
    planes = plane_names(classes.names, where) if classes.task == "multilabel" else ()
    jobs = plan(found, out, planes=planes, wanted=wanted, polygons=asked.polygons)
    if raster := next((job for job in jobs if job.is_raster), None):
        check_asked(
            predictor,
            raster.address or raster.image,
            asked,
            overlay=wanted.overlay,
            probabilities=wanted.probabilities,
        )
    return jobs


def _outcome(
    job: "Job", *, predictor: "Predictor", wanted: "Wanted", within: Path, tell: Tell
) -> "Row | AtrousError":
    """What became of a job: the row of its mask, or why there is none."""
    from atrous.predict.outputs import finished, write_outputs

    if row := finished(job, wanted, predictor.classes):
        return row
    try:
        prediction = predictor(job.image)
        if prediction.cut.mode != "whole":
            tell(f"{job.image}: {prediction.cut}")
        return write_outputs(prediction, job, wanted, within=within)
    except RunError:  # no other picture would fare better
        raise
    except AtrousError as error:
        return _left_out(job, error, tell)


def _of_raster(
    job: "Job",
    *,
    predictor: "Predictor",
    asked: "Asked",
    about: dict[str, Any],
    within: Path,
    watch: Track,
    tell: Tell,
) -> "Row | AtrousError | None":
    """What became of a raster; None: other shards have parts of it to do."""
    from atrous.predict.raster import Targets, predict_raster

    wanted = {"confidence": asked.confidence, "polygons": asked.polygons}
    targets = Targets.of(job.out, job.stem, **wanted)
    source, how = job.address or job.image, {"within": within, "watch": watch, "tell": tell}
    try:
        return predict_raster(predictor, source, job.name, targets, asked, about=about, **how)
    except RunError:
        raise
    except AtrousError as error:
        return _left_out(job, error, tell)


def _of_video(
    job: "Job",
    *,
    predictor: "Predictor",
    wanted: "Wanted",
    pace: "Pace",
    within: Path,
    track: Track,
    tell: Tell,
) -> "Row | AtrousError":
    """What became of a video: its row of shares, or why there is none."""
    from atrous.predict.video.walk import predict_clip

    try:
        how = {"within": within, "track": track, "tell": tell}
        return predict_clip(job, predictor, wanted, pace, **how)
    except RunError:
        raise
    except AtrousError as error:
        return _left_out(job, error, tell)


def _left_out(job: "Job", error: AtrousError, tell: Tell) -> AtrousError:
    source = job.address or str(job.image)
    tell(f"left out: {source} ({error.found})")
    if isinstance(error, DataError) or error.where == source:
        return error
    told = {"allowed": error.allowed, "fix": error.fix}  # for its picture, which it lacks
    return type(error)(source, found=f"{error.where} {error.found}", **told)


@contextmanager
def _place(out: Path, part: "Shard") -> Iterator[Path]:
    """A hidden folder in `out` for what is half-written, held for this part alone.

    What other parts left that were killed is removed.

    Raises:
        RunError: another process does the same part.
    """
    within = out / f"{TEMPORARY}{part.number}-of-{part.total}"
    with ExitStack() as held:
        with claimed(out, patience=PATIENCE):  # else two could take each other's for left behind
            held.enter_context(claimed(within))
            remove_leftovers(within)
            for other in out.glob(f"{TEMPORARY}*-of-*"):
                with suppress(RunError), claimed(other):
                    remove_leftovers(other)
        yield within


make_callable(sys.modules[__name__])
