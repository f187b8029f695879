"""Near-misses of M4xx and C5xx: odd masks and classes with which nothing is wrong."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image as pil

from .clean import (
    Item,
    borders,
    declare,
    opened,
    plan_clean,
    save,
    write,
    write_clean,
    write_mask,
)
from .defects_blends import EXIF, IDS, LARGE, MANY, save_with_orientation, shifted, write_ids
from .defects_classes import divided, plan_rare
from .defects_labels import changed, labelled
from .forms import (
    FILES,
    INDICES,
    PLAIN,
    TWO,
    VOID,
    Encoding,
    Form,
    Layout,
    draw_form,
    pick,
)
from .planted import Kind, Planted

_SHARP: tuple[Encoding, ...] = (*INDICES, *TWO, "rgb")
_UPRIGHT = {  # what a viewer does to a picture of each EXIF orientation
    1: None,
    3: pil.Transpose.ROTATE_180,
    6: pil.Transpose.ROTATE_270,
    8: pil.Transpose.ROTATE_90,
}
_COMMON = 0.002  # of the pixels: rare, and not extreme
_Labels = UInt8[np.ndarray, "H W"]


def pictures_of_all_sizes(root: Path, rng: np.random.Generator) -> Planted:
    """Every picture has a size of its own, and so has its mask."""
    form = replace(draw_form(rng, encodings=FILES), one_size=False)
    write_clean(root, rng, form)
    return Planted(root, "M401")


def photographs_turned_with_their_masks(root: Path, rng: np.random.Generator) -> Planted:
    """EXIF turns some photographs; their masks were made from what a viewer shows."""
    return _turned_with_masks(root, rng, square=False)


def square_photographs_turned_with_their_masks(root: Path, rng: np.random.Generator) -> Planted:
    """EXIF turns some square photographs; their masks were made from what a viewer shows."""
    return _turned_with_masks(root, rng, square=True)


def labels_that_are_mapped(root: Path, rng: np.random.Generator) -> Planted:
    """Labels lie beyond the classes, and `dataset.toml` says what they are."""
    form = draw_form(rng, encodings=INDICES, classes=(3,), declared=True, void=False)
    clean = plan_clean(root, rng, form)
    table = np.array([40, 1, 2], np.uint8)
    clean = write(changed(clean, lambda item: _rimmed(table[item.labels], item, 250)))
    declare(clean, extra='ignore_index = 250\n[remap]\n40 = "ground"')
    return Planted(root, "M403")


def void_rims(root: Path, rng: np.random.Generator) -> Planted:
    """Thin rims of 255 lie around all regions, as in Pascal VOC."""
    form = draw_form(rng, encodings=INDICES, classes=(3, 4), void=True)
    write_clean(root, rng, form)
    return Planted(root, "M404")


def bonnet_of_255(root: Path, rng: np.random.Generator) -> Planted:
    """The lower edge of all masks is ignored, as the camera's own car is there."""
    form = labelled(rng, void=False)
    write(changed(plan_clean(root, rng, form), _with_bonnet))
    return Planted(root, "M404")


def padding_of_255(root: Path, rng: np.random.Generator) -> Planted:
    """Three masks of 0 and 1 show nothing, and are padded at the right with what is ignored."""
    clean = plan_clean(root, rng, draw_form(rng, encodings=("0/1",)))
    empty = [item.name for item in clean.items[2:5]]

    def padded(item: Item) -> UInt8[np.ndarray, "H W"]:
        if item.name not in empty:
            return item.labels
        labels = np.zeros_like(item.labels)
        labels[:, -6:] = VOID
        return labels

    write(changed(clean, padded))
    return Planted(root, "M404")


def white_foreground(root: Path, rng: np.random.Generator) -> Planted:
    """All masks of a binary set hold 0 and 255."""
    write_clean(root, rng, draw_form(rng, encodings=("0/255",)))
    return Planted(root, "M404")


