"""A worker of a cluster: it loads the model once; what it is to do comes in batches."""

import os
import pickle
import platform
import uuid
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from atrous.classes import Classes
from atrous.errors import AtrousError, DataError, RunError
from atrous.files import TEMPORARY, json_bytes, refusals_told
from atrous.predict.flow import in_flight, threads_for
from atrous.predict.jobs import Job
from atrous.predict.note import NOTE, about_masks
from atrous.predict.outcomes import (
    How,
    Outcome,
    left_out,
    of_picture,
    of_video,
    source_of,
    targets_of,
)
from atrous.predict.predictor import Loading, Predictor, load
from atrous.predict.raster import Answers, Plan, begun
from atrous.predict.raster.journal import SUFFIX, Journal
from atrous.predict.raster.plan import Region
from atrous.types import Tell

CARE = 2  # times that a worker may die of one picture, after it died of the batch


class Task(NamedTuple):
    """What all workers are told: paths are those of the driver, which share its file system."""

    folder: str
    """Where paths begin that are not whole."""
    model: str
    options: Loading
    classes: Classes
    how: How


class Unit(NamedTuple):
    """What a worker does as one: a picture, a video, or of a raster the regions of a row."""

    number: int
    job: Job
    regions: tuple[Region, ...] = ()

    @property
    def key(self) -> str:
        """Its own among units, as part of a name."""
        return f"{self.number}-{self.regions[0].at[0]}" if self.regions else str(self.number)

    @property
    def pixels(self) -> int:
        """Those of its regions."""
        return sum(region.pixels for region in self.regions)


class Told(NamedTuple):
    """What became of a unit, and lines for a person."""

    number: int
    outcome: Outcome
    lines: tuple[str, ...] = ()
    ends: bool = False
    """Whether no other would fare better."""


class Worker:
    """`worker(batch)`: rows of pickled units -> rows of what became of them, for Ray Data."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self._raster, self._held = "", ExitStack()
        self._part = f"{uuid.uuid4().hex}{SUFFIX}"  # two workers never write to one

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
        return {"told": [pickle.dumps(self.do(pickle.loads(units))) for units in batch["units"]]}

    def do(self, units: list[Unit]) -> list[Told]:
        """What became of units: several at once; one by one after it killed a worker."""
        try:
            threads = min(len(units), threads_for(self.predictor.engine))
            mark = self._mark(f"batch-{units[0].key}")
            told = self._careful if _begun(mark) > 1 else self._told
            threads = threads if told == self._told else 1
            with closing(in_flight(told, units, threads=threads)) as answers:
                done = [*answers]
            mark.unlink(missing_ok=True)
        except AtrousError as error:
            return [Told(unit.number, error, ends=True) for unit in units]
        return done

    @cached_property
    def predictor(self) -> Predictor:
        """The model of the driver.

        Raises:
            RunError: the driver's folder is not here, or the model is another.
        """
        task, how = self.task, self.task.how
        with suppress(OSError):  # where all paths are whole it is not needed
            os.chdir(task.folder)
        if not (how.within.is_dir() and (how.within.parent / NOTE).is_file()):
            raise _apart(how.within.parent, "is not the folder that is written to")
        predictor = replace(load(task.model, **task.options), classes=task.classes)
        output_stride = task.options.get("output_stride", 0)
        about = {**about_masks(predictor, output_stride), **how.pace.facts()}
        if json_bytes(about) != json_bytes(how.about):
            raise _apart(task.model, "is not the same model, or answers otherwise")
        return predictor

    def _told(self, unit: Unit) -> Told:
        lines: list[str] = []
        try:
            outcome = self._outcome(unit, lines.append)
        except AtrousError as error:
            return Told(unit.number, error, tuple(lines), ends=True)
        return Told(unit.number, outcome, tuple(lines))

    def _outcome(self, unit: Unit, tell: Tell) -> Outcome:
        predictor, how = self.predictor, self.task.how
        if unit.regions:
            return self._row(unit, tell)
        if unit.job.is_video:
            return of_video(unit.job, predictor, how, track=iter, tell=tell)
        return of_picture(unit.job, predictor, how, tell=tell)

    def _careful(self, unit: Unit) -> Told:
        """As `_told`; but what kills its worker each time is left out."""
        mark, lines = self._mark(f"unit-{unit.key}"), list[str]()
        if _begun(mark) > CARE:
            error = left_out(unit.job, _deadly(unit.job), lines.append)
            told = Told(unit.number, error, tuple(lines))
        else:
            told = self._told(unit)
        mark.unlink(missing_ok=True)
        return told

    def _row(self, unit: Unit, tell: Tell) -> AtrousError | None:
        """Put the regions of a row into a part of this worker's own."""
        try:
            plan, answers, parts = self._begun(unit.job)
            threads = 1 + self.predictor.engine.lanes
            with (
                Journal(parts / self._part, plan.digest) as journal,
                closing(in_flight(answers, unit.regions, threads=threads)) as contents,
            ):
                for region, content in zip(unit.regions, contents, strict=True):
                    journal.add(region.at, content)
        except RunError:
            raise
        except AtrousError as error:
            return left_out(unit.job, error, tell)
        return None

    def _begun(self, job: Job) -> tuple[Plan, Answers, Path]:
        """A raster, which is opened, and looked at as a whole, once for all of its rows."""
        how = self.task.how
        parts = targets_of(job, how.asked).parts
        if self._raster != job.name:
            self._held.close()
            self._raster = ""
            source = source_of(job)
            begin = begun(self.predictor, source, job.name, parts, how.asked, about=how.about)
            self._open = self._held.enter_context(begin)
            self._open[1].look(parts)
            self._raster = job.name
        return *self._open, parts

    def _mark(self, name: str) -> Path:
        return self.task.how.within / f"{TEMPORARY}{name}"


def _apart(where: object, found: str) -> RunError:
    return RunError(
        where,
        found=f"{found}, on the machine {platform.node()}",
        allowed="all machines of the cluster must see the same files under the same names",
        fix="Give paths on a disk that all share, with the same packages installed on all.",
    )


def _begun(mark: Path) -> int:
    """How often what a file stands for was begun and never ended, this time too."""
    with refusals_told(mark), mark.open("ab") as file:
        file.write(b".")
        return file.tell()


def _deadly(job: Job) -> DataError:
    return DataError(
        source_of(job),
        found="ended its worker, each time",
        allowed="the machine may have too little memory for it, or a library fails on it",
        fix="Predict it alone, without --ray; what Ray says is in its logs.",
    )
