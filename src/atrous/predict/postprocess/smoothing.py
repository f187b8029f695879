"""Probabilities that follow the picture: the dense CRF, and the bilateral grid."""

import warnings
from functools import partial
from typing import assert_never

import numpy as np
from jaxtyping import Float32

from atrous.classes import Classes
from atrous.errors import Approximation
from atrous.recipe.postprocessing import BilateralGrid, Crf
from atrous.types import Image

Probabilities = Float32[np.ndarray, "K H W"]


def smoothed(
    probs: Probabilities, step: Crf | BilateralGrid, image: Image, classes: Classes, *, threads: int
) -> Probabilities:
    """The probabilities after a step; of multilabel each class against its absence, by itself."""
    overlap = classes.task == "multilabel"
    match step:
        case Crf():
            return _by_crf(probs, step, image, overlap=overlap, threads=threads)
        case BilateralGrid():
            return _by_grid(probs, step, image, overlap=overlap, threads=threads)
        case _:
            assert_never(step)


def _by_crf(
    probs: Probabilities, step: Crf, image: Image, *, overlap: bool, threads: int
) -> Probabilities:
    """Of the whole picture, or in windows where that would take too much memory.

    Warns:
        Approximation: it is in windows.
    """
    from atrous.predict.crf import dense_crf
    from atrous.predict.crf.planes import dense_crf_planes
    from atrous.predict.crf.windows import in_windows, overlap_of, window_for

    options = step.model_dump(exclude={"step"})
    refine = partial(dense_crf_planes if overlap else dense_crf, **options, threads=threads)
    labels, sxy = 2 if overlap else len(probs), step.bilateral_sxy
    window = window_for(image.shape, labels, bilateral_sxy=sxy)
    if window is None:
        return refine(image, probs)
    shared = overlap_of(sxy)
    warnings.warn(
        f"The dense CRF works in windows of {window} x {window} pixels that overlap by {shared}: "
        "an approximation (on CamVid 99.9 % of the labels are the same).",
        Approximation,
        stacklevel=2,
    )
    return in_windows(refine, image, probs, window=window, overlap=shared)


def _by_grid(
    probs: Probabilities, step: BilateralGrid, image: Image, *, overlap: bool, threads: int
) -> Probabilities:
    from atrous.predict.bilateral_grid import bilateral_grid

    smooth = partial(bilateral_grid, image, **step.model_dump(exclude={"step"}), threads=threads)
    if not overlap:
        return smooth(probs)
    made = np.empty_like(probs)
    for k, plane in enumerate(probs):
        made[k] = smooth(np.stack([1 - plane, plane]))[1]
    return made
