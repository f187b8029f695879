"""M4xx that only the pixels show: blended labels and colours, shifts, turned pictures."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image as pil

from .clean import Clean, Item, declare, encoded, plan_clean, save, write, write_clean
from .defects_labels import changed
from .forms import COLOURS, INDICES, TWO, Encoding, Form, draw_form, pick
from .pictures import Shape, paint
from .planted import Kind, Planted

# Sets are larger where the content of pictures decides: the doctor must have something to see.
LARGE = (160, 208)
MANY = 15
IDS = (7, 11, 26, 33)  # labels far apart, as Cityscapes numbers road, building, car, bicycle
EXIF: tuple[str, ...] = (".jpg", ".JPG", ".jpeg")
_ON_SIDE = (5, 6, 6, 6, 7, 8, 8)  # EXIF orientations that swap height and width
_ANY_WAY = (2, 3, 3, 4, 5, 6, 6, 7, 8, 8)
_ORIENTATION = 0x0112  # the EXIF tag
_OF_COLOURS = frozenset({"M407", "M409", "M410"})
_OF_NUMBERS = frozenset({"M403", "M404"})
_SHARP: tuple[Encoding, ...] = (*INDICES, *TWO, "rgb")
_Array = UInt8[np.ndarray, "H W ..."]


def masks_that_were_jpegs(root: Path, rng: np.random.Generator) -> Planted:
    """All 0/255 masks were saved as JPEG once, and are PNG now."""
    clean = write_clean(root, rng, draw_form(rng, encodings=("0/255",)))
    return _blended(clean, clean.items, rng, through_jpeg)


def mask_that_was_a_jpeg(root: Path, rng: np.random.Generator) -> Planted:
    """One 0/255 mask was saved as JPEG once, and is PNG now."""
    clean = write_clean(root, rng, draw_form(rng, encodings=("0/255",)))
    return _blended(clean, (pick(rng, clean.items),), rng, through_jpeg)


def coloured_masks_that_were_jpegs(root: Path, rng: np.random.Generator) -> Planted:
    """All masks of colours were saved as JPEG once, and are PNG now."""
    clean = write_clean(root, rng, draw_form(rng, encodings=("rgb",)))
    return _blended(clean, clean.items, rng, through_jpeg)


def masks_resized_bilinearly(root: Path, rng: np.random.Generator) -> Planted:
    """All 0/255 masks were enlarged as pictures are."""
    clean = write_clean(root, rng, draw_form(rng, encodings=("0/255",)))
    return _blended(clean, clean.items, rng, enlarged)


def mask_resized_bilinearly(root: Path, rng: np.random.Generator) -> Planted:
    """One 0/255 mask was enlarged as pictures are."""
    clean = write_clean(root, rng, draw_form(rng, encodings=("0/255",)))
    return _blended(clean, (pick(rng, clean.items),), rng, enlarged)


def ids_resized_bilinearly(root: Path, rng: np.random.Generator) -> Planted:
    """All masks hold ids far apart that `dataset.toml` maps, and were enlarged as pictures are."""
    clean = write_ids(root, rng)
    return _blended(clean, clean.items, rng, enlarged)


def anti_aliased_colours(root: Path, rng: np.random.Generator) -> Planted:
    """All masks were drawn in colours by a program that smooths its outlines."""
    clean = write_clean(root, rng, draw_form(rng, encodings=("rgb",)))
    for item in clean.items:
        save(pil.fromarray(_smooth(item)), item.mask)
    return Planted(root, "M410", _masks(clean, clean.items), also=_OF_COLOURS)


def shifted_masks(root: Path, rng: np.random.Generator) -> Planted:
    """All masks lie some pixels beside their pictures."""
    clean = plan_clean(root, rng, _large(rng), pairs=MANY)
    while max(abs(offset := rng.integers(-10, 11, 2))) < 5:
        pass
    down, right = (int(by) for by in offset)
    write(changed(clean, lambda item: shifted(item.labels, down, right)))
    return Planted(root, "M413", _masks(clean, clean.items))


def photographs_on_their_side(root: Path, rng: np.random.Generator) -> Planted:
    """EXIF turns some photographs by a quarter; their masks lie as the camera's sensor does."""
    form = draw_form(rng, encodings=_SHARP, suffixes=EXIF)
    return _turned(root, rng, form, _ON_SIDE)


def square_photographs_turned(root: Path, rng: np.random.Generator) -> Planted:
    """EXIF turns some square photographs, and not their masks: sizes say nothing."""
    return _turned(root, rng, _large(rng, suffixes=EXIF, square=True), _ANY_WAY)


def photographs_upside_down(root: Path, rng: np.random.Generator) -> Planted:
    """EXIF turns some photographs by a half, and not their masks: sizes say nothing."""
    return _turned(root, rng, _large(rng, suffixes=EXIF), (3,))


