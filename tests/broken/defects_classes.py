"""C5xx: classes that are missing somewhere, rare, or leave gaps."""

import math
from pathlib import Path

import numpy as np

from .clean import Clean, Item, declare, make_item, plan_clean, write, write_clean
from .defects_labels import changed
from .forms import FOLDERS, INDICES, LISTED, Form, draw_form, pick
from .planted import Kind, Planted

_RARE = 0.0003  # of the pixels; less than 0.001 is extreme


def class_never_present(root: Path, rng: np.random.Generator) -> Planted:
    """`dataset.toml` declares a class that no mask holds."""
    form = draw_form(rng, encodings=(*INDICES, "planes"), declared=True)
    clean = write_clean(root, rng, form)
    declare(clean, names=(*form.names, "boat"))
    return Planted(root, "C501")


def class_only_in_val(root: Path, rng: np.random.Generator) -> Planted:
    """A class is in no mask of train."""
    clean = _without_last(plan_clean(root, rng, divided(rng)), "train")
    write(clean)
    return Planted(root, "C502")


def class_not_in_val(root: Path, rng: np.random.Generator) -> Planted:
    """A class is in no mask of val, so that nothing is known of it."""
    clean = _without_last(plan_clean(root, rng, divided(rng)), "val")
    write(clean)
    return Planted(root, "C503")


def class_of_few_pixels(root: Path, rng: np.random.Generator) -> Planted:
    """A class has some pixels in a picture of train and in one of val, and no more."""
    clean = plan_rare(root, rng, divided(rng), _RARE)
    write(clean)
    return Planted(root, "C504")


def labels_with_gaps(root: Path, rng: np.random.Generator) -> Planted:
    """Labels skip numbers, and nothing declares what they are."""
    form = draw_form(rng, encodings=INDICES, classes=(3, 4), declared=False, void=False)
    table = np.array(pick(rng, ((0, 1, 5, 9), (0, 2, 4, 6), (1, 3, 40, 90))), np.uint8)
    write(changed(plan_clean(root, rng, form), lambda item: table[item.labels]))
    return Planted(root, "C505")


def one_class_only(root: Path, rng: np.random.Generator) -> Planted:
    """All masks are background."""
    form = draw_form(rng, encodings=("index", "palette", "0/1"), classes=(2,), declared=False)
    clean = plan_clean(root, rng, form)
    write(changed(clean, lambda item: np.zeros_like(item.labels)))
    return Planted(root, "C506", also=frozenset({"M411", "M412"}))


def plan_rare(root: Path, rng: np.random.Generator, form: Form, share: float) -> Clean:
    """A set, not yet on disk, whose last class has a share of each split, in one picture of it."""
    clean = plan_clean(root, rng, form)
    for split in ("train", "val"):
        clean = _without_last(clean, split)
        items = clean.of(split)
        pixels = max(1, round(share * sum(item.labels.size for item in items)))
        dotted = _dotted(items[1], clean, rng, pixels)
        clean = clean._replace(
            items=tuple(dotted if item is items[1] else item for item in clean.items)
        )
    return clean


def divided(rng: np.random.Generator) -> Form:
    """A form with declared classes that has its own val split."""
    return draw_form(
        rng,
        layouts=(*FOLDERS, *LISTED),
        encodings=(*INDICES, "rgb"),
        classes=(3, 4),
        declared=True,
    )


def _without_last(clean: Clean, split: str) -> Clean:
    """The set, not yet on disk, whose last class is in no picture of a split."""
    last = clean.form.classes - 1

    def bare(item: Item) -> Item:
        shapes = tuple(shape for shape in item.scene.shapes if shape.label != last)
        scene = item.scene._replace(shapes=shapes)
        return make_item(clean.root, clean.form, clean.look, split, item.name, scene)

    items = (bare(item) if item.split == split else item for item in clean.items)
    return clean._replace(items=tuple(items))


def _dotted(item: Item, clean: Clean, rng: np.random.Generator, pixels: int) -> Item:
    """The item with a block of the last class, as many pixels as asked for."""
    last, side = clean.form.classes - 1, math.isqrt(pixels - 1) + 1
    height, width = item.labels.shape
    row, column = int(rng.integers(height - side)), int(rng.integers(width - side))
    rows, columns = np.divmod(np.arange(pixels), side)
    labels, image = item.labels.copy(), item.pixels.copy()
    labels[row + rows, column + columns] = last
    image[row + rows, column + columns] = clean.look.colours[last].clip(0, 255)
    return item._replace(labels=labels, pixels=image)


KINDS = (
    Kind("C501", class_never_present),
    Kind("C502", class_only_in_val),
    Kind("C503", class_not_in_val),
    Kind("C504", class_of_few_pixels),
    Kind("C505", labels_with_gaps),
    Kind("C506", one_class_only),
)
