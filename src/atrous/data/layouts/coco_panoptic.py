"""COCO's panoptic form: a PNG of segment numbers for each picture, and a file with their classes.

The number of a segment is R + 256 G + 65536 B. Each pixel has a class or is void, which is
ignored; so there is no background beside the categories.
"""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from atrous.classes import IGNORE
from atrous.data.images import read_image
from atrous.data.layouts.annotations import (
    brief,
    by_split,
    cropped,
    size_of,
    unknown_class,
    whole_number,
)
from atrous.data.layouts.coco_files import CocoFile, CocoPool, pool_of, with_ids
from atrous.data.layouts.json_parts import Places, unreadable
from atrous.data.layouts.pairs import Found, Pair, Pool
from atrous.data.layouts.paths import Pictures
from atrous.data.shapes.forms import Drawing, Patch
from atrous.errors import DataError

VOID = -1  # the label of pixels that belong to no segment


def found(files: list[CocoFile], pictures: Pictures) -> Found | None:
    """The pools of panoptic files; None if none of their PNGs is there."""
    parts = {file.path: pool_of(file, pictures) for file in files}
    whole = {file.path: _with_maps(file, parts[file.path], pictures) for file in files}
    if not any(pool.masks for pool in whole.values()):
        return None
    own = [file.class_names() for file in files]
    names = tuple(dict.fromkeys(name for each in own for name in each.values()))
    index = {name: i for i, name in enumerate(names)}
    labels = [{key: index[name] for key, name in each.items()} for each in own]
    sources = zip((part.places for part in parts.values()), labels, strict=True)
    pools = by_split(whole, pictures.root)
    lists = [[*pool.images.values(), *pool.masks.values()] for pool in pools.values()]
    lost = [Path(p.where) for pool in pools.values() for p in pool.problems if p.code == "S101"]
    return Found(
        "COCO panoptic",
        pools,
        names=names,
        remap={VOID: IGNORE},
        drawings=PanopticDrawings(tuple(sources), names),
        unlabelled=pictures.beside([*lost, *(path for each in lists for path in each)]),
    )


@dataclass(frozen=True)
class PanopticDrawings:
    """The segments of a picture; of each file the places and the labels by category id."""

    sources: tuple[tuple[Places, dict[Hashable, int]], ...]
    names: tuple[str, ...]

    def __call__(self, pair: Pair) -> Drawing:
        """What is painted of a picture.

        Raises:
            DataError: its PNG cannot be read, or holds a segment without a class.
        """
        for places, known in self.sources:
            values = places.values(pair.image)
            lists = [v["segments_info"] for v in values if isinstance(v.get("segments_info"), list)]
            if lists:
                labels = self._labels(lists[0], known, pair)
                size = size_of(values[0].get("height"), values[0].get("width"))
                return Drawing(size, _patches(_numbers(pair.mask), labels, pair), VOID)
        raise unreadable(pair.mask, f"has no list of segments for {pair.image.name}")

    def _labels(
        self, segments: list[Any], known: dict[Hashable, int], pair: Pair
    ) -> dict[int, int]:
        labels = {}
        for segment in segments:
            number = whole_number(segment.get("id")) if isinstance(segment, dict) else None
            if number is None:
                raise unreadable(pair.mask, f"has a segment without a number ({brief(segment)})")
            category, what = segment.get("category_id"), f"segment {number}"
            if not isinstance(category, int | float | str) or category not in known:
                raise unknown_class(pair.mask, what, category, with_ids(known, self.names))
            labels[number] = known[category]
        return labels


def _with_maps(file: CocoFile, part: CocoPool, pictures: Pictures) -> Pool:
    """The pool with PNGs for masks, of pictures that have one."""
    masks, problems = {}, [*part.pool.problems]
    near = file.path.with_suffix("")
    for key, name in part.names.items():
        if key not in file.maps:
            continue
        image = part.pool.images[name]
        paths = [p for p in pictures.find(file.maps[key], near=near) if p != image]
        if len(paths) == 1:
            masks[name] = paths[0]
        else:
            problems.append(_no_map(image, file, file.maps[key], several=bool(paths)))
    images = {name: part.pool.images[name] for name in masks}
    return replace(part.pool, images=images, masks=masks, problems=tuple(problems))


def _no_map(image: Path, file: CocoFile, name: str, *, several: bool) -> DataError:
    return DataError(
        image,
        found=f"has {'several files' if several else 'no file'} called {brief(name)}, its segments",
        allowed=f"{file.path.name} gives each picture one PNG of segments",
        fix=f"Put the PNGs into {file.path.stem}/ beside it.",
        code="S103" if several else "S101",
    )


def _numbers(path: Path) -> Int64[np.ndarray, "H W"]:
    pixels = read_image(path)
    if pixels.shape[2] == 1:
        return pixels[..., 0].astype(np.int64)
    if pixels.shape[2] == 3 and pixels.dtype == np.uint8:
        return pixels @ np.array([1, 1 << 8, 1 << 16])
    raise unreadable(
        path, f"holds {pixels.shape[2]} bands of {pixels.dtype}, and no segment numbers"
    )


def _patches(
    numbers: Int64[np.ndarray, "H W"], labels: dict[int, int], pair: Pair
) -> tuple[Patch, ...]:
    """A patch for each class."""
    values, places = np.unique(numbers, return_inverse=True)
    places = places.reshape(numbers.shape)
    strange = [value for value in values.tolist() if value and value not in labels]
    if strange:
        row, column = np.argwhere(numbers == strange[0])[0]
        error = unknown_class(pair.mask, f"segment {strange[0]}", None, [str(n) for n in labels])
        error.pixel = (int(row), int(column))
        raise error
    of_value = np.array([labels.get(value, VOID) for value in values.tolist()])
    drawn = of_value[places]
    return tuple(
        cropped(label, drawn == label) for label in np.unique(drawn[drawn != VOID]).tolist()
    )
