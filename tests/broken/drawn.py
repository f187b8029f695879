"""Sets whose truth is drawn: outlines in labelme's, COCO's or YOLO's files.

The outlines of a clean one lie inside their pictures, do not meet, and do not cross themselves.
"""

import json
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Float64

from atrous.types import Size

from .clean import write_picture
from .forms import Form, draw_form, draw_names, draw_size, pick
from .pictures import LEAST, Look, Scene, Shape, blob, draw_look, paint, photograph

Tool = Literal["labelme", "coco", "yolo"]
TOOLS: tuple[Tool, ...] = get_args(Tool)
THINGS = ("car", "tree", "sign")
VAL = 3  # one picture in so many is for validation
_CELLS = 3  # of a grid over each picture; a cell holds one thing
_REACH = 0.25  # of a thing, as a share of its cell


class Outline(NamedTuple):
    """A thing: its class by name, and N x 2 points (x, y) in pixels."""

    name: str
    points: Float64[np.ndarray, "N 2"]


class Sheet(NamedTuple):
    """A picture and what was drawn on it; `claimed` is the size that the annotation gives."""

    split: str
    image: Path
    scene: Scene
    outlines: list[Outline]
    claimed: Size


class Drawn(NamedTuple):
    """A set of sheets, written or about to be."""

    root: Path
    tool: Tool
    form: Form
    look: Look
    sheets: list[Sheet]

    def files(self, sheet: Sheet) -> tuple[str, ...]:
        """The annotation file and the picture, as findings may tell them."""
        annotation = annotation_of(self, sheet)
        return tuple(p.relative_to(self.root).as_posix() for p in (annotation, sheet.image))


def plan_drawn(
    root: Path, rng: np.random.Generator, *, tools: tuple[Tool, ...] = TOOLS, pairs: int = 9
) -> Drawn:
    """A clean set that is not yet on disk."""
    tool = pick(rng, tools)
    form = draw_form(rng, encodings=("index",), styles=("numbers", "words"), depths=(8,))
    look = draw_look(rng, len(THINGS) + 1)
    size, sheets = draw_size(rng, form), []
    for i, name in enumerate(draw_names(rng, form.style, pairs)):
        split = "train" if i < pairs - pairs // VAL else "val"
        scene = draw_things(rng, size if form.one_size else draw_size(rng, form))
        outlines = [Outline(THINGS[shape.label - 1], shape.points) for shape in scene.shapes]
        image = root / _folder(tool, split) / (name + form.suffix)
        sheets.append(Sheet(split, image, scene, outlines, scene.size))
    return Drawn(root, tool, form, look, sheets)


def draw_things(rng: np.random.Generator, size: Size) -> Scene:
    """A scene with one or two things of each class on bare ground, apart from each other."""
    cell = np.array([size[1], size[0]]) / _CELLS
    while True:
        labels = [k + 1 for k in range(len(THINGS)) for _ in range(rng.integers(1, 3))]
        places = rng.permutation(_CELLS * _CELLS)[: len(labels)]
        shapes = []
        for label, place in zip(labels, places.tolist(), strict=True):
            x, y = (np.array([place % _CELLS, place // _CELLS]) + 0.5) * cell
            shapes.append(Shape(label, blob(rng, (float(x), float(y)), min(cell) * _REACH)))
        counts = np.bincount(paint(tuple(shapes), size).ravel(), minlength=len(THINGS) + 1)
        if counts.min() >= LEAST / 2 * size[0] * size[1]:
            return Scene(size, tuple(shapes), int(rng.integers(1 << 32)))


def write_drawn(drawn: Drawn) -> Drawn:
    """The set itself, written: pictures and what the tool writes beside them."""
    for sheet in drawn.sheets:
        write_picture(sheet.image, photograph(sheet.scene, drawn.look), drawn.form)
    match drawn.tool:
        case "labelme":
            for sheet in drawn.sheets:
                _dump(annotation_of(drawn, sheet), _labelme(sheet))
        case "coco":
            for split in ("train", "val"):
                sheets = [sheet for sheet in drawn.sheets if sheet.split == split]
                _dump(annotation_of(drawn, sheets[0]), _coco(sheets))
        case "yolo":
            for sheet in drawn.sheets:
                file = annotation_of(drawn, sheet)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(_yolo(sheet), encoding="utf-8")
            names = "".join(f"  {k}: {name}\n" for k, name in enumerate(THINGS))
            text = f"path: .\ntrain: images/train\nval: images/val\nnames:\n{names}"
            (drawn.root / "data.yaml").write_text(text, encoding="utf-8")
    return drawn


def annotation_of(drawn: Drawn, sheet: Sheet) -> Path:
    """The file that holds the outlines of a sheet, alone or with others."""
    match drawn.tool:
        case "labelme":
            return sheet.image.with_suffix(".json")
        case "coco":
            return drawn.root / "annotations" / f"instances_{sheet.split}.json"
        case "yolo":
            return drawn.root / "labels" / sheet.split / f"{sheet.image.stem}.txt"


def _folder(tool: Tool, split: str) -> str:
    return f"images/{split}" if tool == "yolo" else split


def _labelme(sheet: Sheet) -> dict[str, Any]:
    shapes = [
        {
            "label": outline.name,
            "points": outline.points.tolist(),
            "group_id": None,
            "shape_type": "polygon",
            "flags": {},
        }
        for outline in sheet.outlines
    ]
    return {
        "version": "5.4.1",
        "flags": {},
        "shapes": shapes,
        "imagePath": sheet.image.name,
        "imageData": None,
        "imageHeight": sheet.claimed[0],
        "imageWidth": sheet.claimed[1],
    }


def _coco(sheets: list[Sheet]) -> dict[str, Any]:
    ids = {name: 10 * (k + 1) for k, name in enumerate(THINGS)}
    annotations = []
    for number, sheet in enumerate(sheets, 1):
        for outline in sheet.outlines:
            low, high = outline.points.min(0), outline.points.max(0)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": ids.get(outline.name, 99),
                    "segmentation": [outline.points.ravel().tolist()],
                    "bbox": [*low.tolist(), *(high - low).tolist()],
                    "area": float(np.prod(high - low)),
                    "iscrowd": 0,
                }
            )
    images = [
        {"id": i, "file_name": s.image.name, "height": s.claimed[0], "width": s.claimed[1]}
        for i, s in enumerate(sheets, 1)
    ]
    categories = [{"id": value, "name": name, "supercategory": ""} for name, value in ids.items()]
    return {"images": images, "annotations": annotations, "categories": categories}


def _yolo(sheet: Sheet) -> str:
    lines = []
    for outline in sheet.outlines:
        number = THINGS.index(outline.name) if outline.name in THINGS else len(THINGS) + 4
        places = (outline.points / np.array(sheet.scene.size[::-1])).ravel()
        lines.append(" ".join([str(number), *(f"{place:.6f}" for place in places)]) + "\n")
    return "".join(lines)


def _dump(file: Path, content: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
