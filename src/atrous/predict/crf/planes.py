"""The dense CRF of classes that overlap: each against its absence, on the same kernels."""

import numpy as np
from jaxtyping import Float32

from atrous.predict.crf.checks import (
    Guide,
    Mode,
    Widths,
    check_options,
    check_origin,
    check_pictures,
    gain,
)
from atrous.predict.crf.inference import infer
from atrous.predict.crf.pairwise import kernels

_ABSENT_OR_THERE = 2


def dense_crf_planes(
    image: Guide,
    planes: Float32[np.ndarray, "K H W"],
    *,
    gaussian_sxy: float,
    gaussian_weight: float,
    bilateral_sxy: float,
    bilateral_srgb: float,
    bilateral_weight: float,
    iterations: int,
    mode: Mode,
    origin: tuple[int, int] = (0, 0),
    threads: int = 0,
) -> Float32[np.ndarray, "K H W"]:
    """What `dense_crf` gives each class beside its absence, by itself, to the bit.

    The kernels, which know the picture alone, are built once and not once for each class.
    """
    widths = Widths(gaussian_sxy, bilateral_sxy, bilateral_srgb)
    check_options(image, widths, iterations, "symmetric", mode)
    check_origin(image, origin)
    gains = (
        gain("gaussian_weight", gaussian_weight, _ABSENT_OR_THERE),
        gain("bilateral_weight", bilateral_weight, _ABSENT_OR_THERE),
    )
    pairwise = kernels(image, widths, gains, "symmetric", mode, origin, threads)
    made = np.empty(planes.shape, np.float32)
    for plane, out in zip(planes, made, strict=True):
        probs = np.stack([1 - plane, plane])
        check_pictures(image, probs)
        flat = probs.reshape(_ABSENT_OR_THERE, -1)
        out.reshape(-1)[:] = infer(flat, pairwise, iterations, prune=True, threads=threads)[1]
    return made
