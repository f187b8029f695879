"""Probabilities that follow the picture's edges, by a bilateral grid: a faster relative of the CRF.

Chen, Paris and Durand, Real-time edge-aware image processing with the bilateral grid (SIGGRAPH
2007). One step stands in for the mean-field iterations of `dense_crf`:

    Q = soft-max(log P + weight * mean of P over pixels that are near and of a like grey)

It is another model, not an approximation of the CRF. Likeness is that of grey alone, so two
colours of one grey mix; there is no second kernel of places alone; the mean is divided by its
weights after the filter, not by their roots on both sides; and what one pixel has learned of its
neighbours it does not tell on.
"""

from itertools import product

import numpy as np
from jaxtyping import Float32, Float64

from atrous.errors import RecipeError
from atrous.kernels.grids import CELL, lay, means, spread
from atrous.kernels.meanfield import LANES, NEVER, soft_max, update
from atrous.kernels.planes import fill_planes, log_rows
from atrous.predict.crf.checks import LARGEST, Guide, Probabilities, check_pictures
from atrous.predict.crf.inference import LEAST

LUMA = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601
_CELLS_A_PIXEL = 4  # more of them than this are no coarse grid, and take more memory than the CRF
_ALWAYS = 1 << 20  # cells that are never too many


def bilateral_grid(
    image: Guide,
    probs: Probabilities,
    *,
    sxy: float = 20.0,
    srgb: float = 6.0,
    weight: float = 3.0,
    threads: int = 0,
) -> Float32[np.ndarray, "K H W"]:
    """The probabilities of each label after one step on the grid; they add up to 1.

    Widths are standard deviations: `sxy` in pixels, `srgb` in values of the picture's grey: the
    luma of three bands, the mean of any other number. `weight` is what a label gains where all
    that is near and of a like grey has it. 0 threads are one for each core; their number changes
    no bit.

    Example:
        >>> image = np.zeros((3, 4, 3), np.uint8)
        >>> image[:, 2:] = 255
        >>> probs = np.full((2, 3, 4), 0.5, np.float32)
        >>> probs[:, 1, 0], probs[:, 1, 3] = (0.9, 0.1), (0.1, 0.9)
        >>> bilateral_grid(image, probs).argmax(0)
        array([[0, 0, 1, 1],
               [0, 0, 1, 1],
               [0, 0, 1, 1]])

    Raises:
        AtrousError: the picture, the probabilities or an option are not what they must be.
    """
    check_pictures(image, probs)
    grey = grey_of(image)
    _check_options(grey, {"sxy": sxy, "srgb": srgb}, weight)
    labels, flat = len(probs), np.ascontiguousarray(probs.reshape(len(probs), -1), np.float32)
    lanes = -(-labels // LANES) * LANES
    logits = log_rows(flat, lanes=lanes, least=LEAST, rest=NEVER, threads=threads)
    if labels == 2:  # the difference is enough: what is added to both changes nothing
        logits = logits[:, 1] - logits[:, 0]
    rows = np.empty_like(logits)
    soft_max(logits, rows, threads=threads)
    grid = lay(grey, sxy=sxy, sgrey=srgb, threads=threads)
    cells = spread(grid, rows, threads=threads)
    update(logits, means(grid, weight, threads=threads), cells, rows, threads=threads)
    if labels == 2:
        second = (rows + 1) * np.float32(0.5)
        return np.stack([1 - second, second]).reshape(probs.shape)
    made = np.empty_like(flat)
    fill_planes(rows, np.arange(labels), made, threads=threads)
    return made.reshape(probs.shape)


def grey_of(image: Guide) -> Float32[np.ndarray, "H W"]:
    """The grey of each pixel, 0 for the darkest of the picture.

    Example:
        >>> grey_of(np.array([[[10], [30]]], np.uint8))
        array([[ 0., 20.]], dtype=float32)
    """
    bands = image.shape[2]
    shares = LUMA if bands == 3 else (1 / bands,) * bands
    grey = np.zeros(image.shape[:2], np.float32)
    for band, share in enumerate(shares):
        grey += image[:, :, band] * np.float32(share)
    return grey - grey.min()


def bilateral_grid_reference(
    image: Guide, probs: Probabilities, *, sxy: float = 20.0, srgb: float = 6.0, weight: float = 3.0
) -> Float64[np.ndarray, "K H W"]:
    """What `bilateral_grid` computes, cell by cell in plain NumPy."""
    labels, height, width = probs.shape
    y, x = np.mgrid[:height, :width].reshape(2, -1)
    places = np.stack([y / sxy, x / sxy, grey_of(image).reshape(-1).astype(np.float64) / srgb])
    low = np.floor(places / CELL).astype(int)
    on = places / CELL - low
    flat = np.maximum(probs.reshape(labels, -1).astype(np.float64), LEAST)
    values = np.concatenate([flat / flat.sum(0), np.ones((1, height * width))])
    cells = np.zeros((*(low.max(1) + 2), labels + 1))
    near = [
        (tuple((low.T + side).T), np.where(side, on.T, 1 - on.T).prod(1))
        for side in map(np.array, product((0, 1), repeat=3))
    ]
    for cell, share in near:
        np.add.at(cells, cell, (values * share).T)
    for along in range(3):
        wide = np.pad(np.moveaxis(cells, along, 0), [(1, 1), (0, 0), (0, 0), (0, 0)])
        cells = np.moveaxis(wide[:-2] + 2 * wide[1:-1] + wide[2:], 0, along) / 4
    read = np.sum([cells[cell] * share[:, None] for cell, share in near], axis=0)
    logits = np.log(flat) + weight * (read[:, :-1] / read[:, -1:]).T
    made = np.exp(logits - logits.max(0))
    return (made / made.sum(0)).reshape(probs.shape)


def _check_options(
    grey: Float32[np.ndarray, "H W"], widths: dict[str, float], weight: float
) -> None:
    """Refuse options out of range, and a grid that is larger than the picture."""
    for name, width in widths.items():
        if not 1 / LARGEST <= width <= LARGEST:
            raise RecipeError(
                name,
                found=f"is {width}",
                allowed=f"it is a number from {1 / LARGEST:g} to {LARGEST:g}",
                fix="Take 3 to 100.",
            )
    if not abs(weight) <= LARGEST:
        raise RecipeError(
            "weight",
            found=f"is {weight}",
            allowed=f"it is a number up to {LARGEST:g}",
            fix="Take 2 to 4.",
        )
    spans = (*grey.shape, float(grey.max())), (widths["sxy"], widths["sxy"], widths["srgb"])
    cells = np.prod([span / (width * CELL) + 2 for span, width in zip(*spans, strict=True)])
    most = max(_CELLS_A_PIXEL * grey.size, _ALWAYS)
    if cells > most:
        raise RecipeError(
            "sxy",
            found=f"is {widths['sxy']}, and srgb {widths['srgb']}: {cells:.3g} cells",
            allowed=f"a grid of this picture has up to {most}",
            fix="Take a wider kernel, or dense_crf.",
        )
