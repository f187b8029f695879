"""COCO: `annotations/instances_SPLIT.json` and the pictures in `images/SPLIT/`.

Each region of a class that hangs together is an annotation: a polygon along the sides of its
pixels, which every COCO program fills exactly, or compressed runs where it has holes, for which
COCO's polygons have no word. The class called background has no category. What nothing is known
of is a crowd of the category `__ignore__`: programs leave crowds out of training and scores.
"""

import json
from collections.abc import Collection, Iterable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64, Shaped

from atrous.classes import Classes
from atrous.data.exports.categories import (
    Categories,
    categories_of,
    declare_categories,
    layers,
    overlap_note,
)
from atrous.data.exports.plan import Item, Plan, put, put_picture, turned_note
from atrous.data.layouts.labelme import IGNORED
from atrous.data.shapes import text_of_counts
from atrous.kernels.outlines import BOTTOM, LEFT, RIGHT, outlines
from atrous.kernels.regions import regions
from atrous.types import Mask, Size


class Piece(NamedTuple):
    """Pixels of a value that hang together, in a window whose first one lies at `corner`.

    `ring` goes around them along their sides, (x, y) of corners of pixels.
    """

    value: int
    corner: tuple[int, int]
    pixels: Bool[np.ndarray, "h w"]
    ring: Int64[np.ndarray, "N 2"]
    has_holes: bool


def write(plan: Plan) -> tuple[str, ...]:
    """Write the data set; a sentence on each thing that other readers may stumble over.

    Raises:
        DataError: names of classes that a COCO file cannot tell apart.
    """
    categories = categories_of(plan.data)
    for split, items in groupby(plan.each(), key=lambda item: item.split):
        path = plan.out / "annotations" / f"instances_{split}.json"
        put(path, _file(plan, split, items, categories))
    declare_categories(plan, "coco", categories)
    void = f"What nothing is known of is a crowd of the category {IGNORED}."
    notes = (*plan.notes, *[void] * categories.draws_void)
    return (*notes, *overlap_note(plan), *turned_note(plan.items))


def pieces(mask: Shaped[np.ndarray, "H W"], values: Collection[int]) -> Iterator[Piece]:
    """The regions of these values, in the order of their first pixels.

    Example:
        >>> (piece,) = pieces(np.array([[0, 7], [0, 7]]), [7])
        >>> piece.ring.tolist(), piece.corner, piece.value
        ([[1, 0], [2, 0], [2, 2], [1, 2]], (0, 1), 7)
    """
    ids, first = regions(mask)
    of = mask.ravel()[first]
    loops = outlines(ids, first, np.isin(of, [*values]))
    right = (loops.side == RIGHT) | (loops.side == BOTTOM)
    below = (loops.side == BOTTOM) | (loops.side == LEFT)
    corners = np.stack([loops.column + right, loops.row + below], axis=1)
    begins = np.concatenate([[0], loops.ends[:-1]])
    found, outer, counts = np.unique(loops.of, return_index=True, return_counts=True)
    for region, loop, count in zip(found, outer, counts, strict=True):
        part = slice(begins[loop], loops.ends[loop])
        sides, walk = loops.side[part], corners[part]
        left, top = walk.min(0)
        end, bottom = walk.max(0)
        pixels = ids[top:bottom, left:end] == region
        ring = walk[sides != np.roll(sides, 1)].astype(np.int64)
        yield Piece(int(of[region]), (int(top), int(left)), pixels, ring, bool(count > 1))


def _file(plan: Plan, split: str, items: Iterable[Item], categories: Categories) -> Iterator[bytes]:
    """The JSON in parts, and the pictures on the way: nothing of it is held in memory."""
    all_items = [item for item in plan.items if item.split == split]
    named = [
        {"id": place + 1, "name": name, "supercategory": name}
        for place, name in enumerate(categories.names)
    ]
    yield b'{"info": {"description": "Exported by atrous"},\n"licenses": [],\n"categories": [\n'
    yield from _rows(named)
    yield b'\n],\n"images": [\n'
    yield from _rows(_picture(number, item) for number, item in enumerate(all_items, 1))
    yield b'\n],\n"annotations": [\n'
    yield from _rows(_annotations(plan, split, items, categories))
    yield b"\n]}\n"


def _rows(entries: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    for number, entry in enumerate(entries):
        yield (",\n" * (number > 0) + json.dumps(entry, ensure_ascii=False)).encode()


def _picture(number: int, item: Item) -> dict[str, Any]:
    height, width = item.size
    return {"id": number, "file_name": _file_name(item), "height": height, "width": width}


def _file_name(item: Item) -> str:
    return item.name + item.suffix


def _annotations(
    plan: Plan, split: str, items: Iterable[Item], categories: Categories
) -> Iterator[dict[str, Any]]:
    number = 0
    for picture, item in enumerate(items, 1):
        put_picture(plan.out / "images" / split / _file_name(item), item)
        for place, piece in _placed(plan.mask(item), plan.data.classes, categories):
            number += 1
            ids = {"id": number, "image_id": picture, "category_id": place + 1}
            crowd = categories.values[place] == categories.void
            yield ids | _outline(piece, item.size, crowd=crowd)


def _placed(mask: Mask, classes: Classes, categories: Categories) -> Iterator[tuple[int, Piece]]:
    """The pieces of all categories, each with the place of its category."""
    if categories.undrawn is None:
        for place, pixels in layers(mask, classes, categories):
            yield from ((place, piece) for piece in pieces(pixels, [True]))
        return
    places = {value: place for place, value in enumerate(categories.values)}
    yield from ((places[piece.value], piece) for piece in pieces(mask, places))


def _outline(piece: Piece, size: Size, *, crowd: bool) -> dict[str, Any]:
    (top, left), (height, width) = piece.corner, piece.pixels.shape
    if crowd or piece.has_holes:
        segmentation: Any = {"size": list(size), "counts": text_of_counts(_runs(piece, size))}
    else:
        segmentation = [piece.ring.ravel().tolist()]
    return {
        "segmentation": segmentation,
        "area": int(piece.pixels.sum()),
        "bbox": [left, top, width, height],
        "iscrowd": int(crowd),
    }


def _runs(piece: Piece, size: Size) -> Int64[np.ndarray, " N"]:
    """The counts of a piece in a picture of `size`, without a mask of all the picture."""
    columns, rows = np.divmod(np.flatnonzero(piece.pixels.T), piece.pixels.shape[0])
    places = (columns + piece.corner[1]) * size[0] + rows + piece.corner[0]
    breaks = np.flatnonzero(np.diff(places) > 1)
    begins = places[np.concatenate([[0], breaks + 1])]
    ends = places[np.concatenate([breaks, [-1]])] + 1
    turns = np.stack([begins, ends], axis=1).ravel()
    tail = [size[0] * size[1]] if turns[-1] < size[0] * size[1] else []
    return np.diff(np.concatenate([[0], turns, tail])).astype(np.int64)
