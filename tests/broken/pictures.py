"""Pictures whose borders are where their masks say: textured regions under uneven light.

A scene is a list of shapes, painted one over the other. Scenes differ in where everything is,
so that no two are near twins unless they are made so.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int32, UInt8
from PIL import Image as pil
from PIL import ImageDraw, ImageFilter

from atrous.types import Size

LEAST = 0.03  # of the pixels, for each class of each scene
_GREY_RANGE = (50.0, 190.0)  # of the classes' mean levels
_POINTS = 40  # of an outline
_PIECES = (15, 40)  # of clutter


class Shape(NamedTuple):
    """A filled outline: N x 2 points (x, y) in pixels, and the index of its class."""

    label: int
    points: Float64[np.ndarray, "N 2"]


@dataclass(frozen=True)
class Look:
    """How the scenes of a set look: the classes' colours and textures, noise, blur, light."""

    colours: Float64[np.ndarray, "K 3"]
    grain: Float64[np.ndarray, " K"]
    noise: float
    blur: float
    level: float = 1.0  # of the light
    unevenness: float = field(default=0.2)  # of the light, as a share of it


class Scene(NamedTuple):
    """Shapes with the numbers that their surfaces are made from; drawn again, it is the same."""

    size: Size
    shapes: tuple[Shape, ...]
    seed: int


def draw_look(rng: np.random.Generator, classes: int) -> Look:
    """Colours that are told apart by their grey level alone, in random order."""
    low, high = _GREY_RANGE if classes > 2 else (85.0, 170.0)
    levels = rng.permutation(np.linspace(low, high, classes))
    tint = rng.uniform(-22, 22, (classes, 3))
    tint -= tint @ np.array([[0.299], [0.587], [0.114]])
    return Look(
        colours=levels[:, None] + tint,
        grain=rng.uniform(3, 11, classes),
        noise=rng.uniform(1.5, 4.5),
        blur=rng.uniform(0.4, 0.8),
    )


def draw_scene(rng: np.random.Generator, size: Size, classes: int) -> Scene:
    """A scene that holds every class on at least `LEAST` of its pixels."""
    while True:
        shapes = _shapes(rng, size, classes)
        shares = np.bincount(paint(shapes, size).ravel(), minlength=classes) / (size[0] * size[1])
        if shares.min() >= LEAST:
            return Scene(size, shapes, int(rng.integers(1 << 32)))


def paint(shapes: tuple[Shape, ...], size: Size) -> UInt8[np.ndarray, "H W"]:
    """The mask of shapes: class 0 where none is, later ones over earlier ones."""
    labels = np.array([0, *(shape.label for shape in shapes)], np.uint8)
    return labels[_owners(shapes, size)]


def photograph(scene: Scene, look: Look) -> UInt8[np.ndarray, "H W 3"]:
    """The picture of a scene; the borders of its mask are among the strongest edges in it."""
    rng = np.random.default_rng(scene.seed)
    owners = _owners(scene.shapes, scene.size)
    labels = np.array([0, *(shape.label for shape in scene.shapes)])
    paints = look.colours[labels] + rng.normal(0, 5, (len(labels), 3)) + rng.normal(0, 4, (1, 3))
    paints[1:] += np.where(labels[1:, None] == 0, rng.choice([-18, 18]), 0)
    fine, coarse = field_of(rng, scene.size, 2), field_of(rng, scene.size, 9)
    surface = (0.6 * fine + 0.8 * coarse) * look.grain[labels].astype(np.float32)[owners]
    light = 1 + look.unevenness * field_of(rng, scene.size, max(scene.size) / 1.5)
    surface += _clutter(rng, scene.size)
    image = (paints.astype(np.float32)[owners] + surface[..., None]) * light[..., None]
    image = image * np.float32(look.level)
    sharp = pil.fromarray(image.clip(0, 255).astype(np.uint8))
    soft = np.asarray(sharp.filter(ImageFilter.GaussianBlur(look.blur)), np.float32)
    noise = rng.standard_normal((*scene.size, 3), np.float32) * np.float32(look.noise)
    return (soft + noise).clip(0, 255).astype(np.uint8)


