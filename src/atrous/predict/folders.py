"""Which pictures are predicted, and where each mask goes: planned whole before the first write."""

import glob
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from atrous.data.images import is_image
from atrous.errors import DataError, RunError


class Job(NamedTuple):
    """A picture, its mask to be (a file, or a folder of planes), and the overlay beside it."""

    image: Path
    mask: Path
    overlay: Path
    planes: tuple[Path, ...] = ()


def plan(inputs: Iterable[str | Path], out: Path, *, planes: Sequence[str] = ()) -> list[Job]:
    """The jobs for pictures, folders (searched through) and globs.

    The mask of `FOLDER/a/b.jpg` is `OUT/a/b.png`, its overlay `OUT/overlay/a/b.jpg`. With the
    names of `planes` the mask is a folder of them, `OUT/a/b/PLANE.png`.

    Raises:
        DataError: nothing to do, or an input that is not there.
        RunError: two pictures want one mask, or a mask would replace a picture.
    """
    found = [pair for text in inputs for pair in _pictures(str(text), out.resolve())]
    if not found:
        raise _nothing(", ".join(str(text) for text in inputs) or "predict")
    jobs: dict[Path, Job] = {}
    owner: dict[Path, Job] = {}
    for image, relative in found:
        mask = out / relative.with_suffix("" if planes else ".png")
        overlay = out / "overlay" / relative.with_suffix(".jpg")
        job = Job(image, mask, overlay, tuple(mask / f"{name}.png" for name in planes))
        for path in (job.mask, *job.planes):
            earlier = owner.setdefault(path, job)
            if earlier.image.resolve() != image.resolve():
                raise _collision(path, earlier, job)
        jobs.setdefault(job.mask, job)
    _refuse_sources(jobs.values())
    return list(jobs.values())


def _pictures(text: str, out: Path) -> list[tuple[Path, Path]]:
    """Pictures that an input names, each with its path below what was given; none of `out`."""
    path = Path(text)
    if path.is_dir():
        files = (file for file in sorted(path.rglob("*")) if file.is_file() and is_image(file))
        written = path.resolve() != out
        files = (f for f in files if not (written and f.resolve().is_relative_to(out)))
        return [(file, file.relative_to(path)) for file in files]
    if path.exists():
        return [(path, Path(path.name))]
    matches = (Path(match) for match in sorted(glob.glob(text, recursive=True)))
    found = [(match, Path(match.name)) for match in matches if match.is_file() and is_image(match)]
    if not found:
        raise _nothing(text)
    return found


def _refuse_sources(jobs: Iterable[Job]) -> None:
    sources = {job.image.resolve() for job in jobs}
    for job in jobs:
        for target in (*(job.planes or (job.mask,)), job.overlay):
            if target.resolve() in sources:
                raise RunError(
                    target,
                    found="is one of the pictures to predict",
                    allowed="a picture is never written over",
                    fix="Give another --out.",
                )


def _nothing(where: str) -> DataError:
    return DataError(
        where,
        found="names no picture",
        allowed="inputs are pictures, folders with pictures, or globs",
        fix="Check the path; quote a glob so that the shell leaves it alone.",
    )


def _collision(path: Path, one: Job, other: Job) -> RunError:
    return RunError(
        path,
        found=f"would be the mask of both {one.image} and {other.image}",
        allowed="each picture needs a mask of its own",
        fix="Predict them into different folders.",
    )
