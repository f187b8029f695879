"""D6xx: one picture twice, nearly twice, or neighbours of it, where they do harm."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image as pil

from atrous.types import Size

from .clean import Clean, Item, borders, plan_clean, write
from .defects_blends import LARGE, MANY, through_jpeg
from .forms import (
    FOLDERS,
    INDICES,
    LISTED,
    TWO,
    VOID,
    Encoding,
    Form,
    Layout,
    draw_form,
    pick,
    places,
)
from .pictures import Scene, draw_scene, paint, photograph
from .planted import Kind, Planted

_DIVIDED: tuple[Layout, ...] = (*FOLDERS, *LISTED)
_SHARP: tuple[Encoding, ...] = (*INDICES, *TWO, "rgb")
_RASTER = (4, 5)  # tiles down and across
_HEADS = (  # of the names of frames; the last say by a word what they are
    ("drive1_", "drive2_", "drive3_"),
    ("Seq05VD_f", "0006R0_f", "0016E5_"),
    ("frame_a_", "frame_b_", "frame_c_"),
)
_OVERLAP = frozenset({"D603", "D604", "D605", "D606"})
_OF_NAMES = frozenset({"D601", "D602", "D603", "D604", "D605", "C502", "C503", "C504"})
_Pixels = UInt8[np.ndarray, "H W 3"]
_Labels = UInt8[np.ndarray, "H W"]
_View = tuple[_Pixels, _Labels]  # a picture and its mask
_Change = Callable[[Item, np.random.Generator], Item]


def exact_twins(root: Path, rng: np.random.Generator) -> Planted:
    """One picture of train lies there twice, with its mask, under two names."""
    return _twins(root, rng, "D601", lambda item, _: item, "train", "train")


def exact_twins_across(root: Path, rng: np.random.Generator) -> Planted:
    """One picture lies in train and in val."""
    return _twins(root, rng, "D602", lambda item, _: item, "train", "val")


def one_picture_with_two_masks(root: Path, rng: np.random.Generator) -> Planted:
    """Two people labelled one picture, and do not agree."""
    clean = plan_clean(root, rng, _small(rng))
    first, second = clean.of("train")[1], pick(rng, clean.items[3:])
    twin = second._replace(pixels=first.pixels)
    clean = write(_instead(clean, second, twin))
    files = clean.told(first.image, twin.image, first.mask, twin.mask)
    return Planted(root, "D607", files, also=frozenset({"D601", "D602"}))


def encoded_again(root: Path, rng: np.random.Generator) -> Planted:
    """A picture lies in train twice, once out of a JPEG."""
    return _twins(root, rng, "D603", _reencoded, "train", "train")


def turned_in_one_split(root: Path, rng: np.random.Generator) -> Planted:
    """A picture lies in train twice, once turned, as augmentation on disk does."""
    return _twins(root, rng, "D603", _turned, "train", "train")


def encoded_again_across(root: Path, rng: np.random.Generator) -> Planted:
    """A picture of train lies in val too, out of a JPEG."""
    return _twins(root, rng, "D604", _reencoded, "train", "val")


def flipped_across(root: Path, rng: np.random.Generator) -> Planted:
    """A picture of train lies in val too, flipped."""
    return _twins(root, rng, "D604", _flipped, "train", "val")


def turned_across(root: Path, rng: np.random.Generator) -> Planted:
    """A picture of train lies in val too, turned by a quarter or a half."""
    return _twins(root, rng, "D604", _turned, "train", "val")


def scaled_across(root: Path, rng: np.random.Generator) -> Planted:
    """A picture of train lies in val too, smaller or larger."""
    return _twins(root, rng, "D604", _scaled, "train", "val")


def brightened_across(root: Path, rng: np.random.Generator) -> Planted:
    """A picture of train lies in val too, brighter or darker, and out of a JPEG."""
    return _twins(root, rng, "D604", _brightened, "train", "val")


def neighbouring_frames_across(root: Path, rng: np.random.Generator) -> Planted:
    """Some val pictures were taken a moment after one of train: the camera and a thing moved."""
    return _neighbours(root, rng, _next_frame)


def overlapping_tiles_across(root: Path, rng: np.random.Generator) -> Planted:
    """Some val pictures are tiles that share half with a tile of train."""
    return _neighbours(root, rng, _next_tile)


def frames_of_one_drive_across(root: Path, rng: np.random.Generator) -> Planted:
    """Every third frame of three drives is in val, as their numbers say."""
    form = draw_form(rng, layouts=_DIVIDED, encodings=_SHARP, suffixes=(".png", ".jpg"))
    clean = plan_clean(root, rng, form, pairs=3)
    heads = pick(rng, _HEADS)
    items = []
    for drive, head in enumerate(heads):
        start = int(rng.integers(10, 900))
        for i, view in enumerate(_drive(rng, clean, frames=6)):
            split = "val" if i % 3 == drive % 3 else "train"
            items.append(_put(clean, view, split, f"{head}{start + i:05}"))
    clean = write(clean._replace(items=tuple(items)))
    files = clean.told(*(path for item in items for path in (item.image, item.mask)))
    return Planted(root, "D606", files, also=_OF_NAMES)


def tiles_of_one_raster_across(root: Path, rng: np.random.Generator) -> Planted:
    """Tiles of one raster, named by row and column, were dealt to train and val at random."""
    form = draw_form(rng, layouts=_DIVIDED, encodings=_SHARP, suffixes=(".png", ".tif"))
    clean = plan_clean(root, rng, form, pairs=3)
    rows, columns = _RASTER
    height, width = clean.items[0].scene.size
    whole = take(clean, draw_scene(rng, (rows * height, columns * width), form.classes))
    name = pick(rng, ("area_r{}_c{}", "T32UMD_{:02}_{:02}", "x{:03}_y{:03}"))
    validation = rng.permutation(rows * columns)[: rows * columns // 3].tolist()
    items = []
    for i in range(rows * columns):
        row, column = divmod(i, columns)
        tile = window(whole, row * height, column * width, (height, width))
        split = "val" if i in validation else "train"
        items.append(_put(clean, tile, split, name.format(row, column)))
    clean = write(clean._replace(items=tuple(items)))
    files = clean.told(*(path for item in items for path in (item.image, item.mask)))
    return Planted(root, "D606", files, also=_OF_NAMES)


def take(clean: Clean, scene: Scene) -> _View:
    """The picture and the mask of a scene as the set's form has them."""
    labels = paint(scene.shapes, scene.size)
    labels[borders(labels) & clean.form.void] = VOID
    return photograph(scene, clean.look), labels


