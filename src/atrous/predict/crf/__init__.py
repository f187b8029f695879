"""The fully connected CRF of DeepLab v1 and v2: probabilities that follow the picture's edges.

Krahenbuhl and Koltun, Efficient inference in fully connected CRFs with Gaussian edge potentials
(NIPS 2011). Every pixel is a neighbour of every other: near ones, and near ones of a like
colour, ought to have the same label. Mean-field inference repeats, for all labels at once,

    Q = soft-max(log P + sum over both kernels of weight * (kernel filter of Q))

where P are the given probabilities, and each filter a Gaussian of all pixels.
"""

import numpy as np
from jaxtyping import Float32, Integer

from atrous.predict.crf.checks import (
    Guide,
    Mode,
    Normalization,
    Probabilities,
    Weight,
    Widths,
    check_labels,
    check_options,
    check_origin,
    check_pictures,
    gain,
)
from atrous.predict.crf.inference import infer
from atrous.predict.crf.pairwise import kernels
from atrous.predict.crf.reference import dense_crf_reference

__all__ = ["dense_crf", "dense_crf_reference", "unary_from_labels"]


def dense_crf(
    image: Guide,
    probs: Probabilities,
    *,
    gaussian_sxy: float = 3.0,
    gaussian_weight: Weight = 3.0,
    bilateral_sxy: float = 67.0,
    bilateral_srgb: float = 3.0,
    bilateral_weight: Weight = 4.0,
    iterations: int = 10,
    normalization: Normalization = "symmetric",
    mode: Mode = "lattice",
    prune: bool = True,
    origin: tuple[int, int] = (0, 0),
    threads: int = 0,
) -> Float32[np.ndarray, "K H W"]:
    """The probabilities of each label after mean-field inference; they add up to 1.

    `probs` are those of a soft-max, or of `unary_from_labels`. Widths are standard deviations:
    `sxy` in pixels, `srgb` in values of the picture. A weight is the cost of two labels that
    differ (Potts); or one for each label, what it gains by agreeing with itself; or the cost of
    each pair, symmetric. `normalization` divides a kernel by its sum at each pixel: by the root
    of it before and after the filter, by all of it before or after, or not at all.

    Both kernels are filtered on permutohedral lattices, as in Krahenbuhl's code and pydensecrf;
    in mode "exact-spatial" that of positions alone is filtered exactly instead. `prune`: labels
    that hold at most 0.1 of every pixel after the first iteration, and are nowhere the largest,
    are filtered no more, if the weights are one number each, 0 or more. They keep their share of
    what the others leave. While that is at most 0.1, their logits miss a message of about 0.1 of
    the sum of the weights, at most; without normalization each weight times the largest sum of
    its kernel. In photographs, probabilities of 150 labels then differed by 0.05 at most; where
    many faint labels hold much together, by up to 0.6: iterations enlarge what one has missed.
    98 % of the pixels and more keep their label there. Of up to 4 labels all are filtered.

    `origin` is the row and column of the first pixel in a larger picture, on whose lattice it is
    then laid. 0 threads are one for each core; their number changes no bit. The very first call
    on a machine compiles, for about ten seconds.

    Example:
        >>> image = np.zeros((3, 4, 3), np.uint8)
        >>> image[:, 2:] = 255
        >>> probs = np.full((2, 3, 4), 0.5, np.float32)
        >>> probs[:, 1, 0], probs[:, 1, 3] = (0.9, 0.1), (0.1, 0.9)
        >>> dense_crf(image, probs, gaussian_weight=0).argmax(0)[2]
        array([0, 0, 1, 1])

    Raises:
        AtrousError: the picture, the probabilities or an option are not what they must be.
    """
    check_pictures(image, probs)
    widths = Widths(gaussian_sxy, bilateral_sxy, bilateral_srgb)
    check_options(image, widths, iterations, normalization, mode)
    check_origin(image, origin)
    gains = (
        gain("gaussian_weight", gaussian_weight, len(probs)),
        gain("bilateral_weight", bilateral_weight, len(probs)),
    )
    pairwise = kernels(image, widths, gains, normalization, mode, origin, threads)
    flat = np.ascontiguousarray(probs.reshape(len(probs), -1), np.float32)
    return infer(flat, pairwise, iterations, prune=prune, threads=threads).reshape(probs.shape)


def unary_from_labels(
    labels: Integer[np.ndarray, "H W"],
    *,
    num_classes: int,
    certainty: float = 0.7,
    unknown: int = -1,
) -> Float32[np.ndarray, "K H W"]:
    """Probabilities for `dense_crf` from hard labels: `certainty` for the label of a pixel.

    The rest is shared by the others, so one class alone must be sure. Pixels of label `unknown`
    get the same for all.

    Example:
        >>> unary_from_labels(np.array([[1, -1]]), num_classes=2)
        array([[[0.3, 0.5]],
        <BLANKLINE>
               [[0.7, 0.5]]], dtype=float32)
    """
    check_labels(labels, num_classes, certainty, unknown)
    rest = (1 - certainty) / max(num_classes - 1, 1)  # of one class there is none
    here = labels == np.arange(num_classes).reshape(-1, 1, 1)
    probs = np.where(here, np.float32(certainty), np.float32(rest))
    probs[:, labels == unknown] = 1 / num_classes
    return probs