def declared_background_that_is_nowhere(root: Path, rng: np.random.Generator) -> Planted:
    """The labels are 1 to K - 1: the class 0 of K is in no picture, which is another matter."""
    clean = plan_clean(root, rng, labelled(rng, void=False))
    last = clean.form.classes - 1
    write(changed(clean, lambda item: np.where(item.labels == 0, last, item.labels)))
    return Planted(root, "M405")


def png_masks_that_are_called_jpg(root: Path, rng: np.random.Generator) -> Planted:
    """Masks are called `.jpg`, and are PNGs."""
    layouts: tuple[Layout, ...] = ("folder", "split", "undivided", "lists")
    form = draw_form(rng, layouts=layouts, encodings=(*PLAIN, "0/255"))
    clean = write_clean(root, rng, form)
    for item in clean.items:
        item.mask.rename(item.mask.with_suffix(".jpg"))
    return Planted(root, "M406")


def wires(root: Path, rng: np.random.Generator) -> Planted:
    """Masks of 0 and 255 hold lines of one pixel."""
    form = draw_form(rng, encodings=("0/255",))
    write(changed(plan_clean(root, rng, form), lambda item: _with_lines(item.labels, rng, 1)))
    return Planted(root, "M407")


def kerbs_between_ids(root: Path, rng: np.random.Generator) -> Planted:
    """Along all borders lies a class whose id is between those on both sides of it."""
    clean = write_ids(root, rng)
    for item in clean.items:
        mask = np.where(item.labels == IDS[1], IDS[0], item.labels)
        mask[borders(mask)] = IDS[1]
        write_mask(item.mask, mask.astype(np.uint8), clean.form)
    return Planted(root, "M407")


def palettes(root: Path, rng: np.random.Generator) -> Planted:
    """Masks have palettes: they show colours, and hold indices."""
    write_clean(root, rng, draw_form(rng, encodings=("palette",)))
    return Planted(root, "M408")


def table_with_a_colour_of_void(root: Path, rng: np.random.Generator) -> Planted:
    """Masks hold the colours of all classes, and one that `dataset.toml` ignores."""
    clean = write_clean(root, rng, draw_form(rng, encodings=("rgb",)))
    declare(clean, extra='[remap]\n"#ffffff" = "ignore"')
    for item in clean.items:
        colours = np.array(opened(item.mask))
        colours[:, :4] = 255
        save(pil.fromarray(colours), item.mask)
    return Planted(root, "M409")


def grey_lines_between_black_and_white(root: Path, rng: np.random.Generator) -> Planted:
    """A class of its own, whose colour is the mean of two others, lies between these in lines."""
    form = draw_form(rng, encodings=("rgb",), classes=(3,))
    clean = write_clean(root, rng, form)
    names, colours = '"ground", "wall", "line"', '"#000000", "#ffc864", "#806432"'
    text = f"classes = [{names}]\ncolours = [{colours}]\n"
    (root / "dataset.toml").write_text(text)
    table = np.array([(0, 0, 0), (255, 200, 100), (128, 100, 50)], np.uint8)
    for item in clean.items:
        labels = np.minimum(item.labels, 1)
        labels[borders(labels)] = 2
        save(pil.fromarray(table[labels]), item.mask)
    return Planted(root, "M410")


def one_tiny_region(root: Path, rng: np.random.Generator) -> Planted:
    """One mask of a binary set has three pixels of foreground."""
    form = draw_form(rng, encodings=("0/255", "0/1", "1-bit"))
    return _dot(root, rng, form, 0, 1, "M411")


def two_classes_in_one_picture(root: Path, rng: np.random.Generator) -> Planted:
    """One mask is of one class all over, but for three pixels."""
    return _dot(root, rng, labelled(rng), 2, 1, "M412")


def generous_outlines(root: Path, rng: np.random.Generator) -> Planted:
    """Masks reach two pixels beyond their things, on all sides."""
    form = _large(rng, "0/255", "0/1", "1-bit")
    write(changed(plan_clean(root, rng, form, pairs=MANY), lambda item: _grown(item.labels)))
    return Planted(root, "M413")


