"""The ground: road, pavement, grass, what is drawn or shaded on it."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from atrous.data.scenes import noise
from atrous.data.scenes.canvas import Canvas
from atrous.data.scenes.legend import PAVEMENT, ROAD, TREE
from atrous.data.scenes.light import rgb
from atrous.data.scenes.street import Street

# The bird's-eye map of shadows and stains: x from -LEFT, z from 0, in pixels a metre.
_LEFT, _ACROSS, _AHEAD, _FINE = 22.0, 44.0, 64.0, 10


class _Map:
    """A bird's-eye drawing in (x, z), three planes: shadows, the dark under things, stains."""

    def __init__(self, street: Street) -> None:
        size = (int(_ACROSS * _FINE), int(_AHEAD * _FINE))
        self.street = street
        self.planes = [Image.new("L", size, level) for level in (0, 0, 128)]
        self.draws = [ImageDraw.Draw(plane) for plane in self.planes]

    def area(self, plane: int, points: list[tuple[float, float]], level: int) -> None:
        """Fill a polygon of (x, z)."""
        self.draws[plane].polygon([((x + _LEFT) * _FINE, z * _FINE) for x, z in points], fill=level)

    def disc(self, plane: int, x: float, z: float, radius: float, level: int) -> None:
        """Fill a circle."""
        col, row, size = (x + _LEFT) * _FINE, z * _FINE, radius * _FINE
        self.draws[plane].ellipse((col - size, row - size, col + size, row + size), fill=level)

    def cast(self, corners: list[tuple[float, float]], height: float, level: int = 255) -> None:
        """The shadow of an upright prism."""
        dx, dz = (d * height for d in self.street.light.shift())
        moved = [(x + dx, z + dz) for x, z in corners]
        for i in range(len(corners)):
            j = (i + 1) % len(corners)
            self.area(0, [corners[i], corners[j], moved[j], moved[i]], level)
        self.area(0, moved, level)

    def view(self) -> np.ndarray:
        """The map as the camera sees it from the horizon down: rows x cols x 3, 0..1."""
        camera = self.street.camera
        soft = [
            plane.filter(ImageFilter.BoxBlur(r))
            for plane, r in zip(self.planes, (1, 4, 1), strict=True)
        ]
        first = int(camera.horizon) + 2
        rise, reach = first - camera.horizon, camera.height * _FINE
        # x = (column - centre) height / (row - horizon); z = focal height / (row - horizon)
        terms = (
            reach,
            _LEFT * _FINE,
            _LEFT * _FINE * rise - camera.centre * reach,
            0,
            0,
            camera.focal * reach,
            0,
            1,
        )
        numbers = [t / rise for t in terms]
        size = (camera.cols, camera.rows - first)
        seen = Image.merge("RGB", soft).transform(
            size,
            Image.Transform.PERSPECTIVE,
            numbers,
            Image.Resampling.BILINEAR,
            fillcolor=(0, 0, 128),
        )
        return np.asarray(seen, np.float32) * np.float32(1 / 255)


def footprint(
    street: Street, s: float, z: float, heading: float, half: tuple[float, float]
) -> list[tuple[float, float]]:
    """The four corners (x, z) of a rectangle of half sizes (across, along) turned by `heading`."""
    slope = street.line[1] + 2 * street.line[2] * z
    angle = heading + np.arctan(slope)
    along, across = (
        np.array([np.sin(angle), np.cos(angle)]),
        np.array([np.cos(angle), -np.sin(angle)]),
    )
    middle = np.array([street.x(s, z), z])
    spots = [
        middle + a * half[0] * across + b * half[1] * along
        for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]
    return [(float(x), float(y)) for x, y in spots]


