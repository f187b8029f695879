"""What is kept of a picture to know it again: 16 x 16 grey cells, about 380 bytes.

Cells are means of equal areas, so a picture and its scaled, re-encoded, brighter or darker copy
have nearly the same ones, and a flipped or turned copy has them flipped or turned. Compared are
cosine coefficients of the cells (a DCT), each weighted by its frequency: natural pictures hold
ever less contrast the finer the detail, and without the weight the bright sky above and the dark
road below would make all streets alike. Flips change signs of coefficients, transposition swaps
them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Shaped, UInt8, UInt64

from atrous.kernels.cells import cell_means

CELLS = 16
_SAMPLE = 128  # rows and columns that are looked at for the range of a picture
_HASH_SIDE = 8  # of the square of lowest frequencies whose signs make the hash
VARIANTS = 8  # bit 0: transposed; then bit 1: rows reversed; bit 2: columns reversed


class Sketch(NamedTuple):
    """The 16 x 16 cells of a picture and how much they differ.

    `thumb` is stretched to 0-255. `contrast` is the standard deviation of the cells in 1/255 of
    the range: of the type for uint8, of the picture itself for others (without the outermost
    thousandths, for a dead pixel is no range).
    """

    thumb: bytes
    contrast: float

    @property
    def hash(self) -> int:
        """64 bits: the signs of the lowest cosine coefficients; alike for like pictures."""
        return int(hashes(coefficients(cells([self])))[0, 0])


def sketch(image: Shaped[np.ndarray, "H W C"]) -> Sketch:
    """The sketch of a picture of any size, type and number of bands; NaN are left out.

    Example:
        >>> picture = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64, 1)
        >>> sketch(picture).thumb == sketch(picture * 3).thumb, round(sketch(picture).contrast)
        (True, 74)
    """
    means = cell_means(image, CELLS).astype(np.float64)
    known = np.isfinite(means)
    if not known.any():
        return Sketch(bytes(CELLS**2), 0.0)
    means[~known] = means[known].mean()
    low, high = means.min(), means.max()
    if low == high:
        return Sketch(bytes(CELLS**2), 0.0)
    thumb = np.rint((means - low) * (255 / (high - low))).astype(np.uint8)
    return Sketch(thumb.tobytes(), float(means.std() * 255 / max(_range(image), high - low)))


def cells(sketches: Sequence[Sketch]) -> UInt8[np.ndarray, "N 16 16"]:
    """The thumbs of many sketches as one array."""
    joined = b"".join(sketch.thumb for sketch in sketches)
    return np.frombuffer(joined, np.uint8).reshape(-1, CELLS, CELLS)


def coefficients(thumbs: Shaped[np.ndarray, "N 16 16"]) -> Float32[np.ndarray, "N 16 16"]:
    """Cosine coefficients, weighted by frequency, of length 1; 0 for a thumb without contrast."""
    weighted = _COSINES @ thumbs.astype(np.float32) @ _COSINES.T * _FREQUENCY
    length = np.sqrt(np.square(weighted).sum((1, 2), keepdims=True))
    # Of a constant thumb rounding leaves less than any thumb with two levels has.
    return np.where(length > 0.1, weighted / np.maximum(length, 0.1), np.float32(0))


def details(thumbs: Shaped[np.ndarray, "N 16 16"]) -> Float32[np.ndarray, "N 16 16"]:
    """The thumbs, each frequency weighted by itself: what stands out, place by place."""
    return _COSINES.T @ coefficients(thumbs) @ _COSINES


def moved_details(
    thumbs: Shaped[np.ndarray, "N 16 16"], cut: float
) -> Float32[np.ndarray, "4 N 16 16"]:
    """Details without those finer than about `cut` half waves a side, in four places.

    As they are; and as they would be in cells that lie half a cell lower, further right, both.
    """
    soft = coefficients(thumbs) * np.exp(-np.square(_FREQUENCY / np.float32(cut)))
    here, between = _cosines(0.0), _cosines(0.5)
    places = ((here, here), (between, here), (here, between), (between, between))
    return np.stack([down.T @ soft @ right for down, right in places])


def variant(thumb: Shaped[np.ndarray, "H W"], number: int) -> Shaped[np.ndarray, "h w"]:
    """The picture transposed, its rows reversed, its columns reversed, by the number's bits."""
    thumb = thumb.T if number & 1 else thumb
    thumb = thumb[::-1] if number & 2 else thumb
    return thumb[:, ::-1] if number & 4 else thumb


def hashes(coefficients: Float32[np.ndarray, "N 16 16"]) -> UInt64[np.ndarray, "N 8"]:
    """The 64-bit hash of each picture in its eight variants (column 0: as it is)."""
    low = coefficients[:, :_HASH_SIDE, :_HASH_SIDE]
    made = np.empty((len(low), VARIANTS), np.uint64)
    for number in range(VARIANTS):
        turned = low.transpose(0, 2, 1) if number & 1 else low
        signs = variant_signs(_HASH_SIDE, number)
        made[:, number] = ((turned * signs > 0) * _BITS).sum((1, 2))
    return made


def variant_signs(side: int, number: int) -> Float32[np.ndarray, "n n"]:
    """What reversing rows and columns does to cosine coefficients: odd waves change sign."""
    odd = np.where(np.arange(side) % 2, np.float32(-1), np.float32(1))
    even = np.ones(side, np.float32)
    return np.outer(odd if number & 2 else even, odd if number & 4 else even)


def _range(image: np.ndarray) -> float:
    if image.dtype == np.uint8:
        return 255
    height, width = image.shape[:2]
    sample = image[:: -(-height // _SAMPLE), :: -(-width // _SAMPLE)]
    low, high = np.quantile(sample[np.isfinite(sample)], (0.001, 0.999))
    return float(high - low)


def _cosines(moved: float) -> Float32[np.ndarray, "16 16"]:
    """The orthonormal cosine transform of 16 values (DCT-II), a wave a row; or between cells."""
    wave, place = np.mgrid[:CELLS, :CELLS]
    rows = np.cos(np.pi * wave * (2 * (place + moved) + 1) / (2 * CELLS)) * np.sqrt(2 / CELLS)
    rows[0] /= np.sqrt(2)
    return rows.astype(np.float32)


def _bits() -> UInt64[np.ndarray, "8 8"]:
    """The bit of each coefficient: each 16-bit part gets low and high, steep and flat waves.

    The lowest waves differ least between pictures of one kind; side by side in one part they
    would put all pictures into a few buckets.
    """
    down, right = np.mgrid[:_HASH_SIDE, :_HASH_SIDE]
    part = (down + 2 * right) % 4
    place = np.empty_like(part)
    for number in range(4):
        place[part == number] = np.arange((part == number).sum())
    return np.uint64(1) << (16 * part + place).astype(np.uint64)


_COSINES = _cosines(0.0)
_FREQUENCY = np.hypot(*np.mgrid[:CELLS, :CELLS]).astype(np.float32)
_BITS = _bits()
