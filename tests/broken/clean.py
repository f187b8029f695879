"""Clean sets: every picture with its mask, every class in both splits, nothing twice."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Shaped, UInt8
from PIL import Image as pil

from atrous.classes import to_hex
from atrous.types import Size

from .forms import COLOURS, VOID, Form, draw_names, draw_size, list_place, places
from .pictures import Look, Scene, draw_look, draw_scene, paint, photograph

OPAQUE = (220, 20, 60)  # of what alpha leaves to be seen
QUALITY = 92  # of JPEG and WebP
VAL = 3  # one picture in so many is for validation


class Item(NamedTuple):
    """A picture and its mask, on disk and in memory; `labels` are class indices and void."""

    split: str
    name: str
    image: Path
    mask: Path
    pixels: UInt8[np.ndarray, "H W 3"]
    labels: UInt8[np.ndarray, "H W"]
    scene: Scene


class Clean(NamedTuple):
    """A set, written or about to be; its items in the order of their names."""

    root: Path
    form: Form
    look: Look
    items: tuple[Item, ...]

    def of(self, split: str) -> tuple[Item, ...]:
        """The items of a split."""
        return tuple(item for item in self.items if item.split == split)

    def told(self, *paths: Path) -> tuple[str, ...]:
        """Paths relative to the root, as findings tell them."""
        return tuple(path.relative_to(self.root).as_posix() for path in paths)


def plan_clean(
    root: Path,
    rng: np.random.Generator,
    form: Form,
    *,
    pairs: int = 9,
    scenes: Callable[[np.random.Generator, Size, int], Scene] = draw_scene,
) -> Clean:
    """A clean set that is not yet on disk, a third of it for validation.

    `scenes` draws one of a size and a number of classes.
    """
    look = draw_look(rng, form.classes)
    train = pairs - pairs // VAL
    size = draw_size(rng, form)
    items = []
    for i, name in enumerate(draw_names(rng, form.style, pairs)):
        scene = scenes(rng, size if form.one_size else draw_size(rng, form), form.classes)
        split = "train" if i < train or form.layout == "undivided" else "val"
        items.append(make_item(root, form, look, split, name, scene))
    return Clean(root, form, look, tuple(items))


def make_item(root: Path, form: Form, look: Look, split: str, name: str, scene: Scene) -> Item:
    """The picture of a scene and its mask, with the paths that the form gives them."""
    labels = paint(scene.shapes, scene.size)
    labels[borders(labels) & form.void] = VOID
    image, mask = (root / place for place in places(form, split, name))
    return Item(split, name, image, mask, photograph(scene, look), labels, scene)


def write_clean(root: Path, rng: np.random.Generator, form: Form, *, pairs: int = 9) -> Clean:
    """A clean set on disk."""
    return write(plan_clean(root, rng, form, pairs=pairs))


def write(clean: Clean) -> Clean:
    """The set itself, written whole: pictures, masks, lists and `dataset.toml`."""
    for item in clean.items:
        write_picture(item.image, item.pixels, clean.form)
        write_mask(item.mask, item.labels, clean.form)
    for split in ("train", "val"):
        write_list(clean, split, [item.name for item in clean.of(split)])
    if clean.form.declared:
        declare(clean)
    return clean


def write_list(clean: Clean, split: str, names: Iterable[str]) -> str:
    """The list file of a split, if the layout has one; its path relative to the root."""
    place = list_place(clean.form, split)
    if place is None:
        return ""
    file = clean.root / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    return place.as_posix()


def declare(clean: Clean, *, names: tuple[str, ...] | None = None, extra: str = "") -> None:
    """Write `dataset.toml` with the classes, the colours that masks hold, and `extra` lines."""
    names, form = names or clean.form.names, clean.form
    lines = [f"classes = {json.dumps(names, ensure_ascii=False)}"]  # TOML writes lists so too
    if form.encoding == "rgb":
        lines += [f"colours = {json.dumps([to_hex(colour) for colour in COLOURS[: len(names)]])}"]
    if form.encoding == "alpha":
        extra += f'[remap]\ntransparent = 0\n"{to_hex(OPAQUE)}" = 1\n'
    (clean.root / "dataset.toml").write_text("\n".join([*lines, extra, ""]), encoding="utf-8")


def write_picture(path: Path, pixels: UInt8[np.ndarray, "H W 3"], form: Form) -> None:
    """Write a picture with the form's bands and depth, in the format of the path's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = pil.fromarray(pixels)
    if form.bands == 1:
        picture = picture.convert("L")
    if form.depth == 16:
        picture = pil.fromarray(deepen(np.asarray(picture)))
    save(picture, path)


def deepen(grey: UInt8[np.ndarray, "H W"]) -> Shaped[np.ndarray, "H W"]:
    """Grey of 16 bits over the whole range, with low bits of its own."""
    low = (grey.astype(np.uint16) * 7919 + np.arange(grey.shape[1], dtype=np.uint16) * 31) % 256
    return (grey.astype(np.uint16) << 8) + low.astype(np.uint16)


def save(picture: pil.Image, path: Path) -> None:
    """Write a picture quickly, in the format of the path's suffix."""
    match path.suffix.lower():
        case ".png":
            picture.save(path, compress_level=1)
        case ".webp":
            picture.save(path, quality=QUALITY, method=0)
        case ".jpg" | ".jpeg":
            picture.save(path, quality=QUALITY)
        case _:
            picture.save(path)


def opened(path: Path) -> pil.Image:
    """The picture of a file, which is closed again."""
    with pil.open(path) as picture:
        picture.load()
        return picture


def write_mask(path: Path, labels: UInt8[np.ndarray, "H W"], form: Form) -> None:
    """Write a mask in the form's encoding."""
    path.parent.mkdir(parents=True, exist_ok=True)
    match form.encoding:
        case "planes":
            write_planes(path, labels, form)
        case "npy":
            np.save(path, labels)
        case "palette":
            picture = pil.fromarray(labels)
            picture.putpalette(palette(form.classes).tobytes())
            save(picture, path)
        case "1-bit":
            save(pil.fromarray(labels > 0), path)
        case _:
            save(pil.fromarray(encoded(labels, form)), path)


def encoded(labels: UInt8[np.ndarray, "H W"], form: Form) -> Shaped[np.ndarray, "H W ..."]:
    """The values that a mask's file holds, where its format is a mere array."""
    match form.encoding:
        case "index16":
            return labels.astype(np.uint16)
        case "rgb" | "rgb, no table":
            return np.array(COLOURS, np.uint8)[labels]
        case "0/255":
            return labels * np.uint8(255)
        case "alpha":
            return np.array([(0, 0, 0, 0), (*OPAQUE, 255)], np.uint8)[labels]
        case _:
            return labels


def write_planes(folder: Path, labels: UInt8[np.ndarray, "H W"], form: Form) -> None:
    """Write a folder with a picture a class, white where the class is."""
    folder.mkdir(parents=True, exist_ok=True)
    for k, name in enumerate(form.names):
        save(pil.fromarray((labels == k) * np.uint8(255)), folder / f"{name}.png")


def palette(classes: int) -> UInt8[np.ndarray, "256 3"]:
    """The classes' colours, black, and near-white for void."""
    colours = np.zeros((256, 3), np.uint8)
    colours[:classes] = COLOURS[:classes]
    colours[VOID] = (224, 224, 192)
    return colours


def borders(labels: UInt8[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Pixels beside one of another class, above, below, left or right of it."""
    border = np.zeros(labels.shape, bool)
    down, right = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    border[1:] |= down
    border[:-1] |= down
    border[:, 1:] |= right
    border[:, :-1] |= right
    return border