def window(view: _View, row: int, column: int, size: Size) -> _View:
    """A part of a picture and of its mask."""
    there = np.s_[row : row + size[0], column : column + size[1]]
    return view[0][there], view[1][there]


def moment_later(view: _View, rng: np.random.Generator) -> _View:
    """The same view in another light, with noise of its own."""
    noise = rng.standard_normal(view[0].shape, np.float32) * np.float32(2.5)
    pixels = view[0] * np.float32(rng.uniform(0.95, 1.05)) + noise
    return pixels.clip(0, 255).astype(np.uint8), view[1]


def _twins(
    root: Path, rng: np.random.Generator, code: str, change: _Change, source: str, target: str
) -> Planted:
    """A set in which a picture of one split is another one of it, or of val, changed."""
    exact = code in ("D601", "D602")
    form = _small(rng) if exact else _large(rng)
    clean = plan_clean(root, rng, form, pairs=9 if exact else MANY)
    first, second = clean.of(source)[1], clean.of(target)[-1]
    changed = change(first, rng)
    twin = second._replace(pixels=changed.pixels, labels=changed.labels)
    clean = write(_instead(clean, second, twin))
    files = clean.told(first.image, twin.image, first.mask, twin.mask)
    return Planted(root, code, files, also=_OVERLAP - {code})


def _reencoded(item: Item, rng: np.random.Generator) -> Item:
    return item._replace(pixels=through_jpeg(item.pixels, rng))


def _flipped(item: Item, rng: np.random.Generator) -> Item:
    axis = int(rng.integers(2))
    return item._replace(pixels=np.flip(item.pixels, axis), labels=np.flip(item.labels, axis))


def _turned(item: Item, rng: np.random.Generator) -> Item:
    quarters = int(rng.integers(1, 4))
    pixels, labels = np.rot90(item.pixels, quarters), np.rot90(item.labels, quarters)
    return item._replace(pixels=pixels, labels=labels)


def _scaled(item: Item, rng: np.random.Generator) -> Item:
    factor = pick(rng, (rng.uniform(0.6, 0.8), rng.uniform(1.25, 1.6)))
    height, width = (round(side * factor) for side in item.labels.shape)
    pixels = pil.fromarray(item.pixels).resize((width, height), pil.Resampling.BICUBIC)
    labels = pil.fromarray(item.labels).resize((width, height), pil.Resampling.NEAREST)
    return item._replace(pixels=np.asarray(pixels), labels=np.asarray(labels))


