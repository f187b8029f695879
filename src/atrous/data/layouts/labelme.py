"""labelme: `x.json` with shapes beside `x.jpg`, or pictures and JSON files in two folders.

Shapes are painted in the order of the file, as labelme's own programs do. What is called
`__ignore__` is ignored, and `_background_` is the background. Of folders with the name of a split
the outermost says which split a file is of.
"""

import base64
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from atrous.classes import IGNORE
from atrous.data.images import is_image
from atrous.data.layouts.annotations import (
    brief,
    class_names,
    lines_of,
    no_picture,
    points,
    size_of,
    unknown_class,
    words,
)
from atrous.data.layouts.json_parts import head, read_json, unreadable
from atrous.data.layouts.pairs import (
    UNDIVIDED,
    Found,
    Pair,
    Pool,
    files_below,
    folders,
    plain,
    split_name,
)
from atrous.data.layouts.paths import Pictures, shared
from atrous.data.shapes import Drawing, Polygon, Shape, circle, line, point, rectangle, stamp
from atrous.errors import DataError
from atrous.types import Size

FORM = "x.json beside x.jpg, or in another folder (labelme)"
LIST = "labels.txt"
IGNORED, IGNORED_LABEL = "__ignore__", -1
UNDRAWN = "_background_"
_KEYS = re.compile(r'^\s*\{.*"(shapes|imagePath|imageData)"\s*:', re.DOTALL)
_LOOKED_AT = 40  # files that may be something else before a folder is taken for another's
_LEVELS, _WIDTH = 4, 1000  # of folders that are searched for a first file


def recognise(root: Path) -> Found | None:
    """The pools of labelme's files below a folder; None if there are none."""
    if not any(map(_is_labelme, islice(_samples(root), _LOOKED_AT))):
        return None
    files = [path for path in files_below(root) if path.suffix.lower() == ".json"]
    pictures = Pictures(root)
    pools = _pools(files, pictures)
    if not any(pool.masks or pool.problems for pool in pools.values()):
        return None
    labels, note = _labels(root, (path for pool in pools.values() for path in pool.masks.values()))
    classes = class_names(label for label in labels if label != IGNORED)
    return Found(
        "labelme",
        pools,
        names=classes.names,
        remap={IGNORED_LABEL: IGNORE},
        notes=(note,),
        drawings=LabelmeDrawings({**classes.places, UNDRAWN: 0, IGNORED: IGNORED_LABEL}),
        unlabelled=pictures.beside(p for pool in pools.values() for p in pool.images.values()),
    )


@dataclass(frozen=True)
class LabelmeDrawings:
    """The shapes of a picture; `labels` are class indices by name."""

    labels: dict[str, int]

    def __call__(self, pair: Pair) -> Drawing:
        """What is painted of a picture.

        Raises:
            DataError: the file is no labelme file, or a shape is of no class or no known kind.
        """
        content = _content(pair.mask)
        size = size_of(content.get("imageHeight"), content.get("imageWidth"))
        shapes = content.get("shapes")
        if not isinstance(shapes, list):
            raise unreadable(pair.mask, "has no list of shapes")
        drawn = [s for i, shape in enumerate(shapes, 1) for s in self._drawn(shape, i, size, pair)]
        return Drawing(size, tuple(drawn))

    def _drawn(self, shape: Any, number: int, size: Size | None, pair: Pair) -> Iterable[Shape]:
        what = f"shape {number}"
        if not isinstance(shape, dict):
            raise unreadable(pair.mask, f"{what} is {brief(shape)}, not a table")
        name = words(shape.get("label"))
        if name not in self.labels:
            known = [label for label in self.labels if label not in (IGNORED, UNDRAWN)]
            raise unknown_class(pair.mask, what, shape.get("label"), known)
        return _painted(shape, self.labels[name], f"{what} ({brief(name)})", size, pair.mask)


def _painted(
    shape: dict[str, Any], label: int, what: str, size: Size | None, where: Path
) -> Iterable[Shape]:
    at = points(shape.get("points"), where, what)
    match shape.get("shape_type") or "polygon":
        case "polygon" | "oriented_rectangle":
            return [Polygon(label, (at,), "centre")]
        case "rectangle":
            return [rectangle(label, at)]
        case "circle":
            return [circle(label, at)]
        case "line" | "linestrip":
            return line(label, at)
        case "point" | "points":
            return [point(label, each) for each in at]
        case "mask" if len(at):
            return [stamp(label, at[0], _png(shape.get("mask"), size, what, where), where=where)]
        case kind:
            raise unreadable(where, f"{what} is of the unknown kind {brief(kind)}")


def _png(text: Any, size: Size | None, what: str, where: Path) -> bytes:
    """The bytes of a PNG in base64 that is no larger than its picture."""
    try:
        content = base64.b64decode(text)
    except (ValueError, TypeError) as error:
        raise unreadable(where, f"{what} has a mask that is no base64 ({error})") from None
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
    if size and width * height > size[0] * size[1]:
        raise unreadable(where, f"{what} has a mask of {width} x {height}, beyond its picture")
    return content


