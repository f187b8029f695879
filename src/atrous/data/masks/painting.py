"""Masks for people to look at: index PNGs with the classes' colours, blends with the picture."""

import io
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64, Shaped, UInt8
from PIL import Image as pil

from atrous.classes import Classes
from atrous.data.images import as_shown
from atrous.files import write_whole
from atrous.kernels.blending import blended
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
    places, _, colours = _table(mask, classes)
    return colours[places]


def has_colour(mask: Shaped[np.ndarray, "..."], classes: Classes) -> Bool[np.ndarray, "..."]:
    """Where there is a class to show: neither void nor, in a multilabel mask, nothing."""
    known = mask != classes.ignore_index
    return known & (mask != 0) if classes.task == "multilabel" else known


def blend(
    image: Image, mask: Mask, classes: Classes, opacity: float = 0.55
) -> UInt8[np.ndarray, "H W 3"]:
    """The picture with the mask's colours laid over it; pixels without a class stay as they are.

    `opacity` 0 gives the picture, 1 the colours.
    """
    places, labels, colours = _table(mask, classes)
    weights = np.where(has_colour(labels, classes), round(opacity * 256), 0)
    return blended(as_shown(image), places, colours, weights)


class _Table(NamedTuple):
    """The colours of labels, and where in the table those of a mask stand."""

    places: Shaped[np.ndarray, "H W"]
    labels: Int64[np.ndarray, " N"]
    colours: UInt8[np.ndarray, "N 3"]


def _table(mask: Mask, classes: Classes) -> _Table:
    if classes.task != "multilabel":
        palette = _palette(classes)
        return _Table(mask, np.arange(len(palette)), palette)
    if mask.dtype != np.int64:
        labels = np.arange(classes.ignore_index + 1)
        return _Table(mask, labels, _mixed(labels, classes))
    labels, places = np.unique(mask, return_inverse=True)
    return _Table(places.reshape(mask.shape), labels, _mixed(labels, classes))


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
