"""What a COCO file lists: pictures, categories, and where in the file each annotation lies."""

import posixpath
import re
from array import array
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from atrous.data.images import is_image
from atrous.data.layouts.annotations import (
    brief,
    listed_twice,
    no_picture,
    one_line,
    words,
)
from atrous.data.layouts.json_parts import JsonFile, Part, Places, open_json, places, unreadable
from atrous.data.layouts.pairs import Pool, plain, relative, shown
from atrous.data.layouts.paths import Pictures, split_of
from atrous.errors import DataError

_EMPTY = re.compile(rb'"annotations"\s*:\s*\[\s*\]')
_ELSEWHERE = re.compile(r"([A-Za-z][\w+.-]*:)?/")  # paths of other machines, addresses
_NONE = "none"  # the supercategory of Roboflow's category 0, which stands for all and is not used


@dataclass
class CocoFile:
    """A COCO file, read once.

    `images` has file name and place of each picture by its id; `categories` name and
    supercategory. `outlines` counts annotations that have an outline or a mask, `boxes` those
    that have none, `panoptic` those that have segments in a PNG; `nonsense` entries that are
    none of these. `maps` has the PNG of a picture by its id.
    """

    json: JsonFile
    images: dict[Hashable, tuple[str, int, int]] = field(default_factory=dict)
    categories: dict[Hashable, tuple[str, str]] = field(default_factory=dict)
    maps: dict[Hashable, str] = field(default_factory=dict)
    used: set[Hashable] = field(default_factory=set)
    outlines: int = 0
    boxes: int = 0
    panoptic: int = 0
    nonsense: int = 0
    doubled: list[Hashable] = field(default_factory=list)
    _owners: "array[int]" = field(default_factory=lambda: array("q"))
    _places: "array[int]" = field(default_factory=lambda: array("q"))
    _crowds: "array[int]" = field(default_factory=lambda: array("b"))
    _ordinals: dict[Hashable, int] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return self.json.path

    @property
    def is_empty(self) -> bool:
        """Whether its list of annotations is empty: all of its pictures are background.

        Without that list nothing is known of them.
        """
        if self.outlines or self.boxes or self.panoptic:
            return False
        with self.json.open() as file:
            return bool(_EMPTY.search(file.read()))

    def class_names(self) -> dict[Hashable, str]:
        """The name of each category, in the order of their ids."""
        ids = sorted(self.categories, key=_by_number)
        if self._has_placeholder(ids):
            ids = ids[1:]
        return {key: self.categories[key][0] for key in ids}

    def strangers(self) -> list[Hashable]:
        """The ids of pictures that annotations name and no entry lists."""
        return [key for key in self._ordinals if key not in self.images]

    def places(self, rows: dict[str, int], row_of: dict[Hashable, int]) -> Places:
        """Places by picture: its own entry first, then crowds, then the other annotations."""
        rank = np.full(len(self._ordinals), -1)
        for key, row in row_of.items():
            if key in self._ordinals:
                rank[self._ordinals[key]] = row
        owners = rank[np.array(self._owners, np.int64)]
        spans = np.array(self._places, np.int64).reshape(-1, 2)
        crowds = np.array(self._crowds, np.int8)
        order = np.argsort(1 - crowds, kind="stable")
        entries = np.array([self.images[key][1:] for key in row_of], np.int64).reshape(-1, 2)
        spans = np.concatenate([entries, spans[order]])
        owners = np.concatenate([np.array([*row_of.values()], np.int64), owners[order]])
        return places(self.json, rows, owners, spans[:, 0], spans[:, 1])

    def take(self, part: Part) -> None:
        """Count and place one part of the file."""
        match part.key, part.value:
            case "images", {"id": int() | str() | float() as key, "file_name": str(name)}:
                if key in self.images:
                    self.doubled.append(key)
                self.images.setdefault(key, (name, part.start, part.stop))
            case "categories", {"id": int() | str() | float() as key, **rest}:
                name = words(rest.get("name")) or words(key)
                self.categories.setdefault(key, (name, words(rest.get("supercategory"))))
            case "annotations", {"image_id": int() | str() | float() as key, **rest}:
                self._place(part, key, rest)
            case "images" | "categories" | "annotations", _:
                self.nonsense += 1

    def _place(self, part: Part, key: Hashable, rest: dict[str, Any]) -> None:
        category, segments = rest.get("category_id"), rest.get("segments_info")
        self.panoptic += segments is not None
        self.outlines += bool(rest.get("segmentation"))
        self.boxes += not rest.get("segmentation") and "bbox" in rest
        if isinstance(segments, list):
            self.maps.setdefault(key, str(rest.get("file_name", "")))
            self.used |= {s["category_id"] for s in segments if _has_category(s)}
        elif _has_category(rest):
            self.used.add(category)
        self._owners.append(self._ordinals.setdefault(key, len(self._ordinals)))
        self._places.extend((part.start, part.stop))
        self._crowds.append(segments is None and rest.get("iscrowd") == 1)

    def _has_placeholder(self, ids: list[Hashable]) -> bool:
        if len(ids) < 2 or ids[0] in self.used:
            return False
        name, above = self.categories[ids[0]]
        return above == _NONE and all(self.categories[key][1] == name for key in ids[1:])


