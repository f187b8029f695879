"""The shapes that annotation files hold."""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64, Shaped

from atrous.types import Size

Ring = Shaped[np.ndarray, "N 2"]  # (x, y) of each point, closed without repeating the first
Rule = Literal["centre", "corner"]


class Polygon(NamedTuple):
    """Rings of (x, y) in pixels; `label` is the index of the class.

    By the rule `centre` whole numbers are the centres of pixels and the outline belongs to the
    region, as in labelme, YOLO and Label Studio; the rings after the first are holes, and a
    hole's outline belongs to the hole. By the rule `corner` whole numbers are the corners of
    pixels, as in COCO; the region is the union of the rings.
    """

    label: int
    rings: tuple[Ring, ...]
    rule: Rule


class Runs(NamedTuple):
    """Counts of 0, 1, 0, 1, ... down the columns of a picture of `size`, as in COCO."""

    label: int
    counts: Int64[np.ndarray, " N"]
    size: Size


class Patch(NamedTuple):
    """A small mask whose first pixel lies at `corner` (row, column) of the picture."""

    label: int
    corner: tuple[int, int]
    pixels: Bool[np.ndarray, "h w"]


Shape = Polygon | Runs | Patch


class Drawing(NamedTuple):
    """Shapes painted in this order, later ones over earlier ones, over `background`.

    `size` is what the annotation file claims, None where it does not say.
    """

    size: Size | None
    shapes: tuple[Shape, ...]
    background: int = 0
