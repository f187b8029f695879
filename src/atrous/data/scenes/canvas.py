"""The picture and its mask while they are painted: one writes both, so that they cannot disagree.

Everything is painted from far to near at twice the final size. `Sketch` is a small PIL drawing of
one object (polygons, discs, strokes) that is laid on the canvas in one go.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from atrous.data.scenes.camera import Camera
from atrous.data.scenes.light import Light, rgb

Point = tuple[float, float]


class Canvas:
    """`image` float32 3 x rows x cols (0..1, more where it shines), `mask` uint8 rows x cols.

    Colours come as 3 x N for N pixels, or 3 x 1 for all of them: with the channels first, a plane
    is one run of memory, and NumPy several times as fast.
    """

    def __init__(self, camera: Camera, light: Light) -> None:
        self.camera = camera
        self.light = light
        self.image = np.zeros((3, camera.rows, camera.cols), np.float32)
        self.mask = np.zeros((camera.rows, camera.cols), np.uint8)

    def haze(self, colour: np.ndarray, depth: np.ndarray | float) -> np.ndarray:
        """The colour as it arrives from `depth` metres away."""
        part = 1 - np.exp(np.asarray(depth, np.float32) * np.float32(-1 / self.light.haze_range))
        return colour + part * (rgb(self.light.haze) - colour)

    def lay(self, pixels: np.ndarray | slice, colour: np.ndarray, label: np.ndarray | int) -> None:
        """Paint colours and labels on places of the flattened picture."""
        for plane, values in zip(self.image.reshape(3, -1), colour, strict=True):
            plane[pixels] = values
        self.mask.reshape(-1)[pixels] = label

    def places(self, top: int, left: int, where: np.ndarray) -> np.ndarray:
        """Where the true pixels of a window that starts at (top, left) lie in the picture."""
        row, col = np.divmod(np.flatnonzero(where), where.shape[1])
        return (row + top) * self.camera.cols + (col + left)

    def glow(self, column: float, row: float, radius: float, colour: np.ndarray) -> None:
        """Add light around a point; the mask does not change."""
        top, left = max(int(row - radius), 0), max(int(column - radius), 0)
        bottom = min(int(row + radius) + 1, self.camera.rows)
        right = min(int(column + radius) + 1, self.camera.cols)
        if top >= bottom or left >= right:
            return
        y = (np.arange(top, bottom, dtype=np.float32) - row)[:, None] / radius
        x = (np.arange(left, right, dtype=np.float32) - column)[None, :] / radius
        fall = np.clip(1 - np.sqrt(y * y + x * x), 0, 1) ** 3
        self.image[:, top:bottom, left:right] += fall * colour.astype(np.float32).reshape(3, 1, 1)


def _bytes(colour: Sequence[float] | np.ndarray) -> tuple[int, int, int]:
    red, green, blue = (min(max(int(c * 255), 0), 255) for c in colour)
    return red, green, blue


class Sketch:
    """A drawing in the canvas's pixels, limited to a box (left, top, right, bottom)."""

    def __init__(self, canvas: Canvas, box: tuple[float, float, float, float]) -> None:
        self.canvas = canvas
        self.left, self.top = max(int(box[0]) - 2, 0), max(int(box[1]) - 2, 0)
        right = min(int(box[2]) + 3, canvas.camera.cols)
        bottom = min(int(box[3]) + 3, canvas.camera.rows)
        self.size = (max(right - self.left, 0), max(bottom - self.top, 0))
        self.empty = min(self.size) == 0
        size = (1, 1) if self.empty else self.size
        self._image, self._cover = Image.new("RGB", size), Image.new("1", size)
        self._draw, self._stamp = ImageDraw.Draw(self._image), ImageDraw.Draw(self._cover)

    def _near(self, points: Sequence[Point] | np.ndarray) -> list[Point]:
        return [(float(x) - self.left, float(y) - self.top) for x, y in points]

    def polygon(
        self, points: Sequence[Point] | np.ndarray, colour: Sequence[float] | np.ndarray
    ) -> None:
        """Fill a polygon."""
        spots = self._near(points)
        self._draw.polygon(spots, fill=_bytes(colour))
        self._stamp.polygon(spots, fill=1)

    def disc(
        self, centre: Point, rx: float, ry: float, colour: Sequence[float] | np.ndarray
    ) -> None:
        """Fill an upright ellipse."""
        x, y = centre[0] - self.left, centre[1] - self.top
        box = (x - rx, y - ry, x + rx, y + ry)
        self._draw.ellipse(box, fill=_bytes(colour))
        self._stamp.ellipse(box, fill=1)

    def stroke(
        self, points: Sequence[Point], width: float, colour: Sequence[float] | np.ndarray
    ) -> None:
        """Draw a line of round joints, never thinner than two pixels (one in the final picture)."""
        thick = max(2, round(width))
        spots = self._near(points)
        self._draw.line(spots, fill=_bytes(colour), width=thick)
        self._stamp.line(spots, fill=1, width=thick)
        if thick > 3:
            for point in points:
                self.disc(point, thick / 2 - 0.5, thick / 2 - 0.5, colour)

    def lay(self, label: int, depth: float, texture: np.ndarray | None = None) -> None:
        """Put the drawing on the canvas; `texture` (its height x width) multiplies its colours."""
        if self.empty:
            return
        cover = np.asarray(self._cover)
        drawn = np.flatnonzero(cover)
        colour = np.asarray(self._image).reshape(-1, 3)[drawn].T.astype(np.float32, order="C")
        colour *= np.float32(1 / 255)
        if texture is not None:
            colour *= texture.reshape(-1)[drawn]
        pixels = self.canvas.places(self.top, self.left, cover)
        self.canvas.lay(pixels, self.canvas.haze(colour, depth), label)
