"""Which pictures are predicted, and where what is written goes: planned before the first write.

A folder may hold a hundred thousand pictures, so paths are text here until one is asked for.
"""

import glob
import os
import posixpath
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch
from functools import cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import urlsplit

from atrous.data.images import is_image
from atrous.data.rasters import is_address, is_raster
from atrous.errors import DataError, RecipeError, RunError
from atrous.predict.flow import MOST_LANES
from atrous.predict.jobs import MASKS, Job, Wanted
from atrous.predict.video.containers import SUFFIXES, is_video

ONE_CASE = sys.platform in ("darwin", "win32")  # A.png and a.png are one file, by their defaults


class Shard(NamedTuple):
    """The part that one of several machines does: its number, from 1, and how many there are."""

    number: int = 1
    total: int = 1

    def of(self, jobs: Sequence[Job]) -> list[Job]:
        """Its jobs; together the shards have each picture once, and all a part of each raster."""
        pictures = [job for job in jobs if not job.is_raster]
        rasters = [job for job in jobs if job.is_raster]
        return pictures[self.number - 1 :: self.total] + rasters


def lanes_wanted(found: "Found", shard: Shard) -> int:
    """How many pictures there may be to show to an engine at once."""
    if any(picture.is_video for picture in found.pictures):
        return MOST_LANES
    return -(-sum(not picture.is_raster for picture in found.pictures) // shard.total)


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


class Picture(NamedTuple):
    """A picture, its path below what was given, with `/`, and where it really lies."""

    image: Path
    name: str
    real: str
    is_raster: bool = False
    address: str = ""
    is_video: bool = False


class Search(NamedTuple):
    """A folder that is searched, where it really lies, and the pattern of what is found there."""

    root: str
    pattern: tuple[str, ...] = ("**",)

    def finds(self, real: str) -> bool:
        """Whether a file of this path would be found."""
        below = os.path.join(self.root, "")
        parts = real.removeprefix(below).split(os.sep)
        source = is_image(Path(real)) or Path(real).suffix.lower() in SUFFIXES
        return real.startswith(below) and source and _fits(parts, self.pattern)


class Found(NamedTuple):
    """Pictures, and the searches that found them."""

    pictures: list[Picture]
    searches: list[Search]


def pictures(
    inputs: Iterable[str | Path], out: Path, *, geotiff: bool = False, remote: bool = False
) -> Found:
    """The pictures and videos of files, folders (searched through), globs; `remote`: of addresses.

    Those in `out` are left out where it lies inside what is searched: they are masks. Those too
    large for memory are rasters; with `geotiff` so are those that are georeferenced.

    Raises:
        DataError: there are none, or an input is not there.
    """
    inputs, place = [*map(str, inputs)], _real(out)
    parts = [_pictures(text, place, remote=remote) for text in inputs]
    found = Found(
        [
            picture
            if picture.is_video or picture.is_raster
            else picture._replace(is_raster=is_raster(picture.image, geotiff))
            for part in parts
            for picture in part.pictures
        ],
        [search for part in parts for search in part.searches],
    )
    if not found.pictures:
        raise _nothing(", ".join(inputs) or "predict")
    return found


def plan(
    found: Found,
    out: Path,
    *,
    planes: Sequence[str] = (),
    wanted: Wanted = MASKS,
    polygons: str = "",
) -> list[Job]:
    """The jobs for what `pictures` found, in the order of their names.

    The mask of `FOLDER/a/b.jpg` is `OUT/a/b.png`, its overlay `OUT/overlay/a/b.jpg`, and so on.
    With the names of `planes` the mask is a folder of them, `OUT/a/b/PLANE.png`. That of a raster
    is `OUT/a/b.tif`, and beside it may be a file of `polygons`; those of a video are in `OUT/a/b/`.

    Raises:
        RunError: two pictures want one file, one would replace a picture, or be taken for one
            when the same command is given again.
    """
    jobs: dict[str, Job] = {}
    owner: dict[str, Picture] = {}
    for picture in sorted(found.pictures, key=lambda picture: picture.name):
        job = Job(picture.image, picture.name, out, tuple(planes))
        if picture.is_raster:
            raster = {"is_raster": True, "address": picture.address, "polygons": polygons}
            job = job._replace(plane_names=(), **raster)
        elif picture.is_video:
            job = job._replace(is_video=True)
        for target in (*job.folders, *job.targets(wanted)):
            earlier = owner.setdefault(_folded(target), picture)
            if earlier.real != picture.real:
                raise _collision(out / target, earlier, picture, job)
        jobs.setdefault(_folded(str(job.mask)), job)
    _refuse_shared(jobs.values(), owner)
    _refuse_pictures(owner, found, out)
    return [*jobs.values()]


def _refuse_shared(jobs: Iterable[Job], owner: dict[str, Picture]) -> None:
    """Refuse files of others in the folder of a video, which is made as one."""
    videos = [job for job in jobs if job.is_video]
    inside = {_folded(folder): job for job in videos for folder in job.folders}
    for target, picture in owner.items() if videos else ():
        for folder in map(str, PurePosixPath(target).parents):
            job = inside.get(folder)
            if job and job.image != picture.image:
                raise _collision(job.out / target, picture, owner[folder], job)


def first_there(jobs: Iterable[Job], wanted: Wanted) -> Path | None:
    """A file of the jobs that is there already; each folder is listed once."""
    names = cache(_names)
    for job in jobs:
        for target in job.targets(wanted):
            folder, _, name = target.rpartition("/")
            if _folded(name) in names(os.path.join(job.out, folder)):
                return job.out / target
    return None


def _names(folder: str) -> frozenset[str]:
    try:
        return frozenset(map(_folded, os.listdir(folder)))
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()


def _pictures(text: str, out: str, *, remote: bool) -> Found:
    """Pictures that an input names, and the search for them."""
    if is_address(text):
        return Found([_elsewhere(text, remote)], [])
    path = Path(text)
    if path.is_dir():
        search = Search(_real(path))
        return Found([*_walk(str(path), search.root, "", out)], [search])
    if path.exists():
        return Found([Picture(path, path.name, _real(path), is_video=is_video(path))], [])
    if glob.has_magic(text):
        search = _search(path)
        if found := [*_matches(text, search.root, out)]:
            return Found(found, [search])
    raise _nothing(text)


def _matches(pattern: str, root: str, out: str) -> Iterator[Picture]:
    """Pictures that a glob names; none of `out` where it lies below the root of the glob."""
    real, apart = cache(_real), _is_below(out, root)
    for path in map(Path, glob.glob(pattern, recursive=True)):
        if (apart and _is_in(real(path.parent), out)) or not (kind := _kind(path)):
            continue
        place = os.path.join(real(path.parent), _folded(path.name))
        place = _real(path) if path.is_symlink() else place
        yield Picture(path, path.name, place, is_video=kind == "video")


def _walk(folder: str, real: str, prefix: str, out: str) -> Iterator[Picture]:
    """Pictures in a folder and those below; not of `out`, nor through links to folders.

    Raises:
        DataError: a folder may not be searched.
    """
    try:
        with os.scandir(folder) as listing:
            entries = [*listing]
    except PermissionError as error:
        raise DataError(
            folder,
            found=f"cannot be searched ({error.strerror})",
            allowed="a folder that is given is searched through",
            fix="Get permission, or give the folders beside it, or a glob.",
        ) from None
    for entry in entries:
        name, place = f"{prefix}{entry.name}", os.path.join(real, _folded(entry.name))
        if entry.is_dir(follow_symlinks=False):
            if place != out:
                yield from _walk(entry.path, place, f"{name}/", out)
        elif kind := _kind(entry):
            place = _real(entry.path) if entry.is_symlink() else place
            yield Picture(Path(entry.path), name, place, is_video=kind == "video")


def _kind(entry: "os.DirEntry[str] | Path") -> str:
    """What a file is that was found: a picture, by its name, or a video; else nothing."""
    if is_image(Path(entry.name)):
        return "picture" if entry.is_file() else ""
    return "video" if is_video(Path(entry), given=False) else ""


def _search(pattern: Path) -> Search:
    """What a glob searches: its parts without a wildcard, and those from the first one on."""
    parts = pattern.parts
    first = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return Search(_real(Path(*parts[:first])), tuple(map(_folded, parts[first:])))


def _fits(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether `glob` would find a path by a pattern, each in parts."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_fits(parts[i:], pattern[1:]) for i in range(len(parts) + 1))
    return bool(parts) and fnmatch(parts[0], pattern[0]) and _fits(parts[1:], pattern[1:])


def _refuse_pictures(targets: Iterable[str], found: Found, out: Path) -> None:
    """Refuse files that are pictures to predict, or would be when the command is given again."""
    sources = {picture.real for picture in found.pictures}
    place = _real(out)
    searches = [search for search in found.searches if not _is_below(place, search.root)]
    near = _near(targets, out, {*map(os.path.dirname, sources)}, searches)
    parts = ((target, *target.rpartition("/")) for target in targets if near)
    files = {os.path.join(near[at], name): out / t for t, at, _, name in parts if at in near}
    for real, file in files.items():
        if real in sources:
            raise _not_there(
                file, "is one of the pictures to predict", "a picture is never written over"
            )
    for real, file in files.items():
        if any(search.finds(real) for search in searches):
            found_next = "would be one of the pictures when the same command is given again"
            raise _not_there(file, found_next, "masks lie where no picture is searched for")


def _near(
    targets: Iterable[str], out: Path, sources: set[str], searches: Sequence[Search]
) -> dict[str, str]:
    """Where the folders of targets really lie, of those that hold pictures or are searched."""
    places = {at: _real(out / at) for at in {target.rpartition("/")[0] for target in targets}}
    return {
        at: place
        for at, place in places.items()
        if place in sources or any(_is_in(place, search.root) for search in searches)
    }


def _real(path: str | Path) -> str:
    return _folded(os.path.realpath(path))


def _folded(name: str) -> str:
    """A name that is the same for all that name one file."""
    return unicodedata.normalize("NFC", name).casefold() if ONE_CASE else name


def _is_in(place: str, folder: str) -> bool:
    return place == folder or _is_below(place, folder)


def _is_below(place: str, folder: str) -> bool:
    return place != folder and place.startswith(os.path.join(folder, ""))


def _not_there(file: Path, found: str, allowed: str) -> RunError:
    fix = "Give another --out; it may be a folder inside that of the pictures."
    return RunError(file, found=found, allowed=allowed, fix=fix)


def _nothing(where: str) -> DataError:
    return DataError(
        where,
        found="names no picture",
        allowed="inputs are pictures or videos on this machine, folders with them, or globs",
        fix="Check the path; quote a glob so that the shell leaves it alone.",
    )


def _elsewhere(address: str, remote: bool) -> Picture:
    """A raster on another machine, under the last part of its address."""
    name = posixpath.basename(urlsplit(address).path)
    if remote and is_image(Path(name)):
        return Picture(Path(name), name, address, is_raster=True, address=address)
    raise DataError(
        address,
        found="is not a picture on this machine",
        allowed="those of others are fetched only if that is asked for",
        fix="Add --set predict.remote=true, or fetch it first.",
    )


def _collision(path: Path, one: Picture, other: Picture, job: Job) -> RunError:
    what = "the mask" if path in (job.mask, *job.planes) else "a file"
    return RunError(
        path,
        found=f"would be {what} of both {one.image} and {other.image}",
        allowed="each picture needs a mask and files of its own",
        fix="Predict them into different folders.",
    )
