"""S1xx: pictures and masks that do not find each other, lists, splits, `dataset.toml`."""

import shutil
import unicodedata
from pathlib import Path

import numpy as np

from .clean import Clean, Item, declare, plan_clean, write, write_clean, write_list, write_picture
from .forms import (
    FILES,
    FOLDERS,
    LISTED,
    LOSSLESS,
    PLAIN,
    Encoding,
    Layout,
    draw_form,
    pick,
    places,
)
from .planted import Kind, Planted

_PAIRED: tuple[Layout, ...] = (*FOLDERS, "undivided")
# A picture read as a mask holds every value there is, in every number of bands.
_OF_SWAPPED = frozenset(
    "M401 M403 M404 M405 M406 M407 M409 M410 M414 M415 C505 C506 P301 P302 P305".split()
)


def picture_without_mask(root: Path, rng: np.random.Generator) -> Planted:
    """One mask was never made."""
    form = draw_form(rng, layouts=_PAIRED, encodings=FILES)
    clean = write_clean(root, rng, form)
    item = pick(rng, clean.items)
    item.mask.unlink()
    return Planted(root, "S101", clean.told(item.image))


def mask_without_picture(root: Path, rng: np.random.Generator) -> Planted:
    """One picture was lost."""
    form = draw_form(rng, layouts=_PAIRED, encodings=FILES)
    clean = write_clean(root, rng, form)
    item = pick(rng, clean.items)
    item.image.unlink()
    return Planted(root, "S102", clean.told(item.mask))


def picture_in_two_formats(root: Path, rng: np.random.Generator) -> Planted:
    """`x.png` lies beside `x.webp`."""
    form = draw_form(rng, encodings=FILES, suffixes=(".png", ".bmp"), depths=(8,))
    clean = write_clean(root, rng, form)
    item = pick(rng, clean.items)
    double = item.image.with_suffix(".tif")
    shutil.copy(item.image, double)
    also = frozenset({"D601", "F206"})
    return Planted(root, "S103", clean.told(item.image, double), also=also)


def mask_in_two_files(root: Path, rng: np.random.Generator) -> Planted:
    """`x.png` and `x.bmp` are both the mask of `x.jpg`."""
    layouts: tuple[Layout, ...] = ("folder", "split", "undivided", "camvid")
    form = draw_form(rng, layouts=layouts, encodings=("index", "0/255", "rgb"))
    clean = write_clean(root, rng, form)
    item = pick(rng, clean.items)
    double = item.mask.with_suffix(".bmp")
    shutil.copy(item.mask, double)
    return Planted(root, "S103", clean.told(item.mask, double), also=frozenset({"F206"}))


def names_that_differ_in_case(root: Path, rng: np.random.Generator) -> Planted:
    """`park a` and `Park a` are two pictures, until the set is copied to a Mac."""
    form = draw_form(rng, layouts=FOLDERS, encodings=FILES, styles=("words",))
    clean = plan_clean(root, rng, form)
    one, other = clean.of("train")[:2]
    twin = _renamed(clean, other, one.name[0].upper() + one.name[1:])
    write(_with(clean, other, twin))
    return Planted(root, "S104", clean.told(one.image, twin.image, one.mask, twin.mask))


def names_that_differ_in_accents(root: Path, rng: np.random.Generator) -> Planted:
    """Two pictures have one name as it is read: of one the accent is composed, of one it is not."""
    form = draw_form(rng, layouts=FOLDERS, encodings=FILES, styles=("words",))
    clean = plan_clean(root, rng, form)
    one, other = clean.of("train")[:2]
    first = _renamed(clean, one, "forêt 1")
    second = _renamed(clean, other, unicodedata.normalize("NFD", "forêt 1"))
    clean = _with(_with(clean, one, first), other, second)
    write(clean)
    files = clean.told(first.image, second.image, first.mask, second.mask)
    return Planted(root, "S103", files, also=frozenset({"S104"}))


def mask_whose_name_differs_in_case(root: Path, rng: np.random.Generator) -> Planted:
    """The mask of `Park a` is called `park a`."""
    form = draw_form(rng, layouts=FOLDERS, encodings=FILES, styles=("words",))
    clean = plan_clean(root, rng, form)
    item = clean.of("train")[0]
    image = _renamed(clean, item, item.name[0].upper() + item.name[1:]).image
    write(_with(clean, item, item._replace(image=image)))
    return Planted(root, "S104", clean.told(image, item.mask), also=frozenset({"S101", "S102"}))


def swapped_folders(root: Path, rng: np.random.Generator) -> Planted:
    """The masks lie in `images`, the pictures in `masks`."""
    layouts: tuple[Layout, ...] = ("folder", "split", "undivided")
    encodings: tuple[Encoding, ...] = (*PLAIN, "0/255", "rgb")
    form = draw_form(rng, layouts=layouts, encodings=encodings, suffixes=LOSSLESS, depths=(8,))
    write_clean(root, rng, form)
    for images in [*root.glob("images"), *root.glob("*/images")]:
        masks, aside = images.with_name("masks"), images.with_name("aside")
        images.rename(aside)
        masks.rename(images)
        aside.rename(masks)
    return Planted(root, "S105", also=_OF_SWAPPED)


