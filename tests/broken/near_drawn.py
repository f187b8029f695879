"""Near-misses of A7xx: odd outlines with which nothing is wrong."""

from pathlib import Path

import numpy as np
from PIL import Image as pil

from .clean import opened
from .defects_drawn import write_labels
from .drawn import THINGS, Outline, plan_drawn, write_drawn
from .forms import pick
from .pictures import photograph
from .planted import Kind, Planted

_ORIENTATION = 0x0112  # the EXIF tag
_QUARTER = 6


def outlines_that_touch(root: Path, rng: np.random.Generator) -> Planted:
    """Two things of different classes share an edge."""
    drawn = plan_drawn(root, rng)
    sheet = drawn.sheets[0]
    height, width = sheet.scene.size
    left, middle, right = np.sort(rng.choice(np.arange(4, width - 4, 6), 3, replace=False))
    top, bottom = 5, height - 6
    sides = ((left, middle), (middle, right))
    sheet.outlines[:] = [
        Outline(name, np.array([(a, top), (b, top), (b, bottom), (a, bottom)], float))
        for name, (a, b) in zip(THINGS, sides, strict=False)
    ]
    write_drawn(drawn)
    return Planted(root, "A701")


def outlines_that_are_closed(root: Path, rng: np.random.Generator) -> Planted:
    """Outlines are dented, name their first point again at the end, and a point twice."""
    drawn = plan_drawn(root, rng)
    for sheet in drawn.sheets:
        for i, (name, points) in enumerate(sheet.outlines):
            dented = points.copy()
            dented[0] = (3 * dented[0] + 7 * points.mean(0)) / 10
            closed = np.concatenate([dented[:2], dented[1:], dented[:1]])
            sheet.outlines[i] = Outline(name, closed)
    write_drawn(drawn)
    return Planted(root, "A702")


def outline_along_the_edge(root: Path, rng: np.random.Generator) -> Planted:
    """A thing reaches to the very edge of its picture, and no further."""
    drawn = plan_drawn(root, rng)
    for sheet in drawn.sheets:
        height, width = sheet.scene.size
        name, points = sheet.outlines[0]
        low, high = points.min(0), points.max(0)
        box = np.array([low, (high[0], low[1]), high, (low[0], high[1])])
        axis, far = int(rng.integers(2)), bool(rng.integers(2))
        edge = (width, height)[axis]
        box[:, axis] += edge - high[axis] if far else -low[axis]
        sheet.outlines[:] = [Outline(name, box)]
    write_drawn(drawn)
    return Planted(root, "A703", also=frozenset({"C506"}))


def outline_of_a_few_pixels(root: Path, rng: np.random.Generator) -> Planted:
    """A thing is two pixels wide."""
    drawn = plan_drawn(root, rng)
    sheet = pick(rng, drawn.sheets)
    corners = np.array([(0, 0), (2, 0), (2, 2), (0, 2)]) + 1.0
    sheet.outlines.append(Outline(pick(rng, THINGS), corners))
    write_drawn(drawn)
    return Planted(root, "A704")


def classes_that_labelme_lists(root: Path, rng: np.random.Generator) -> Planted:
    """Labelme's list of classes is there, with the two names of its own."""
    drawn = plan_drawn(root, rng, tools=("labelme",))
    write_labels(root)
    sheet = drawn.sheets[0]
    corners = np.array([(0, 0), (6, 0), (6, 2), (0, 2)]) + 1.0
    sheet.outlines.append(Outline("__ignore__", corners))
    write_drawn(drawn)
    return Planted(root, "A705")


def annotation_of_a_turned_photograph(root: Path, rng: np.random.Generator) -> Planted:
    """EXIF turns a photograph; it was annotated as it is seen, and the file says that size."""
    drawn = plan_drawn(root, rng, tools=("labelme", "coco"))
    at = int(rng.integers(len(drawn.sheets)))
    sheet = drawn.sheets[at]
    sheet = sheet._replace(image=sheet.image.with_suffix(".jpg"))
    drawn.sheets[at] = sheet
    write_drawn(drawn)
    exif = pil.Exif()
    exif[_ORIENTATION] = _QUARTER
    lying = pil.fromarray(photograph(sheet.scene, drawn.look)).transpose(pil.Transpose.ROTATE_90)
    lying.convert(opened(sheet.image).mode).save(sheet.image, quality=92, exif=exif)
    return Planted(root, "A706")


NEAR = (
    Kind("A701", outlines_that_touch),
    Kind("A702", outlines_that_are_closed),
    Kind("A703", outline_along_the_edge),
    Kind("A704", outline_of_a_few_pixels),
    Kind("A705", classes_that_labelme_lists),
    Kind("A706", annotation_of_a_turned_photograph),
)
