"""What goes into a dense CRF: its names, and what is refused."""

from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Float, Float32, Integer, UInt8, UInt16

from atrous.errors import DataError, ImageError, MaskError, RecipeError
from atrous.kernels.lattice import GROUP

Guide = UInt8[np.ndarray, "H W C"] | UInt16[np.ndarray, "H W C"]
Probabilities = Float[np.ndarray, "K H W"]
Weight = float | Float[np.ndarray, " K"] | Float[np.ndarray, "K K"]
# What a label gains by the filtered ones: a factor; one for each label; or of each by each.
Gain = Float32[np.ndarray, ""] | Float32[np.ndarray, " K"] | Float32[np.ndarray, "K K"]
Normalization = Literal["symmetric", "before", "after", "none"]
Mode = Literal["lattice", "exact-spatial"]

OFF = 0.01  # by which probabilities may miss a sum of 1: of half precision they do
FARTHEST = 1 << 15  # standard deviations across a picture; Krahenbuhl's keys hold as many
COUNTED = 1 << 24  # pixels along an axis: float32 tells so many apart
LARGEST = 1e20  # of a weight, a width, and 1 / width: float32 holds what is made of them
_ENTRIES = 1 << 31  # of a lattice: int32 numbers them


class Widths(NamedTuple):
    """Standard deviations: in pixels, in pixels, in values of the picture."""

    gaussian_sxy: float
    bilateral_sxy: float
    bilateral_srgb: float


def check_pictures(image: Guide, probs: Probabilities) -> None:
    """Refuse a picture or probabilities that nothing can be made of."""
    if image.dtype not in (np.uint8, np.uint16) or image.ndim != 3 or image.size == 0:
        raise ImageError(
            "image",
            found=f"is {image.dtype} of shape {image.shape}",
            allowed="a guide is uint8 or uint16 of height, width and bands, none of them 0",
            fix="Convert it; a grey picture needs a last axis of 1.",
        )
    if probs.ndim != 3 or probs.shape[1:] != image.shape[:2] or len(probs) == 0:
        raise DataError(
            "probs",
            found=f"are of shape {probs.shape}",
            allowed=f"the picture has pixels of {image.shape[:2]}: labels x height x width",
            fix="Give the probabilities of each of its pixels, labels first.",
        )
    if probs.dtype.kind != "f":
        raise DataError(
            "probs",
            found=f"are {probs.dtype}",
            allowed="probabilities are floating-point numbers",
            fix="Of hard labels make them with unary_from_labels.",
        )
    with np.errstate(invalid="ignore"):  # of both infinities: no number, and refused
        sums = probs.sum(0, dtype=np.float32)
    wrong = ~(np.abs(sums - 1) <= OFF) | ~(probs.min(0) >= 0)
    if wrong.any():
        y, x = (int(at) for at in np.argwhere(wrong)[0])
        raise DataError(
            "probs",
            found=f"at pixel ({y}, {x}) are from {probs[:, y, x].min()} and add up to {sums[y, x]}",
            allowed="probabilities are 0 or more and add up to 1",
            fix="Give what a soft-max gives, not logits.",
            pixel=(y, x),
        )


def check_options(
    image: Guide, widths: Widths, iterations: int, normalization: str, mode: str
) -> None:
    """Refuse options out of range, and a picture that is too large for a lattice."""
    (height, width, bands), corners = image.shape, image.shape[2] + 3
    if height * width * corners * GROUP >= _ENTRIES:
        raise ImageError(
            "image",
            found=f"has {height * width} pixels of {bands} bands",
            allowed=f"a lattice has room for {_ENTRIES // (corners * GROUP)}",
            fix="Take dense_crf_windowed, which works in parts.",
        )
    _check_widths(image, widths)
    if not isinstance(iterations, int | np.integer) or iterations < 0:
        raise RecipeError(
            "iterations",
            found=f"is {iterations}",
            allowed="it is a whole number, 0 or more",
            fix="Take 5 or 10.",
        )
    names = {"normalization": (normalization, Normalization), "mode": (mode, Mode)}
    for name, (value, allowed) in names.items():
        if value not in get_args(allowed):
            all_of = ", ".join(get_args(allowed))
            raise RecipeError(
                name, found=f"is {value!r}", allowed=f"it is of {all_of}", fix="Take one."
            )