def _brightened(item: Item, rng: np.random.Generator) -> Item:
    brighter = item.pixels * rng.uniform(0.8, 1.2) + rng.uniform(-12, 12)
    pixels = brighter.clip(0, 255).astype(np.uint8)
    return item._replace(pixels=through_jpeg(pixels, rng))


def _neighbours(
    root: Path,
    rng: np.random.Generator,
    views: Callable[[np.random.Generator, Clean, Size], tuple[_View, _View]],
) -> Planted:
    """A set in which two val pictures are neighbours of two of train."""
    clean, files = plan_clean(root, rng, _large(rng), pairs=MANY), []
    for i in (1, 3):
        first, second = clean.of("train")[i], clean.of("val")[i]
        here, there = views(rng, clean, first.scene.size)
        for item, (pixels, labels) in ((first, here), (second, there)):
            clean = _instead(clean, item, item._replace(pixels=pixels, labels=labels))
            files += [item.image, item.mask]
    write(clean)
    return Planted(root, "D605", clean.told(*files), also=_OVERLAP)


def _next_frame(rng: np.random.Generator, clean: Clean, size: Size) -> tuple[_View, _View]:
    """Two frames: the camera moved by some hundredths of the picture, one thing by more."""
    down, right = (int(side * rng.uniform(0.02, 0.06)) for side in size)
    scene = draw_scene(rng, (size[0] + down, size[1] + right), clean.form.classes)
    *others, thing = scene.shapes
    moved = thing._replace(points=thing.points + rng.uniform(-0.04, 0.04, 2) * min(size))
    later = take(clean, scene._replace(shapes=(*others, moved)))
    return (
        window(take(clean, scene), 0, 0, size),
        moment_later(window(later, down, right, size), rng),
    )


def _next_tile(rng: np.random.Generator, clean: Clean, size: Size) -> tuple[_View, _View]:
    """Two tiles of one picture; the second begins in the middle of the first."""
    down, right = pick(rng, ((size[0] // 2, 0), (0, size[1] // 2)))
    whole = take(clean, draw_scene(rng, (size[0] + down, size[1] + right), clean.form.classes))
    return window(whole, 0, 0, size), window(whole, down, right, size)


def _drive(rng: np.random.Generator, clean: Clean, frames: int) -> list[_View]:
    """Views along a street, each of which shares a half with the next."""
    height, width = clean.items[0].scene.size
    step = width // 2
    street = draw_scene(rng, (height, width + step * (frames - 1)), clean.form.classes)
    whole = take(clean, street)
    return [moment_later(window(whole, 0, i * step, (height, width)), rng) for i in range(frames)]


def _put(clean: Clean, view: _View, split: str, name: str) -> Item:
    """The item of a view under a name."""
    image, mask = (clean.root / place for place in places(clean.form, split, name))
    return Item(split, name, image, mask, *view, clean.items[0].scene)


def _instead(clean: Clean, old: Item, new: Item) -> Clean:
    return clean._replace(items=tuple(new if item is old else item for item in clean.items))


def _small(rng: np.random.Generator) -> Form:
    """A form of one size that has its own val split."""
    form = draw_form(rng, layouts=_DIVIDED, encodings=_SHARP)
    return replace(form, one_size=True)


def _large(rng: np.random.Generator) -> Form:
    """A form of large pictures that has its own val split."""
    suffixes = (".png", ".jpg", ".JPG")
    form = draw_form(rng, layouts=_DIVIDED, encodings=_SHARP, suffixes=suffixes, sizes=LARGE)
    return replace(form, one_size=True)


KINDS = (
    Kind("D601", exact_twins),
    Kind("D602", exact_twins_across),
    Kind("D607", one_picture_with_two_masks),
    Kind("D603", encoded_again, statistical=True),
    Kind("D603", turned_in_one_split, statistical=True),
    Kind("D604", encoded_again_across, statistical=True),
    Kind("D604", flipped_across, statistical=True),
    Kind("D604", turned_across, statistical=True),
    Kind("D604", scaled_across, statistical=True),
    Kind("D604", brightened_across, statistical=True),
    Kind("D605", neighbouring_frames_across, statistical=True),
    Kind("D605", overlapping_tiles_across, statistical=True),
    Kind("D606", frames_of_one_drive_across),
    Kind("D606", tiles_of_one_raster_across),
)
