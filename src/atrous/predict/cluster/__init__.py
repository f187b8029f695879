"""Pictures, videos and rasters predicted by the workers of a Ray cluster: the driver's side.

All machines see the same files under the same names. Workers write what they make themselves,
whole or not at all; what comes back are rows of shares, and errors. Of a raster a row of regions
is a unit of work, kept in parts as shards keep theirs, and the driver assembles them.
"""

import os
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from atrous.errors import AtrousError, RecipeError, RunError
from atrous.files import remove_leftovers
from atrous.predict.cluster.connection import Crew, connected, crew_of
from atrous.predict.cluster.worker import Task, Told, Unit, Worker
from atrous.predict.flow import in_flight, lanes_for
from atrous.predict.folders import Shard
from atrous.predict.jobs import Job
from atrous.predict.outcomes import How, Outcome, Shown, left_out, source_of, targets_of
from atrous.predict.outputs import finished
from atrous.predict.predictor import Loading, Predictor
from atrous.predict.raster import assembled, begun
from atrous.predict.raster import finished as raster_finished
from atrous.predict.raster.journal import missing, regions_in
from atrous.predict.raster.plan import Region
from atrous.predict.shares import Row
from atrous.predict.video.table import finished_row
from atrous.types import Tell, Track

BATCH = 16  # pictures a worker is sent at once, at most
ROUNDS = 4  # batches for each worker at least, so that none waits long for the last
MEMORY = 1024  # MiB a thread for the network: not that of a machine, or masks depended on it


class Cluster(NamedTuple):
    """A cluster that is connected, and the workers that there are to be."""

    ray: Any
    crew: Crew

    def settle(self, options: Loading) -> None:
        """Say what a user has left open of how each worker answers, and the driver too."""
        threads = self.crew.threads
        options["threads"], options["lanes"] = threads, lanes_for(threads)
        options["memory"] = options.get("memory", 0) or MEMORY * threads

    def outcomes(
        self,
        jobs: Sequence[Job],
        predictor: Predictor,
        run_or_file: str | Path,
        options: Loading,
        how: How,
        shown: Shown,
    ) -> list[tuple[Job, Outcome]]:
        """What became of each job; what is finished is not sent to anybody.

        Raises:
            RunError: no job would fare better, or the cluster is gone.
        """
        shown.tell(f"Ray: {self.crew}.")
        task = _task(run_or_file, options, predictor, how)
        there = partial(_finished, predictor=predictor, how=how)
        done: list[Outcome] = [*in_flight(there, jobs, threads=self.crew.threads)]
        units = [Unit(i, job) for i, job in enumerate(jobs) if not done[i]]
        try:
            plain = [unit for unit in units if not unit.job.is_raster]
            for told in self._sent(plain, task, track=shown.track, tell=shown.tell):
                done[told.number] = told.outcome
            rasters = [unit for unit in units if unit.job.is_raster]
            for number, outcome in self._of_rasters(rasters, predictor, task, shown):
                done[number] = outcome
        finally:
            remove_leftovers(how.within)  # of workers that were killed
        return [*zip(jobs, done, strict=True)]

    def _of_rasters(
        self, units: Sequence[Unit], predictor: Predictor, task: Task, shown: Shown
    ) -> Iterator[tuple[int, Outcome]]:
        """What became of rasters, each by its number: all rows of all of them are sent at once."""
        rows: list[Unit] = []
        failed: dict[int, Outcome] = {}
        for unit in units:
            try:
                rows += _rows(unit, predictor, task.how)
            except RunError:
                raise
            except AtrousError as error:
                failed[unit.number] = left_out(unit.job, error, shown.tell)
        for told in self._sent(rows, task, track=shown.watch, tell=_once(shown.tell)):
            if told.outcome:
                failed.setdefault(told.number, told.outcome)
        for unit in units:
            targets, within = targets_of(unit.job, task.how.asked), task.how.within
            yield (
                unit.number,
                failed.get(unit.number) or assembled(targets, within=within, tell=shown.tell),
            )

    def _sent(
        self, units: Sequence[Unit], task: Task, *, track: Track, tell: Tell
    ) -> Iterator[Told]:
        """What became of units, as it comes.

        Raises:
            RunError: as `outcomes`.
        """
        if not units:
            return
        data, crew, batches = self.ray.data, self.crew, _batches(units, self.crew.workers)
        rows = [{"units": pickle.dumps(batch)} for batch in batches]
        done = data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            Worker,
            fn_constructor_args=(task,),
            batch_size=1,
            compute=data.ActorPoolStrategy(size=min(crew.workers, len(rows))),
            num_cpus=crew.threads,
            **({"num_gpus": crew.gpus} if crew.gpus else {}),
        )
        for _, told in zip(track(units), _all_told(done, self.ray), strict=True):
            for line in told.lines:
                tell(line)
            if told.ends and isinstance(told.outcome, AtrousError):
                raise told.outcome
            yield told


