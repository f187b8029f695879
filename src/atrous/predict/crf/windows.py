"""The dense CRF of pictures that are larger than memory, in windows that overlap: an approximation.

The model joins every pixel with every other; a window knows only its own. What is kept of it ends
in the middle of each overlap, so half an overlap lies between a kept pixel and what it cannot see.
All windows lie on the lattice of the whole picture: on lattices of their own they would differ
from it by 0.1 % of the labels, however large the overlap.

CamVid pictures cut in two, `bilateral_sxy` of 30 and 67, the worst of both and of all pictures
(`benchmarks/crf_relatives.py`; the CRF itself changes 3 to 5 % of the labels):

    overlap, in bilateral_sxy           0       0.5     1       2       3       4
    labels that differ, %               0.89    0.52    0.35    0.13    0.06    0.02
    Q differs by, on average            2e-3    1e-3    6e-4    2e-4    1e-4    3e-5
    ... at 999 of 1 000 pixels up to    0.9     0.7     0.4     0.16    0.09    0.03
"""

from collections.abc import Iterator
from functools import partial
from itertools import product
from math import ceil, isqrt
from typing import NamedTuple, Protocol, TypedDict, Unpack

import numpy as np
from jaxtyping import Float32

from atrous.errors import DataError, RecipeError
from atrous.kernels.meanfield import LANES
from atrous.predict.crf import dense_crf
from atrous.predict.crf.checks import (
    Guide,
    Mode,
    Normalization,
    Probabilities,
    Weight,
    check_pictures,
)

OVERLAP = 3.0  # in bilateral_sxy: of labels 99.9 % are the same, and more
BUDGET = 4 << 30  # bytes that steps after the network let a CRF work in: enough for noise
_OWN = 4  # a window is new by this part at least, or the work would be 16 times that of the picture


class Options(TypedDict, total=False):
    """Those of `dense_crf` that are handed on as they are."""

    gaussian_sxy: float
    gaussian_weight: Weight
    bilateral_srgb: float
    bilateral_weight: Weight
    iterations: int
    normalization: Normalization
    mode: Mode
    prune: bool
    threads: int


class Refine(Protocol):
    """A dense CRF of part of a picture, which begins at `origin`."""

    def __call__(
        self, image: Guide, probs: Probabilities, *, origin: tuple[int, int]
    ) -> Float32[np.ndarray, "K H W"]: ...


class Stretch(NamedTuple):
    """Of one axis: pixels `start` to `stop` are looked at, `first` to `end` are kept."""

    start: int
    stop: int
    first: int
    end: int


def dense_crf_windowed(
    image: Guide,
    probs: Probabilities,
    *,
    window: int = 1024,
    overlap: int | None = None,
    out: Float32[np.ndarray, "K H W"] | None = None,
    bilateral_sxy: float = 67.0,
    **options: Unpack[Options],
) -> Float32[np.ndarray, "K H W"]:
    """What `dense_crf` gives, nearly, from windows of at most `window` x `window` pixels.

    Picture, probabilities and `out`, which is filled if it is given, may lie in files
    (`np.memmap`). Memory is that of one window: 21 labels at 1024 pixels take about 0.6 GB.
    Neighbours share `overlap` pixels, by default three `bilateral_sxy`: on CamVid 99.9 % of the
    labels are then those of the whole picture, and the probabilities of as many pixels within
    0.1 of it; at single pixels where two labels are as good they differ by far more. A picture
    that fits into one window is that of `dense_crf` to the bit. The rest are its options.

    Example:
        >>> image, probs = np.zeros((9, 9, 3), np.uint8), np.full((2, 9, 9), 0.5, np.float32)
        >>> dense_crf_windowed(image, probs, window=6, overlap=2).shape
        (2, 9, 9)

    Raises:
        AtrousError: the picture, the probabilities or an option are not what they must be.
    """
    if overlap is None:  # one window needs none; a width that is no number is refused below
        several = max(image.shape[:2], default=0) > window and 0 < bilateral_sxy < np.inf
        overlap = overlap_of(bilateral_sxy) if several else 0
    _check_windows(window, overlap)
    if (image.ndim, probs.ndim) != (3, 3) or probs.shape[1:] != image.shape[:2] or not probs.size:
        check_pictures(image, probs)  # which says what is wrong
    made = np.empty(probs.shape, np.float32) if out is None else out
    _check_room(made, probs.shape)
    lots = list(product(*(stretches(size, window, overlap) for size in image.shape[:2])))
    for lot in lots:  # before the first is worked at
        _check_lot(image, probs, *lot)
    refine = partial(dense_crf, bilateral_sxy=bilateral_sxy, **options)
    for lot in lots:
        _fill(made, refine, image, probs, *lot)
    return made


