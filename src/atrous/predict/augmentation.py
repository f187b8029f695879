"""A picture shown to an engine more than once: mirrored, at several scales.

The logits are averaged where they lie, on the grid of the picture as it is, so that it goes with
every engine, and the resize to pixels is done once.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from atrous.data.images import resized
from atrous.errors import RecipeError
from atrous.kernels.patches import LARGEST
from atrous.kernels.resize import interpolated, positions, taps_at
from atrous.types import GridLogits, Image, Placement, Size

Answer = Callable[[Image], GridLogits]


@dataclass(frozen=True)
class Augmentation:
    """How a picture is shown; the mean over all scales and, with `flip`, the mirror image of each.

    Raises:
        RecipeError: the scales are out of range, twice the same, or without 1.
    """

    flip: bool = False
    scales: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if self.scales == (1,):
            return
        from atrous.recipe.training import averaged  # a fifth of a second

        try:
            averaged(self.scales)
        except ValueError as error:
            raise RecipeError(
                "predict.scales",
                found=f"is {list(self.scales)}",
                allowed=str(error),
                fix="Give for example 0.75, 1 and 1.25.",
            ) from None

    @property
    def views(self) -> int:
        """How often the engine is asked for one picture."""
        return len(self.scales) * (1 + self.flip)

    def __str__(self) -> str:
        scales = f"scales {', '.join(f'{scale:g}' for scale in self.scales)}"
        return ", ".join(["flip"] * self.flip + [scales] * (len(self.scales) > 1))

    def logits(self, answer: Answer, image: Image, *, grid: Placement) -> GridLogits:
        """The mean of what `answer` gives, on its grid for the picture as it is.

        Of the mirror image of a picture that is whole cells wide it is the mirror image.
        """
        as_it_is = answer(image)
        if self.views == 1:
            return as_it_is
        mean = np.zeros_like(as_it_is)
        for scale in self.scales:
            shown = resized(image, scaled(image.shape[:2], scale))
            view = as_it_is if scale == 1 else answer(shown)
            part = moved(view, _cells(image, as_it_is, shown, view, grid, flip=False))
            if self.flip:
                mirrored = np.ascontiguousarray(shown[:, ::-1])
                view = answer(mirrored)
                place = _cells(image, as_it_is, mirrored, view, grid, flip=True)
                part = (part + moved(view, place)) / 2  # a sum of two has no order
            mean += part / np.float32(len(self.scales))
        return mean


AS_IT_IS = Augmentation()


def scaled(size: tuple[int, ...], scale: float) -> Size:
    """A size at another scale, in whole pixels, of which one is left.

    Example:
        >>> scaled((360, 2), 0.125)
        (45, 1)
    """
    height, width = (max(1, round(side * scale)) for side in size)
    return height, width


Cells = tuple[np.ndarray, np.ndarray]  # rows and columns, of whole cells and between them


def _cells(
    image: Image,
    logits: GridLogits,
    shown: Image,
    view: GridLogits,
    grid: Placement,
    *,
    flip: bool,
) -> Cells:
    """Where the cells of `logits`, those of `image`, lie among those of a `view` of it."""
    (tall, wide), (high, across) = image.shape[:2], shown.shape[:2]
    rows = pixel_rows(tall, logits.shape[1], grid)
    columns = pixel_rows(wide, logits.shape[2], grid)
    if flip:
        columns = wide - 1 - columns
    return (
        positions((rows + 0.5) * (high / tall) - 0.5, high, view.shape[1], grid),
        positions((columns + 0.5) * (across / wide) - 0.5, across, view.shape[2], grid),
    )


def pixel_rows(pixels: int, cells: int, grid: Placement) -> np.ndarray:
    """The pixel row, whole or not, that reads each cell alone: the inverse of `positions`."""
    first, second = positions(np.array([0.0, 1.0]), pixels, cells, grid)
    if second == first:  # one cell, corners aligned: all rows read it
        return np.full(cells, (pixels - 1) / 2)
    return (np.arange(cells) - first) / (second - first)


def moved(logits: GridLogits, cells: Cells) -> GridLogits:
    """Logits at other rows and columns of their grid, bilinearly; edges are held.

    Infinite ones count as 2**126, as in `kernels.resize`; NaN stays.

    Example:
        >>> moved(np.float32([[[0, 1, 2]]]), (np.array([0.0]), np.array([2.0, 0.5, -1.0])))
        array([[[2. , 0.5, 0. ]]], dtype=float32)
    """
    rows, columns = map(taps_at, cells, logits.shape[1:])
    return interpolated(np.clip(logits, -LARGEST, LARGEST), rows, columns)
