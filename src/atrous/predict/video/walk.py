"""A video's frames through the engine, several at once and in order, to masks and an overlay.

What is made lies in a hidden folder until the last frame is done, and then gets its names.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from atrous.classes import Classes
from atrous.data.masks import blend
from atrous.errors import AtrousError, DataError, RecipeError, RunError
from atrous.files import TEMPORARY, make_folder, refusals_told
from atrous.predict.flow import BESIDE, in_flight, read_ahead, threads_for
from atrous.predict.jobs import FRAMES, Job, Wanted
from atrous.predict.outputs import write_outputs
from atrous.predict.predictor import Prediction, Predictor
from atrous.predict.shares import Row
from atrous.predict.video.reading import Clip, Frame, count_packets, open_clip
from atrous.predict.video.table import FrameTable, finished_row
from atrous.predict.video.writing import open_overlay
from atrous.types import Mask, Tell, Track

AHEAD = 2  # frames that are decoded before they are asked for
ROOM = 256 << 20  # bytes of frames that may wait between two that are predicted


class Pace(NamedTuple):
    """Which frames are predicted, and how much of the past is in an answer."""

    every: int = 1
    smoothing: float = 0.0

    def facts(self) -> dict[str, Any]:
        """What masks depend on, beside their model."""
        given = {"every": self.every, "smoothing": self.smoothing}
        return {key: value for key, value in given.items() if value != Pace()._asdict()[key]}


class Step(NamedTuple):
    """A frame on its way, with what is known of it so far."""

    frame: Frame
    prediction: Prediction | None = None
    mask: Mask | None = None
    row: Row | None = None


def checked_pace(every: int, smoothing: float) -> Pace:
    """The pace that is asked for.

    Raises:
        RecipeError: it is out of range.
    """
    for key, value, right, allowed in (
        ("every", every, every >= 1, "it is 1 or more: every Nth frame is predicted"),
        ("smoothing", smoothing, 0 <= smoothing < 1, "it is 0 or more and below 1"),
    ):
        if not right:
            raise RecipeError(
                f"predict.{key}", found=f"is {value}", allowed=allowed, fix="Change it."
            )
    return Pace(every, smoothing)


def predict_clip(
    job: Job,
    predictor: Predictor,
    wanted: Wanted,
    pace: Pace,
    *,
    within: Path,
    track: Track = iter,
    tell: Tell = lambda _: None,
) -> Row:
    """Write the masks of a video's frames, and what is wanted beside them; its row of shares.

    `within` is a folder for what is half-written, of the same disk. `track` wraps a sequence as
    long as there are frames to come, to show progress.

    Raises:
        DataError: it cannot be decoded to its end, or is not for this model.
        RunError: a folder cannot be written to, or another file has the place of its masks.
        WeightsError: the model gives no numbers.
    """
    if row := finished_row(job, wanted, predictor.classes):
        return row
    if job.mask.exists() and not (job.mask / FRAMES).is_file():
        raise RunError(
            job.mask,
            found="is there already",
            allowed=f"the masks of {job.image} go into a folder of that name",
            fix="Give another --out, or move it away.",
        )
    with _hidden(within) as place:
        made = job._replace(out=place)
        row = _made(made, predictor, wanted, pace, track=track, tell=tell)
        _give_names(made, job)
    return row


def _made(
    job: Job, predictor: Predictor, wanted: Wanted, pace: Pace, *, track: Track, tell: Tell
) -> Row:
    """Make all files of a video."""
    with ExitStack() as held:
        clip = held.enter_context(open_clip(job.image, sound=wanted.overlay))
        table = held.enter_context(FrameTable.at(job.mask, predictor.classes))
        steps = _steps(clip, job, predictor, wanted, pace, held=held)
        total = clip.total or count_packets(job.image)
        steps = counted(steps, total if wanted.overlay else -(-total // pace.every), track)
        if wanted.overlay:
            steps = _shown(steps, clip, job, predictor.classes, held=held, tell=tell)
        for step in steps:
            if step.row:
                table.add(step.frame.number, clip.seconds(step.frame.pts), step.row)
        return table.finish()


def _steps(
    clip: Clip,
    job: Job,
    predictor: Predictor,
    wanted: Wanted,
    pace: Pace,
    *,
    held: ExitStack,
) -> Iterator[Step]:
    """The frames with their masks, which are written, and those between them, if they are shown.

    The stages run at once, each on threads of its own; only smoothing has to wait for the frame
    before.
    """
    threads = threads_for(predictor.engine)
    files = wanted._replace(overlay=False)
    of: dict[str, Any] = {"job": job, "predictor": predictor}
    network = partial(_answered, every=pace.every, **of)
    finish = partial(_finished, files=files, again=bool(pace.smoothing), **of)
    frames = held.enter_context(closing(clip.frames(every=pace.every, between=wanted.overlay)))
    frames = held.enter_context(closing(read_ahead(frames, most=AHEAD)))
    first = next(frames)
    most = threads + 1
    if wanted.overlay:  # the frames between are in the line too
        most = min(most * pace.every, max(most, ROOM // first.pixels.nbytes))
    how: dict[str, Any] = {"threads": threads, "most": most}
    steps = held.enter_context(closing(in_flight(network, chain([first], frames), **how)))
    if pace.smoothing:
        steps = smoothed(steps, pace.smoothing)
    return held.enter_context(closing(in_flight(finish, steps, **how)))


def _answered(frame: Frame, *, job: Job, predictor: Predictor, every: int) -> Step:
    """A frame with the answer of the network, if it is one that is predicted."""
    if frame.number % every:
        return Step(frame)
    with _named(job, frame):
        return Step(frame, next(predictor.stages(frame.pixels)))


def smoothed(steps: Iterable[Step], weight: float) -> Iterator[Step]:
    """Steps whose logits are an average over them and all before, each `weight` of the next.

    It is causal: nothing that comes later changes it, and nothing but the clip's beginning resets
    it. The masks are yet to be decided by these logits.
    """
    mean = None
    for step in steps:
        if step.prediction:
            now = step.prediction.logits
            keep, take = np.float32(weight), np.float32(1 - weight)
            mean = now if mean is None else keep * mean + take * now
            step = step._replace(prediction=replace(step.prediction, logits=mean))
        yield step


def _finished(step: Step, *, job: Job, predictor: Predictor, files: Wanted, again: bool) -> Step:
    """A step whose mask is decided, `again` by other logits, taken to its end and written."""
    if step.prediction is None:
        return step
    frame = step.frame
    with _named(job, frame):
        prediction = predictor.after(step.prediction, step.prediction.logits if again else None)
        row = write_outputs(prediction, job.frame(frame.number), files, within=job.out)
    return Step(frame, mask=prediction.mask, row=row)


def counted(steps: Iterable[Step], total: int, track: Track) -> Iterator[Step]:
    """The steps, told to `track`; there may be fewer or more of them than was said before."""
    for step, _ in zip_longest(steps, track(range(total))):
        if step is not None:
            yield step


def _shown(
    steps: Iterable[Step],
    clip: Clip,
    job: Job,
    classes: Classes,
    *,
    held: ExitStack,
    tell: Tell,
) -> Iterator[Step]:
    """The steps, written to the overlay as they come."""
    make_folder(job.overlay.parent)
    overlay = held.enter_context(open_overlay(job.overlay, clip, tell=tell))
    paint = partial(_painted, classes=classes)
    how = {"threads": BESIDE, "most": BESIDE + 1}
    pictures = held.enter_context(closing(in_flight(paint, with_last_mask(steps), **how)))
    for step, pixels in pictures:
        frame = step.frame
        overlay.write(pixels, pts=frame.pts, length=frame.length, sound=frame.sound)
        yield step
    overlay.finish(clip.rest)


def with_last_mask(steps: Iterable[Step]) -> Iterator[Step]:
    """Steps of which those between have the mask of the last that was predicted."""
    mask = None
    for step in steps:
        mask = mask if step.mask is None else step.mask
        yield step._replace(mask=mask)


def _painted(step: Step, *, classes: Classes) -> tuple[Step, UInt8[np.ndarray, "H W 3"]]:
    assert step.mask is not None, "the first frame is predicted"
    return step, blend(step.frame.pixels, step.mask, classes)


@contextmanager
def _hidden(within: Path) -> Iterator[Path]:
    """A folder for what is half-written, gone in the end; what a kill leaves, the next removes."""
    with refusals_told(within):
        place = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=within))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _give_names(made: Job, job: Job) -> None:
    """Move what is whole to where it belongs, the masks last: where they are, all is."""
    whole = [made.overlay, *(made.out / folder for folder in reversed(made.folders))]
    for path in filter(Path.exists, whole):
        to = job.out / path.relative_to(made.out)
        make_folder(to.parent)
        with refusals_told(to):
            if to.is_dir():  # of an earlier run, which wanted less
                os.replace(to, Path(tempfile.mkdtemp(dir=made.out)) / to.name)
            os.replace(path, to)


@contextmanager
def _named(job: Job, frame: Frame) -> Iterator[None]:
    """What is wrong with a frame is wrong with its video."""
    try:
        yield
    except RunError:
        raise
    except AtrousError as error:
        where = "" if error.where in ("the picture", str(job.image)) else f"{error.where} "
        found = f"at frame {frame.number} {where}{error.found}"
        kind = DataError if isinstance(error, DataError) else type(error)
        raise kind(job.image, found=found, allowed=error.allowed, fix=error.fix) from None
