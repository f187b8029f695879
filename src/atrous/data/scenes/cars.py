"""Cars: an extruded side view, projected face by face, with windows, wheels and lights."""

import numpy as np

from atrous.data.scenes import noise
from atrous.data.scenes.camera import cross
from atrous.data.scenes.canvas import Canvas, Sketch
from atrous.data.scenes.legend import CAR
from atrous.data.scenes.street import Car, Street

# Side view from the front bumper over the roof to the rear: (along, height, half width) in metres,
# and the name of each strip between two neighbours.
_STRIPS = ("nose", "bonnet", "windscreen", "roof", "rear window", "boot", "tail")
_BODIES: dict[str, tuple[tuple[float, float, float], ...]] = {
    "hatch": (
        (1.98, 0.25, 0.80),
        (2.0, 0.66, 0.84),
        (1.10, 0.92, 0.83),
        (0.35, 1.44, 0.62),
        (-1.25, 1.46, 0.62),
        (-1.85, 0.98, 0.80),
        (-1.95, 0.90, 0.83),
        (-1.98, 0.27, 0.80),
    ),
    "saloon": (
        (2.2, 0.24, 0.82),
        (2.24, 0.66, 0.85),
        (1.15, 0.92, 0.84),
        (0.42, 1.42, 0.62),
        (-0.85, 1.42, 0.62),
        (-1.5, 1.00, 0.80),
        (-2.2, 0.96, 0.83),
        (-2.24, 0.28, 0.82),
    ),
    "estate": (
        (2.2, 0.26, 0.84),
        (2.22, 0.76, 0.88),
        (1.25, 1.02, 0.87),
        (0.55, 1.62, 0.68),
        (-1.9, 1.64, 0.68),
        (-2.15, 1.10, 0.84),
        (-2.2, 1.00, 0.87),
        (-2.2, 0.3, 0.84),
    ),
    "van": (
        (2.35, 0.28, 0.92),
        (2.38, 0.90, 0.95),
        (1.95, 1.12, 0.94),
        (1.35, 2.02, 0.84),
        (-2.3, 2.08, 0.84),
        (-2.38, 1.25, 0.94),
        (-2.4, 1.15, 0.95),
        (-2.4, 0.3, 0.92),
    ),
}
_TYRE = 0.33
_TURN = np.linspace(0, 2 * np.pi, 17)[:-1]
_CIRCLE = np.stack((0 * _TURN, np.sin(_TURN), np.cos(_TURN)), 1)


class _Pose:
    """From the car's own metres (across, height, along) to pixels, and to light."""

    def __init__(self, canvas: Canvas, street: Street, car: Car) -> None:
        slope = street.line[1] + 2 * street.line[2] * car.z
        angle = car.heading + np.arctan(slope)
        self.along = np.array([np.sin(angle), 0.0, np.cos(angle)])
        self.across = np.array([np.cos(angle), 0.0, -np.sin(angle)])
        self.axes = np.stack((self.across, (0.0, 1.0, 0.0), self.along))
        self.base = street.ground(car.s, car.z)
        self.heart = self.base + np.array([0.0, 0.5, 0.0])
        self.canvas = canvas
        self.eye = np.array([0.0, canvas.camera.height, 0.0])

    def world(self, points: np.ndarray) -> np.ndarray:
        return self.base + np.asarray(points, float) @ self.axes

    def pixels(self, points: np.ndarray) -> np.ndarray:
        return self.canvas.camera.project(self.world(points))

    def faces(self, points: np.ndarray) -> np.ndarray | None:
        """The outward unit normal of a face that the camera sees, else None."""
        spots = self.world(points)
        normal = cross(spots[1] - spots[0], spots[2] - spots[0])
        normal /= np.linalg.norm(normal)
        if np.dot(normal, spots[0] - self.heart) < 0:
            normal = -normal
        return normal if np.dot(normal, self.eye - spots[0]) > 0 else None

    def tone(self, colour: tuple[float, float, float], normal: np.ndarray) -> np.ndarray:
        """Paint under this light: matt colour, and a little of the sky in what looks upwards."""
        light = self.canvas.light
        lit = np.array(colour) * light.on((float(normal[0]), float(normal[1]), float(normal[2])))
        return lit + (np.array(light.low_sky) - lit) * (0.05 + 0.17 * max(normal[1], 0))