def _content(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if isinstance(content, dict):
        return content
    raise unreadable(path, f"holds {brief(content)}, not a table")


def _samples(root: Path) -> Iterator[Path]:
    """JSON files of the upper folders, so that no disk is searched for what is not there."""
    level = [root]
    for _ in range(_LEVELS):
        for folder in level:
            yield from sorted(folder.glob("*.[jJ][sS][oO][nN]"))
        level = [below for folder in level for below in _folders(folder)][:_WIDTH]


def _folders(folder: Path) -> list[Path]:
    try:
        return folders(folder)
    except OSError:  # one that may not be read
        return []


def _is_labelme(path: Path) -> bool:
    return bool(_KEYS.match(head(path)))


def _pools(files: list[Path], pictures: Pictures) -> dict[str, Pool]:
    """Pools by the folders that are called as splits are; if a file is in none, none counts."""
    by_split: dict[str, list[Path]] = {}
    for path in files:
        by_split.setdefault(_place(path, pictures.root).split, []).append(path)
    outside = by_split.pop(UNDIVIDED, [])
    if not by_split or any(map(_is_labelme, outside)):
        return {UNDIVIDED: _pool(files, pictures, divided=False)}
    return {split: _pool(own, pictures, divided=True) for split, own in by_split.items()}


class _Place(NamedTuple):
    """The split that a folder on the way to a file says, "" for none, and the folders below it."""

    split: str
    folders: list[str]


def _place(path: Path, root: Path, *, divided: bool = True) -> _Place:
    folders = [plain(part) for part in path.relative_to(root).parent.parts]
    for depth, folder in enumerate(folders if divided else (), 1):
        if split := split_name(folder):
            return _Place(split, folders[depth:])
    return _Place(UNDIVIDED, folders)


def _pool(files: list[Path], pictures: Pictures, *, divided: bool) -> Pool:
    owner: dict[Path, Path] = {}  # the file of each picture
    problems = []
    for path in files:
        image = _picture(path, pictures)
        if isinstance(image, DataError):
            problems.append(image)
        elif image and owner.setdefault(image, path) != path:
            problems.append(_second(path, owner[image], image))
    names = _names(owner, pictures.root, divided=divided)
    images = {names[path]: image for image, path in owner.items()}
    masks = {names[path]: path for path in owner.values()}
    return Pool(images, masks, problems=tuple(problems))


def _names(owner: dict[Path, Path], root: Path, *, divided: bool) -> dict[Path, str]:
    """The name of each file: its path below the folder of its split, or below `root`.

    Where pictures lie in other folders, only the folders count that both have, unless two files
    would then have one name.
    """
    short, whole = {}, {}
    for image, path in owner.items():
        files = (path, image)
        own, its = (_place(p, root, divided=divided).folders for p in files)
        first = shared(own, its)
        last = shared(own[first:][::-1], its[first:][::-1])
        short[path] = "/".join([*own[:first], *own[len(own) - last :], plain(path.stem)])
        whole[path] = "/".join([*own, plain(path.stem)])
    times = Counter(short.values())
    taken: dict[str, Path] = {}
    for path, name in short.items():
        name = name if times[name] == 1 else whole[path]
        taken[name if name not in taken else name + path.suffix] = path
    return {path: name for name, path in taken.items()}


def _picture(path: Path, pictures: Pictures) -> Path | DataError | None:
    """The picture of a file, None if it is no labelme file; or what is wrong.

    A picture called as the file is comes before the one that the file names: people rename
    both. But `x.png.json` may be that of `x.png` and of `x.png.jpg`, so what it names counts.
    """
    root, folder = pictures.root, path.parent
    if is_image(Path(path.stem)) and _is_labelme(path):
        named = _named_in(path, pictures)
        if isinstance(named, Path):
            return named
    text = path.relative_to(root).with_suffix("").as_posix()
    found = pictures.find(text, near=folder, base=root, split=_place(path, root).split)
    if len(found) == 1:
        return found[0]
    return _named_in(path, pictures) if _is_labelme(path) else None


def _named_in(path: Path, pictures: Pictures) -> Path | DataError:
    """The picture that a file names, where none is called as the file is; or what is wrong."""
    try:
        content = _content(path)
    except DataError as error:
        return error
    text = content.get("imagePath")
    text = text if isinstance(text, str) else path.stem
    root, folder = pictures.root, path.parent
    place = f"{folder.relative_to(root).as_posix()}/{text}"
    found = pictures.find(place, near=folder, base=root, split=_place(path, root).split)
    if len(found) == 1:
        return found[0]
    if found or not isinstance(content.get("imageData"), str):
        return no_picture(path, text, "it", found)
    return DataError(
        path,
        found=f"holds its picture inside, and {brief(text)} is not there",
        allowed="pictures are files of their own",
        fix="Write it out with labelme_export_json, and put it beside the file.",
        code="S101",
    )


def _second(path: Path, first: Path, image: Path) -> DataError:
    return DataError(
        path,
        found=f"is for {image.name}, as {first.parent.name}/{first.name} is",
        allowed="each picture has one annotation file",
        fix="Remove one of the two.",
        code="S103",
    )


def _labels(root: Path, files: Iterable[Path]) -> tuple[list[str], str]:
    """The labels in their order, and a note on where they are from.

    labelme's own examples have their list beside the folder that they name.
    """
    for path in (root / LIST, root.resolve().parent / LIST):
        lines = [*map(words, lines_of(path))] if path.is_file() else []
        if lines and (path.parent == root or lines[0] in (IGNORED, UNDRAWN)):
            return lines, f"Class names are those of {LIST}."
    labels = sorted({label for path in files for label in _labels_in(path)})
    return labels, "Class names are those of the shapes, by the alphabet."


def _labels_in(path: Path) -> set[str]:
    """The labels of a file; none if it cannot be read, which is said when it is drawn."""
    try:
        shapes = _content(path).get("shapes")
    except DataError:
        return set()
    shapes = shapes if isinstance(shapes, list) else []
    labels = [shape.get("label") for shape in shapes if isinstance(shape, dict)]
    return {word for label in labels if (word := words(label))}
