"""The two kernels of a picture, built once, normalised, and what they do to labels."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from atrous.errors import RecipeError
from atrous.kernels.filtering import filtered, scale, spread
from atrous.kernels.lattice import Lattice, lattice
from atrous.kernels.meanfield import update
from atrous.kernels.separable import Line, add_filtered, line
from atrous.kernels.simplices import digits
from atrous.predict.crf.checks import Gain, Guide, Widths

_BITS = 62  # of the largest key of a lattice
_ONE = np.ones((), np.float32)
_NOT_ZERO = 1e-20  # as Krahenbuhl's code adds it to a sum


class Pairwise(NamedTuple):
    """Kernels that are normalised and hold their weight, if that is one number.

    Other gains, of the kernels on the lattice and of the exact one, mix the filtered labels;
    where there is nothing to mix they are 1.
    """

    lattice: Lattice
    gains: tuple[Gain, ...]
    exact: tuple[Line, Line] | None
    exact_gain: Gain
    attracts: bool  # all weights are one number, 0 or more

    @property
    def potts(self) -> bool:
        """Whether each label is filtered for itself, and all alike."""
        return all(gain.ndim == 0 for gain in (*self.gains, self.exact_gain))

    def of_lanes(self, labels: int, lanes: int) -> "Pairwise":
        """The gains between so many lanes, of which the first are the labels."""
        gains = [_padded(gain, lanes - labels) for gain in (*self.gains, self.exact_gain)]
        return self._replace(gains=tuple(gains[:-1]), exact_gain=gains[-1])


def kernels(
    image: Guide,
    widths: Widths,
    gains: tuple[Gain, Gain],
    normalization: str,
    mode: str,
    origin: tuple[int, int],
    threads: int,
) -> Pairwise:
    """The kernels whose weight is not 0; the first pixel lies at `origin`, row and column."""
    spatial, bilateral = gains
    exact = None
    features, on_lattice = [], []
    if np.any(spatial) and mode == "lattice":
        features.append(_features(image[:, :, :0], widths.gaussian_sxy, 1.0, origin))
        on_lattice.append(spatial)
    elif np.any(spatial):
        factor = _ONE if spatial.ndim else spatial
        down, across = (line(widths.gaussian_sxy, size) for size in image.shape[:2])
        exact = _normalised(down, normalization, factor), _normalised(across, normalization, _ONE)
    if np.any(bilateral):
        features.append(_features(image, widths.bilateral_sxy, widths.bilateral_srgb, origin))
        on_lattice.append(bilateral)
        _check_keys(features[-1], widths)
    points = _lattice(features, on_lattice, normalization, image.shape[0] * image.shape[1], threads)
    mixing = tuple(gain if gain.ndim else _ONE for gain in on_lattice)
    exact_gain = spatial if exact and spatial.ndim else _ONE
    attracts = all(gain.ndim == 0 and float(gain) >= 0 for gain in gains)
    return Pairwise(points, mixing, exact, exact_gain, attracts)


def step(
    pairwise: Pairwise,
    logits: Float32[np.ndarray, "N *L"],
    values: Float32[np.ndarray, "M *L"],
    room: Float32[np.ndarray, "N *L"],
    rows: Float32[np.ndarray, "N *L"],
    silent: int,
    threads: int,
) -> None:
    """One iteration: from the probabilities `rows` to the next; `values` and `room` are used."""
    for kernel, gain in zip(pairwise.lattice.kernels, pairwise.gains, strict=True):
        own = values[kernel.first : kernel.end]
        spread(kernel, rows, own, threads=threads)
        if gain.ndim:
            own[:] = _mixed(own, gain)
    if pairwise.exact:
        mixed = _mixed(rows, pairwise.exact_gain) if pairwise.exact_gain.ndim else rows
        add_filtered(logits, mixed, *pairwise.exact, room, threads=threads)
        logits = room
    update(logits, pairwise.lattice, values, rows, silent=silent, threads=threads)


def _features(
    image: Guide, sxy: float, srgb: float, origin: tuple[int, int]
) -> Float32[np.ndarray, "D N"]:
    """Column, row and bands of each pixel, in standard deviations."""
    height, width, bands = image.shape
    features = np.empty((2 + bands, height, width), np.float32)
    rows, columns = (np.arange(n, dtype=np.float32) for n in (height, width))
    features[0] = (columns + np.float32(origin[1])) / np.float32(sxy)
    features[1] = ((rows + np.float32(origin[0])) / np.float32(sxy))[:, None]
    for band in range(bands):
        np.divide(image[:, :, band], np.float32(srgb), out=features[2 + band], dtype=np.float32)
    return features.reshape(2 + bands, -1)


def _check_keys(features: Float32[np.ndarray, "D N"], widths: Widths) -> None:
    bits = digits(features).bits
    if bits > _BITS:
        raise RecipeError(
            "bilateral_srgb",
            found=f"is {widths.bilateral_srgb}: {len(features) - 2} bands need keys of {bits} bits",
            allowed=f"a key has {_BITS}",
            fix="Take a wider kernel, or a picture of fewer bands or values.",
        )


def _lattice(
    features: list[np.ndarray], gains: list[Gain], normalization: str, pixels: int, threads: int
) -> Lattice:
    """The lattice of the kernels, normalised, times their weights."""
    if not features:
        return Lattice(np.empty((pixels, 0), np.int32), np.empty((pixels, 0), np.float32), ())
    points, ones = lattice(features, threads=threads), np.ones(pixels, np.float32)
    for kernel, gain in zip(points.kernels, gains, strict=True):
        before, after = _factors(filtered(points, kernel, ones, threads=threads), normalization)
        factor = _ONE if gain.ndim else gain
        scale(points, kernel, before=before, after=after * factor, threads=threads)
    return points


def _factors(total: np.ndarray, normalization: str) -> tuple[np.ndarray, np.ndarray]:
    """What is multiplied before and after a filter of so large sums."""
    whole = (1 / (total + np.float32(_NOT_ZERO))).astype(np.float32)
    one = np.ones_like(whole)
    match normalization:
        case "symmetric":
            return np.sqrt(whole), np.sqrt(whole)
        case "before":
            return whole, one
        case "after":
            return one, whole
    return one, one


def _normalised(axis: Line, normalization: str, factor: Gain) -> Line:
    before, after = _factors(axis.sums(), normalization)
    return axis._replace(before=before, after=after * factor)


def _padded(gain: Gain, more: int) -> Gain:
    return np.pad(gain, [(0, more)] * gain.ndim) if gain.ndim else gain


def _mixed(values: np.ndarray, gain: Gain) -> np.ndarray:
    """What each label gains by the filtered ones."""
    return values @ gain if gain.ndim == 2 else values * gain