def _inset(quad: np.ndarray, u: tuple[float, float], v: tuple[float, float]) -> np.ndarray:
    """A smaller quadrilateral within four corners, by shares of its two sides."""

    def at(a: float, b: float) -> np.ndarray:
        return (quad[0] * (1 - a) + quad[1] * a) * (1 - b) + (quad[3] * (1 - a) + quad[2] * a) * b

    return np.array([at(u[0], v[0]), at(u[1], v[0]), at(u[1], v[1]), at(u[0], v[1])])


def _window(pose: _Pose, normal: np.ndarray) -> np.ndarray:
    sky = np.array(pose.canvas.light.low_sky)
    return np.array([0.07, 0.08, 0.10]) + sky * (0.06 + 0.24 * max(normal[1], 0))


def _strip(sketch: Sketch, pose: _Pose, car: Car, name: str, quad: np.ndarray) -> None:
    """One strip of the shell, with what is on it."""
    normal = pose.faces(quad)
    if normal is None:
        return
    sketch.polygon(pose.pixels(quad), pose.tone(car.colour, normal))
    lamps = pose.canvas.light.lamps and not car.parked
    if name == "windscreen" or (
        name == "rear window" and not (car.body == "van" and car.grain % 2)
    ):
        pane = _inset(quad, (0.07, 0.93), (0.08, 0.90))
        sketch.polygon(pose.pixels(pane), _window(pose, normal))
        sketch.polygon(
            pose.pixels(_inset(quad, (0.12, 0.5), (0.45, 0.85))), _window(pose, normal) * 1.35
        )
    elif name == "nose":
        grille = np.array([0.06, 0.06, 0.07])
        sketch.polygon(pose.pixels(_inset(quad, (0.24, 0.76), (0.52, 0.84))), grille)
        sketch.polygon(pose.pixels(_inset(quad, (0.12, 0.88), (0.04, 0.26))), grille * 1.5)
        sketch.polygon(pose.pixels(_inset(quad, (0.37, 0.63), (0.30, 0.48))), (0.85, 0.86, 0.82))
        bright = (1.0, 0.98, 0.86) if lamps else (0.80, 0.83, 0.86)
        for u in ((0.03, 0.22), (0.78, 0.97)):
            sketch.polygon(pose.pixels(_inset(quad, u, (0.60, 0.90))), bright)
    elif name == "tail":
        red = (1.0, 0.16, 0.12) if lamps or car.grain % 3 == 0 else (0.58, 0.06, 0.07)
        for u in ((0.02, 0.2), (0.8, 0.98)):
            sketch.polygon(pose.pixels(_inset(quad, u, (0.12, 0.44))), red)
        sketch.polygon(pose.pixels(_inset(quad, (0.36, 0.64), (0.30, 0.50))), (0.86, 0.84, 0.70))
        sketch.polygon(pose.pixels(_inset(quad, (0.04, 0.96), (0.78, 0.98))), (0.09, 0.09, 0.10))


def _ring(place: tuple[float, float, float], radius: float) -> np.ndarray:
    return np.array(place) + radius * _CIRCLE


def _wheels(sketch: Sketch, pose: _Pose, body: np.ndarray, side: int, near: bool) -> None:
    for along in (body[0, 0] - 0.82, body[-1, 0] + 0.80):
        place = (side * (body[0, 2] + 0.015), _TYRE, along)
        if near:
            sketch.polygon(
                pose.pixels(_ring((place[0], _TYRE + 0.03, along), _TYRE + 0.07)),
                (0.05, 0.05, 0.055),
            )
        sketch.polygon(pose.pixels(_ring(place, _TYRE)), (0.09, 0.09, 0.10))
        if near:
            rim = np.array([0.56, 0.57, 0.60]) * pose.canvas.light.on((0, 0.3, -0.8))
            sketch.polygon(pose.pixels(_ring(place, _TYRE * 0.62)), rim)
            sketch.polygon(pose.pixels(_ring(place, _TYRE * 0.22)), rim * 0.5)