def list_that_names_what_is_not_there(root: Path, rng: np.random.Generator) -> Planted:
    """A name in a list has a slip of the pen."""
    clean = write_clean(root, rng, draw_form(rng, layouts=LISTED, encodings=FILES))
    names = [item.name for item in clean.of("train")]
    file = write_list(clean, "train", [*names[:3], names[3] + "0", *names[4:]])
    return Planted(root, "S106", (file,))


def list_that_names_one_twice(root: Path, rng: np.random.Generator) -> Planted:
    """A list holds one line a second time."""
    clean = write_clean(root, rng, draw_form(rng, layouts=LISTED, encodings=FILES))
    names = [item.name for item in clean.of("train")]
    file = write_list(clean, "train", [*names, pick(rng, names)])
    return Planted(root, "S106", (file,))


def picture_in_two_lists(root: Path, rng: np.random.Generator) -> Planted:
    """A picture is in the lists of train and of val."""
    clean = write_clean(root, rng, draw_form(rng, layouts=LISTED, encodings=FILES))
    item = pick(rng, clean.of("train"))
    file = write_list(clean, "val", [*(other.name for other in clean.of("val")), item.name])
    files = (file, file.replace("val.txt", "train.txt"), *clean.told(item.image, item.mask))
    return Planted(root, "S107", files, also=frozenset({"D602"}))


def pictures_that_nobody_labelled(root: Path, rng: np.random.Generator) -> Planted:
    """Pascal VOC's folder of pictures holds more than there are masks."""
    form = draw_form(rng, layouts=("voc",), encodings=FILES)
    clean = plan_clean(root, rng, form, pairs=12)
    write(clean._replace(items=clean.items[:-3]))
    for item in clean.items[-3:]:
        write_picture(item.image, item.pixels, form)
    return Planted(root, "S108")


def test_split_without_masks(root: Path, rng: np.random.Generator) -> Planted:
    """The pictures of the test split are there, their masks are kept by the organisers."""
    form = draw_form(rng, layouts=("folder", "split"), encodings=FILES)
    clean = plan_clean(root, rng, form, pairs=12)
    write(clean._replace(items=clean.items[:-3]))
    for item in clean.items[-3:]:
        image, _ = places(form, "test", item.name)
        write_picture(root / image, item.pixels, form)
    return Planted(root, "S108")


def declaration_that_is_no_toml(root: Path, rng: np.random.Generator) -> Planted:
    """A bracket is missing in `dataset.toml`."""
    clean = write_clean(root, rng, draw_form(rng, declared=True, encodings=FILES))
    file = root / "dataset.toml"
    file.write_text(file.read_text("utf-8").replace("]", "", 1), encoding="utf-8")
    return Planted(clean.root, "S109", ("dataset.toml",))


def declaration_with_an_unknown_key(root: Path, rng: np.random.Generator) -> Planted:
    """`dataset.toml` says `clases`."""
    form = draw_form(rng, encodings=("index", "palette", "0/1"))
    declare(write_clean(root, rng, form), extra='clases = ["a", "b"]')
    return Planted(root, "S109", ("dataset.toml",))


def list_without_a_name(root: Path, rng: np.random.Generator) -> Planted:
    """The list of val is there, and holds blank lines."""
    clean = write_clean(root, rng, draw_form(rng, layouts=LISTED, encodings=FILES))
    file = write_list(clean, "val", [""] * int(rng.integers(3)))
    return Planted(root, "S110", (file,))


def folder_of_something_else(root: Path, rng: np.random.Generator) -> Planted:
    """Pictures lie there, but nothing that could be masks."""
    form = draw_form(rng, layouts=("undivided",), suffixes=(".jpg", ".png"))
    clean = write_clean(root, rng, form)
    shutil.rmtree(root / "masks")
    (root / "images").rename(root / pick(rng, ("holidays", "照片", "IMG")))
    (root / "dataset.toml").unlink(missing_ok=True)
    return Planted(clean.root, "S109")


def _renamed(clean: Clean, item: Item, name: str) -> Item:
    image, mask = (clean.root / place for place in places(clean.form, item.split, name))
    return item._replace(name=name, image=image, mask=mask)


def _with(clean: Clean, old: Item, new: Item) -> Clean:
    return clean._replace(items=tuple(new if item is old else item for item in clean.items))


KINDS = (
    Kind("S101", picture_without_mask),
    Kind("S102", mask_without_picture),
    Kind("S103", picture_in_two_formats),
    Kind("S103", mask_in_two_files),
    Kind("S104", names_that_differ_in_case),
    Kind("S103", names_that_differ_in_accents),
    Kind("S104", mask_whose_name_differs_in_case),
    Kind("S105", swapped_folders, statistical=True),
    Kind("S106", list_that_names_what_is_not_there),
    Kind("S106", list_that_names_one_twice),
    Kind("S107", picture_in_two_lists),
    Kind("S108", pictures_that_nobody_labelled),
    Kind("S108", test_split_without_masks),
    Kind("S109", declaration_that_is_no_toml),
    Kind("S109", declaration_with_an_unknown_key),
    Kind("S109", folder_of_something_else),
    Kind("S110", list_without_a_name),
)
