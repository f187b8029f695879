"""A7xx: outlines that overlap, cross themselves, leave the picture, are none or of no class."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from .drawn import THINGS, Drawn, Outline, Sheet, plan_drawn, write_drawn
from .forms import pick
from .planted import Kind, Planted

_Points = Float64[np.ndarray, "N 2"]


def outlines_that_overlap(root: Path, rng: np.random.Generator) -> Planted:
    """A thing lies half upon one of another class: which of them is it there?"""
    drawn = plan_drawn(root, rng)
    sheet = pick(rng, drawn.sheets)
    below = pick(rng, sheet.outlines)
    others = [name for name in THINGS if name != below.name]
    middle, width = below.points.mean(0), float(np.ptp(below.points[:, 0]))
    towards = np.sign(sheet.scene.size[1] / 2 - middle[0])  # so that it stays in the picture
    beside = below.points + np.array([towards * width / 2, 0])
    sheet.outlines.append(Outline(pick(rng, others), beside))
    return _written(drawn, sheet, "A701")


def outline_like_an_hourglass(root: Path, rng: np.random.Generator) -> Planted:
    """An outline's four corners are given in the order of a cross."""
    return _reshaped(root, rng, "A702", lambda points: _box(points)[[0, 2, 1, 3]])


def outline_with_two_points_exchanged(root: Path, rng: np.random.Generator) -> Planted:
    """Two neighbours among the points of an outline have changed places."""
    return _reshaped(root, rng, "A702", lambda points: _octagon(points)[[0, 1, 3, 2, 4, 5, 6, 7]])


def outline_that_leaves_the_picture(root: Path, rng: np.random.Generator) -> Planted:
    """A third of a thing lies beyond an edge of its picture."""
    drawn = plan_drawn(root, rng)
    sheet = pick(rng, drawn.sheets)
    points = sheet.outlines[0].points
    axis, far = int(rng.integers(2)), bool(rng.integers(2))
    length = float(np.ptp(points[:, axis]))
    edge = sheet.scene.size[1 - axis]
    by = edge - points[:, axis].max() + length / 3 if far else -points[:, axis].min() - length / 3
    points[:, axis] += by
    return _written(drawn, sheet, "A703", "A701")


def outlines_of_a_larger_picture(root: Path, rng: np.random.Generator) -> Planted:
    """A picture was made smaller after it was drawn on."""
    drawn = plan_drawn(root, rng, tools=("labelme", "coco"))
    sheet = pick(rng, drawn.sheets)
    sheet.outlines[:] = [Outline(name, points * 2.5) for name, points in sheet.outlines]
    return _written(drawn, sheet, "A703")


def outline_on_a_line(root: Path, rng: np.random.Generator) -> Planted:
    """All points of an outline lie on a line."""
    share = np.linspace(0, 1, 4)[:, None]
    return _reshaped(root, rng, "A704", lambda p: p.min(0) + share * np.ptp(p, axis=0))


def outline_of_one_point(root: Path, rng: np.random.Generator) -> Planted:
    """Somebody clicked three times on one place."""
    return _reshaped(root, rng, "A704", lambda points: np.repeat(points.mean(0)[None], 3, axis=0))


def class_that_no_list_has(root: Path, rng: np.random.Generator) -> Planted:
    """The class of a thing is misspelt, or its number is beyond the last."""
    drawn = plan_drawn(root, rng)
    if drawn.tool == "labelme":
        write_labels(root)
    sheet = pick(rng, drawn.sheets)
    sheet.outlines[0] = sheet.outlines[0]._replace(name="caar")
    return _written(drawn, sheet, "A705")


def annotation_of_another_size(root: Path, rng: np.random.Generator) -> Planted:
    """The annotation says that the picture is larger, or lies on its side."""
    drawn = plan_drawn(root, rng, tools=("labelme", "coco"))
    at = int(rng.integers(len(drawn.sheets)))
    height, width = drawn.sheets[at].scene.size
    claimed = pick(rng, ((width, height), (2 * height, 2 * width), (height, width + 1)))
    drawn.sheets[at] = drawn.sheets[at]._replace(claimed=claimed)
    return _written(drawn, drawn.sheets[at], "A706")


def write_labels(root: Path) -> None:
    """The list of classes as labelme's own converter wants it."""
    root.mkdir(parents=True, exist_ok=True)
    lines = ["__ignore__", "_background_", *THINGS]
    (root / "labels.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _reshaped(
    root: Path, rng: np.random.Generator, code: str, change: Callable[[_Points], _Points]
) -> Planted:
    """A set with an outline that was changed where it lies."""
    drawn = plan_drawn(root, rng)
    sheet = pick(rng, drawn.sheets)
    at = int(rng.integers(len(sheet.outlines)))
    name, points = sheet.outlines[at]
    sheet.outlines[at] = Outline(name, change(points))
    return _written(drawn, sheet, code)


def _written(drawn: Drawn, sheet: Sheet, code: str, *also: str) -> Planted:
    write_drawn(drawn)
    return Planted(drawn.root, code, drawn.files(sheet), also=frozenset(also))


def _box(points: _Points) -> _Points:
    """The four corners around points, in turn."""
    (left, top), (right, bottom) = points.min(0), points.max(0)
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def _octagon(points: _Points) -> _Points:
    angle = np.arange(8) * np.pi / 4
    radius = np.ptp(points, axis=0).min() / 2
    return points.mean(0) + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


KINDS = (
    Kind("A701", outlines_that_overlap),
    Kind("A702", outline_like_an_hourglass),
    Kind("A702", outline_with_two_points_exchanged),
    Kind("A703", outline_that_leaves_the_picture),
    Kind("A703", outlines_of_a_larger_picture),
    Kind("A704", outline_on_a_line),
    Kind("A704", outline_of_one_point),
    Kind("A705", class_that_no_list_has),
    Kind("A706", annotation_of_another_size),
)
