"""Prediction: engines, the predictor for one image, and the command for many files.

Many files are worked at at once (`flow`). What is finished is not done again, what is
half-written has no final name (`outputs`), several processes may share a folder (`folders`), and
the workers of a cluster may do it all (`cluster`).
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Unpack

from atrous.callable_module import make_callable
from atrous.errors import AtrousError, DataError, RunError
from atrous.files import PATIENCE, TEMPORARY, claimed, refusals_told, remove_leftovers
from atrous.types import Tell, Track

if TYPE_CHECKING:
    from atrous.predict.cluster import Cluster
    from atrous.predict.folders import Found, Job, Shard, Wanted
    from atrous.predict.outcomes import Outcome
    from atrous.predict.predictor import Loading, Predictor
    from atrous.predict.raster import Asked, Predicting


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
    ray: str = "",
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
    colours (`palettes`). `ray` is the address of a Ray cluster whose workers do it, or `local`
    (docs/deploy.md). `options` are those of `load`, and of rasters. `track` wraps the sequence
    of jobs, `watch` that of the regions of a raster, `follow` one as long as a video has frames, to
    show progress; `tell` is given lines for a person.

    Raises:
        DataError: nothing to do, or names of classes that collide as files.
        RunError: names of pictures that collide, a folder that cannot be written to, holds other
            predictions or files in their place, or is being written to by another process.
        WeightsError: the model answers for no picture at all.
        RecipeError: an option that cannot be followed.
    """
    from atrous.predict.folders import Wanted, lanes_wanted, shard_of
    from atrous.predict.note import about_masks, mark
    from atrous.predict.outcomes import How, Shown, outcomes
    from atrous.predict.raster import take_asked
    from atrous.predict.video.walk import checked_pace

    out, part = Path(out), shard_of(shard)
    wanted, shown = Wanted(overlay, probabilities, confidence), Shown(track, watch, follow, tell)
    found = _found(inputs, out, options, tell)
    asked = take_asked(options, confidence=confidence, shard=part)
    pace = checked_pace(every, smoothing)
    with _cluster(ray, options, part) as cluster:
        predictor = _loaded(run_or_file, options, palette, pictures=lanes_wanted(found, part))
        jobs = _planned(found, out, predictor, wanted, run_or_file, asked=asked)
        tell(predictor.note)
        about = {**about_masks(predictor, options.get("output_stride", 0)), **pace.facts()}
        with _place(out, part) as within:
            mark(out, about, jobs, wanted, within=within)
            own, how = part.of(jobs), How(wanted, asked, pace, about, within)
            if cluster:
                done = cluster.outcomes(own, predictor, run_or_file, options, how, shown)
            else:
                done = outcomes(own, predictor, how, shown)
            return _told(done, out, predictor, within=within)


def _found(
    inputs: str | Path | Sequence[str | Path], out: Path, options: "Predicting", tell: Tell
) -> "Found":
    """The pictures of the inputs; what is said of finding them is taken out of the options."""
    from atrous.predict.folders import pictures

    inputs = [inputs] if isinstance(inputs, str | Path) else inputs
    geotiff, remote = options.pop("geotiff", True), options.pop("remote", False)
    found = pictures(inputs, out, geotiff=geotiff, remote=remote)
    return found if find_spec("rasterio") else _without_geotiffs(found, tell)


def _loaded(
    run_or_file: str | Path, options: "Loading", palette: str | Path | None, *, pictures: int
) -> "Predictor":
    """The predictor for so many pictures at once, with other colours if some are given."""
    from atrous.predict.flow import lanes_for
    from atrous.predict.predictor import load

    options.setdefault("lanes", lanes_for(options.get("threads", 0), pictures=pictures))
    predictor = load(run_or_file, **options)
    if palette is None:
        return predictor
    from atrous.predict.palettes import recoloured

    return replace(predictor, classes=recoloured(predictor.classes, palette))


@contextmanager
def _cluster(address: str, options: "Loading", part: "Shard") -> Iterator["Cluster | None"]:
    """The cluster that is asked for, if one is."""
    if not address:
        yield None
        return
    from atrous.predict.cluster import hired

    with hired(address, options, part) as cluster:
        cluster.settle(options)
        yield cluster


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


def _told(
    done: Sequence[tuple["Job", "Outcome"]], out: Path, predictor: "Predictor", *, within: Path
) -> Predicted:
    """Bring the shares of `out` up to date, and tell what became of the jobs."""
    from atrous.predict.shares import FILE, update_shares

    rows = {job.name: row for job, row in done if row and not isinstance(row, AtrousError)}
    with claimed(out, patience=PATIENCE), refusals_told(out / FILE):
        update_shares(out, rows, predictor.classes, within=within)
    failures = tuple(error for _, error in done if isinstance(error, AtrousError))
    if failures and not rows and not any(isinstance(error, DataError) for error in failures):
        raise failures[0]  # not the pictures are wrong
    return Predicted(tuple(job.mask for job, _ in done if job.name in rows), failures)


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
