"""The sky, the far backdrop, and the ground: road, pavement, grass, what is drawn or shaded on it."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from . import noise
from .canvas import Canvas
from .legend import BUILDING, PAVEMENT, ROAD, SKY, TREE
from .street import FAR, Street

# The bird's-eye map of shadows and stains: x from -LEFT, z from 0, in pixels a metre.
_LEFT, _ACROSS, _AHEAD, _FINE = 22.0, 44.0, 64.0, 10


def _mix(low: np.ndarray, high: np.ndarray, t: np.ndarray) -> np.ndarray:
    return low + (high - low) * t[..., None]


def paint_sky(canvas: Canvas, street: Street) -> None:
    """Gradient, clouds that flatten towards the horizon, and the sun's glow where it is in view."""
    camera, light = canvas.camera, street.light
    rows, cols = min(int(camera.horizon) + 8, camera.rows), camera.cols
    climb = np.clip(1 - np.arange(rows, dtype=np.float32) / camera.horizon, 0, 1)
    sky = _mix(np.float32(light.low_sky), np.float32(light.zenith), climb[:, None] ** 0.7)
    sky = np.repeat(sky.astype(np.float32), cols, 1)
    lift = 1 / (climb + 0.14)  # a cloud layer overhead is squeezed towards the horizon
    spots = noise.at((lift * 150)[:, None], (np.arange(cols) - camera.centre)[None, :] * (0.35 + lift[:, None] * 0.2),
                     cells=4, octaves=6, grain=street.grain)  # fmt: skip
    cover = (
        np.clip((spots - (0.78 - 0.5 * light.clouds)) * 3.2, 0, 0.92)
        * np.clip(climb * 5, 0.25, 1)[:, None]
    )
    thick = np.clip((spots - 0.45) * 1.6, 0, 1)
    bright = (
        np.float32(light.ambient) * 0.66
        + np.float32(light.sun) * 0.48
        + np.float32(light.low_sky) * 0.12
    )
    cloud = _mix(bright, bright * np.float32([0.72, 0.75, 0.80]), thick)
    sky += (cloud - sky) * cover[..., None]
    canvas.lay((slice(0, rows), slice(0, cols)), np.ones((rows, cols), bool), sky, SKY)
    if light.to_sun[2] > 0.15 and light.hour != "overcast":
        scale = camera.focal / light.to_sun[2]
        spot = camera.centre + light.to_sun[0] * scale, camera.horizon - light.to_sun[1] * scale
        strength = 0.9 if light.hour == "golden" else 0.4
        canvas.glow(*spot, 330, np.float32(light.sun) * strength)


