"""Signs: traffic signs, traffic lights, boards and lamps on their poles."""

import numpy as np

from atrous.data.scenes.canvas import Canvas, Point, Sketch
from atrous.data.scenes.legend import SIGN
from atrous.data.scenes.street import Sign, Street

_RED, _WHITE, _BLUE = (0.80, 0.08, 0.10), (0.93, 0.93, 0.90), (0.08, 0.26, 0.64)
_GREY, _BLACK, _YELLOW, _GREEN = (
    (0.50, 0.52, 0.53),
    (0.08, 0.08, 0.09),
    (0.96, 0.78, 0.12),
    (0.06, 0.42, 0.24),
)
_SIZE = (
    0.42  # half the width of a plate, metres; larger than life by a third, to be seen at 320 x 240
)


class _Plate:
    """Draws around the middle of a plate, in half widths of it."""

    def __init__(self, canvas: Canvas, sketch: Sketch, middle: Point, unit: float) -> None:
        self.sketch, self.middle, self.unit = sketch, middle, unit
        self.light = canvas.light.on((0.0, 0.1, -0.9)) * 1.1

    def disc(
        self,
        radius: float,
        colour: tuple[float, float, float],
        x: float = 0.0,
        y: float = 0.0,
        glow: bool = False,
    ) -> None:
        """A disc, in the light that falls on the plate or glowing by itself."""
        tone = np.array(colour) * (1.0 if glow else self.light)
        spot = self.middle[0] + x * self.unit, self.middle[1] - y * self.unit
        self.sketch.disc(spot, radius * self.unit, radius * self.unit, tone)

    def shape(self, points: list[Point], colour: tuple[float, float, float]) -> None:
        spots = [
            (self.middle[0] + x * self.unit, self.middle[1] - y * self.unit) for x, y in points
        ]
        self.sketch.polygon(spots, np.array(colour) * self.light)

    def box(
        self,
        rx: float,
        ry: float,
        colour: tuple[float, float, float],
        x: float = 0.0,
        y: float = 0.0,
    ) -> None:
        """A rectangle by its middle and half its sides."""
        self.shape([(x - rx, y - ry), (x + rx, y - ry), (x + rx, y + ry), (x - rx, y + ry)], colour)

    def ring(
        self, corners: int, turn: float, radius: float, colour: tuple[float, float, float]
    ) -> None:
        angle = np.arange(corners) * 2 * np.pi / corners + turn
        self.shape([(float(np.sin(t)) * radius, float(np.cos(t)) * radius) for t in angle], colour)


def _face(plate: _Plate, face: str) -> None:
    match face:
        case "limit":
            plate.disc(1, _RED)
            plate.disc(0.72, _WHITE)
            plate.box(0.14, 0.34, _BLACK, x=-0.26)
            plate.box(0.18, 0.34, _BLACK, x=0.24)
            plate.box(0.07, 0.2, _WHITE, x=0.24)
        case "warning":
            plate.ring(3, 0, 1.2, _RED)
            plate.ring(3, 0, 0.78, _WHITE)
            plate.box(0.09, 0.26, _BLACK, y=0.05)
        case "parking":
            plate.box(0.9, 0.9, _BLUE)
            plate.box(0.12, 0.6, _WHITE, x=-0.22)
            plate.disc(0.34, _WHITE, x=0.12, y=0.26)
            plate.disc(0.14, _BLUE, x=0.12, y=0.26)
        case "stop":
            plate.ring(8, np.pi / 8, 1.08, _WHITE)
            plate.ring(8, np.pi / 8, 0.98, _RED)
            plate.box(0.66, 0.17, _WHITE)
        case "arrow":
            plate.disc(1, _BLUE)
            plate.box(0.13, 0.5, _WHITE, y=-0.1)
            plate.shape([(-0.42, 0.2), (0.42, 0.2), (0.0, 0.7)], _WHITE)
        case "board":
            plate.box(1.9, 0.62, _GREEN)
            plate.box(1.35, 0.1, _WHITE, y=0.24)
            plate.box(0.95, 0.1, _WHITE, x=-0.4, y=-0.2)
        case _:
            plate.disc(1, _GREY)
            plate.box(0.12, 1.0, (0.36, 0.37, 0.38))


def _lights(plate: _Plate, lit: int) -> None:
    plate.box(0.46, 1.15, _BLACK)
    for i, colour in enumerate(((0.98, 0.16, 0.12), _YELLOW, (0.20, 0.92, 0.52))):
        shown = colour if i == lit else tuple(0.22 * c for c in colour)
        plate.disc(0.28, (shown[0], shown[1], shown[2]), y=0.7 - 0.7 * i, glow=i == lit)


def _lamp(
    canvas: Canvas, sketch: Sketch, top: Point, unit: float, inwards: float, tone: np.ndarray
) -> None:
    head = (top[0] + inwards * 1.5 * unit, top[1] - 0.25 * unit)
    sketch.stroke(
        [top, (top[0] + inwards * 0.5 * unit, top[1] - 0.22 * unit), head], 0.08 * unit, tone
    )
    sketch.polygon(
        [
            (head[0] - 0.4 * unit, head[1] - 0.1 * unit),
            (head[0] + 0.4 * unit, head[1] - 0.1 * unit),
            (head[0] + 0.34 * unit, head[1] + 0.12 * unit),
            (head[0] - 0.34 * unit, head[1] + 0.12 * unit),
        ],
        (1.0, 0.9, 0.66) if canvas.light.lamps else tone * 1.5,
    )


def paint_sign(canvas: Canvas, street: Street, sign: Sign) -> None:
    """One sign with its pole, standing on the ground."""
    unit = canvas.camera.scale(sign.z)
    foot = canvas.camera.project(street.ground(sign.s, sign.z)[None])[0]
    top = (float(foot[0]), float(foot[1] - sign.height * unit))
    sketch = Sketch(
        canvas, (foot[0] - 1.9 * unit, top[1] - 0.7 * unit, foot[0] + 1.9 * unit, foot[1] + 2)
    )
    if sketch.empty:
        return
    tone = np.array(
        (0.34, 0.36, 0.37) if sign.face in ("lamp", "lights") else _GREY
    ) * canvas.light.on((0, 0.1, -0.9))
    thick = {"lamp": 0.13, "lights": 0.13}.get(sign.face, 0.085) * unit
    sketch.stroke([(float(foot[0]), float(foot[1])), top], thick, tone)
    if thick > 4:
        lit = foot[0] + np.sign(canvas.light.to_sun[0]) * thick * 0.25
        sketch.stroke([(float(lit), float(foot[1])), (float(lit), top[1])], thick * 0.3, tone * 1.4)
    plate = _Plate(canvas, sketch, (top[0], top[1] + _SIZE * unit * 0.6), _SIZE * unit)
    match sign.face:
        case "lamp":
            inwards = -float(np.sign(sign.s))
            _lamp(canvas, sketch, top, unit, inwards, tone)
        case "lights":
            _lights(plate, int(sign.z * 10) % 3)
        case face:
            _face(plate, face)
    sketch.lay(SIGN, sign.z)
    if sign.face == "lamp" and canvas.light.lamps:
        canvas.glow(
            top[0] - np.sign(sign.s) * 1.5 * unit,
            top[1] - 0.2 * unit,
            2.6 * unit,
            np.array([0.75, 0.55, 0.28]),
        )