def read_coco(path: Path) -> CocoFile | None:
    """What a COCO file lists; None if it is none.

    Raises:
        DataError: it is no JSON.
    """
    file = CocoFile(open_json(path))
    for part in file.json.parts():
        file.take(part)
    return file if file.images and file.categories else None


def _has_category(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("category_id"), int | str | float)


def _by_number(key: Hashable) -> tuple[bool, float, str]:
    return (isinstance(key, str), key if isinstance(key, int | float) else 0, str(key))


class CocoPool(NamedTuple):
    """The pool of one file, the names of its pictures by id, and where their annotations lie."""

    pool: Pool
    names: dict[Hashable, str]
    places: Places


def pool_of(file: CocoFile, pictures: Pictures) -> CocoPool:
    """The pictures of a file that are there, by name; what is wrong with the others.

    A name is the path that the file gives, without suffix; of paths of other machines and of
    addresses it is the last part.
    """
    images: dict[str, Path] = {}
    names: dict[Hashable, str] = {}
    rows: dict[str, int] = {}
    row_of: dict[Hashable, int] = {}
    problems = [*_wrong(file)]
    near, split = file.path.parent, split_of(file.path, pictures.root)
    maps = file.path.with_suffix("") if file.panoptic else None
    for key, (text, _, _) in file.images.items():
        found = pictures.find(text, near=near, split=split, apart=maps)
        if len(found) != 1:
            problems.append(no_picture(file.path, text, f"image {brief(key)}", found))
            continue
        row_of[key] = rows.setdefault(str(found[0]), len(rows))
        if row_of[key] < len(images):
            problems.append(listed_twice(file.path, f"the picture {brief(text)}"))
        else:
            names[key] = _name(text, relative(found[0], pictures.root), images)
            images[names[key]] = found[0]
    pool = Pool(images, dict.fromkeys(images, file.path), problems=tuple(problems))
    return CocoPool(pool, names, file.places(rows, row_of))


def with_ids(labels: Mapping[Hashable, int], names: Sequence[str]) -> list[str]:
    """Categories for a message, with their ids.

    Example:
        >>> with_ids({7: 1}, ("background", "car"))
        ['7 (car)']
    """
    return [f"{key} ({names[label]})" for key, label in labels.items()]


def _name(text: str, place: str, taken: Mapping[str, Path]) -> str:
    """What a pair is called: without suffix if nothing else is called so."""
    text = posixpath.normpath(plain(text).replace("\\", "/"))
    if _ELSEWHERE.match(text):
        text = plain(place).rpartition("/")[2]
    text = one_line("/".join(part for part in text.split("/") if part != ".."))
    bare = Path(text).with_suffix("").as_posix() if is_image(Path(text)) else text
    names = (bare, text, one_line(plain(place)), f"{text} {len(taken)}")
    return next(name for name in names if name not in taken)


def _wrong(file: CocoFile) -> Iterator[DataError]:
    if strangers := file.strangers():
        yield DataError(
            file.path,
            found=f"has annotations for the images {shown(map(brief, strangers))}",
            allowed="each image_id is the id of an entry in images",
            fix="Add the entry, or take the annotations out.",
            code="S106",
        )
    if file.doubled:
        yield listed_twice(file.path, f"the image id {shown(map(brief, file.doubled))}")
    if file.nonsense:
        yield unreadable(file.path, f"has {file.nonsense} entries that say nothing of a picture")
    if file.boxes:
        yield DataError(
            file.path,
            found=f"has {file.boxes} annotations with a box and no outline, which are left out",
            allowed="a region is drawn by its outline",
            fix="Draw their outlines, or take them out.",
            code="A704",
        )
