"""Masks for people to look at: index PNGs with the classes' colours, blends with the picture."""

import io
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64, UInt8
from PIL import Image as pil

from atrous.classes import Classes
from atrous.data.images import as_shown
from atrous.files import write_whole
from atrous.types import Colour, Image, Mask

IGNORE_COLOUR: Colour = (240, 240, 232)  # near-white
# Run lengths alone: a quarter of the time of zlib's default on masks of streets, a fifth larger.
RUNS = zlib.Z_RLE


def write_mask(path: Path, mask: Mask, classes: Classes) -> None:
    """Write class indices as a PNG that shows the classes' colours.

    8-bit with a palette, ignore in near-white; 16-bit grey beyond 255 classes.
    """
    write_whole(path, mask_png(mask, classes))


def mask_png(mask: Mask, classes: Classes) -> bytes:
    """The file that `write_mask` writes."""
    picture = pil.fromarray(np.ascontiguousarray(mask))
    if len(classes) <= 255:
        picture.putpalette(_palette(classes).tobytes())
    return flat_png(picture)


def flat_png(picture: pil.Image) -> bytes:
    """The PNG of a picture of even areas."""
    content = io.BytesIO()
    picture.save(content, format="PNG", compress_level=1, compress_type=RUNS)
    return content.getvalue()


def colourise(mask: Mask, classes: Classes) -> UInt8[np.ndarray, "H W 3"]:
    """The mask in the classes' colours, ignore in near-white.

    Where a multilabel mask has several classes, the mean of their colours; where none, black.
    """
    if classes.task != "multilabel":
        return _palette(classes)[mask]
    if mask.dtype != np.int64:
        return _mixed(np.arange(classes.ignore_index + 1), classes)[mask]
    values, places = np.unique(mask, return_inverse=True)
    return _mixed(values, classes)[places.reshape(mask.shape)]


def has_colour(mask: Mask, classes: Classes) -> Bool[np.ndarray, "H W"]:
    """Where there is a class to show: neither void nor, in a multilabel mask, nothing."""
    known = mask != classes.ignore_index
    return known & (mask != 0) if classes.task == "multilabel" else known


def blend(
    image: Image, mask: Mask, classes: Classes, opacity: float = 0.55
) -> UInt8[np.ndarray, "H W 3"]:
    """The picture with the mask's colours laid over it; pixels without a class stay as they are.

    `opacity` 0 gives the picture, 1 the colours.
    """
    below = as_shown(image).astype(np.uint16)
    weight = round(opacity * 256)
    mixed = (below * (256 - weight) + colourise(mask, classes) * np.uint16(weight) + 128) >> 8
    return np.where(has_colour(mask, classes)[..., None], mixed, below).astype(np.uint8)


def _palette(classes: Classes) -> UInt8[np.ndarray, "N 3"]:
    palette = np.zeros((np.iinfo(classes.dtype).max + 1, 3), np.uint8)
    palette[: len(classes)] = classes.colours
    palette[classes.ignore_index] = IGNORE_COLOUR
    return palette


def _mixed(values: Int64[np.ndarray, " N"], classes: Classes) -> UInt8[np.ndarray, "N 3"]:
    """The colour of each value of a multilabel mask."""
    there = values[:, None] >> np.arange(len(classes)) & 1
    total = there @ np.array(classes.colours)
    mean = np.rint(total / np.maximum(there.sum(1, keepdims=True), 1)).astype(np.uint8)
    mean[values == classes.ignore_index] = IGNORE_COLOUR
    return mean
