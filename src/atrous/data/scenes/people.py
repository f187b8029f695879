"""People: jointed figures in metres, drawn facing, from behind or walking past."""

import numpy as np

from atrous.data.scenes.canvas import Canvas, Point, Sketch
from atrous.data.scenes.legend import PERSON
from atrous.data.scenes.street import Person, Street


class _Figure:
    """Draws in the person's own units: x to the right and y up, in heights of the person."""

    def __init__(self, canvas: Canvas, sketch: Sketch, foot: np.ndarray, unit: float) -> None:
        self.sketch, self.foot, self.unit = sketch, foot, unit
        self.light = canvas.light.on((0.0, 0.2, -0.75)) * 1.08
        self.sunny = np.sign(canvas.light.to_sun[0]) or 1.0

    def spot(self, x: float, y: float) -> Point:
        return float(self.foot[0] + x * self.unit), float(self.foot[1] - y * self.unit)

    def limb(
        self,
        points: list[Point],
        width: float,
        colour: tuple[float, float, float],
        dim: float = 1.0,
    ) -> None:
        """A stroke through points, as wide as an arm or a leg."""
        tone = np.array(colour) * self.light * dim
        self.sketch.stroke([self.spot(*p) for p in points], width * self.unit, tone)

    def shape(self, points: list[Point], colour: tuple[float, float, float]) -> None:
        """A body part, with its side away from the sun darker."""
        tone = np.array(colour) * self.light
        self.sketch.polygon([self.spot(*p) for p in points], tone)
        middle = sum(x for x, _ in points) / len(points)
        far = [
            (x, y) if (x - middle) * self.sunny < 0 else (middle + (x - middle) * 0.1, y)
            for x, y in points
        ]
        self.sketch.polygon([self.spot(*p) for p in far], tone * 0.76)

    def oval(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        colour: tuple[float, float, float],
        dim: float = 1.0,
    ) -> None:
        """A head, or whatever is round."""
        self.sketch.disc(
            self.spot(x, y),
            max(rx * self.unit, 1.2),
            max(ry * self.unit, 1.2),
            np.array(colour) * self.light * dim,
        )


def _legs(figure: _Figure, p: Person, spread: float) -> None:
    shoe = (0.12, 0.11, 0.11)
    for i, side in enumerate((-1, 1)):
        swing = side * p.swing * (0.14 if p.pose == "side" else 0.03)
        hip, lift = side * spread, 0.03 * max(swing, 0)
        knee = (hip + swing * 0.7, 0.26)
        ankle = (hip + swing, 0.05 + lift)
        figure.limb([(hip, 0.48), knee, ankle], 0.078, p.bottom, 0.8 + 0.2 * i)
        toe = 0.05 if p.pose == "side" else side * 0.012
        figure.limb([(ankle[0], 0.025 + lift), (ankle[0] + toe, 0.02 + lift)], 0.05, shoe)


def _arms(figure: _Figure, p: Person, shoulder: float, near: bool) -> None:
    for side in (-1, 1):
        if p.pose == "side" and (side > 0) != near:
            continue
        swing = -side * p.swing * (0.12 if p.pose == "side" else 0.02)
        x = 0.0 if p.pose == "side" else side * shoulder
        out = 0.0 if p.pose == "side" else side * 0.03
        elbow, hand = (x + out + swing * 0.5, 0.64), (x + out + swing, 0.49)
        figure.limb([(x, 0.79), elbow, hand], 0.058, p.top, 0.85)
        figure.oval(*hand, 0.024, 0.026, p.skin)


def _torso(figure: _Figure, p: Person, shoulder: float) -> None:
    hem, flare = (0.30, 1.05) if p.coat else (0.47, 0.80)
    waist = shoulder * 0.8
    figure.shape(
        [
            (-shoulder, 0.80),
            (-shoulder * 0.6, 0.835),
            (shoulder * 0.6, 0.835),
            (shoulder, 0.80),
            (waist, 0.62),
            (shoulder * flare, hem),
            (-shoulder * flare, hem),
            (-waist, 0.62),
        ],
        p.top,
    )


def _head(figure: _Figure, p: Person) -> None:
    ahead = 0.012 if p.pose == "side" else 0.0
    figure.limb([(0, 0.82), (ahead, 0.87)], 0.055, p.skin, 0.85)
    figure.oval(0, 0.935, 0.056, 0.066, p.hair)
    if p.pose == "side" or p.swing > -0.3:  # else seen from behind
        figure.oval(ahead * 1.6, 0.917, 0.042, 0.052, p.skin)


def paint_person(canvas: Canvas, street: Street, p: Person) -> None:
    """One person, standing on the ground."""
    foot = canvas.camera.project(street.ground(p.s, p.z)[None])[0]
    unit = canvas.camera.scale(p.z) * p.height
    sketch = Sketch(
        canvas,
        (foot[0] - 0.4 * unit, foot[1] - 1.05 * unit, foot[0] + 0.4 * unit, foot[1] + 0.05 * unit),
    )
    if sketch.empty:
        return
    figure = _Figure(canvas, sketch, foot, unit)
    side = p.pose == "side"
    shoulder = 0.085 if side else 0.125
    if side:
        _arms(figure, p, shoulder, near=False)
    _legs(figure, p, 0.012 if side else 0.05)
    _torso(figure, p, shoulder)
    if p.bag:
        figure.oval(-0.10 if side else 0.0, 0.68, 0.06, 0.1, (0.20, 0.17, 0.16))
    _arms(figure, p, shoulder, near=True)
    _head(figure, p)
    sketch.lay(PERSON, p.z)
