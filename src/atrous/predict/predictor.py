"""Image -> mask at the image's own size, through any engine."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atrous.classes import Classes
from atrous.data.images import as_image, fit_image
from atrous.data.masks import blend, colourise
from atrous.kernels.resize import argmax_at_pixels, threshold_at_pixels
from atrous.predict.engines import Engine, open_engine
from atrous.types import Image, Mask


@dataclass(frozen=True)
class Prediction:
    """The mask of one image, `H W` as `Classes` says, with its label space."""

    mask: Mask
    classes: Classes
    image: Image

    def coloured(self) -> np.ndarray:
        """The mask in the classes' colours, uint8 `H W 3`; the mean where several are there."""
        return colourise(self.mask, self.classes)

    def overlay(self, opacity: float = 0.55) -> np.ndarray:
        """The image under the coloured mask, uint8 `H W 3`."""
        return blend(self.image, self.mask, self.classes, opacity)


@dataclass(frozen=True)
class Predictor:
    """`predictor(image).mask`: images of any size as arrays, paths or PIL images."""

    engine: Engine
    classes: Classes
    digest: str = ""
    description: str = ""

    def __call__(self, image: Any) -> Prediction:
        """The prediction for an image: ndarray `H W` or `H W C` (uint8, uint16), path, or PIL.

        Raises:
            ImageError: it cannot be decoded or is no picture.
        """
        pixels = as_image(image)
        fitted = fit_image(pixels, bands=self.engine.bands, dtype=self.engine.dtype)
        logits = self.engine(fitted[None])[0]
        decide = argmax_at_pixels if self.classes.task == "multiclass" else threshold_at_pixels
        mask = decide(
            logits, grid=self.engine.grid, size=fitted.shape[:2], dtype=self.classes.dtype
        )
        return Prediction(mask, self.classes, pixels)


def load(
    run_or_file: str | Path,
    *,
    weights: str = "last",
    device: str = "auto",
    threads: int = 0,
    output_stride: int = 0,
) -> Predictor:
    """The predictor of a run folder or weights file.

    `weights` is `last` or `best`; `threads` other than 0 sets those of torch; `output_stride`
    other than 0 gives the trained weights another stride (8 is finer than 16, and slower).

    Example:
        predictor = atrous.load("runs/street")
        mask = predictor("photo.jpg").mask  # uint8 H W
    """
    opened = open_engine(
        Path(run_or_file),
        weights=weights,
        device=device,
        threads=threads,
        output_stride=output_stride,
    )
    return Predictor(opened.engine, opened.classes, opened.digest, opened.description)