@contextmanager
def hired(address: str, options: Loading, shard: Shard) -> Iterator[Cluster]:
    """The cluster at an address, with as many workers as it holds.

    Raises:
        RecipeError, RunError: as `connected`; or shards are asked for too.
    """
    if shard.total > 1:
        raise RecipeError(
            "--shard",
            found=f"is {shard.number}/{shard.total} beside --ray",
            allowed="a cluster shares the work among its machines by itself",
            fix="Leave out one of the two.",
        )
    threads, device = options.get("threads", 0), options.get("device", "auto")
    with connected(address) as ray:
        yield Cluster(ray, crew_of(ray, threads=threads, device=device, address=address))


def _task(run_or_file: str | Path, options: Loading, predictor: Predictor, how: How) -> Task:
    """What workers are told: to answer as this predictor does."""
    engine = predictor.engine
    settled: Loading = {
        "engine": engine.name,
        "precision": engine.precision,
        "scales": predictor.augmentation.scales,
        "postprocess": predictor.postprocess,
    }
    asked: Loading = {**options, **settled}
    return Task(os.getcwd(), str(run_or_file), asked, predictor.classes, how)


def _finished(job: Job, predictor: Predictor, how: How) -> Row | None:
    if job.is_raster:
        return raster_finished(targets_of(job, how.asked), predictor)
    of = finished_row if job.is_video else finished
    return of(job, how.wanted, predictor.classes)


def _rows(unit: Unit, predictor: Predictor, how: How) -> list[Unit]:
    """The rows of regions that a raster lacks; its plan is made here, and is the workers' too."""
    job, asked = unit.job, how.asked
    source, parts = source_of(job), targets_of(job, asked).parts
    with begun(predictor, source, job.name, parts, asked, about=how.about) as (plan, _):
        lacking = missing(regions_in(parts, plan.digest), *plan.counts)
    rows: dict[int, list[Region]] = {}
    for row, column in lacking:
        rows.setdefault(row, []).append(plan.region(row, column))
    return [unit._replace(regions=tuple(regions)) for regions in rows.values()]


def _all_told(done: Any, ray: Any) -> Iterator[Told]:
    """What workers tell; Ray sends a batch again that was cut short by a death."""
    try:
        for row in done.iter_rows():
            yield from pickle.loads(row["told"])
    except ray.exceptions.RayTaskError:
        raise  # a fault of ours, with the line where it is
    except ray.exceptions.RayError as error:
        raise RunError(
            "Ray",
            found=f"ended early ({type(error).__name__})",
            allowed="the cluster must be there until all is done",
            fix="See to it, and give the same command again: what is done is kept.",
        ) from error


def _once(tell: Tell) -> Tell:
    """The same, which says each line once: many rows of a raster may fail alike."""
    said: set[str] = set()

    def say(line: str) -> None:
        if line not in said:
            said.add(line)
            tell(line)

    return say


def _batches(units: Sequence[Unit], workers: int) -> list[list[Unit]]:
    """Pictures in batches, some for each worker; videos, and rows of a raster, alone.

    Example:
        >>> picture = Job(Path("a.png"), "a.png", Path("out"))
        >>> len(_batches([Unit(i, picture) for i in range(80)], workers=2))
        8
    """
    pictures = [unit for unit in units if not unit.job.is_walked]
    size = max(1, min(BATCH, -(-len(pictures) // (workers * ROUNDS))))
    batches = [pictures[i : i + size] for i in range(0, len(pictures), size)]
    return [[unit] for unit in units if unit.job.is_walked] + batches
