"""YOLO, as Ultralytics and Roboflow have it: `x.txt` in `labels/` with a polygon in each line.

A line is `class x1 y1 x2 y2 ...`, x and y from 0 to 1 across the picture. A point means the pixel
that it lies in, and the outline belongs to the region: so Ultralytics draws it.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from atrous.data.images import is_image, read_header
from atrous.data.layouts.annotations import (
    brief,
    class_names,
    lines_of,
    only_boxes,
    unknown_class,
    whole_number,
    words,
)
from atrous.data.layouts.json_parts import head, read_text, unreadable
from atrous.data.layouts.pairs import (
    UNDIVIDED,
    Files,
    Found,
    Pair,
    Pool,
    named,
    pictures,
    plain,
    relative,
    split_folders,
)
from atrous.data.layouts.yolo_yaml import DataYaml, place, read_yaml
from atrous.data.shapes import Drawing, Polygon
from atrous.errors import DataError
from atrous.types import Size

FORM = "data.yaml, images/train/x.jpg and labels/train/x.txt with polygons (YOLO)"
_LINE = re.compile(
    r"^\d+(\.0*)?([ \t]+-?[\d.]+(e-?\d+)?){4,}[ \t\r]*$", re.IGNORECASE | re.MULTILINE
)
_LISTS = ("classes.txt", "labels.txt", "obj.names")  # of classes, where there is no data.yaml
_LOOKED_AT = 200  # files that may hold boxes before a set is taken for one of boxes
_BOX = 4  # numbers
_BEYOND = 1.0  # widths of the picture beyond it where a point is no mistake of a hand


def recognise(root: Path) -> Found | None:
    """The pools of a YOLO data set; None if there is none.

    Raises:
        DataError: `data.yaml` is not understood, or the labels are boxes only.
    """
    described = read_yaml(root)
    sources = described.sources if described else _sources(root)
    texts = _Texts()
    pools = {split: _pool(paths, root, texts) for split, paths in sources.items()}
    labels = [path for pool in pools.values() for path in pool.masks.values()]
    if not labels or not (described or any(map(_is_label, labels[:_LOOKED_AT]))):
        return None
    if _only_boxes(labels):
        if named(root, "masks"):
            return None
        raise only_boxes(described.path if described else root, "is of labels with")
    names, note = _names(root, labels, described)
    classes = class_names(names)
    drawings = YoloDrawings(tuple(classes.places[name] for name in names), classes.names)
    found = Found("YOLO", pools, names=classes.names, notes=(note,), drawings=drawings)
    return _with_empty(found, described) if described else found


@dataclass(frozen=True)
class YoloDrawings:
    """The polygons of a picture; `labels` are class indices by YOLO's number."""

    labels: tuple[int, ...]
    names: tuple[str, ...]

    def __call__(self, pair: Pair) -> Drawing:
        """What is painted of a picture; nothing if it has no text.

        Raises:
            DataError: its header cannot be read; a line is no polygon, or of no class.
        """
        if not _is_text(pair.mask):
            return Drawing(None, ())
        lines = read_text(pair.mask).split("\n")
        numbered = [(i, line.split()) for i, line in enumerate(lines, 1) if line.strip()]
        size = read_header(pair.image).size
        return Drawing(None, tuple(self._polygon(i, w, size, pair.mask) for i, w in numbered))

    def _polygon(self, line: int, given: list[str], size: Size, where: Path) -> Polygon:
        try:
            kind, *numbers = map(float, given)
        except ValueError:
            raise unreadable(
                where, f"line {line} holds what is no number ({brief(' '.join(given))})"
            ) from None
        number = whole_number(kind)
        if number is None or number >= len(self.labels):
            known = [f"{i} ({self.names[label]})" for i, label in enumerate(self.labels)]
            raise unknown_class(where, f"line {line}", given[0], known)
        if len(numbers) == _BOX:
            raise unreadable(where, f"line {line} is a box, not a polygon")
        if len(numbers) < 2 or len(numbers) % 2:
            raise unreadable(where, f"line {line} has {len(numbers)} numbers, no pairs of x and y")
        far = [v for v in numbers if not -_BEYOND <= v <= 1 + _BEYOND]
        if far:
            raise unreadable(
                where, f"line {line} has a point at {far[0]}, where 1 is the picture's end"
            )
        ring = np.array(numbers).reshape(-1, 2) * (size[1], size[0])
        return Polygon(self.labels[number], (ring,), "centre")


class _Texts:
    """The texts of pictures: `labels` in place of the last `images` in their paths."""

    def __init__(self) -> None:
        self._folders: dict[Path, Path] = {}
        self._inside: dict[Path, dict[str, Path]] = {}

    def of(self, picture: Path) -> Path | None:
        """The text of a picture; None if it has none."""
        return self.beside(picture).get(plain(picture.stem))

    def beside(self, picture: Path) -> dict[str, Path]:
        """The texts by name in the folder where that of a picture would lie."""
        here = picture.parent
        if here not in self._folders:
            self._folders[here] = _labels_folder(here)
        folder = self._folders[here]
        if folder not in self._inside:
            texts = folder.glob("*.[tT][xX][tT]") if folder.is_dir() else ()
            self._inside[folder] = {plain(p.stem): p for p in texts if p.name not in _LISTS}
        return self._inside[folder]


