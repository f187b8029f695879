"""M4xx where a rule decides on encodings: JPEG, colours, floats, planes."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image as pil

from .clean import Item, declare, encoded, opened, save, write_clean
from .defects_labels import GREY, a_set, first, somewhere
from .forms import COLOURS, PLAIN, Form, Layout, draw_form, pick
from .planted import Kind, Planted

_PLANE_LAYOUTS: tuple[Layout, ...] = ("folder", "split", "undivided")


def one_mask_is_a_jpeg(root: Path, rng: np.random.Generator) -> Planted:
    """One mask was saved with the suffix of a JPEG, and so as one."""
    clean, item = a_set(root, rng, *GREY, void=False)
    jpeg = _as_jpeg(item, clean.form, rng)
    return Planted(root, "M406", clean.told(jpeg), also=frozenset({"M407", "M414"}))


def all_masks_are_jpegs(root: Path, rng: np.random.Generator) -> Planted:
    """All masks were saved as JPEG."""
    clean, _ = a_set(root, rng, *GREY, "rgb", void=False)
    files = [_as_jpeg(item, clean.form, rng) for item in clean.items]
    return Planted(root, "M406", clean.told(*files), also=frozenset({"M407"}))


def jpeg_that_is_called_png(root: Path, rng: np.random.Generator) -> Planted:
    """A mask is called `.png`, and is a JPEG."""
    clean, item = a_set(root, rng, *GREY, void=False)
    jpeg = _as_jpeg(item, clean.form, rng)
    jpeg.rename(item.mask)
    return Planted(root, "M406", clean.told(item.mask), also=frozenset({"M407", "F206", "M414"}))


def colours_read_by_a_table(root: Path, rng: np.random.Generator) -> Planted:
    """Masks are colours, which is right, and said in a note."""
    write_clean(root, rng, draw_form(rng, encodings=("rgb",)))
    return Planted(root, "M408")


def unknown_colour(root: Path, rng: np.random.Generator) -> Planted:
    """One pixel has a colour that the table does not hold."""
    clean, item = a_set(root, rng, "rgb")
    colours = encoded(item.labels, clean.form).copy()
    at = somewhere(rng, item.labels)
    colours[at] = pick(rng, ((255, 0, 255), (0, 255, 0), (250, 170, 30)))
    save(pil.fromarray(colours), item.mask)
    return Planted(root, "M409", clean.told(item.mask), at)


def region_of_unknown_colour(root: Path, rng: np.random.Generator) -> Planted:
    """In one mask all of a region has a colour that the table does not hold."""
    clean, item = a_set(root, rng, "rgb")
    there = item.labels == clean.form.classes - 1
    colours = encoded(item.labels, clean.form).copy()
    colours[there] = pick(rng, ((255, 0, 255), (0, 255, 0), (250, 170, 30)))
    save(pil.fromarray(colours), item.mask)
    also = frozenset({"C502", "C503"})
    return Planted(root, "M409", clean.told(item.mask), first(there), also)


def some_masks_in_colours(root: Path, rng: np.random.Generator) -> Planted:
    """Two or three masks hold the palette's colours instead of the indices."""
    form = draw_form(rng, encodings=PLAIN, classes=(3, 4), declared=False, void=False)
    clean = write_clean(root, rng, form)
    declare(clean._replace(form=replace(form, encoding="rgb")))
    few = clean.items[1 : 3 + int(rng.integers(2))]
    for item in few:
        save(pil.fromarray(np.array(COLOURS, np.uint8)[item.labels]), item.mask)
    return Planted(root, "M414", clean.told(*(item.mask for item in few)))


def float_mask(root: Path, rng: np.random.Generator) -> Planted:
    """One mask is a TIFF of floats."""
    clean, item = a_set(root, rng, "tiff")
    save(pil.fromarray(item.labels.astype(np.float32)), item.mask)
    return Planted(root, "M415", clean.told(item.mask))


def float_arrays(root: Path, rng: np.random.Generator) -> Planted:
    """All masks are arrays of the network's probabilities."""
    clean, _ = a_set(root, rng, "npy")
    for item in clean.items:
        np.save(item.mask, item.labels / np.float32(clean.form.classes))
    return Planted(root, "M415", clean.told(*(item.mask for item in clean.items)))


def plane_of_another_size(root: Path, rng: np.random.Generator) -> Planted:
    """Of one picture's planes, one is smaller."""
    clean, item = a_set(root, rng, "planes", layouts=_PLANE_LAYOUTS)
    plane = item.mask / f"{clean.form.names[-1]}.png"
    picture = opened(plane)
    save(picture.resize((picture.width - 3, picture.height)), plane)
    return Planted(root, "M416", clean.told(plane, item.mask))


def plane_of_no_class(root: Path, rng: np.random.Generator) -> Planted:
    """One picture has a plane of a class that is not declared."""
    clean, item = a_set(root, rng, "planes", layouts=_PLANE_LAYOUTS, declared=True)
    plane = item.mask / "boat.png"
    shutil.copy(item.mask / f"{clean.form.names[-1]}.png", plane)
    return Planted(root, "M416", clean.told(plane, item.mask), also=frozenset({"A705"}))


def file_among_planes(root: Path, rng: np.random.Generator) -> Planted:
    """One mask is a file, the others are folders of planes."""
    clean, item = a_set(root, rng, "planes", layouts=_PLANE_LAYOUTS)
    shutil.rmtree(item.mask)
    file = item.mask.with_name(item.mask.name + ".png")
    save(pil.fromarray(item.labels), file)
    return Planted(root, "M416", clean.told(file), also=frozenset({"M414"}))


def _as_jpeg(item: Item, form: Form, rng: np.random.Generator) -> Path:
    """Write a mask as a JPEG in the place of its file."""
    file = item.mask.with_suffix(pick(rng, (".jpg", ".jpeg", ".JPG")))
    item.mask.unlink()
    pil.fromarray(encoded(item.labels, form)).save(file, "JPEG", quality=int(rng.integers(75, 96)))
    return file


KINDS = (
    Kind("M406", one_mask_is_a_jpeg),
    Kind("M406", all_masks_are_jpegs),
    Kind("M406", jpeg_that_is_called_png),
    Kind("M408", colours_read_by_a_table),
    Kind("M409", unknown_colour),
    Kind("M409", region_of_unknown_colour),
    Kind("M414", some_masks_in_colours),
    Kind("M415", float_mask),
    Kind("M415", float_arrays),
    Kind("M416", plane_of_another_size),
    Kind("M416", plane_of_no_class),
    Kind("M416", file_among_planes),
)