def unsteady_hands(root: Path, rng: np.random.Generator) -> Planted:
    """Each mask lies up to two pixels beside its picture, each to another side."""
    clean = plan_clean(root, rng, _large(rng, *_SHARP), pairs=MANY)
    moves = rng.permutation([(y, x) for y in (-2, -1, 0, 1, 2) for x in (-2, 0, 2)])
    items = [
        item._replace(labels=shifted(item.labels, int(down), int(right)))
        for item, (down, right) in zip(clean.items, moves, strict=True)
    ]
    write(clean._replace(items=tuple(items)))
    return Planted(root, "M413")


def shadows(root: Path, rng: np.random.Generator) -> Planted:
    """All things throw a shadow to the same side, whose edge is no border."""
    clean = plan_clean(root, rng, _large(rng, "0/255", "0/1", "1-bit", "index"), pairs=MANY)
    down, right = (int(by) for by in rng.choice([-7, -6, 6, 7], 2))
    items = []
    for item in clean.items:
        thing = (item.labels == clean.form.classes - 1).astype(np.uint8)
        shade = (shifted(thing, down, right) > thing)[..., None]
        dark = np.where(shade, item.pixels * 0.6, item.pixels).astype(np.uint8)
        items.append(item._replace(pixels=dark))
    write(clean._replace(items=tuple(items)))
    return Planted(root, "M413")


def masks_in_several_formats(root: Path, rng: np.random.Generator) -> Planted:
    """Index masks are PNG, TIFF and BMP files: the format is no encoding."""
    form = draw_form(rng, layouts=("folder", "split", "lists"), encodings=("index",))
    clean = plan_clean(root, rng, form)
    items = [
        item._replace(mask=item.mask.with_suffix((".png", ".tif", ".bmp")[i % 3]))
        for i, item in enumerate(clean.items)
    ]
    write(clean._replace(items=tuple(items)))
    return Planted(root, "M414")


def wide_integers(root: Path, rng: np.random.Generator) -> Planted:
    """Masks are arrays of 64-bit integers, as frameworks save them."""
    clean = write_clean(root, rng, draw_form(rng, encodings=("npy",)))
    for item in clean.items:
        np.save(item.mask, item.labels.astype(np.int64))
    return Planted(root, "M415")


def planes_of_what_is_there(root: Path, rng: np.random.Generator) -> Planted:
    """Planes of classes that are not in a picture were left out; void has a plane."""
    form = draw_form(rng, encodings=("planes",), classes=(3, 4), declared=True)
    clean = write_clean(root, rng, form)
    for item in clean.items[::2]:
        pick(rng, sorted(item.mask.glob("*.png"))).unlink()
        void = borders(item.labels) * np.uint8(255)
        save(pil.fromarray(void), item.mask / "void.png")
    return Planted(root, "M416")


def class_in_one_picture(root: Path, rng: np.random.Generator) -> Planted:
    """A class is in one picture of each split."""
    write(plan_rare(root, rng, divided(rng), 0.01))
    return Planted(root, "C501")


def class_in_one_picture_of_train(root: Path, rng: np.random.Generator) -> Planted:
    """A class is in one picture of train, and in one of val."""
    return class_in_one_picture(root, rng)._replace(code="C502")


def class_in_one_picture_of_val(root: Path, rng: np.random.Generator) -> Planted:
    """A class is in one picture of val, and in one of train."""
    return class_in_one_picture(root, rng)._replace(code="C503")


def class_of_a_few_thousandths(root: Path, rng: np.random.Generator) -> Planted:
    """A class has 0.2 % of the pixels, as pedestrians have."""
    write(plan_rare(root, rng, divided(rng), _COMMON))
    return Planted(root, "C504")


def gaps_that_are_mapped(root: Path, rng: np.random.Generator) -> Planted:
    """Labels skip numbers, and `dataset.toml` says what they are."""
    write_ids(root, rng)
    return Planted(root, "C505")


def mostly_background(root: Path, rng: np.random.Generator) -> Planted:
    """Two pictures in three have no foreground."""
    form = draw_form(rng, layouts=("folder", "split", "voc"), encodings=("0/255", "0/1", "1-bit"))
    clean = plan_clean(root, rng, form)
    some = [item.name for item in clean.items[::3]]
    write(changed(clean, lambda item: item.labels * (item.name in some)))
    return Planted(root, "C506")