def _crown_shadow(
    chart: _Map, x: float, z: float, radius: float, height: float, grain: int
) -> None:
    dx, dz = (d * height * 0.65 for d in chart.street.light.shift())
    rng = noise.generator(grain, 3)
    angle, share, size = (
        rng.uniform(0, 2 * np.pi, 26),
        rng.uniform(0, 1, 26),
        rng.uniform(0.25, 0.6, 26),
    )
    out = np.sqrt(share) * radius
    px, pz = x + dx + np.cos(angle) * out, z + dz + np.sin(angle) * out * 1.4
    for spot in zip(px.tolist(), pz.tolist(), size.tolist(), strict=True):
        chart.disc(0, *spot, 225)


def _chart(street: Street) -> np.ndarray:
    """Draw every shadow and stain; the map seen by the camera."""
    chart, rng = _Map(street), noise.generator(street.grain, 5)
    for b in street.buildings:
        back = b.s + np.sign(b.s) * b.depth
        chart.cast(
            [
                (street.x(s, z), z)
                for s, z in ((b.s, b.z1), (b.s, b.z2), (back, b.z2), (back, b.z1))
            ],
            b.height,
        )
    for h in street.hedges:
        chart.cast([(street.x(h.s, z), z) for z in (h.z1, h.z2)], h.height)
    for t in street.trees:
        x = street.x(t.s, t.z)
        chart.cast([(x - 0.12, t.z), (x + 0.12, t.z)], t.height * 0.6)
        _crown_shadow(chart, x, t.z, t.radius, t.height, t.grain)
        chart.area(1, footprint(street, t.s, t.z, 0.0, (0.5, 0.6)), 130)
    for car in street.cars:
        high = 2.0 if car.body == "van" else 1.35
        chart.cast(footprint(street, car.s, car.z, car.heading, (0.85, 2.05)), high)
        chart.area(1, footprint(street, car.s, car.z, car.heading, (0.98, 2.2)), 235)
    for p in street.people:
        chart.cast(footprint(street, p.s, p.z, 0.0, (0.2, 0.12)), p.height)
        chart.area(1, footprint(street, p.s, p.z, 0.0, (0.28, 0.28)), 150)
    for sign in street.signs:
        chart.cast(footprint(street, sign.s, sign.z, 0.0, (0.05, 0.05)), sign.height, 210)
    for _ in range(int(rng.integers(3, 9))):  # mended places in the asphalt
        s, z = rng.uniform(-street.half, street.half), rng.uniform(4, 45)
        shape = (rng.uniform(0.3, 1.4), rng.uniform(0.5, 4))
        chart.area(2, footprint(street, s, z, 0.0, shape), int(128 + rng.uniform(-34, 16)))
    return chart.view()


