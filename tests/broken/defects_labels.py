"""M4xx where a rule decides on labels: sizes, numbers outside or meant otherwise, none at all."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image as pil

from .clean import Clean, Item, borders, opened, plan_clean, save, write, write_clean, write_mask
from .forms import FILES, INDICES, LAYOUTS, VOID, Encoding, Form, Layout, draw_form, pick
from .planted import Kind, Planted

GREY: tuple[Encoding, ...] = ("index", "palette", "0/255", "0/1")


def mask_of_half_size(root: Path, rng: np.random.Generator) -> Planted:
    """One mask was made for the thumbnail."""
    clean, item = a_set(root, rng, *GREY)
    mask = opened(item.mask)
    save(mask.resize((mask.width // 2, mask.height // 2), pil.Resampling.NEAREST), item.mask)
    return Planted(root, "M401", clean.told(item.mask))


def mask_without_its_last_row(root: Path, rng: np.random.Generator) -> Planted:
    """One mask lacks a row."""
    clean, item = a_set(root, rng, *FILES)
    write_mask(item.mask, item.labels[:-1], clean.form)
    return Planted(root, "M401", clean.told(item.mask))


def one_pixel_outside(root: Path, rng: np.random.Generator) -> Planted:
    """One pixel of one mask holds a label that no class has."""
    clean, item = a_set(root, rng, *INDICES, declared=True, classes=(3, 4))
    at = somewhere(rng, item.labels)
    labels = item.labels.copy()
    labels[at] = rng.integers(clean.form.classes + 1, 250)
    write_mask(item.mask, labels, clean.form)
    return Planted(root, "M403", clean.told(item.mask), at)


def class_that_nobody_declared(root: Path, rng: np.random.Generator) -> Planted:
    """In one mask all of a region has the label after the last, or one far away."""
    form = draw_form(rng, encodings=("index16", "npy"), declared=True, classes=(3, 4))
    clean = write_clean(root, rng, form)
    item = pick(rng, clean.items)
    wide = item.labels.astype(np.int32 if form.encoding == "npy" else np.uint16)
    there = item.labels == form.classes - 1
    wide[there] = pick(rng, (form.classes, form.classes + 7, 300, 40_000))
    if form.encoding == "npy":
        np.save(item.mask, wide)
    else:
        save(pil.fromarray(wide), item.mask)
    also = frozenset({"C502", "C503"})
    return Planted(root, "M403", clean.told(item.mask), first(there), also)


def negative_label(root: Path, rng: np.random.Generator) -> Planted:
    """One array holds a label below zero that does not mean "ignore"."""
    clean, item = a_set(root, rng, "npy", declared=True, classes=(3, 4))
    at = somewhere(rng, item.labels)
    wide = item.labels.astype(np.int16)
    wide[at] = -rng.integers(2, 100)
    np.save(item.mask, wide)
    return Planted(root, "M403", clean.told(item.mask), at)


def masks_of_0_and_1_among_0_and_255(root: Path, rng: np.random.Generator) -> Planted:
    """Two people labelled: of nine masks, two or three hold 0 and 1, the others 0 and 255."""
    return _mixed_binary(root, rng, "0/255")


def masks_of_0_and_255_among_0_and_1(root: Path, rng: np.random.Generator) -> Planted:
    """Two people labelled: of nine masks, two or three hold 0 and 255, the others 0 and 1."""
    return _mixed_binary(root, rng, "0/1")


def solid_objects_of_255(root: Path, rng: np.random.Generator) -> Planted:
    """A declared class is saved as 255, so that all its objects are ignored."""
    clean = plan_clean(root, rng, labelled(rng, void=False))
    last = clean.form.classes - 1
    write(changed(clean, lambda item: np.where(item.labels == last, VOID, item.labels)))
    return Planted(root, "M404", also=frozenset({"C501"}))


def labels_one_off(root: Path, rng: np.random.Generator) -> Planted:
    """The labels of K declared classes are 1 to K."""
    clean = plan_clean(root, rng, labelled(rng, void=False))
    write(changed(clean, lambda item: item.labels + 1))
    return Planted(root, "M405", also=frozenset({"M403", "C501"}))


def labels_one_off_with_rims_of_0(root: Path, rng: np.random.Generator) -> Planted:
    """The labels of K declared classes are 1 to K; 0 are thin rims, as ADE20K's "other"."""
    clean = plan_clean(root, rng, labelled(rng, void=False))
    write(changed(clean, lambda item: np.where(borders(item.labels), 0, item.labels + 1)))
    return Planted(root, "M405", also=frozenset({"M403", "C501"}))


