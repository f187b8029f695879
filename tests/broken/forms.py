"""How a set may lie on disk: its layout, the encoding of its masks, its pictures and names."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, TypeVar, get_args

import numpy as np

from atrous.types import Size

Layout = Literal["folder", "lists", "undivided", "split", "camvid", "voc", "beside"]
Encoding = Literal[
    "index",  # 8-bit grey PNG
    "index16",
    "palette",
    "tiff",
    "npy",
    "rgb",  # colours with a table in dataset.toml
    "rgb, no table",
    "0/255",
    "0/1",
    "1-bit",
    "alpha",  # what is opaque is foreground
    "planes",  # a folder with a picture a class
]
Style = Literal["numbers", "words", "Chinese", "dates", "nested"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)
STYLES: tuple[Style, ...] = get_args(Style)
FILES: tuple[Encoding, ...] = tuple(one for one in ENCODINGS if one != "planes")
INDICES: tuple[Encoding, ...] = ("index", "index16", "palette", "tiff", "npy")
PLAIN: tuple[Encoding, ...] = ("index", "palette")
TWO: tuple[Encoding, ...] = ("0/255", "0/1", "1-bit", "alpha")
FOLDERS: tuple[Layout, ...] = ("folder", "split", "camvid", "beside")  # that divide by folders
LISTED: tuple[Layout, ...] = ("lists", "voc")  # that divide by list files
SUFFIXES = (".png", ".PNG", ".jpg", ".JPG", ".jpeg", ".tif", ".bmp", ".webp")
LOSSLESS = (".png", ".PNG", ".tif", ".bmp")
NAMES = ("ground", "road", "car", "sign post")  # of the classes
TWO_NAMES = ("background", "foreground")
COLOURS = ((0, 0, 0), (128, 64, 128), (0, 0, 142), (220, 220, 0))
VOID = 255
_T = TypeVar("_T")
_WORDS = (
    "park lane mill river école straße bridge hôtel station harbour market wood tower garden "
    "field canal corner school church square"
).split()


@dataclass(frozen=True)
class Form:
    """How a set is written. `sizes` are the least and the greatest side of its pictures.

    `void` rims lie around the regions. `square` sets have square pictures of one size.
    """

    layout: Layout
    encoding: Encoding
    classes: int
    suffix: str = ".png"
    bands: Literal[1, 3] = 3
    depth: Literal[8, 16] = 8
    style: Style = "numbers"
    val: str = "val"
    void: bool = False
    declared: bool = True
    sizes: tuple[int, int] = (64, 104)
    one_size: bool = False
    square: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The classes' names."""
        return NAMES[: self.classes] if self.classes > 2 else TWO_NAMES

    @property
    def mask_suffix(self) -> str:
        """That of the mask files, in capitals where that of the pictures is."""
        ending = {"npy": ".npy", "tiff": ".tif"}.get(self.encoding, ".png")
        return ending.upper() if self.suffix.isupper() and ending != ".npy" else ending