def _turned_with_masks(root: Path, rng: np.random.Generator, *, square: bool) -> Planted:
    form = _large(rng, *_SHARP, suffixes=EXIF, square=square)
    clean = write_clean(root, rng, form, pairs=MANY)
    for item in clean.items[::2]:
        orientation = pick(rng, tuple(_UPRIGHT))
        save_with_orientation(item, form, orientation)
        mask, turn = pil.fromarray(item.labels), _UPRIGHT[orientation]
        upright = mask if turn is None else mask.transpose(turn)
        write_mask(item.mask, np.asarray(upright), form)
    return Planted(root, "M402")


def _dot(
    root: Path, rng: np.random.Generator, form: Form, ground: int, label: int, code: str
) -> Planted:
    """A set with a mask of one class but for three pixels of another."""
    clean = plan_clean(root, rng, form)
    chosen = pick(rng, clean.items)

    def dotted(item: Item) -> _Labels:
        if item is not chosen:
            return item.labels
        labels = np.full_like(item.labels, ground)
        row, column = int(rng.integers(labels.shape[0])), int(rng.integers(labels.shape[1] - 3))
        labels[row, column : column + 3] = label
        return labels

    write(changed(clean, dotted))
    return Planted(root, code)


def _rimmed(labels: _Labels, item: Item, void: int) -> _Labels:
    return np.where(borders(item.labels), np.uint8(void), labels)


def _with_bonnet(item: Item) -> _Labels:
    labels = item.labels.copy()
    height, width = labels.shape
    labels[int(height * 0.85) :, int(width * 0.1) : int(width * 0.9)] = VOID
    return labels


def _with_lines(labels: _Labels, rng: np.random.Generator, label: int) -> _Labels:
    """The labels with a steep, a flat and a slanting line of one pixel."""
    height, width = labels.shape
    lines = labels.copy()
    lines[:, int(rng.integers(width))] = label
    lines[int(rng.integers(height)), :] = label
    along = np.arange(min(height, width))
    lines[along, along] = label
    return lines


def _grown(labels: _Labels) -> _Labels:
    """Foreground with two pixels more on all sides."""
    for _ in range(2):
        labels = labels | (borders(labels) & (labels == 0))
    return labels


def _large(
    rng: np.random.Generator,
    *encodings: Encoding,
    suffixes: tuple[str, ...] = (".png", ".jpg"),
    square: bool = False,
) -> Form:
    return draw_form(rng, encodings=encodings, suffixes=suffixes, sizes=LARGE, square=square)


NEAR = (
    Kind("M401", pictures_of_all_sizes),
    Kind("M402", photographs_turned_with_their_masks),
    Kind("M402", square_photographs_turned_with_their_masks),
    Kind("M403", labels_that_are_mapped),
    Kind("M404", void_rims),
    Kind("M404", bonnet_of_255),
    Kind("M404", padding_of_255),
    Kind("M404", white_foreground),
    Kind("M405", declared_background_that_is_nowhere),
    Kind("M406", png_masks_that_are_called_jpg),
    Kind("M407", wires),
    Kind("M407", kerbs_between_ids),
    Kind("M408", palettes),
    Kind("M409", table_with_a_colour_of_void),
    Kind("M410", grey_lines_between_black_and_white),
    Kind("M411", one_tiny_region),
    Kind("M412", two_classes_in_one_picture),
    Kind("M413", generous_outlines),
    Kind("M413", unsteady_hands),
    Kind("M413", shadows),
    Kind("M414", masks_in_several_formats),
    Kind("M415", wide_integers),
    Kind("M416", planes_of_what_is_there),
    Kind("C501", class_in_one_picture),
    Kind("C502", class_in_one_picture_of_train),
    Kind("C503", class_in_one_picture_of_val),
    Kind("C504", class_of_a_few_thousandths),
    Kind("C505", gaps_that_are_mapped),
    Kind("C506", mostly_background),
)
