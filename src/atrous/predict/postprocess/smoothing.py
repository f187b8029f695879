"""Probabilities that follow the picture: the dense CRF, and the bilateral grid."""

from typing import assert_never

import numpy as np
from jaxtyping import Float32

from atrous.classes import Classes
from atrous.recipe.postprocessing import BilateralGrid, Crf
from atrous.types import Image

Probabilities = Float32[np.ndarray, "K H W"]


def smoothed(
    probs: Probabilities, step: Crf | BilateralGrid, image: Image, classes: Classes, *, threads: int
) -> Probabilities:
    """The probabilities after a step; of multilabel each class against its absence, by itself."""
    if classes.task != "multilabel":
        return _refined(probs, step, image, threads)
    made = np.empty_like(probs)
    for k, plane in enumerate(probs):
        made[k] = _refined(np.stack([1 - plane, plane]), step, image, threads)[1]
    return made


def _refined(
    probs: Probabilities, step: Crf | BilateralGrid, image: Image, threads: int
) -> Probabilities:
    options = step.model_dump(exclude={"step"})
    match step:
        case Crf():
            from atrous.predict.crf import dense_crf

            return dense_crf(image, probs, **options, threads=threads)
        case BilateralGrid():
            from atrous.predict.bilateral_grid import bilateral_grid

            return bilateral_grid(image, probs, **options, threads=threads)
        case _:
            assert_never(step)