def field_of(rng: np.random.Generator, size: Size, cell: float) -> Float32[np.ndarray, "H W"]:
    """Smooth random numbers of about unit spread whose bumps are `cell` pixels wide."""
    height, width = (max(2, round(side / cell) + 1) for side in size)
    grid = pil.fromarray(rng.standard_normal((height, width), np.float32))
    return np.asarray(grid.resize((size[1], size[0]), pil.Resampling.BICUBIC))


def blob(
    rng: np.random.Generator, centre: tuple[float, float], radius: float
) -> Float64[np.ndarray, "N 2"]:
    """A closed outline around (x, y): a circle with random lobes, or a rough polygon."""
    corners = int(rng.integers(4, 9))
    count = corners if rng.random() < 0.4 else _POINTS
    angle = np.sort(rng.uniform(0, 2 * np.pi) + np.linspace(0, 2 * np.pi, count, endpoint=False))
    distance = np.full(count, radius)
    for lobes in (2, 3, 4):
        distance += radius * rng.uniform(0, 0.16) * np.cos(lobes * angle + rng.uniform(0, 7))
    stretch = rng.uniform(0.75, 1.3)
    x, y = distance * np.cos(angle) * stretch, distance * np.sin(angle) / stretch
    return np.stack([x + centre[0], y + centre[1]], axis=1)


def _clutter(rng: np.random.Generator, size: Size) -> Float32[np.ndarray, "H W"]:
    """Grey levels to add: stones, windows, leaves, which no mask has and every photograph has."""
    canvas = pil.new("L", (size[1], size[0]), 128)
    draw = ImageDraw.Draw(canvas)
    for _ in range(rng.integers(*_PIECES)):
        x, y = rng.uniform(0, size[1]), rng.uniform(0, size[0])
        width, height = min(size) * rng.uniform(0.02, 0.09, 2)
        level = 128 + int(rng.choice([-1, 1]) * rng.integers(8, 24))
        draw.ellipse((x, y, x + width, y + height), fill=level)
    return np.asarray(canvas, np.float32) - 128


def _shapes(rng: np.random.Generator, size: Size, classes: int) -> tuple[Shape, ...]:
    """A half-plane, then one to three blobs a class.

    The half-plane is class 1; of two classes it is a mere change of ground.
    """
    shapes = [Shape(int(classes > 2), _ground(rng, size))]
    things = [k for k in range(1 + (classes > 2), classes) for _ in range(rng.integers(1, 4))]
    for label in rng.permutation(things):
        centre = float(rng.uniform(0, size[1])), float(rng.uniform(0, size[0]))
        radius = min(size) * rng.uniform(0.12, 0.26)
        shapes.append(Shape(int(label), blob(rng, centre, radius)))
    return tuple(shapes)


def _ground(rng: np.random.Generator, size: Size) -> Float64[np.ndarray, "N 2"]:
    """A wavy half-plane through somewhere near the middle, turned at random."""
    reach, turn = 2.0 * max(size), rng.uniform(0, 2 * np.pi)
    along = np.linspace(-reach, reach, 60)
    wave = min(size) * rng.uniform(0.02, 0.08)
    edge = wave * np.sin(along / (min(size) * rng.uniform(0.1, 0.3)) + rng.uniform(0, 7))
    edge += min(size) * rng.uniform(-0.15, 0.2)
    x, y = np.append(along, [reach, -reach]), np.append(edge, [reach, reach])
    cos, sin = np.cos(turn), np.sin(turn)
    return np.stack([size[1] / 2 + x * cos - y * sin, size[0] / 2 + x * sin + y * cos], axis=1)


def _owners(shapes: tuple[Shape, ...], size: Size) -> Int32[np.ndarray, "H W"]:
    """For each pixel the number of the last shape that covers it, from 1; 0 for none."""
    canvas = pil.new("L", (size[1], size[0]))
    draw = ImageDraw.Draw(canvas)
    for number, shape in enumerate(shapes, 1):
        draw.polygon([(float(x), float(y)) for x, y in shape.points], fill=number, outline=number)
    return np.array(canvas, np.int32)
