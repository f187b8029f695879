"""Which pictures are predicted, and where what is written goes: planned before the first write."""

import glob
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from atrous.data.images import is_image
from atrous.errors import DataError, RecipeError, RunError


class Wanted(NamedTuple):
    """What is written of a picture beside its mask."""

    overlay: bool = False
    probabilities: bool = False
    confidence: bool = False


MASKS = Wanted()  # nothing else


class Job(NamedTuple):
    """A picture and the files that may be made of it; the mask may be a folder of planes.

    `name` is the picture's path below what was given, with `/`.
    """

    image: Path
    name: str
    mask: Path
    planes: tuple[Path, ...]
    overlay: Path
    probabilities: Path
    confidence: Path

    def files(self, wanted: Wanted) -> tuple[Path, ...]:
        """The files that make it finished."""
        beside = (self.overlay, self.probabilities, self.confidence)
        return (
            *(self.planes or (self.mask,)),
            *(f for f, w in zip(beside, wanted, strict=True) if w),
        )


class Shard(NamedTuple):
    """The part that one of several machines does: its number, from 1, and how many there are."""

    number: int = 1
    total: int = 1

    def of(self, jobs: Sequence[Job]) -> list[Job]:
        """Its jobs; together the shards have all of them, each one once."""
        return [*jobs[self.number - 1 :: self.total]]


def shard_of(text: str) -> Shard:
    """The shard that `I/N` names.

    Example:
        >>> shard_of("2/4")
        Shard(number=2, total=4)

    Raises:
        RecipeError: it names none.
    """
    number, slash, total = text.partition("/")
    if slash and number.strip().isdecimal() and total.strip().isdecimal():
        shard = Shard(int(number), int(total))
        if 1 <= shard.number <= shard.total:
            return shard
    raise RecipeError(
        "--shard",
        found=f"is {text!r}",
        allowed="it is I/N, the part I, from 1 to N, of N",
        fix="Write 2/4 for the second of four machines.",
    )


def pictures(inputs: Iterable[str | Path], out: Path) -> list[tuple[Path, Path]]:
    """The pictures of files, folders (searched through) and globs; none of those in `out`.

    Each with its path below what was given.

    Raises:
        DataError: there are none, or an input is not there.
    """
    inputs = [*inputs]
    found = [pair for text in inputs for pair in _pictures(str(text), out.resolve())]
    if not found:
        raise _nothing(", ".join(str(text) for text in inputs) or "predict")
    return found


def plan(
    found: Iterable[tuple[Path, Path]],
    out: Path,
    *,
    planes: Sequence[str] = (),
    wanted: Wanted = MASKS,
) -> list[Job]:
    """The jobs for what `pictures` found, in the order of their names.

    The mask of `FOLDER/a/b.jpg` is `OUT/a/b.png`, its overlay `OUT/overlay/a/b.jpg`, and so on.
    With the names of `planes` the mask is a folder of them, `OUT/a/b/PLANE.png`.

    Raises:
        RunError: two pictures want one file, or one would replace a picture.
    """
    jobs: dict[Path, Job] = {}
    owner: dict[Path, Job] = {}
    for image, relative in found:
        job = _job(image, relative, out, planes)
        for path in dict.fromkeys((job.mask, *job.files(wanted))):
            earlier = owner.setdefault(path, job)
            if earlier is not job and earlier.image.resolve() != image.resolve():
                raise _collision(path, earlier, job)
        jobs.setdefault(job.mask, job)
    _refuse_sources(jobs.values(), wanted)
    return sorted(jobs.values(), key=lambda job: job.name)


def _job(image: Path, relative: Path, out: Path, planes: Sequence[str]) -> Job:
    mask = out / relative.with_suffix("" if planes else ".png")
    return Job(
        image,
        relative.as_posix(),
        mask,
        tuple(mask / f"{name}.png" for name in planes),
        overlay=out / "overlay" / relative.with_suffix(".jpg"),
        probabilities=out / "probabilities" / relative.with_suffix(".npy"),
        confidence=out / "confidence" / relative.with_suffix(".png"),
    )


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


def _refuse_sources(jobs: Iterable[Job], wanted: Wanted) -> None:
    sources = {job.image.resolve() for job in jobs}
    for job in jobs:
        for target in job.files(wanted):
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
    what = "the mask" if path in (other.mask, *other.planes) else "a file"
    return RunError(
        path,
        found=f"would be {what} of both {one.image} and {other.image}",
        allowed="each picture needs a mask and files of its own",
        fix="Predict them into different folders.",
    )
