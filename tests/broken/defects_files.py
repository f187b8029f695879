"""F2xx: files that cannot be decoded, or are not what they are called."""

import struct
import zlib
from pathlib import Path

import numpy as np

from .clean import Clean, Item, opened, write_clean
from .forms import FILES, Encoding, draw_form, pick
from .planted import Kind, Planted

_PNG_MASKS: tuple[Encoding, ...] = ("index", "index16", "palette", "rgb", "0/255", "0/1", "1-bit")
_PNG = b"\x89PNG\r\n\x1a\n"
_PAGE = b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head><body></body></html>\n"


def picture_that_is_text(root: Path, rng: np.random.Generator) -> Planted:
    """A text file has the suffix of a picture."""
    clean, item = _set(root, rng)
    item.image.write_text("The picture of this place is to follow.\n")
    return Planted(root, "F201", clean.told(item.image))


def mask_that_is_a_web_page(root: Path, rng: np.random.Generator) -> Planted:
    """The server's excuse was saved instead of the mask."""
    clean, item = _set(root, rng, masks=_PNG_MASKS)
    item.mask.write_bytes(_PAGE)
    return Planted(root, "F201", clean.told(item.mask))


def picture_with_damaged_bytes(root: Path, rng: np.random.Generator) -> Planted:
    """The middle of a PNG was overwritten."""
    clean, item = _set(root, rng, suffixes=(".png",))
    content = bytearray(item.image.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = rng.bytes(200)
    item.image.write_bytes(content)
    return Planted(root, "F201", clean.told(item.image), also=frozenset({"F202"}))


def picture_cut_short(root: Path, rng: np.random.Generator) -> Planted:
    """The download of a picture broke off."""
    clean, item = _set(root, rng, suffixes=(".png", ".jpg", ".JPG", ".bmp"))
    _cut(item.image, rng.uniform(0.3, 0.8))
    return Planted(root, "F202", clean.told(item.image))


def mask_cut_short(root: Path, rng: np.random.Generator) -> Planted:
    """The disk was full when a mask was written."""
    clean, item = _set(root, rng, masks=("index", "palette", "rgb", "0/255"))
    _cut(item.mask, rng.uniform(0.5, 0.8))
    return Planted(root, "F202", clean.told(item.mask))


def empty_picture(root: Path, rng: np.random.Generator) -> Planted:
    """A picture has 0 bytes."""
    clean, item = _set(root, rng)
    item.image.write_bytes(b"")
    return Planted(root, "F203", clean.told(item.image))


def empty_mask(root: Path, rng: np.random.Generator) -> Planted:
    """A mask has 0 bytes."""
    clean, item = _set(root, rng)
    item.mask.write_bytes(b"")
    return Planted(root, "F203", clean.told(item.mask))


def picture_that_claims_too_much(root: Path, rng: np.random.Generator) -> Planted:
    """A small PNG says that it holds billions of pixels."""
    clean, item = _set(root, rng, suffixes=(".png",))
    item.image.write_bytes(bomb(int(rng.integers(30_000, 65_500)), 65_500))
    return Planted(root, "F204", clean.told(item.image))


def mask_that_claims_too_much(root: Path, rng: np.random.Generator) -> Planted:
    """A small mask says that it holds billions of pixels."""
    clean, item = _set(root, rng, masks=_PNG_MASKS)
    item.mask.write_bytes(bomb(65_500, int(rng.integers(30_000, 65_500))))
    return Planted(root, "F204", clean.told(item.mask))


def picture_of_converted_line_ends(root: Path, rng: np.random.Generator) -> Planted:
    """Version control took a PNG for text and took out its carriage returns."""
    clean, item = _set(root, rng, suffixes=(".png",))
    item.image.write_bytes(item.image.read_bytes().replace(b"\r\n", b"\n"))
    return Planted(root, "F205", clean.told(item.image))


def masks_of_converted_line_ends(root: Path, rng: np.random.Generator) -> Planted:
    """Version control took all masks for text and put carriage returns in."""
    clean, _ = _set(root, rng, masks=_PNG_MASKS)
    for item in clean.items:
        item.mask.write_bytes(item.mask.read_bytes().replace(b"\n", b"\r\n"))
    return Planted(root, "F205", clean.told(*(item.mask for item in clean.items)))


def picture_of_another_suffix(root: Path, rng: np.random.Generator) -> Planted:
    """A PNG is called `.jpg`."""
    clean, item = _set(root, rng, suffixes=(".jpg", ".JPG"))
    opened(item.image).save(item.image, "PNG")
    return Planted(root, "F206", clean.told(item.image))


def masks_of_another_suffix(root: Path, rng: np.random.Generator) -> Planted:
    """All masks are BMP files that are called `.png`."""
    clean, _ = _set(root, rng, masks=("index", "0/255", "0/1"))
    for item in clean.items:
        opened(item.mask).save(item.mask, "BMP")
    return Planted(root, "F206", clean.told(*(item.mask for item in clean.items)))


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header claims so many pixels; it holds the first few."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return _PNG + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a PNG file, with its length and checksum."""
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )


def _set(
    root: Path,
    rng: np.random.Generator,
    *,
    masks: tuple[Encoding, ...] = FILES,
    suffixes: tuple[str, ...] = (".png", ".jpg", ".JPG", ".tif"),
) -> tuple[Clean, Item]:
    """A clean set and one of its items."""
    clean = write_clean(root, rng, draw_form(rng, encodings=masks, suffixes=suffixes))
    return clean, pick(rng, clean.items)


def _cut(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


KINDS = (
    Kind("F201", picture_that_is_text),
    Kind("F201", mask_that_is_a_web_page),
    Kind("F201", picture_with_damaged_bytes),
    Kind("F202", picture_cut_short),
    Kind("F202", mask_cut_short),
    Kind("F203", empty_picture),
    Kind("F203", empty_mask),
    Kind("F204", picture_that_claims_too_much),
    Kind("F204", mask_that_claims_too_much),
    Kind("F205", picture_of_converted_line_ends),
    Kind("F205", masks_of_converted_line_ends),
    Kind("F206", picture_of_another_suffix),
    Kind("F206", masks_of_another_suffix),
)
