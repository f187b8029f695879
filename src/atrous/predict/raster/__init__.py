"""Masks of rasters, larger than memory too: GeoTIFF in, GeoTIFF out.

A raster is cut into regions that are worked at row by row; those of which nothing is known cost
next to nothing. What is finished is kept in parts (`journal`), one for each machine, beside a
plan that all share (`plan`); once the parts hold all regions, the files are written from them
(`writing`, `polygons`), and take their names when they are whole.
"""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from atrous.data.rasters import fingerprint, open_raster, raster_size
from atrous.errors import RecipeError, RunError
from atrous.files import LOCK, claimed, make_folder, refusals_told, sync_folder
from atrous.predict.flow import in_flight
from atrous.predict.predictor import Loading, Predictor
from atrous.predict.raster.answers import Answers
from atrous.predict.raster.journal import SUFFIX, Journal, missing, regions_in
from atrous.predict.raster.plan import Plan, agreed, placed, read_plan, side_of
from atrous.predict.raster.writing import read_row, write_rasters
from atrous.predict.shares import Row
from atrous.predict.tiles.cuts import Cut, reach_of
from atrous.types import Grid, Size, Tell, Track

PARTS = ".parts"  # after the name of the mask: the folder of what is not yet assembled


class Targets(NamedTuple):
    """Where what is made of a raster goes, once it is whole."""

    mask: Path
    confidence: Path | None = None
    polygons: Path | None = None

    @classmethod
    def of(cls, out: Path, stem: str, *, confidence: bool, polygons: str) -> "Targets":
        """Those of the raster `stem`, a path without suffix, in the folder of masks."""
        return cls(
            out / f"{stem}.tif",
            out / f"confidence/{stem}.tif" if confidence else None,
            out / f"{stem}.{polygons}" if polygons else None,
        )

    @property
    def parts(self) -> Path:
        return self.mask.with_name(self.mask.name + PARTS)

    @property
    def files(self) -> list[Path]:
        """The mask last: where it is, all is."""
        return [path for path in (self.confidence, self.polygons, self.mask) if path]


class Predicting(Loading, total=False):
    """What may be said of predictions: as of `load`, and of rasters."""

    geotiff: bool
    """Whether masks of georeferenced pictures are GeoTIFFs."""
    overviews: bool
    """Whether these hold smaller versions."""
    polygons: str
    """`gpkg` or `geojson`: also the outlines of what was found."""
    simplify: float
    """Pixels by which these may be off."""
    remote: bool
    """Whether inputs may be addresses."""


class Asked(NamedTuple):
    """What is asked of rasters beside their masks."""

    confidence: bool = False
    overviews: bool = False
    polygons: str = ""
    simplify: float = 0.0
    shard: tuple[int, int] = (1, 1)


def predict_raster(
    predictor: Predictor,
    source: str | Path,
    name: str,
    targets: Targets,
    asked: Asked,
    *,
    about: dict[str, Any],
    within: Path,
    watch: Track = iter,
    tell: Tell = lambda _: None,
) -> Row | None:
    """Work at a raster's regions, or a shard's rows of them; the row of shares once all are there.

    None: other shards have regions to do yet. `within` is a folder for what is half-written,
    of the same disk. `watch` wraps the sequence of regions, to show progress.

    Raises:
        ImageError: it cannot be read, or is none for this model.
        RunError: a folder cannot be written to, or holds parts made in another way.
        RecipeError, WeightsError: as `load`.
    """
    if row := finished(targets, predictor):
        return row
    parts = targets.parts
    with begun(predictor, source, name, parts, asked, about=about) as (plan, answers):
        tell(f"{name}: {plan.tiles}")
        _work(answers, plan, parts, asked.shard, threads=1 + predictor.engine.lanes, watch=watch)
    return assembled(targets, within=within, tell=tell)


@contextmanager
def begun(
    predictor: Predictor,
    source: str | Path,
    name: str,
    parts: Path,
    asked: Asked,
    *,
    about: dict[str, Any],
) -> Iterator[tuple[Plan, Answers]]:
    """The plan of a raster, which lies in its folder of `parts` now, and who answers for regions.

    Raises:
        ImageError: it cannot be read, or is none for this model.
        RunError: the folder cannot be written to, or holds parts made in another way.
        RecipeError, WeightsError: as `load`.
    """
    check_asked(predictor, source, asked)
    size = raster_size(source)  # before the folder: what cannot be opened leaves nothing
    make_folder(parts)
    cut = predictor.cut(size)
    side, read = _side(predictor, size, cut)
    with closing(open_raster(source, window=(read, read), scratch=parts)) as raster:
        plan = Plan(
            name,
            fingerprint(source),
            raster.size,
            side,
            str(cut),
            about,
            predictor.classes.to_dict(),
            asked.confidence,
            asked.overviews,
            asked.polygons,
            asked.simplify,
            placed(raster),
        )
        sure = asked.confidence or bool(asked.polygons)  # which tell theirs
        yield agreed(parts, plan), Answers(predictor, raster, confidence=sure)


