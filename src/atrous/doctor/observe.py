"""What is kept of a pair while its pixels are in memory: little, for there may be 100 000."""

from typing import NamedTuple

import numpy as np

from atrous.data.images import content_format, orientation_of
from atrous.data.layouts import Layout, Pair
from atrous.doctor.alignment import mask_is_turned
from atrous.doctor.drawn import wrong_shapes
from atrous.doctor.findings import Finding
from atrous.doctor.sketches import Sketch, sketch
from atrous.kernels.labels import LabelFacts
from atrous.kernels.ramps import Ramps, count_ramps
from atrous.types import Image, RawMask, Size


class Signs(NamedTuple):
    """What the doctor keeps of a pair.

    `low` and `high` are the extremes of the picture's finite pixels, `unknown` the place of its
    first pixel that is none. `formats` are those of picture and mask file by content. `turned`
    says that EXIF turns the picture and not the mask. `ramps` are those of a mask in a file of
    its own. `shapes` is what is wrong with an annotation's shapes.
    """

    sketch: Sketch
    low: float
    high: float
    unknown: tuple[int, int] | None
    formats: tuple[str, str]
    turned: bool
    ramps: Ramps | None
    shapes: tuple[Finding, ...]


class Observer:
    """Keeps the signs of the pairs of a layout."""

    def __init__(self, layout: Layout) -> None:
        self.root, self.drawings = layout.root, layout.drawings
        self.planes = layout.planes is not None

    def __call__(self, image: Image, raw: RawMask, facts: LabelFacts, pair: Pair) -> Signs:
        """The signs of one pair, whose picture and mask are of one size."""
        low, high, unknown = _extremes(image)
        kind = content_format(pair.image)
        turned = 1 if kind == "TIFF" or self.drawings else orientation_of(pair.image)
        return Signs(
            sketch=sketch(image),
            low=low,
            high=high,
            unknown=unknown,
            formats=(kind, self._mask_format(pair)),
            turned=turned > 1 and not self.planes and mask_is_turned(image, raw, turned),
            ramps=None if self.planes or self.drawings else count_ramps(raw),
            shapes=self._shapes(pair, image.shape[:2]),
        )

    def _mask_format(self, pair: Pair) -> str:
        if self.drawings or self.planes or pair.mask.suffix.lower() == ".npy":
            return ""
        return content_format(pair.mask)

    def _shapes(self, pair: Pair, size: Size) -> tuple[Finding, ...]:
        if self.drawings is None:
            return ()
        found = wrong_shapes(self.drawings(pair), size, pair, self.root)
        return tuple(f for f in found if not (self.planes and f.code == "A701"))  # they may overlap


def _extremes(image: Image) -> tuple[float, float, tuple[int, int] | None]:
    if image.dtype.kind != "f":
        return float(image.min()), float(image.max()), None
    finite = np.isfinite(image).all(axis=2)
    unknown = None
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        unknown = int(row), int(column)
    known = image[finite]
    return (float(known.min()), float(known.max()), unknown) if known.size else (0, 0, unknown)
