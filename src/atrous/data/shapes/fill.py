"""Which pixels a polygon covers, by either rule; a cover is the window it lies in and its pixels.

Points that are not finite are left out, and what lies outside the picture is cut off.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64
from PIL import Image as pil
from PIL import ImageDraw

from atrous.data.shapes.forms import Ring
from atrous.types import Size

FINE = 5  # COCO's rule looks at the polygon on a grid as many times finer
_FAR = 1 << 24  # coordinates beyond are held there, where floats of 32 bits are still exact


class Cover(NamedTuple):
    """Pixels of the picture: the true ones of those in its window."""

    window: tuple[slice, slice]
    pixels: Bool[np.ndarray, "h w"]


NOWHERE = Cover((slice(0, 0), slice(0, 0)), np.zeros((0, 0), bool))


def fill_centre(canvas: pil.Image, rings: tuple[Ring, ...]) -> Cover:
    """The pixels of the first ring without those of the others, by the rule `centre`.

    They are those of Pillow's polygon filled and outlined, which cuts the fraction off each
    coordinate. A ring of one point is that pixel. `canvas` is of the picture's size and black
    (mode L), before and after.
    """
    points = [_whole(ring) for ring in rings]
    if not points or not points[0]:
        return NOWHERE
    columns, rows = points[0][0::2], points[0][1::2]
    left, right = max(min(columns), 0), min(max(columns) + 1, canvas.width)
    top, bottom = max(min(rows), 0), min(max(rows) + 1, canvas.height)
    if left >= right or top >= bottom:
        return NOWHERE
    pen = ImageDraw.Draw(canvas)
    for ink, ring in zip([1] + [0] * len(points), filter(None, points), strict=False):
        pen.polygon(ring, fill=ink, outline=ink)
    box = (left, top, right, bottom)
    pixels = np.array(canvas.crop(box), bool)
    canvas.paste(0, box)
    return Cover((slice(top, bottom), slice(left, right)), pixels)


def fill_corner(ring: Ring, size: Size) -> Cover:
    """The pixels of a ring by the rule `corner`, those that pycocotools gives.

    The ring is looked at on a grid five times finer. Where it passes the middle of a column of
    pixels, that column turns from outside to inside, or back, below. Rings of one or two points
    cover nothing.
    """
    x, y = _passages(finite(ring), size)
    if not x.size:
        return NOWHERE
    left, right, top, bottom = x.min(), x.max() + 1, y.min(), y.max()
    height, width = int(bottom - top), int(right - left)
    # A row more than there is, for columns that turn back to outside at the very bottom.
    turns = np.sort((x - left) * (height + 1) + (y - top))
    inside = alternating(turns, width * (height + 1)).reshape(width, height + 1)[:, :height]
    return Cover((slice(int(top), int(bottom)), slice(int(left), int(right))), inside.T)


def alternating(turns: Int64[np.ndarray, " N"], length: int) -> Bool[np.ndarray, " length"]:
    """False up to the first of the ascending `turns`, true up to the second, and so on."""
    lengths = np.diff(turns, prepend=0, append=length)
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)


def fitted(cover: Cover, size: Size) -> Cover:
    """The part of a cover that lies inside a picture of `size`."""
    (rows, columns), pixels = cover
    top, left = max(rows.start, 0), max(columns.start, 0)
    bottom, right = min(rows.stop, size[0]), min(columns.stop, size[1])
    if top >= bottom or left >= right:
        return NOWHERE
    inside = pixels[top - rows.start : bottom - rows.start, left - columns.start :]
    return Cover((slice(top, bottom), slice(left, right)), inside[:, : right - left])


def _passages(ring: Float64[np.ndarray, "N 2"], size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Column and row below which each edge of the ring turns outside into inside, or back.

    On the fine grid an edge is a line of points, one for each step along its longer axis. It
    passes column c between the fine columns 5c + 2 and 5c + 3, and the upper one of the two
    points there counts.
    """
    fine = np.trunc(FINE * ring + 0.5)
    low, high = fine, np.roll(fine, -1, axis=0)
    run = abs(high - low)
    steep = run[:, 1] > run[:, 0]
    longer = steep.astype(np.int64)
    back = np.take_along_axis(low > high, longer[:, None], axis=1)
    low, high = np.where(back, high, low), np.where(back, low, high)
    left, right = np.minimum(low[:, 0], high[:, 0]), np.maximum(low[:, 0], high[:, 0])
    first = np.clip(np.ceil((left - 2) / FINE), 0, size[1]).astype(np.int64)
    end = np.clip(np.floor((right - 3) / FINE) + 1, 0, size[1]).astype(np.int64)
    counts = np.maximum(end - first, 0)
    edge = np.repeat(np.arange(len(ring)), counts)
    column = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts - first, counts)
    before = FINE * column + 2
    row = np.where(
        steep[edge],
        _row_of_steep(low[edge], high[edge], before),
        _row_of_flat(low[edge], high[edge], before),
    )
    return column, np.ceil(np.clip((row + 0.5) / FINE - 0.5, 0, size[0])).astype(np.int64)


def _row_of_flat(low: np.ndarray, high: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The upper of the rows at fine columns `before` and one more."""
    slope = (high[:, 1] - low[:, 1]) / np.maximum(high[:, 0] - low[:, 0], 1)
    step = before - low[:, 0]
    rows = (np.trunc(low[:, 1] + slope * at + 0.5) for at in (step, step + 1))
    return np.minimum(*rows)


def _row_of_steep(low: np.ndarray, high: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The last row before the line changes between fine columns `before` and one more."""
    slope = (high[:, 0] - low[:, 0]) / np.maximum(high[:, 1] - low[:, 1], 1)
    slope = np.where(slope == 0, 1.0, slope)  # upright edges pass no column
    guess = np.floor((before + 0.5 - low[:, 0]) / slope)
    column = np.trunc(low[:, 0] + slope * (guess + np.array([[-1], [0], [1]])) + 0.5)
    not_yet = np.where(slope > 0, column <= before, column > before)
    return low[:, 1] + guess - 2 + not_yet.sum(0)


def finite(ring: Ring) -> Float64[np.ndarray, "N 2"]:
    """The finite points of a ring; coordinates far beyond any picture are held at 16 million."""
    points = np.asarray(ring, np.float64).reshape(-1, 2)
    return points[np.isfinite(points).all(1)].clip(-_FAR, _FAR)


def _whole(ring: Ring) -> list[int]:
    """x, y, x, y, ... of at least two points, as Pillow wants them; none for none."""
    points = np.trunc(finite(ring)).astype(np.int64).ravel().tolist()
    return points * 2 if len(points) == 2 else points
