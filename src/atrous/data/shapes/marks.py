"""Marks that are no polygons, as labelme paints them: rectangles, circles, lines, points, stamps.

Points are (x, y) with whole numbers at the centres of pixels. What has no finite point becomes a
shape without a pixel.
"""

import io
import math
from itertools import pairwise

import numpy as np
from jaxtyping import Int32, Int64, Shaped
from PIL import Image as pil
from PIL import ImageDraw
from PIL.PngImagePlugin import PngImageFile

from atrous.data.images.refusals import check_pixels
from atrous.data.shapes.fill import finite
from atrous.data.shapes.forms import Patch, Polygon, Shape
from atrous.errors import ImageError

LINE_WIDTH = 10  # pixels, what labelme's programs take
POINT_RADIUS = 5
_LARGE = 1024  # radius beyond which a circle is a polygon of many sides, not Pillow's ellipse
_SIDES = 2048  # of that polygon: off by a hundredth of a pixel at a radius of 8 000

Points = Shaped[np.ndarray, "N 2"]


def rectangle(label: int, points: Points) -> Polygon:
    """The upright rectangle around two opposite corners, or around any number of points."""
    points = finite(points)
    if not len(points):
        return Polygon(label, (), "centre")
    (left, top), (right, bottom) = points.min(0), points.max(0)
    ring = [[left, top], [right, top], [right, bottom], [left, bottom]]
    return Polygon(label, (np.array(ring),), "centre")


def circle(label: int, points: Points) -> Polygon:
    """The disc around the first point that reaches to the second."""
    points = finite(points)
    if not len(points):
        return Polygon(label, (), "centre")
    return _disc(label, points[0], math.dist(points[0], points[-1]))


def point(label: int, at: Points, *, radius: float = POINT_RADIUS) -> Polygon:
    """The disc around one point."""
    points = finite(at)
    return _disc(label, points[0], radius) if len(points) else Polygon(label, (), "centre")


def line(label: int, points: Points, *, width: int = LINE_WIDTH) -> tuple[Shape, ...]:
    """A line of one or several straight parts, with round joints where it turns."""
    points = np.trunc(finite(points))
    moves = (points[1:] != points[:-1]).any(1)
    points = np.concatenate([points[:1], points[1:][moves] if moves.any() else points[1:2]])
    parts = [_straight(label, *ends, width) for ends in pairwise(points)]
    joints = [_disc(label, at, width / 2 - 1) for at in points[1:-1]] if width > 4 else []
    return (*parts, *joints)


def stamp(label: int, corner: Points, content: bytes, *, where: object) -> Patch:
    """The pixels of a small PNG that are not black, its first pixel at `corner` (x, y), rounded.

    Raises:
        ImageError: the bytes are no whole PNG; their header claims more pixels than are decoded.
    """
    try:
        with PngImageFile(io.BytesIO(content)) as picture:
            check_pixels(where, picture.width, picture.height)
            pixels = np.array(picture.convert("L"), bool)
    except ImageError:
        raise
    except Exception as error:  # Pillow raises SyntaxError, OSError, ValueError, struct.error...
        raise ImageError(
            where,
            found=f"has a mask among its shapes that cannot be decoded ({error})",
            allowed="such a mask is a whole PNG, in base64",
            fix="Draw it again.",
            code="F201",
        ) from error
    for left, top in np.rint(finite(corner)[:1]).astype(int).tolist():
        return Patch(label, (top, left), pixels)
    return Patch(label, (0, 0), pixels[:0])


def _disc(label: int, centre: np.ndarray, radius: float) -> Polygon:
    """Pillow's ellipse in the box around the disc, whose corners lose their fraction."""
    if radius > _LARGE:
        turn = np.arange(_SIDES) * (2 * np.pi / _SIDES)
        ring = centre + radius * np.stack([np.cos(turn), np.sin(turn)], 1)
        return Polygon(label, (ring,), "centre")
    left, top, right, bottom = np.trunc([*(centre - radius), *(centre + radius)]).astype(int)
    ring = _ellipse(max(int(right - left), 0) + 1, max(int(bottom - top), 0) + 1)
    return Polygon(label, (ring + np.array([left, top], np.int32),), "centre")


def _ellipse(width: int, height: int) -> Int32[np.ndarray, "N 2"]:
    """A ring that covers what Pillow's ellipse of a size covers, and takes far less memory.

    From row to row it goes diagonally by one pixel, and the rest of the way along the wider row:
    as polygons are drawn, it paints no pixel beside.
    """
    canvas = pil.new("L", (width, height))
    ImageDraw.Draw(canvas).ellipse((0, 0, width - 1, height - 1), fill=1, outline=1)
    there = np.array(canvas, bool)
    if not there.any():  # Pillow paints no ellipse of one pixel
        return np.zeros((0, 2), np.int32)
    right, left = width - 1 - there[:, ::-1].argmax(1), there.argmax(1)
    ring = np.concatenate([_side(right), (_side(-left) * (-1, 1))[::-1]])
    moves = (ring != np.roll(ring, 1, 0)).any(1)
    ring = ring[moves] if moves.any() else ring[:1]
    ways = np.sign(np.roll(ring, -1, 0) - ring)
    turns = (ways != np.roll(ways, 1, 0)).any(1)
    return (ring[turns] if turns.any() else ring).astype(np.int32)


def _side(ends: Int64[np.ndarray, " H"]) -> Int64[np.ndarray, "N 2"]:
    """A walk down the right ends of rows, each a pixel at most beyond that of the next."""
    above, below = np.r_[ends[:1], ends[:-1]], np.r_[ends[1:], ends[-1:]]
    x = np.stack([np.minimum(ends, above + 1), ends, np.minimum(ends, below + 1)], 1)
    return np.stack([x.ravel(), np.repeat(np.arange(len(ends)), 3)], 1)


def _straight(label: int, begin: np.ndarray, end: np.ndarray, width: int) -> Polygon:
    """The four corners that Pillow gives to a straight line of a width.

    An even width has its odd pixel on one side.
    """
    run, rise = end - begin
    length = max(math.hypot(run, rise), 1.0)
    wide, narrow = _half_up((width - 1) / 2) / length, _half_down((width - 1) / 2) / length
    a = np.array([-_half_down(narrow * rise), _half_down(wide * run)])
    b = np.array([_half_down(wide * rise), -_half_down(narrow * run)])
    ring = np.stack([begin + a, end + a, end + b, begin + b])
    return Polygon(label, (ring,), "centre")


def _half_up(value: float) -> int:
    """Rounded, halves away from 0."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def _half_down(value: float) -> int:
    """Rounded, halves towards 0."""
    return int(math.copysign(math.ceil(abs(value) - 0.5), value))
