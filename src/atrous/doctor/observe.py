"""What is kept of a pair while its pixels are in memory: little, for there may be 100 000."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from atrous.data.images import SUFFIXES, content_format, orientation_of
from atrous.data.layouts import Layout, Pair
from atrous.data.layouts.pairs import relative
from atrous.data.windows import is_polygons
from atrous.doctor.alignment import mask_is_turned
from atrous.doctor.drawn import wrong_shapes
from atrous.doctor.findings import Finding
from atrous.doctor.sketches import Sketch, sketch
from atrous.kernels.labels import LabelFacts
from atrous.kernels.ramps import Ramps, count_ramps
from atrous.types import Image, RawMask, Size

FLAT = 1.0  # of 255: the contrast of a sketch above which a picture is not constant
NO_RAMPS = Ramps(steps=0, ramps=0, lines=0, mixed=0, first=-1, middle=-1, pixels=0)
NOISE = 3  # levels of 8 bits that lossy formats add to one colour


class Signs(NamedTuple):
    """What the doctor keeps of a pair.

    `high` is the largest of the picture's finite pixels, `unknown` the place of its first pixel
    that is none; `constant` says that all are alike, but for what JPEG changes. `turned` says that
    EXIF turns the picture and not the mask. `ramps` are those of a mask in a file of its own.
    `told` is what was found on the way: wrong suffixes, what is wrong with an annotation's shapes.
    """

    sketch: Sketch
    high: float
    constant: bool
    unknown: tuple[int, int] | None
    turned: bool
    ramps: Ramps | None
    told: tuple[Finding, ...]


class Observer:
    """Keeps the signs of the pairs of a layout."""

    def __init__(self, layout: Layout) -> None:
        self.root, self.drawings = layout.root, layout.drawings
        self.planes = layout.planes is not None

    def __call__(self, image: Image, raw: RawMask, facts: LabelFacts, pair: Pair) -> Signs:
        """The signs of one pair, whose picture and mask are of one size."""
        high, unknown = _largest(image)
        sketched = sketch(image)
        kind = content_format(pair.image)
        upright = kind == "TIFF" or self.drawings or pair.window
        turned = 1 if upright else orientation_of(pair.image)
        return Signs(
            sketch=sketched,
            high=high,
            constant=pair.window is None and sketched.contrast < FLAT and _is_constant(image),
            unknown=unknown,
            turned=turned > 1 and not self.planes and mask_is_turned(image, raw, turned),
            ramps=_ramps(raw) if self._is_stored(pair) else None,
            told=(*self._misnamed(pair), *self._shapes(pair, image.shape[:2])),
        )

    def _is_stored(self, pair: Pair) -> bool:
        """Whether the mask is a file of labels, and not drawn, or made of planes."""
        return not (self.planes or self.drawings or is_polygons(pair.mask))

    def _misnamed(self, pair: Pair) -> Iterator[Finding]:
        """Files that are of another format than their suffix says."""
        own = self._is_stored(pair) and pair.mask.suffix.lower() != ".npy"
        for path in (pair.image, pair.mask) if own else (pair.image,):
            kind = content_format(path)
            if kind and SUFFIXES.get(path.suffix.lower(), kind) != kind:
                ending = next(suffix for suffix, of in SUFFIXES.items() if of == kind)
                fix = f"Rename it to {path.with_suffix(ending).name}."
                yield Finding("F206", relative(path, self.root), f"is a {kind} file", fix)

    def _shapes(self, pair: Pair, size: Size) -> tuple[Finding, ...]:
        if self.drawings is None:
            return ()
        found = wrong_shapes(self.drawings(pair), size, pair, self.root)
        return tuple(f for f in found if not (self.planes and f.code == "A701"))  # they may overlap


def _ramps(raw: RawMask) -> Ramps:
    """The ramps of a mask; all masks without any share one."""
    ramps = count_ramps(raw)
    return ramps if ramps.ramps or ramps.mixed else NO_RAMPS


def _largest(image: Image) -> tuple[float, tuple[int, int] | None]:
    """The largest number among the pixels, and the place of the first that is no number."""
    if image.dtype.kind != "f":
        return float(image.max()), None
    finite = np.isfinite(image).all(axis=2)
    known = image[finite]
    high = float(known.max()) if known.size else 0.0
    if finite.all():
        return high, None
    row, column = np.argwhere(~finite)[0]
    return high, (int(row), int(column))


def _is_constant(image: Image) -> bool:
    """Whether each band has one value, or values as near as JPEG leaves them."""
    bands = image.reshape(-1, image.shape[2]).astype(np.float64)
    spread = np.nan_to_num(bands.max(0) - bands.min(0))
    return bool((spread <= (NOISE if image.dtype == np.uint8 else 0)).all())
