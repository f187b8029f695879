"""Near-misses of D6xx: pictures that are alike, and are not the same."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from atrous.types import Size

from .clean import plan_clean, write
from .defects_blends import LARGE, MANY
from .defects_twins import moment_later
from .forms import (
    FOLDERS,
    INDICES,
    LISTED,
    LOSSLESS,
    TWO,
    Encoding,
    Layout,
    draw_form,
    places,
)
from .pictures import Scene, Shape, blob, draw_scene
from .planted import Kind, Planted

_DIVIDED: tuple[Layout, ...] = (*FOLDERS, *LISTED)
_SHARP: tuple[Encoding, ...] = (*INDICES, *TWO, "rgb")
_THINGS = 4  # before the camera that does not move


def pictures_that_differ_in_one_pixel(root: Path, rng: np.random.Generator) -> Planted:
    """Two pictures of train are the same but for one pixel: near twins, not exact ones."""
    return _almost(root, rng, "train", "D601")


def pictures_that_differ_in_one_pixel_across(root: Path, rng: np.random.Generator) -> Planted:
    """A picture of train and one of val are the same but for one pixel."""
    return _almost(root, rng, "val", "D602")


def one_camera_in_train(root: Path, rng: np.random.Generator) -> Planted:
    """All pictures are of one place from one camera, each with other things before it."""
    return _one_camera(root, rng, "D603")


def one_camera_across(root: Path, rng: np.random.Generator) -> Planted:
    """Pictures of train and val are of one place, each with other things before it."""
    return _one_camera(root, rng, "D604")


def alike_views(root: Path, rng: np.random.Generator) -> Planted:
    """All pictures have the horizon at one height, in the same colours; they share no place."""
    form = draw_form(rng, layouts=_DIVIDED, encodings=_SHARP, suffixes=(".png", ".jpg"))
    form = replace(form, one_size=True, sizes=LARGE)
    level = rng.uniform(0.35, 0.65)

    def view(rng: np.random.Generator, size: Size, classes: int) -> Scene:
        scene, (top, right, bottom) = draw_scene(rng, size, classes), (level, 1.1, 1.1)
        corners = np.array([(-0.1, top), (right, top), (right, bottom), (-0.1, bottom)])
        ground = scene.shapes[0]._replace(points=corners * [size[1], size[0]])
        return scene._replace(shapes=(ground, *scene.shapes[1:]))

    write(plan_clean(root, rng, form, pairs=MANY, scenes=view))
    return Planted(root, "D605", also=frozenset({"D603", "D604"}))


def numbers_that_interleave(root: Path, rng: np.random.Generator) -> Planted:
    """Numbered pictures of different places were dealt to train and val at random."""
    form = draw_form(rng, layouts=_DIVIDED, encodings=_SHARP, styles=("numbers",))
    clean = plan_clean(root, rng, form, pairs=MANY)
    order = rng.permutation(MANY)
    items = []
    for item, number in zip(clean.items, order, strict=True):
        name = clean.items[number].name
        image, mask = (root / place for place in places(form, item.split, name))
        items.append(item._replace(name=name, image=image, mask=mask))
    write(clean._replace(items=tuple(items)))
    return Planted(root, "D606")


def one_picture_with_one_mask(root: Path, rng: np.random.Generator) -> Planted:
    """A picture lies there twice, each time with the same mask."""
    form = replace(draw_form(rng, layouts=_DIVIDED, encodings=_SHARP), one_size=True)
    clean = plan_clean(root, rng, form)
    first, last = clean.items[1], clean.items[-1]
    twin = last._replace(pixels=first.pixels, labels=first.labels)
    write(clean._replace(items=(*clean.items[:-1], twin)))
    return Planted(root, "D607")


def _almost(root: Path, rng: np.random.Generator, split: str, code: str) -> Planted:
    form = draw_form(rng, layouts=_DIVIDED, encodings=_SHARP, suffixes=LOSSLESS)
    clean = plan_clean(root, rng, replace(form, one_size=True))
    first, last = clean.of("train")[0], clean.of(split)[-1]
    pixels = first.pixels.copy()
    row, column = (int(rng.integers(side)) for side in first.labels.shape)
    pixels[row, column] ^= np.uint8(64)
    twin = last._replace(pixels=pixels, labels=first.labels)
    write(clean._replace(items=tuple(twin if item is last else item for item in clean.items)))
    return Planted(root, code)


def _one_camera(root: Path, rng: np.random.Generator, code: str) -> Planted:
    suffixes = (".png", ".jpg")
    form = draw_form(rng, layouts=_DIVIDED, encodings=_SHARP, suffixes=suffixes, sizes=LARGE)
    places: list[Scene] = []

    def visited(rng: np.random.Generator, size: Size, classes: int) -> Scene:
        """The first scene's ground with other things on it; its surface stays the same."""
        places.append(draw_scene(rng, size, classes))
        shapes = (places[0].shapes[0], *_things(rng, size, classes))
        return places[0]._replace(shapes=shapes)

    form = replace(form, one_size=True)
    clean = plan_clean(root, rng, form, pairs=MANY, scenes=visited)
    items = []
    for item in clean.items:
        pixels, _ = moment_later((item.pixels, item.labels), rng)
        items.append(item._replace(pixels=pixels))
    write(clean._replace(items=tuple(items)))
    return Planted(root, code, also=frozenset({"D605"}))


def _things(rng: np.random.Generator, size: Size, classes: int) -> tuple[Shape, ...]:
    """A fixed number of large things, of all classes but those of the ground."""
    least = 1 + (classes > 2)
    things = []
    for i in range(_THINGS):
        centre = float(rng.uniform(0, size[1])), float(rng.uniform(0, size[0]))
        radius = min(size) * rng.uniform(0.15, 0.3)
        things.append(Shape(least + i % (classes - least), blob(rng, centre, radius)))
    return tuple(things)


NEAR = (
    Kind("D601", pictures_that_differ_in_one_pixel),
    Kind("D602", pictures_that_differ_in_one_pixel_across),
    Kind("D603", one_camera_in_train),
    Kind("D604", one_camera_across),
    Kind("D605", alike_views),
    Kind("D606", numbers_that_interleave),
    Kind("D607", one_picture_with_one_mask),
)
