"""What becomes of pictures, rasters and videos: rows of shares, or why there are none."""

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from atrous.errors import AtrousError, DataError, RunError
from atrous.predict.flow import in_flight, threads_for
from atrous.predict.jobs import Job, Wanted
from atrous.predict.outputs import finished, write_outputs
from atrous.predict.predictor import Predictor
from atrous.predict.raster import Asked, Targets, predict_raster
from atrous.predict.shares import Row
from atrous.predict.video.walk import Pace, predict_clip
from atrous.types import Tell, Track

Outcome = Row | AtrousError | None  # none: other shards have parts of a raster to do


class How(NamedTuple):
    """What is made of each job, and the facts on which its bytes depend."""

    wanted: Wanted
    asked: Asked
    """Of rasters."""
    pace: Pace
    """Of videos."""
    about: dict[str, Any]
    """The model, and how it answers."""
    within: Path
    """A folder for what is half-written."""


class Shown(NamedTuple):
    """Who is shown how far it is: with jobs, regions of a raster, frames; and told lines."""

    track: Track
    watch: Track
    follow: Track
    tell: Tell


def outcomes(
    jobs: Sequence[Job], predictor: Predictor, how: How, shown: Shown
) -> list[tuple[Job, Outcome]]:
    """What became of each job: several pictures at once, then what is walked.

    Raises:
        RunError: no other job would fare better.
    """
    plain = [job for job in jobs if not job.is_walked]
    threads = min(len(plain), threads_for(predictor.engine))
    do = partial(of_picture, predictor=predictor, how=how, tell=shown.tell)
    with closing(in_flight(do, plain, threads=threads)) as done:
        told: list[tuple[Job, Outcome]] = [
            (job, outcome) for job, outcome in zip(shown.track(plain), done, strict=True)
        ]
    for job in (job for job in jobs if job.is_walked):
        of = of_raster if job.is_raster else of_video
        track = shown.watch if job.is_raster else shown.follow
        told.append((job, of(job, predictor, how, track=track, tell=shown.tell)))
    return told


def of_picture(job: Job, predictor: Predictor, how: How, *, tell: Tell) -> Row | AtrousError:
    """What became of a picture.

    Raises:
        RunError: no other picture would fare better.
    """
    if row := finished(job, how.wanted, predictor.classes):
        return row
    try:
        prediction = predictor(job.image)
        if prediction.cut.mode != "whole":
            tell(f"{job.image}: {prediction.cut}")
        return write_outputs(prediction, job, how.wanted, within=how.within)
    except RunError:
        raise
    except AtrousError as error:
        return left_out(job, error, tell)


def of_raster(job: Job, predictor: Predictor, how: How, *, track: Track, tell: Tell) -> Outcome:
    """What became of a raster; None: other shards have parts of it to do.

    Raises:
        RunError: as `of_picture`.
    """
    source, targets = source_of(job), targets_of(job, how.asked)
    facts: dict[str, Any] = {"about": how.about, "within": how.within, "watch": track}
    try:
        return predict_raster(predictor, source, job.name, targets, how.asked, tell=tell, **facts)
    except RunError:
        raise
    except AtrousError as error:
        return left_out(job, error, tell)


def of_video(
    job: Job, predictor: Predictor, how: How, *, track: Track, tell: Tell
) -> Row | AtrousError:
    """What became of a video.

    Raises:
        RunError: as `of_picture`.
    """
    facts: dict[str, Any] = {"within": how.within, "track": track}
    try:
        return predict_clip(job, predictor, how.wanted, how.pace, tell=tell, **facts)
    except RunError:
        raise
    except AtrousError as error:
        return left_out(job, error, tell)


def targets_of(job: Job, asked: Asked) -> Targets:
    """Where what is made of a raster goes."""
    wanted = {"confidence": asked.confidence, "polygons": asked.polygons}
    return Targets.of(job.out, job.stem, **wanted)


def source_of(job: Job) -> str | Path:
    """The address of a raster, or its path."""
    return job.address or job.image


def left_out(job: Job, error: AtrousError, tell: Tell) -> AtrousError:
    """The error of a picture, which is told, and has its name."""
    source = str(source_of(job))
    tell(f"left out: {source} ({error.found})")
    if isinstance(error, DataError) or error.where == source:
        return error
    told = {"allowed": error.allowed, "fix": error.fix}  # for its picture, which it lacks
    return type(error)(source, found=f"{error.where} {error.found}", **told)