def draw_form(
    rng: np.random.Generator,
    *,
    layouts: Sequence[Layout] = LAYOUTS,
    encodings: Sequence[Encoding] = ENCODINGS,
    suffixes: Sequence[str] = SUFFIXES,
    styles: Sequence[Style] = STYLES,
    bands: Sequence[Literal[1, 3]] = (1, 3, 3),
    depths: Sequence[Literal[8, 16]] = (8, 8, 8, 16),
    classes: Sequence[int] = (2, 3, 4),
    void: bool | None = None,
    declared: bool | None = None,
    sizes: tuple[int, int] = (64, 104),
    square: bool = False,
) -> Form:
    """A form at random among those allowed; what cannot go together is put right.

    16 bits go with grey PNG and TIFF alone, planes with folders of masks, colours and CamVid's
    folders with a `dataset.toml`.
    """
    layout, encoding = pick(rng, layouts), pick(rng, encodings)
    if encoding == "planes" and layout in ("beside", "voc"):
        layout = pick(rng, ("folder", "split", "lists"))
    suffix, band, style = pick(rng, suffixes), pick(rng, bands), pick(rng, styles)
    deep = pick(rng, depths) == 16 and suffix.lower() in (".png", ".tif")
    if style == "nested" and layout not in ("folder", "lists", "undivided", "split"):
        style = "words"
    count = 2 if encoding in TWO else pick(rng, classes)
    rims = encoding in INDICES and (count > 2) and rng.random() < 0.4
    said = rng.random() < 0.5
    if encoding == "rgb, no table":
        said = declared = False
    elif encoding == "rgb" or layout == "camvid":
        said = True
    if declared is False and layout == "camvid":
        layout = "split"
    return Form(
        layout=layout,
        encoding=encoding,
        classes=count,
        suffix=suffix,
        bands=1 if deep else band,
        depth=16 if deep else 8,
        style=style,
        val=pick(rng, ("val", "val", "valid", "Val")),
        void=rims if void is None else void and encoding in INDICES,
        declared=said if declared is None else declared,
        sizes=sizes,
        one_size=bool(square or rng.random() < 0.6),
        square=square,
    )


def draw_size(rng: np.random.Generator, form: Form) -> Size:
    """A size within the form's sides; never square unless that is asked for."""
    low, high = form.sizes
    if form.square:
        side = int(rng.integers(low, high + 1))
        return side, side
    short, long = sorted(int(side) for side in rng.integers(low, high + 1, 2))
    long += 8 * (long - short < 8)
    return (short, long) if rng.random() < 0.7 else (long, short)


def draw_names(rng: np.random.Generator, style: Style, count: int) -> list[str]:
    """Names that sort as they are drawn; their numbers, if any, run through."""
    start = int(rng.integers(1, 400))
    match style:
        case "numbers":
            return [f"{start + i:04}" for i in range(count)]
        case "dates":
            return [
                f"IMG_2024{5 + i // 6:02}{7 + 3 * (i % 6):02}_{2000 + 137 * i}"
                for i in range(count)
            ]
        case "Chinese":
            return [f"街道 照片{start + i:03}" for i in range(count)]
        case "nested":
            return [
                f"{'north/a' if i < count // 2 else 'south side/b'}_{i:02}" for i in range(count)
            ]
        case "words":
            heads = rng.permutation(_WORDS)[:count]
            return sorted(f"{head} {chr(97 + i)}x" for i, head in enumerate(heads))


def places(form: Form, split: str, name: str) -> tuple[PurePosixPath, PurePosixPath]:
    """Where a picture and its mask lie, relative to the root; planes are a folder."""
    folder = form.val if split == "val" else split
    image, mask = {
        "folder": (f"images/{folder}", f"masks/{folder}"),
        "lists": ("images", "masks"),
        "undivided": ("images", "masks"),
        "split": (f"{folder}/images", f"{folder}/masks"),
        "camvid": (folder, f"{folder}annot"),
        "voc": ("JPEGImages", "SegmentationClass"),
        "beside": (folder, folder),
    }[form.layout]
    ending = "_mask" if form.layout == "beside" else ""
    suffix = "" if form.encoding == "planes" else form.mask_suffix
    return (
        PurePosixPath(image, name + form.suffix),
        PurePosixPath(mask, name + ending + suffix),
    )


def list_place(form: Form, split: str) -> PurePosixPath | None:
    """Where the list of a split lies; None where folders divide."""
    match form.layout:
        case "voc":
            return PurePosixPath("ImageSets/Segmentation", f"{split}.txt")
        case "lists":
            return PurePosixPath(f"{split}.txt")
        case _:
            return None


def pick(rng: np.random.Generator, of: Sequence[_T]) -> _T:
    """One of them, each as likely."""
    return of[int(rng.integers(len(of)))]