def background_only(root: Path, rng: np.random.Generator) -> Planted:
    """In one mask of a binary set nothing was found."""
    form = draw_form(rng, encodings=("0/255", "0/1", "1-bit"))
    return _one_of(root, rng, form, 0, "M411")


def ignored_only(root: Path, rng: np.random.Generator) -> Planted:
    """One mask is void all over."""
    return _one_of(root, rng, labelled(rng), VOID, "M411")


def one_class_all_over(root: Path, rng: np.random.Generator) -> Planted:
    """One mask was filled with one class, where there are several in its picture."""
    return _one_of(root, rng, labelled(rng), int(rng.integers(1, 3)), "M412")


def labelled(rng: np.random.Generator, *, void: bool | None = None) -> Form:
    """A form of masks that hold the indices of three or four declared classes."""
    return draw_form(rng, encodings=INDICES, classes=(3, 4), declared=True, void=void)


def a_set(
    root: Path,
    rng: np.random.Generator,
    *encodings: Encoding,
    layouts: tuple[Layout, ...] = LAYOUTS,
    classes: tuple[int, ...] = (2, 3, 4),
    declared: bool | None = None,
    void: bool | None = None,
) -> tuple[Clean, Item]:
    """A clean set and one of its items."""
    form = draw_form(
        rng, encodings=encodings, layouts=layouts, classes=classes, declared=declared, void=void
    )
    clean = write_clean(root, rng, form)
    return clean, pick(rng, clean.items)


def somewhere(rng: np.random.Generator, labels: UInt8[np.ndarray, "H W"]) -> tuple[int, int]:
    """A pixel of a mask: row, column."""
    return int(rng.integers(labels.shape[0])), int(rng.integers(labels.shape[1]))


def first(there: Bool[np.ndarray, "H W"]) -> tuple[int, int]:
    """The first pixel, row by row."""
    row, column = np.argwhere(there)[0]
    return int(row), int(column)


def changed(clean: Clean, change: Callable[[Item], UInt8[np.ndarray, "H W"]]) -> Clean:
    """The set, not yet on disk, with other labels."""
    items = tuple(item._replace(labels=change(item).astype(np.uint8)) for item in clean.items)
    return clean._replace(items=items)


def _mixed_binary(root: Path, rng: np.random.Generator, encoding: Encoding) -> Planted:
    form = draw_form(rng, encodings=(encoding,))
    clean = write_clean(root, rng, form)
    few = clean.items[2 : 4 + int(rng.integers(2))]
    other = replace(form, encoding="0/1" if encoding == "0/255" else "0/255")
    for item in few:
        write_mask(item.mask, item.labels, other)
    return Planted(root, "M404", clean.told(*(item.mask for item in few)), also=frozenset({"M414"}))


def _one_of(root: Path, rng: np.random.Generator, form: Form, label: int, code: str) -> Planted:
    """A set with a mask that holds one label only."""
    clean = plan_clean(root, rng, form)
    item = pick(rng, clean.items)
    write(changed(clean, lambda i: np.full_like(i.labels, label) if i is item else i.labels))
    return Planted(root, code, clean.told(item.mask))


KINDS = (
    Kind("M401", mask_of_half_size),
    Kind("M401", mask_without_its_last_row),
    Kind("M403", one_pixel_outside),
    Kind("M403", class_that_nobody_declared),
    Kind("M403", negative_label),
    Kind("M404", masks_of_0_and_1_among_0_and_255),
    Kind("M404", masks_of_0_and_255_among_0_and_1),
    Kind("M404", solid_objects_of_255),
    Kind("M405", labels_one_off),
    Kind("M405", labels_one_off_with_rims_of_0),
    Kind("M411", background_only),
    Kind("M411", ignored_only),
    Kind("M412", one_class_all_over),
)