def paint_backdrop(canvas: Canvas, street: Street) -> None:
    """The skyline or line of woods that closes the view."""
    camera, light = canvas.camera, street.light
    foot = int(camera.horizon + camera.height * camera.focal / FAR) + 2
    column = np.arange(camera.cols)
    layers = [(150.0, 0.45, BUILDING if street.kind == "city" else TREE), (100.0, 0.3, TREE)]
    for depth, tall, label in layers if street.kind != "city" else layers[:1]:
        scale = camera.focal / depth
        wave = noise.crop(1, camera.cols, cells=16, octaves=5, grain=street.grain + int(depth))[0]
        if label == BUILDING:
            wave = wave[(column // 26) * 26]
        top = (camera.horizon - scale * (4 + 26 * tall * wave)).astype(int)
        low = max(int(top.min()), 0)
        window = (slice(low, foot), slice(0, camera.cols))
        where = np.arange(low, foot)[:, None] >= top
        leaf = noise.crop(foot - low, camera.cols, cells=64, octaves=3, grain=street.grain + 77)
        base = np.float32([0.26, 0.36, 0.19] if label == TREE else [0.50, 0.48, 0.48])
        tone = base * light.on((0, 0.4, -0.9)).astype(np.float32)
        colour = tone * (0.7 + 0.6 * leaf if label == TREE else 0.9 + 0.2 * leaf)[..., None]
        canvas.lay(window, where, canvas.haze(colour, depth), label)


class _Map:
    """A bird's-eye drawing in (s, z), three planes: shadow of the sun, darkness underneath, stains."""

    def __init__(self, street: Street) -> None:
        size = (int(_ACROSS * _FINE), int(_AHEAD * _FINE))
        self.street = street
        self.planes = [Image.new("L", size, level) for level in (0, 0, 128)]
        self.draws = [ImageDraw.Draw(plane) for plane in self.planes]

    def area(self, plane: int, points: list[tuple[float, float]], level: int) -> None:
        """Fill a polygon of (x, z)."""
        self.draws[plane].polygon([((x + _LEFT) * _FINE, z * _FINE) for x, z in points], fill=level)

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
        terms = (reach, _LEFT * _FINE, _LEFT * _FINE * rise - camera.centre * reach,
                 0, 0, camera.focal * reach, 0, 1)  # fmt: skip
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
    for _ in range(26):
        angle, out, size = (
            rng.uniform(0, 6.3),
            rng.uniform(0, 1) ** 0.5 * radius,
            rng.uniform(0.25, 0.6),
        )
        px, pz = x + dx + np.cos(angle) * out, z + dz + np.sin(angle) * out * 1.4
        ring = np.linspace(0, 6.28, 9)[:-1]
        chart.area(0, [(px + np.cos(t) * size, pz + np.sin(t) * size) for t in ring], 225)


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


def _asphalt(
    street: Street, s: np.ndarray, z: np.ndarray, grit: np.ndarray, near: np.ndarray
) -> np.ndarray:
    """Colour of the road before light: grit, worn tracks, gutter, markings, zebra."""
    rng = noise.generator(street.grain, 7)
    tone = np.float32(rng.uniform(0.27, 0.40)) * np.float32([1.0, 1.0, 1.03])
    lane = np.float32(street.half / 2)
    worn = np.abs(np.abs(np.abs(s) - lane) - 0.75)
    shade = 1 + (grit - 0.5) * (0.2 + 0.4 * near) + 0.09 * np.clip(1 - worn / 0.4, 0, 1)
    shade -= 0.3 * np.clip((np.abs(s) - street.half + 0.45) * 3, 0, 1)
    white = np.zeros(s.shape, bool)
    dash = np.mod(z + street.grain % 7, 6.0) < 3.0
    match street.markings:
        case "dashed":
            white |= (np.abs(s) < 0.075) & dash
        case "solid":
            white |= np.abs(s) < 0.075
        case "double":
            white |= np.abs(np.abs(s) - 0.16) < 0.06
        case _:
            pass
    if street.kind in ("open", "avenue"):
        white |= np.abs(np.abs(s) - (street.half - 0.35)) < 0.06
    if street.crossing:
        start = street.crossing
        white &= (z < start - 1.6) | (z > start + 3.2)
        white |= (
            (z > start)
            & (z < start + 2.8)
            & (np.mod(s, 1.0) < 0.5)
            & (np.abs(s) < street.half - 0.3)
        )
        white |= (np.abs(z - start + 1.2) < 0.2) & (s > 0) & (s < street.half - 0.2)
    white_tone = np.clip(0.80 + (grit - 0.5) * 0.7, 0.45, 0.9)
    colour = tone * shade[..., None]
    return np.where(white[..., None], white_tone[..., None] * np.float32([1, 1, 0.97]), colour)


def _slabs(
    street: Street, s: np.ndarray, z: np.ndarray, grit: np.ndarray, detail: np.ndarray
) -> np.ndarray:
    """Colour of the pavement before light: slabs with joints, and the kerb along the road."""
    rng = noise.generator(street.grain, 11)
    base = np.float32(
        [[0.62, 0.60, 0.57], [0.56, 0.53, 0.50], [0.66, 0.58, 0.51], [0.53, 0.54, 0.56]][
            rng.integers(4)
        ]
    )
    side = np.float32(rng.choice([0.5, 0.75, 1.0]))
    out = np.abs(s) - np.float32(street.half)
    u, v = out / side, z / side
    joint = (np.mod(u, 1) < 0.045) | (np.mod(v, 1) < 0.045)
    own = noise.dice(u, v, grain=street.grain) - 0.5
    shade = 1 + (grit - 0.5) * 0.3 + detail * (own * 0.17 - joint * 0.26)
    kerb = out < 0.32
    stone = (
        1.12 + (grit - 0.5) * 0.25 - 0.3 * detail * (np.mod(z, 1.0) < 0.03) - 0.45 * (out < 0.09)
    )
    return base * np.where(kerb, stone, shade)[..., None]


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
    z_all = np.broadcast_to(z, s.shape)
    near = np.clip(9 / z, 0, 1)
    detail = np.clip(camera.focal / z / 40, 0, 1)
    grit = noise.at(z * 22, s * 30, cells=128, octaves=3, grain=street.grain)
    grit = grit * (0.35 + 0.65 * near) + 0.5 * (1 - near) * 0.65
    screen = noise.crop(*s.shape, cells=256, octaves=2, grain=street.grain)
    grit += (screen - 0.5) * 0.45
    chart = _chart(street)
    road, walk = np.abs(s) < street.half, np.abs(s) < street.half + street.walk
    if not street.green:
        walk = np.ones_like(walk)
    colour = _slabs(street, s, z_all, grit, detail)
    if street.green:
        tuft = noise.at(z * 9, s * 14, cells=32, octaves=5, grain=street.grain + 5) * near + 0.5 * (
            1 - near
        )
        grass = (
            np.float32([0.30, 0.40, 0.15]) * (0.55 + 0.9 * (0.6 * tuft + 0.4 * screen))[..., None]
        )
        colour = np.where(walk[..., None], colour, grass)
    colour = np.where(road[..., None], _asphalt(street, s, z_all, grit, near), colour)
    colour *= 1 + 1.6 * (chart[..., 2:] - 128 / 255) * road[..., None]
    open_sky = 1 - 0.72 * chart[..., 1:2]
    lit = np.float32(light.ambient) * open_sky
    lit = (
        lit
        + np.float32(light.sun)
        * np.float32(light.to_sun[1] ** 0.5)
        * (1 - chart[..., :1])
        * open_sky
    )
    colour = canvas.haze(colour * lit, z_all)
    window = (slice(first, camera.rows), slice(0, camera.cols))
    canvas.image[window] = colour
    canvas.mask[window] = np.where(
        road, np.uint8(ROAD), np.where(walk, np.uint8(PAVEMENT), np.uint8(TREE))
    )