def _flank(sketch: Sketch, pose: _Pose, car: Car, body: np.ndarray, side: int) -> None:
    """The side of the car: sheet metal, belt line, windows, door seams."""
    at = np.stack((side * body[:, 2], body[:, 1], body[:, 0]), 1)
    lower = np.array([at[0], at[1], at[2], at[5], at[6], at[7]])
    normal = pose.faces(lower[[0, 1, 4]])
    if normal is None:
        return
    tone = pose.tone(car.colour, normal)
    cabin = np.array([at[2], at[5], at[4], at[3]])
    sketch.polygon(pose.pixels(cabin), tone * 1.05)
    sketch.polygon(pose.pixels(lower), tone)
    sill = np.array([at[0], at[7], at[7] + (0, 0.1, 0), at[0] + (0, 0.1, 0)])
    sketch.polygon(pose.pixels(sill), tone * 0.4)
    gleam = np.array([at[1], at[6], at[6] - (0, 0.07, 0), at[1] - (0, 0.07, 0)])
    sketch.polygon(pose.pixels(gleam), tone * 0.7 + np.array(pose.canvas.light.low_sky) * 0.3)
    last = 0.30 if car.body == "van" and car.grain % 2 else 0.93
    glass = _window(pose, np.array([0, 0.35, 0]))
    for u in ((0.10, 0.48), (0.53, last)):
        if u[1] > u[0]:
            sketch.polygon(pose.pixels(_inset(cabin, u, (0.10, 0.86))), glass)
            sketch.polygon(
                pose.pixels(_inset(cabin, (u[0] + 0.05, u[0] + 0.2), (0.3, 0.86))), glass * 1.3
            )
    middle = (at[2] + at[5]) / 2
    seam = np.array([middle, middle * (1, 0, 1) + (0, 0.4, 0)])
    sketch.stroke([tuple(p) for p in pose.pixels(seam)], 1, tone * 0.55)
    mirror = at[2] * 0.9 + at[5] * 0.1 + (side * 0.12, 0.06, 0)
    scale = pose.canvas.camera.scale(car.z)
    spot = pose.pixels(mirror[None])[0]
    sketch.disc((float(spot[0]), float(spot[1])), 0.11 * scale, 0.08 * scale, tone * 0.8)


def paint_car(canvas: Canvas, street: Street, car: Car) -> None:
    """One car; its shadow is on the ground already."""
    pose, body = _Pose(canvas, street, car), np.array(_BODIES[car.body])
    if (pose.base + abs(body[0, 0]) * pose.along)[2] < 1.5 or (
        pose.base - abs(body[0, 0]) * pose.along
    )[2] < 1.5:
        return
    corners = [
        (side * body[1, 2], h, a)
        for side in (-1, 1)
        for h in (0.0, body[:, 1].max())
        for a in body[[1, -2], 0]
    ]
    spots = pose.pixels(np.array(corners))
    sketch = Sketch(canvas, (*(spots.min(0) - 6), *(spots.max(0) + 6)))
    if sketch.empty:
        return
    facing = 1 if np.dot(pose.across, pose.eye - pose.base) > 0 else -1
    _wheels(sketch, pose, body, -facing, near=False)
    under = np.array(
        [
            (s * body[0, 2] * 0.9, h, a)
            for a in (body[0, 0] - 0.1, body[-1, 0] + 0.1)
            for s, h in ((-1, 0.34), (1, 0.34), (1, 0.17), (-1, 0.17))
        ]
    )
    for rows in (under[:4], under[4:]):
        sketch.polygon(pose.pixels(rows), (0.04, 0.04, 0.05))
    strips = []
    for name, here, there in zip(_STRIPS, body[:-1], body[1:], strict=True):
        quad = np.array(
            [
                (here[2], here[1], here[0]),
                (-here[2], here[1], here[0]),
                (-there[2], there[1], there[0]),
                (there[2], there[1], there[0]),
            ]
        )
        strips.append((float(np.linalg.norm(pose.world(quad).mean(0) - pose.eye)), name, quad))
    for _, name, quad in sorted(strips, key=lambda strip: -strip[0]):
        _strip(sketch, pose, car, name, quad)
    _flank(sketch, pose, car, body, facing)
    _wheels(sketch, pose, body, facing, near=True)
    height, width = sketch.size[1], sketch.size[0]
    gloss = 0.9 + 0.2 * noise.crop(height, width, cells=16, octaves=4, grain=car.grain)
    sketch.lay(CAR, car.z, gloss * np.linspace(1.06, 0.92, height, dtype=np.float32)[:, None])
    _headlights(canvas, pose, car, body)


def _headlights(canvas: Canvas, pose: _Pose, car: Car, body: np.ndarray) -> None:
    if not canvas.light.lamps or car.parked:
        return
    towards = np.dot(pose.along, pose.eye - pose.base) > 0
    along, height, colour = (
        (body[1, 0], 0.62, (0.9, 0.85, 0.65)) if towards else (body[-2, 0], 0.8, (0.7, 0.08, 0.05))
    )
    for column, row in pose.pixels(np.array([(-0.62, height, along), (0.62, height, along)])):
        canvas.glow(float(column), float(row), 1.3 * canvas.camera.scale(car.z), np.array(colour))