def check_origin(image: Guide, origin: tuple[int, int]) -> None:
    """Refuse what is no row and column of a larger picture."""
    pair = isinstance(origin, tuple | list) and len(origin) == 2
    most = COUNTED - max(image.shape[:2])
    if not pair or not all(_is_whole(at) and 0 <= at <= most for at in origin):
        raise RecipeError(
            "origin",
            found=f"is {origin!r}",
            allowed=f"it is a row and a column, whole numbers from 0 to {most}",
            fix="Give those of the first pixel in the larger picture, or leave it out.",
        )


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _check_widths(image: Guide, widths: Widths) -> None:
    size = max(image.shape[:2]), max(image.shape[:2]), int(image.max())
    for (name, width), most in zip(widths._asdict().items(), size, strict=True):
        least = max(most / FARTHEST, 1 / LARGEST)
        if not least <= width <= LARGEST:
            raise RecipeError(
                name,
                found=f"is {width}",
                allowed=f"of this picture it is a number from {least:.2g} to {LARGEST:g}",
                fix="Take a wider kernel; DeepLab's are 3, 30 to 100, and 3 to 20.",
            )


def gain(name: str, weight: Weight, labels: int) -> Gain:
    """The gain of a weight, which is checked; a matrix of weights is one of costs."""
    given = np.asarray(weight, np.float64)
    most = np.abs(given).max(initial=0)
    if given.shape not in ((), (labels,), (labels, labels)) or not most <= LARGEST:
        raise RecipeError(
            name,
            found=f"is of shape {given.shape}, up to {most:g}",
            allowed=f"it is a number, {labels} of them, or {labels} x {labels}, up to {LARGEST:g}",
            fix="Give one number, or one for each label, or for each pair.",
        )
    values = given.astype(np.float32)
    if values.ndim == 2 and not np.array_equal(values, values.T):
        a, b = (int(at) for at in np.argwhere(values != values.T)[0])
        raise RecipeError(
            name,
            found=f"costs {values[a, b]} for labels {a}, {b} and {values[b, a]} for {b}, {a}",
            allowed="a pair has one cost",
            fix="Take the mean of both.",
        )
    return -values if values.ndim == 2 else values


def check_labels(
    labels: Integer[np.ndarray, "H W"], num_classes: int, certainty: float, unknown: int
) -> None:
    """Refuse labels that are no classes, and a certainty that is no probability."""
    if not 0 < certainty <= 1:
        raise RecipeError(
            "certainty",
            found=f"is {certainty}",
            allowed="it is a probability above 0",
            fix="Take 0.5 to 0.9.",
        )
    if num_classes == 1 and certainty < 1:
        raise RecipeError(
            "certainty",
            found=f"is {certainty}, and num_classes 1",
            allowed="what is left of a certainty goes to other labels: there are 2 or more",
            fix="Count the label of what is around too: num_classes=2.",
        )
    if num_classes < 1 or labels.ndim != 2 or labels.dtype.kind not in "iu":
        raise MaskError(
            "labels",
            found=f"are {labels.dtype} of shape {labels.shape}, of {num_classes} classes",
            allowed="labels are integers of height and width, and classes 1 or more",
            fix="Give one label for each pixel.",
        )
    wrong = ((labels < 0) | (labels >= num_classes)) & (labels != unknown)
    if wrong.any():
        y, x = (int(at) for at in np.argwhere(wrong)[0])
        raise MaskError(
            "labels",
            found=f"pixel ({y}, {x}) is of class {labels[y, x]}",
            allowed=f"classes are 0-{num_classes - 1}, and {unknown} is unknown",
            fix="Map it to a class, or name it as unknown.",
            pixel=(y, x),
        )
