"""Pictures and masks -> inline pictures (data URIs), and what is wrong where.

Photographs are WebP, layers over them lossless WebP with transparency, both PNG where Pillow
was built without WebP. Nothing is wider than `WIDEST`; masks are reduced to the nearest pixel.
"""

import base64
import io
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image as pil
from PIL import features

from atrous.classes import Classes
from atrous.data.images import as_shown
from atrous.data.masks import colourise, has_colour
from atrous.types import Image, Mask

WIDEST = 480  # pixels
HATCH = 6  # pixels from one stripe of the hatch to the next


class Verdict(IntEnum):
    """What a pixel of the errors picture says."""

    RIGHT = 0
    WRONG = 1
    STRIPE = 2  # wrong too, on a stripe of the hatch
    IGNORED = 3  # no truth here, so neither right nor wrong


# RGBA: what was right sinks back, what was wrong stands out in colour and in brightness.
VERDICTS = {
    Verdict.RIGHT: (16, 18, 24, 140),
    Verdict.WRONG: (255, 61, 113, 255),
    Verdict.STRIPE: (255, 226, 232, 255),
    Verdict.IGNORED: (128, 132, 140, 255),
}


class Layers(NamedTuple):
    """A photograph and what can be laid over it, as data URIs of one size `(width, height)`."""

    size: tuple[int, int]
    photo: str
    truth: str
    prediction: str
    errors: str


def layers(image: Image, mask: Mask, pred: Mask, classes: Classes) -> Layers:
    """The pictures of one picture, reduced to `WIDEST`."""
    photo = as_shown(image)
    size = reduced_size(photo.shape[1], photo.shape[0])
    mask, pred = nearest(mask, size), nearest(pred, size)
    return Layers(
        size,
        _uri(pil.fromarray(photo).resize(size, pil.Resampling.LANCZOS), exact=False),
        _uri(pil.fromarray(tinted(mask, classes)), exact=True),
        _uri(pil.fromarray(tinted(pred, classes)), exact=True),
        _uri(pil.fromarray(painted(verdicts(mask, pred, classes))), exact=True),
    )


def verdicts(mask: Mask, pred: Mask, classes: Classes) -> UInt8[np.ndarray, "H W"]:
    """The `Verdict` of each pixel; wrong pixels on every other diagonal band are stripes.

    A multilabel pixel is right if all its classes are.

    Example:
        >>> truth, pred = np.uint8([[0, 1, 255]]), np.uint8([[0, 0, 1]])
        >>> verdicts(truth, pred, Classes(("sky", "road")))
        array([[0, 2, 3]], dtype=uint8)
    """
    rows, columns = np.arange(mask.shape[0]), np.arange(mask.shape[1])
    stripe = (rows[:, None] + columns) % HATCH < 2
    wrong = np.where(stripe, Verdict.STRIPE, Verdict.WRONG)
    judged = np.where(mask == pred, Verdict.RIGHT, wrong)
    return np.where(mask == classes.ignore_index, Verdict.IGNORED, judged).astype(np.uint8)


def painted(judged: UInt8[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 4"]:
    """Verdicts in their colours and opacities."""
    return np.array([VERDICTS[verdict] for verdict in Verdict], np.uint8)[judged]


def tinted(mask: Mask, classes: Classes) -> UInt8[np.ndarray, "H W 4"]:
    """The mask in the classes' colours, pixels without a class transparent."""
    seen = np.where(has_colour(mask, classes), 255, 0).astype(np.uint8)[..., None]
    return np.concatenate([colourise(mask, classes) * (seen > 0), seen], axis=2)


def reduced_size(width: int, height: int) -> tuple[int, int]:
    """`(width, height)` no wider than `WIDEST` nor higher than twice that, same shape.

    Example:
        >>> reduced_size(960, 720)
        (480, 360)
    """
    factor = min(1.0, WIDEST / width, 2 * WIDEST / height)
    return max(1, round(width * factor)), max(1, round(height * factor))


def nearest(mask: Mask, size: tuple[int, int]) -> Mask:
    """The mask at `(width, height)`, each pixel the one that lies at its middle."""
    rows = (np.arange(size[1]) * 2 + 1) * mask.shape[0] // (2 * size[1])
    columns = (np.arange(size[0]) * 2 + 1) * mask.shape[1] // (2 * size[0])
    return mask[rows[:, None], columns]


def _uri(picture: pil.Image, *, exact: bool) -> str:
    content = io.BytesIO()
    if not features.check("webp"):
        kind = "png"
        picture.save(content, format="PNG", optimize=True)
    elif exact:
        kind = "webp"
        picture.save(content, format="WebP", lossless=True, quality=60, method=4)
    else:
        kind = "webp"
        picture.save(content, format="WebP", quality=82, method=4)
    return f"data:image/{kind};base64,{base64.b64encode(content.getvalue()).decode('ascii')}"