def _labels_folder(folder: Path) -> Path:
    for above in (folder, *folder.parents):
        labels = named(above.parent, "labels") if above.name.lower() == "images" else None
        if labels and (labels / folder.relative_to(above)).is_dir():
            return labels / folder.relative_to(above)
    return folder


def _sources(root: Path) -> dict[str, tuple[Path, ...]]:
    """Folders of pictures by split, of a data set without data.yaml."""
    images = named(root, "images")
    if images and named(root, "labels"):
        inside = split_folders(images)
        return {split: (path,) for split, path in inside.items()} or {UNDIVIDED: (images,)}
    parts = {
        split: (named(p, "images"), named(p, "labels")) for split, p in split_folders(root).items()
    }
    return {split: (images,) for split, (images, labels) in parts.items() if images and labels}


def _pool(sources: tuple[Path, ...], root: Path, texts: _Texts) -> Pool:
    """The pictures of folders and lists, and those of them that have a text."""
    images: dict[str, Path] = {}
    problems: list[DataError] = []
    for source in sources:
        files = pictures(source) if source.is_dir() else _listed(source, root)
        problems += files.problems
        images |= {
            name if name not in images else plain(relative(path, root)): path
            for name, path in files.by_name.items()
        }
    masks = {name: text for name, path in images.items() if (text := texts.of(path))}
    used = {*masks.values()}
    folders = (
        {path.parent: path for path in images.values()} if all(map(Path.is_dir, sources)) else {}
    )
    for picture in folders.values():
        lonely = [p for p in texts.beside(picture).values() if p not in used and _is_label(p)]
        problems += [_without_picture(path) for path in lonely]
    return Pool(images, masks, partial=True, problems=tuple(problems))


def _listed(path: Path, root: Path) -> Files:
    """The pictures of a list file, by their path."""
    found: dict[str, Path] = {}
    problems = []
    for text in lines_of(path):
        picture = place(root, text, path.parent, root)
        if picture and is_image(picture):
            found[plain(Path(relative(picture, root)).with_suffix("").as_posix())] = picture
        else:
            problems.append(_not_there(path, text))
    return Files(found, tuple(problems))


def _with_empty(found: Found, described: DataYaml) -> Found:
    """As Ultralytics reads it: a picture without a text holds background alone.

    A test split in which no picture has one is unlabelled; another such split is an error.
    """
    pools, empty, unlabelled = {}, 0, []
    missing = [
        _not_there(described.path, text)
        for s in ("train", "val")
        for text in described.missing.get(s, ())
    ]
    for split, pool in found.pools.items():
        if pool.masks:
            pools[split] = replace(
                pool,
                masks={name: pool.masks.get(name, described.path) for name in pool.images},
                partial=False,
            )
            empty += len(pool.images) - len(pool.masks)
        elif split == "test":
            unlabelled += pool.images.values()
        elif described.sources[split]:
            pools[split] = replace(pool, partial=False)
    first = next(iter(pools))
    pools[first] = replace(pools[first], problems=(*pools[first].problems, *missing))
    note = f"Pictures without a text, taken for background alone: {empty}."
    notes = (*found.notes, note) if empty else found.notes
    return replace(found, pools=pools, notes=notes, unlabelled=tuple(unlabelled))


def _names(
    root: Path, labels: list[Path], described: DataYaml | None
) -> tuple[tuple[str, ...], str]:
    """Class names, and a note on where they are from."""
    if described:
        return described.names, f"Class names are those of {described.path.name}."
    for path in (folder / name for name in _LISTS for folder in (root, root / "labels")):
        if path.is_file() and (names := tuple(map(words, lines_of(path)))):
            return names, f"Class names are those of {path.name}."
    highest = max(map(_highest, labels), default=0)
    return tuple(map(str, range(highest + 1))), "Class names are the numbers in the labels."


def _highest(path: Path) -> int:
    """The highest class of a file; 0 if it cannot be read, which is said when it is drawn."""
    numbers = re.findall(r"^\s*(\d{1,5})\s", head(path, 1 << 24), re.MULTILINE)
    return max(map(int, numbers), default=0)


def _is_text(path: Path) -> bool:
    return path.suffix.lower() == ".txt"


def _is_label(path: Path) -> bool:
    return bool(_LINE.search(head(path)))


def _only_boxes(labels: list[Path]) -> bool:
    boxes = 0
    for path in labels:
        counts = [len(line.split()) - 1 for line in head(path).split("\n") if line.strip()]
        if any(count > _BOX for count in counts):
            return False
        boxes += bool(counts)
        if boxes == _LOOKED_AT:
            return True
    return boxes > 0


def _without_picture(path: Path) -> DataError:
    return DataError(
        path,
        found="has no picture of the same name",
        allowed="each text belongs to a picture in images/",
        fix="Add the picture, or take the text out.",
        code="S102",
    )


def _not_there(where: object, text: str) -> DataError:
    return DataError(
        where,
        found=f"names {brief(text)}, which is not there",
        allowed="folders, lists and pictures lie where it says, or below the data set's folder",
        fix="Correct the path, or add what is missing.",
        code="S106",
    )