def finished(targets: Targets, predictor: Predictor) -> Row | None:
    """The row of a raster all of whose files are there; else None."""
    if not all(path.is_file() and path.stat().st_size for path in targets.files):
        return None
    return read_row(targets.mask, predictor.classes)


def assembled(targets: Targets, *, within: Path, tell: Tell = lambda _: None) -> Row | None:
    """Write what the parts of a raster hold, if they hold all of it; then the parts are removed.

    None where they do not, or where another process is at it.
    """
    parts = targets.parts
    plan = read_plan(parts)
    if lacking := missing(regions_in(parts, plan.digest), *plan.counts):
        rows = len({row for row, _ in lacking})
        tell(f"{plan.name}: {rows} of {plan.counts[0]} rows of regions are for other shards")
        return None
    try:
        with claimed(parts):
            return _assembled(plan, targets, within)
    except RunError as error:
        if "is being written by" not in error.found:
            raise
        tell(f"{plan.name}: another process writes it")
        return None


def _assembled(plan: Plan, targets: Targets, within: Path) -> Row:
    done = regions_in(targets.parts, plan.digest)
    written = write_rasters(plan, done, within)
    made = {targets.mask: written.mask, targets.confidence: written.confidence}
    if targets.polygons:
        from atrous.predict.raster.polygons import write_polygons

        made[targets.polygons] = write_polygons(plan, done, within)
    for path in targets.files:
        with refusals_told(path):
            make_folder(path.parent)
            os.replace(made[path], path)
            sync_folder(path.parent)
    for file in targets.parts.iterdir():
        if file.name != LOCK:  # held, and taken away by its holder
            file.unlink(missing_ok=True)
    return written.row


def _work(
    answers: Answers,
    plan: Plan,
    parts: Path,
    shard: tuple[int, int],
    *,
    threads: int,
    watch: Track,
) -> None:
    """Do what this shard's rows of regions lack."""
    number, total = shard
    with Journal(parts / f"{number}-of-{total}{SUFFIX}", plan.digest) as journal:
        there = regions_in(parts, plan.digest)
        rows = range(number - 1, plan.counts[0], total)
        own = (plan.region(row, column) for row in rows for column in range(plan.counts[1]))
        todo = [region for region in own if region.at not in there]
        if todo:
            answers.look(parts)
        with closing(in_flight(answers, todo, threads=threads)) as contents:
            for region, content in zip(watch(todo), contents, strict=True):
                journal.add(region.at, content)


def _side(predictor: Predictor, size: Size, cut: Cut) -> tuple[int, int]:
    """Pixels of a region, and of what is read at once for it."""
    engine, num_logits = predictor.engine, predictor.classes.num_logits
    tile = around = 0
    if cut.mode == "exact" and isinstance(engine.grid, Grid):
        around = reach_of(engine.grid, engine.tiling.alignment)
        tile = cut.side - 2 * around  # one is enough for a region
    side = side_of(engine.tiling, engine.grid, tile=tile, num_logits=num_logits, size=size)
    return side, side + 2 * (around + cut.halo) if around else cut.side


def take_asked(options: "Predicting", *, confidence: bool, shard: tuple[int, int]) -> Asked:
    """What is asked of rasters, taken out of options, of which those of `load` are left."""
    return Asked(
        confidence,
        options.pop("overviews", False),
        options.pop("polygons", ""),
        options.pop("simplify", 0.0),
        (shard[0], shard[1]),
    )


def check_asked(
    predictor: Predictor,
    source: str | Path,
    asked: Asked,
    *,
    overlay: bool = False,
    probabilities: bool = False,
) -> None:
    """Refuse what is not made of rasters, before any work is done.

    Raises:
        RecipeError: overlays, probabilities, steps after the network; or polygons, without the
            packages that write them.
    """
    fix = "Leave it out. Of a GeoTIFF that fits into memory: --set predict.geotiff=false."
    for flag, given in (("--overlay", overlay), ("--probabilities", probabilities)):
        if given:
            raise RecipeError(
                flag,
                found=f"is given for the raster {source}",
                allowed="of rasters there are masks, confidence and polygons",
                fix=fix,
            )
    if asked.polygons and not (find_spec("shapely") and find_spec("pyogrio")):
        raise RecipeError(
            "predict.polygons",
            found=f"is {asked.polygons!r}",
            allowed="polygons are made by shapely and pyogrio, which are not both there",
            fix="Install them with `pip install 'atrous[geo]'`.",
        )
    if predictor.postprocess:
        raise RecipeError(
            "postprocess",
            found=f"has steps, and {source} is a raster",
            allowed="steps look at whole pictures, and a raster is never whole in memory",
            fix="Add --set 'postprocess=[]'. Of a GeoTIFF that fits into memory: "
            "--set predict.geotiff=false.",
        )