def in_windows(
    refine: Refine, image: Guide, probs: Probabilities, *, window: int, overlap: int
) -> Float32[np.ndarray, "K H W"]:
    """What `refine` makes of a picture, nearly, window by window; the probabilities are right."""
    made = np.empty(probs.shape, np.float32)
    for lot in product(*(stretches(size, window, overlap) for size in image.shape[:2])):
        _fill(made, refine, image, probs, *lot)
    return made


def window_for(shape: tuple[int, ...], labels: int, *, bilateral_sxy: float) -> int | None:
    """The side of the largest windows that a CRF can work at in `BUDGET`; None = whole will do.

    `shape` is height, width and bands.

    Example:
        >>> window_for((1000, 1500, 3), 21, bilateral_sxy=67.0)
        >>> window_for((3000, 4000, 3), 21, bilateral_sxy=67.0)
        1603

    Raises:
        RecipeError: they would be little more than their overlap.
    """
    height, width, bands = shape
    pixels = BUDGET // working_bytes(labels, bands)
    if height * width <= pixels:
        return None
    window, overlap = isqrt(pixels), overlap_of(bilateral_sxy)
    if window - overlap < window // _OWN:
        most = (window - window // _OWN) / OVERLAP
        raise RecipeError(
            "bilateral_sxy",
            found=f"is {bilateral_sxy}: windows of a picture of {height} x {width} pixels must "
            f"overlap by {overlap}",
            allowed=f"of {labels} labels those of {window} x {window} fit into {BUDGET >> 30} GiB, "
            f"which are wide enough for {most:.0f}",
            fix="Take a narrower kernel or a smaller picture; or dense_crf, which takes it whole.",
        )
    return window


def overlap_of(bilateral_sxy: float) -> int:
    """The pixels that windows share by default."""
    return ceil(OVERLAP * bilateral_sxy)


def working_bytes(labels: int, bands: int) -> int:
    """Of a pixel, beside picture and probabilities, at most: in noise, whose pixels share no point.

    Measured were up to 97 % of it in noise, and 34 to 43 % in photographs.

    Example:
        >>> working_bytes(21, 3), working_bytes(150, 3)
        (1670, 6790)
    """
    lanes = -(-labels // LANES) * LANES
    return (bands + 3) * (110 + 4 * lanes) + 16 * lanes + 50


def stretches(size: int, window: int, overlap: int) -> Iterator[Stretch]:
    """As few windows as will do, evenly laid; each keeps up to the middle of its overlaps.

    Example:
        >>> [(s.start, s.stop, s.first, s.end) for s in stretches(10, 6, 2)]
        [(0, 6, 0, 5), (4, 10, 5, 10)]
    """
    count = max(-(-(size - overlap) // (window - overlap)), 1)
    starts = [i * (size - window) // max(count - 1, 1) if count > 1 else 0 for i in range(count)]
    stops = [min(start + window, size) for start in starts]
    cuts = [(a + b) // 2 for a, b in zip(starts[1:], stops, strict=False)]
    for each in zip(starts, stops, [0, *cuts], [*cuts, size], strict=True):
        yield Stretch(*each)


def _fill(
    made: Float32[np.ndarray, "K H W"],
    refine: Refine,
    image: Guide,
    probs: Probabilities,
    down: Stretch,
    across: Stretch,
) -> None:
    """Look at one window, and keep its middle."""
    rows, columns = slice(down.start, down.stop), slice(across.start, across.stop)
    part = np.asarray(image[rows, columns]), np.asarray(probs[:, rows, columns])
    q = refine(*part, origin=(down.start, across.start))
    rows, columns = (slice(s.first - s.start, s.end - s.start) for s in (down, across))
    made[:, down.first : down.end, across.first : across.end] = q[:, rows, columns]


def _check_windows(window: int, overlap: int) -> None:
    if not 0 <= overlap < window:
        raise RecipeError(
            "window",
            found=f"is {window}, and overlap {overlap}",
            allowed="a window is wider than the overlap, which is 0 or more",
            fix="Take a larger window, or a narrower bilateral kernel.",
        )


def _check_room(out: np.ndarray, shape: tuple[int, ...]) -> None:
    if out.shape != shape or out.dtype != np.float32 or not out.flags.writeable:
        raise DataError(
            "out",
            found=f"is {out.dtype} of shape {out.shape}, writeable: {out.flags.writeable}",
            allowed=f"what is filled is writeable float32 of {shape}, as the probabilities are",
            fix="Make it with np.empty or np.lib.format.open_memmap, or leave it out.",
        )


def _check_lot(image: Guide, probs: Probabilities, down: Stretch, across: Stretch) -> None:
    """Refuse a part of a picture, and say where it is."""
    rows, columns = slice(down.first, down.end), slice(across.first, across.end)
    try:
        check_pictures(image[rows, columns], probs[:, rows, columns])
    except DataError as error:
        y, x = down.first, across.first
        raise type(error)(
            f"{error.where}, from row {y} and column {x} on",
            found=error.found,
            allowed=error.allowed,
            fix=error.fix,
            pixel=error.pixel and (y + error.pixel[0], x + error.pixel[1]),
        ) from None
