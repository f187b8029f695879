"""COCO JSON: one file a split lists pictures, categories and outlines; or segments of PNGs.

A file of any length is read once, part by part; what is kept of an annotation is its place in
the file. Crowds are painted first, then the others in the order of the file.
"""

import re
from collections.abc import Hashable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from atrous.data.layouts import coco_panoptic
from atrous.data.layouts.annotations import (
    brief,
    by_split,
    class_names,
    json_files,
    not_understood,
    only_boxes,
    points,
    size_of,
    unknown_class,
    whole_number,
)
from atrous.data.layouts.coco_files import CocoFile, pool_of, read_coco, with_ids
from atrous.data.layouts.json_parts import Places, head, unreadable
from atrous.data.layouts.pairs import Found, Pair, named, relative, split_folders
from atrous.data.layouts.paths import Pictures
from atrous.data.shapes.forms import Drawing, Polygon, Runs
from atrous.data.shapes.runs import counts_of_text
from atrous.errors import DataError
from atrous.types import Size

FORM = "annotations/*.json, or train/_annotations.coco.json, with pictures (COCO)"
_LISTS = re.compile(r'^\s*\{.*"(images|annotations|categories)"\s*:\s*\[', re.DOTALL)
_PARTIAL = re.compile("captions|person_keypoints|stuff|image_info", re.IGNORECASE)


def recognise(root: Path) -> Found | None:
    """The pools of the COCO files of a folder; None if it has none.

    Raises:
        DataError: the only files there are cannot be read, hold boxes only, or have no pictures.
    """
    paths, notes = _candidates(root)
    files, problems = _read_all(paths)
    if not any(file.outlines or file.panoptic for file in files):
        boxes = [file for file in files if file.boxes]
        if named(root, "masks") or not (boxes or any(file.is_empty for file in files)):
            return None
        if boxes:
            raise only_boxes(boxes[0].path, "gives")
    pictures = Pictures(root)
    found = coco_panoptic.found([file for file in files if file.panoptic], pictures)
    chosen = [f for f in files if (f.panoptic if found else f.outlines or f.is_empty)]
    found = found or _found(chosen, pictures)
    others = [file for file in files if file not in chosen]
    notes += [_left_out(f.path, root, empty=not (f.outlines or f.panoptic)) for f in others]
    return _checked(found, problems, tuple(notes), files[0].path)


@dataclass(frozen=True)
class CocoDrawings:
    """The outlines of a picture; `labels` are class indices by category id, by file."""

    places: dict[Path, Places]
    labels: dict[Path, dict[Hashable, int]]
    names: tuple[str, ...]

    def __call__(self, pair: Pair) -> Drawing:
        """What is painted of a picture.

        Raises:
            DataError: an annotation of it is of no class, or has no outline that can be read.
        """
        values = self.places[pair.mask].values(pair.image) if pair.mask in self.places else []
        if not values:
            raise unreadable(pair.mask, f"has no entry for {pair.image.name}")
        entry, *annotations = values
        size = size_of(entry.get("height"), entry.get("width"))
        shapes = [self._shape(a, size, pair) for a in annotations if a.get("segmentation")]
        return Drawing(size, tuple(shapes))

    def _shape(self, annotation: dict[str, Any], size: Size | None, pair: Pair) -> Polygon | Runs:
        what = f"annotation {brief(annotation.get('id'))} of {pair.image.name}"
        category, known = annotation.get("category_id"), self.labels[pair.mask]
        if not isinstance(category, int | float | str) or category not in known:
            raise unknown_class(pair.mask, what, category, with_ids(known, self.names))
        shape = _drawn(annotation["segmentation"], known[category], what, pair.mask)
        if isinstance(shape, Runs) and size not in (None, shape.size):
            raise _other_size(pair.mask, what, shape.size, size)
        return shape


def _drawn(outline: Any, label: int, what: str, where: Path) -> Polygon | Runs:
    match outline:
        case {"counts": counts, "size": [height, width]}:
            return _runs(counts, size_of(height, width), label, what, where)
        case [[*_], *_] if all(isinstance(ring, list) and len(ring) > 2 for ring in outline):
            rings = [points(ring, where, what) for ring in outline]
        case [*_]:  # one ring without brackets around it, or as pairs
            rings = [points(outline, where, what)]
        case _:
            raise unreadable(where, f"{what} has a segmentation that is neither list nor RLE")
    return Polygon(label, tuple(rings), "corner")