def _markings(street: Street, s: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Where the road is painted white: centre and edge lines, zebra, stop line."""
    off = np.abs(s)
    match street.markings:
        case "dashed":
            white = (off < 0.075) & (np.mod(z + street.grain % 7, 6.0) < 3.0)
        case "solid":
            white = off < 0.075
        case "double":
            white = np.abs(off - 0.16) < 0.06
        case _:
            white = np.zeros(s.shape, bool)
    if street.kind in ("open", "avenue"):
        white |= np.abs(off - (street.half - 0.35)) < 0.06
    if street.crossing:
        start = street.crossing
        white &= (z < start - 1.6) | (z > start + 3.2)
        bars = (z > start) & (z < start + 2.8) & (off < street.half - 0.3)
        white |= bars & (noise.frac(s) < 0.5)
        white |= (np.abs(z - start + 1.2) < 0.2) & (s > 0) & (s < street.half - 0.2)
    return white


def _asphalt(street: Street, s: np.ndarray, grit: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Brightness of the road: grit, tracks worn by wheels, the dark gutter."""
    off = np.abs(s)
    worn = np.abs(np.abs(off - np.float32(street.half / 2)) - np.float32(0.75))
    shade = 1 + (grit - 0.5) * (0.16 + 0.26 * near)
    shade += 0.22 * np.clip(0.4 - worn, 0, 0.4)
    shade -= np.clip((off - np.float32(street.half - 0.45)) * 0.9, 0, 0.3)
    return shade


def _slabs(
    street: Street, s: np.ndarray, z: np.ndarray, grit: np.ndarray, detail: np.ndarray
) -> np.ndarray:
    """Brightness of the pavement: slabs with joints, and the kerb along the road."""
    side = (0.5, 0.75, 1.0)[street.grain % 3]
    out = np.abs(s) - np.float32(street.half)
    u, v = out * np.float32(1 / side), z / np.float32(side)
    joint = (noise.frac(u) < 0.045) | (noise.frac(v) < 0.045)
    own = noise.dice(u, v, grain=street.grain)
    shade = 1 + (grit - 0.5) * 0.3 + detail * (own * 0.17 - 0.085 - joint * np.float32(0.26))
    stone = 1.14 + (grit - 0.5) * 0.25 - 0.3 * detail * (noise.frac(z) < 0.03)
    return np.where(out < 0.09, stone - 0.45, np.where(out < 0.32, stone, shade))


_STONES = ((0.62, 0.60, 0.57), (0.57, 0.54, 0.51), (0.66, 0.59, 0.52), (0.55, 0.56, 0.58))


def _surface(street: Street, s: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colour before light (3 x N) and label of each pixel of the ground."""
    rng, focal = noise.generator(street.grain, 7), np.float32(street.camera.focal)
    near, detail = np.clip(9 / z, 0, 1), np.clip(focal / z / 40, 0, 1)
    screen = noise.crop(*s.shape, cells=256, octaves=2, grain=street.grain)
    fine = noise.at(z * 34, s * 46, cells=256, octaves=2, grain=street.grain)
    grit = 0.5 + (fine - 0.5) * near + (screen - 0.5) * (0.9 - 0.5 * near)
    off = np.abs(s)
    road = off < street.half
    kind = np.where(road, np.uint8(0), np.uint8(2))  # asphalt, paint, stone, grass
    shade = np.where(road, _asphalt(street, s, grit, near), _slabs(street, s, z, grit, detail))
    white = road & _markings(street, s, z)
    kind[white] = 1
    shade[white] = np.clip(1 + (grit[white] - 0.5) * 0.8, 0.55, 1.1)
    if street.green:
        grass = off > street.half + street.walk
        tuft = noise.at(z * 12, s * 18, cells=64, octaves=4, grain=street.grain + 5)
        tuft = 0.5 + (tuft - 0.5) * near
        kind[grass] = 3
        shade = np.where(grass, 0.5 + 0.75 * tuft + 0.3 * screen, shade)
    tar = rng.uniform(0.31, 0.43) * np.array([1.0, 1.0, 1.03])
    palette = np.array(
        [tar, (0.86, 0.86, 0.83), _STONES[rng.integers(4)], (0.33, 0.44, 0.17)], np.float32
    )
    labels = np.array([ROAD, ROAD, PAVEMENT, TREE], np.uint8)
    return palette.T.take(kind.ravel(), 1) * shade.ravel(), labels.take(kind)


def paint_ground(canvas: Canvas, street: Street) -> None:
    """Everything flat from the horizon down to the lower edge."""
    camera, light = canvas.camera, street.light
    first = int(camera.horizon) + 2
    row = np.arange(first, camera.rows, dtype=np.float32)[:, None]
    z = camera.height * camera.focal / (row - np.float32(camera.horizon))
    x = (np.arange(camera.cols, dtype=np.float32)[None, :] - np.float32(camera.centre)) * (
        z / camera.focal
    )
    s = x - (street.line[0] + z * (street.line[1] + z * street.line[2]))
    colour, label = _surface(street, s, z)
    chart = _chart(street)
    open_sky = 1 - 0.72 * chart[..., 1]
    stain = 1 + 1.6 * (chart[..., 2] - np.float32(128 / 255)) * (label == ROAD)
    direct = (1 - chart[..., 0]) * open_sky * stain * np.float32(light.to_sun[1] ** 0.5)
    lit = rgb(light.ambient) * (open_sky * stain).ravel()
    lit += rgb(light.sun) * direct.ravel()
    colour = canvas.haze(colour * lit, np.repeat(z, camera.cols))
    canvas.lay(slice(first * camera.cols, None), colour, label.ravel())
