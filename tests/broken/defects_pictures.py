"""P3xx: pictures that decode, and are not fit to learn from as they are."""

import struct
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image as pil

from .clean import Clean, deepen, opened, plan_clean, save, write, write_clean
from .forms import FILES, draw_form, pick
from .planted import Kind, Planted

_DEEP = (".png", ".tif")  # can hold 16 bits


def one_picture_of_16_bits(root: Path, rng: np.random.Generator) -> Planted:
    """One of many 8-bit pictures has 16 bits."""
    form = draw_form(rng, encodings=FILES, suffixes=_DEEP, depths=(8,), bands=(1,))
    clean = write_clean(root, rng, form)
    item = pick(rng, clean.items)
    save(pil.fromarray(deepen(np.asarray(opened(item.image)))), item.image)
    return Planted(root, "P301", clean.told(item.image))


def one_grey_picture(root: Path, rng: np.random.Generator) -> Planted:
    """One of many colour pictures is grey."""
    form = draw_form(
        rng, encodings=FILES, suffixes=(".png", ".jpg", ".tif"), depths=(8,), bands=(3,)
    )
    clean = write_clean(root, rng, form)
    item = pick(rng, clean.items)
    save(opened(item.image).convert("L"), item.image)
    return Planted(root, "P302", clean.told(item.image))


def one_picture_of_five_bands(root: Path, rng: np.random.Generator) -> Planted:
    """One of many colour pictures has infrared too, and something else."""
    form = draw_form(rng, encodings=FILES, suffixes=(".tif",), depths=(8,), bands=(3,))
    clean = write_clean(root, rng, form)
    item = pick(rng, clean.items)
    write_bands(item.image, np.concatenate([item.pixels, item.pixels[..., :2] // 2], axis=2))
    return Planted(root, "P306", clean.told(item.image))


def pictures_of_16_bits_that_hold_8(root: Path, rng: np.random.Generator) -> Planted:
    """All pictures have 16 bits and hold 0 to 255: a network sees black."""
    form = draw_form(rng, encodings=FILES, suffixes=_DEEP, depths=(16,))
    clean = write_clean(root, rng, form)
    for item in clean.items:
        shallow = np.asarray(pil.fromarray(item.pixels).convert("L")).astype(np.uint16)
        save(pil.fromarray(shallow), item.image)
    return Planted(root, "P303", _all(clean))


def picture_with_a_value_that_is_none(root: Path, rng: np.random.Generator) -> Planted:
    """One pixel of one float picture is NaN, or infinite."""
    clean = write_floats(root, rng)
    item = pick(rng, clean.items)
    floats = np.array(opened(item.image))
    at = int(rng.integers(floats.shape[0])), int(rng.integers(floats.shape[1]))
    floats[at] = pick(rng, (np.nan, np.inf, -np.inf))
    save(pil.fromarray(floats), item.image)
    return Planted(root, "P304", clean.told(item.image), at)


def constant_picture(root: Path, rng: np.random.Generator) -> Planted:
    """One picture was taken with the lid on; those of 16 bits would show noise."""
    clean = plan_clean(root, rng, draw_form(rng, encodings=FILES, depths=(8,)))
    at = int(rng.integers(len(clean.items)))
    items = list(clean.items)
    items[at] = items[at]._replace(pixels=np.full_like(items[at].pixels, rng.integers(0, 256)))
    write(clean._replace(items=tuple(items)))
    return Planted(root, "P305", clean.told(items[at].image))


def write_floats(root: Path, rng: np.random.Generator) -> Clean:
    """A clean set whose pictures are TIFF files of floats around zero, as elevations are."""
    form = draw_form(rng, encodings=FILES, suffixes=(".tif",), depths=(8,), bands=(1,))
    clean = write_clean(root, rng, form)
    for item in clean.items:
        grey = np.asarray(opened(item.image)).astype(np.float32)
        save(pil.fromarray((grey - 128) / np.float32(37)), item.image)
    return clean


def write_bands(path: Path, pixels: UInt8[np.ndarray, "H W C"]) -> None:
    """Write a plain TIFF of any number of bands; Pillow writes no more than four."""
    height, width, bands = pixels.shape
    short, long, count = 3, 4, 11
    bits = 8 + 2 + 12 * count + 4  # where the bits of each band stand, after the one directory
    extra = bits + 2 * bands
    data = extra + 2 * (bands - 1)
    entries = (
        (256, long, 1, width),
        (257, long, 1, height),
        (258, short, bands, bits),
        (259, short, 1, 1),  # not compressed
        (262, short, 1, 1),  # grey, the other bands are extra
        (273, long, 1, data),
        (277, short, 1, bands),
        (278, long, 1, height),
        (279, long, 1, pixels.size),
        (284, short, 1, 1),  # bands lie together
        (338, short, bands - 1, extra),
    )
    directory = struct.pack("<H", count) + b"".join(struct.pack("<HHII", *e) for e in entries)
    tables = struct.pack(f"<{bands}H", *[8] * bands) + bytes(2 * (bands - 1))
    head = struct.pack("<2sHI", b"II", 42, 8) + directory + bytes(4)
    path.write_bytes(head + tables + pixels.tobytes())


def _all(clean: Clean) -> tuple[str, ...]:
    return clean.told(*(item.image for item in clean.items))


KINDS = (
    Kind("P301", one_picture_of_16_bits),
    Kind("P302", one_grey_picture),
    Kind("P306", one_picture_of_five_bands),
    Kind("P303", pictures_of_16_bits_that_hold_8),
    Kind("P304", picture_with_a_value_that_is_none),
    Kind("P305", constant_picture),
)