def _runs(counts: Any, size: Size | None, label: int, what: str, where: Path) -> Runs:
    try:
        runs = counts_of_text(counts) if isinstance(counts, str) else _counts(counts)
    except ValueError as error:
        raise unreadable(where, f"{what} has a broken RLE ({error})") from None
    if size is None or runs.sum() != size[0] * size[1]:
        pixels = f"{size[0]} x {size[1]}" if size else "no size"
        raise unreadable(where, f"{what} has an RLE of {runs.sum()} pixels for {pixels}")
    return Runs(label, runs, size)


def _counts(counts: Any) -> Int64[np.ndarray, " N"]:
    numbers = [whole_number(count) for count in counts] if isinstance(counts, list) else [None]
    if None in numbers:
        raise ValueError("its counts are no whole numbers")
    return np.array(numbers, np.int64)


def _other_size(where: Path, what: str, runs: Size, size: Size) -> DataError:
    return DataError(
        where,
        found=f"{what} has an RLE of {runs[0]} x {runs[1]} pixels (height x width)",
        allowed=f"its image entry says {size[0]} x {size[1]}",
        fix="Make both those of the picture.",
        code="A706",
    )


def _candidates(root: Path) -> tuple[list[Path], list[str]]:
    """JSON files that may be COCO's; of COCO's own, those that hold all classes, if any does."""
    places = [root, *filter(None, [named(root, "annotations")]), *split_folders(root).values()]
    paths = [p for folder in places for p in json_files(folder) if _LISTS.match(head(p))]
    partial = [path for path in paths if _PARTIAL.match(path.name)]
    if len(partial) == len(paths):
        return paths, []
    whole = [path for path in paths if path not in partial]
    return whole, [_left_out(path, root) for path in partial]


def _read_all(paths: list[Path]) -> tuple[list[CocoFile], list[DataError]]:
    """The files that are COCO's, and what is wrong with others.

    Raises:
        DataError: none can be read.
    """
    files, problems = [], []
    for path in paths:
        try:
            files.append(read_coco(path))
        except DataError as error:
            problems.append(error)
    if problems and not any(files):
        error = problems[0]
        raise not_understood(error.where, error.found, error.allowed, error.fix)
    return [file for file in files if file], problems


def _found(files: list[CocoFile], pictures: Pictures) -> Found:
    own = [file.class_names() for file in files]
    classes = class_names(name for names in own for name in names.values())
    parts = {file.path: pool_of(file, pictures) for file in files}
    labels = {
        file.path: {key: classes.places[name] for key, name in names.items()}
        for file, names in zip(files, own, strict=True)
    }
    places = {path: part.places for path, part in parts.items()}
    pools = by_split({path: part.pool for path, part in parts.items()}, pictures.root)
    used = [path for pool in pools.values() for path in pool.images.values()]
    return Found(
        "COCO",
        pools,
        names=classes.names,
        drawings=CocoDrawings(places, labels, classes.names),
        unlabelled=pictures.beside(used),
    )


def _left_out(path: Path, root: Path, *, empty: bool = False) -> str:
    why = "it holds no outlines" if empty else "another file says more of the pictures"
    return f"{relative(path, root)} was left out: {why}."


def _checked(found: Found, problems: list[DataError], notes: tuple[str, ...], path: Path) -> Found:
    """What was found, with notes and problems; refused where no picture is there."""
    if not any(pool.images for pool in found.pools.values()):
        lost = "pictures" if found.pools else "PNGs of segments"
        raise not_understood(
            path,
            found=f"lists {lost}, none of which is there",
            allowed="they lie below the folder that is given",
            fix="Put them there, or give the folder that holds both.",
        )
    split, pool = next(iter(found.pools.items()))
    problem_pool = replace(pool, problems=(*problems, *pool.problems))
    return replace(found, pools={**found.pools, split: problem_pool}, notes=notes)