def write_ids(root: Path, rng: np.random.Generator) -> Clean:
    """A clean set of masks that hold ids far apart, which `dataset.toml` maps to classes."""
    form = draw_form(rng, encodings=("index",), classes=(3, 4), void=False)
    clean = plan_clean(root, rng, form)
    clean = write(changed(clean, lambda item: np.array(IDS)[item.labels]))
    lines = [f"{raw} = {k}" for k, raw in enumerate(IDS[: form.classes])]
    declare(clean, extra="\n".join(["[remap]", *lines]))
    return clean


def shifted(labels: UInt8[np.ndarray, "H W"], down: int, right: int) -> UInt8[np.ndarray, "H W"]:
    """Labels moved by so many pixels; what comes in is what stood at the edge."""
    height, width = labels.shape
    rows = (np.arange(height) - down).clip(0, height - 1)
    columns = (np.arange(width) - right).clip(0, width - 1)
    return labels[rows[:, None], columns]


def save_with_orientation(item: Item, form: Form, orientation: int) -> None:
    """Write the picture as its form says, with an EXIF tag that turns it."""
    exif = pil.Exif()
    exif[_ORIENTATION] = orientation
    picture = pil.fromarray(item.pixels)
    picture = picture.convert("L") if form.bands == 1 else picture
    picture.save(item.image, quality=90, exif=exif)


def through_jpeg(values: _Array, rng: np.random.Generator) -> _Array:
    """What a JPEG leaves of an array."""
    buffer = io.BytesIO()
    pil.fromarray(values).save(buffer, "JPEG", quality=int(rng.integers(60, 96)))
    return np.asarray(pil.open(buffer))


def enlarged(values: _Array, rng: np.random.Generator) -> _Array:
    """An array of the same size, as if it had been resized bilinearly from a smaller one."""
    whole, factor = pil.fromarray(values), rng.uniform(1.5, 3.5)
    small = (round(whole.width / factor), round(whole.height / factor))
    half = whole.resize(small, pil.Resampling.NEAREST)
    return np.asarray(half.resize(whole.size, pil.Resampling.BILINEAR))


def _blended(
    clean: Clean,
    items: tuple[Item, ...],
    rng: np.random.Generator,
    blend: Callable[[_Array, np.random.Generator], _Array],
) -> Planted:
    """The set after some of its masks went through something lossy."""
    for item in items:
        values = encoded(item.labels, clean.form)
        save(pil.fromarray(blend(values, rng)), item.mask)
    also = _OF_COLOURS if clean.form.encoding == "rgb" else _OF_NUMBERS
    return Planted(clean.root, "M407", _masks(clean, items), also=also)


def _smooth(item: Item) -> UInt8[np.ndarray, "H W 3"]:
    """The mask in colours, each pixel the mean of sixteen."""
    fine = [Shape(s.label, (s.points + 0.5) * 4 - 0.5) for s in item.scene.shapes]
    height, width = item.labels.shape
    labels = paint(tuple(fine), (height * 4, width * 4))
    return np.asarray(pil.fromarray(np.array(COLOURS, np.uint8)[labels]).reduce(4))


def _turned(
    root: Path, rng: np.random.Generator, form: Form, orientations: tuple[int, ...]
) -> Planted:
    """A set of which every third picture has an EXIF orientation that its mask does not know."""
    clean = write_clean(root, rng, form, pairs=MANY if form.sizes == LARGE else 9)
    for item in clean.items[::3]:
        save_with_orientation(item, form, pick(rng, orientations))
    files = [path for item in clean.items[::3] for path in (item.image, item.mask)]
    return Planted(root, "M402", clean.told(*files))


def _large(
    rng: np.random.Generator,
    *,
    suffixes: tuple[str, ...] = (".png", ".jpg", ".JPG"),
    square: bool = False,
) -> Form:
    return draw_form(rng, encodings=_SHARP, suffixes=suffixes, sizes=LARGE, square=square)


def _masks(clean: Clean, items: tuple[Item, ...]) -> tuple[str, ...]:
    return clean.told(*(item.mask for item in items))


KINDS = (
    Kind("M407", masks_that_were_jpegs, statistical=True),
    Kind("M407", mask_that_was_a_jpeg, statistical=True),
    Kind("M407", coloured_masks_that_were_jpegs, statistical=True),
    Kind("M407", masks_resized_bilinearly, statistical=True),
    Kind("M407", mask_resized_bilinearly, statistical=True),
    Kind("M407", ids_resized_bilinearly, statistical=True),
    Kind("M410", anti_aliased_colours, statistical=True),
    Kind("M413", shifted_masks, statistical=True),
    Kind("M402", photographs_on_their_side),
    Kind("M402", square_photographs_turned, statistical=True),
    Kind("M402", photographs_upside_down, statistical=True),
)
