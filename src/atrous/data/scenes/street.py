"""What stands where: a street as plain values, drawn once from one generator.

Things stand at (s, z): `s` metres to the right of the road's centre line, `z` metres ahead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .camera import Camera
from .light import Colour, Light, light

KINDS = ("city", "suburb", "avenue", "open")
FAR = 85.0  # metres; beyond it there is only the backdrop
SCALE = 2  # painted at twice the final size


@dataclass(frozen=True)
class Building:
    """A block along the street from z1 to z2, its front at `s`; heights and depth in metres."""

    s: float
    z1: float
    z2: float
    height: float
    depth: float
    roof: str  # flat, mansard, eaves (ridge along the street) or gable (ridge across it)
    wall: str  # plaster, brick, concrete, glass or boards
    colour: Colour
    trim: Colour
    roof_colour: Colour
    pitch: float  # metres between windows
    storey: float
    window: tuple[float, float]  # share of pitch and storey
    shop: bool
    end: bool  # whether the near end wall can be seen
    grain: int


@dataclass(frozen=True)
class Hedge:
    s: float
    z1: float
    z2: float
    height: float
    colour: Colour
    fence: bool
    grain: int


@dataclass(frozen=True)
class Tree:
    s: float
    z: float
    shape: str  # round, tall, cone or bush
    height: float
    radius: float
    colour: Colour
    grain: int


@dataclass(frozen=True)
class Car:
    s: float
    z: float
    heading: float  # radians; 0 drives away from the camera
    body: str  # hatch, saloon, estate or van
    colour: Colour
    parked: bool
    grain: int


@dataclass(frozen=True)
class Person:
    s: float
    z: float
    height: float
    pose: str  # front or side
    swing: float  # of the legs, -1 to 1
    skin: Colour
    top: Colour
    bottom: Colour
    hair: Colour
    coat: bool
    bag: bool


@dataclass(frozen=True)
class Sign:
    s: float
    z: float
    face: str  # limit, warning, parking, stop, arrow, lights, lamp, board or back
    height: float


@dataclass(frozen=True)
class Street:
    """One scene before it is painted."""

    kind: str
    camera: Camera
    light: Light
    half: float  # half the width of the road
    walk: float  # width of each pavement
    line: tuple[float, float, float]  # x of the centre line = line[0] + line[1] z + line[2] z^2
    markings: str  # dashed, solid, double or none
    crossing: float  # z of a zebra crossing, or 0
    green: bool  # grass, not stone, beyond the pavement
    bonnet: bool
    buildings: tuple[Building, ...]
    hedges: tuple[Hedge, ...]
    trees: tuple[Tree, ...]
    cars: tuple[Car, ...]
    people: tuple[Person, ...]
    signs: tuple[Sign, ...]
    grain: int

    def x(self, s: float, z: float) -> float:
        """Where (s, z) is to the right of the camera, in metres."""
        return s + self.line[0] + z * (self.line[1] + z * self.line[2])

    def ground(self, s: float, z: float) -> np.ndarray:
        """(s, z) on the ground as a point of the world."""
        return np.array([self.x(s, z), 0.0, z])


def _pick(rng: np.random.Generator, table: list[Colour], wobble: float = 0.03) -> Colour:
    red, green, blue = np.clip(
        np.array(table[rng.integers(len(table))]) + rng.normal(0, wobble, 3), 0.02, 1
    )
    return float(red), float(green), float(blue)


_WALLS: dict[str, list[Colour]] = {
    "plaster": [(0.86, 0.80, 0.68), (0.88, 0.72, 0.55), (0.74, 0.78, 0.80), (0.91, 0.88, 0.82),
                (0.80, 0.62, 0.50), (0.68, 0.74, 0.66), (0.86, 0.74, 0.70)],
    "brick": [(0.58, 0.31, 0.24), (0.66, 0.42, 0.30), (0.48, 0.30, 0.26), (0.70, 0.56, 0.42)],
    "concrete": [(0.64, 0.64, 0.62), (0.55, 0.56, 0.58), (0.72, 0.70, 0.66)],
    "glass": [(0.42, 0.52, 0.60), (0.34, 0.44, 0.50), (0.50, 0.56, 0.58)],
    "boards": [(0.88, 0.88, 0.85), (0.60, 0.68, 0.74), (0.72, 0.66, 0.52), (0.62, 0.36, 0.30)],
}  # fmt: skip
_TRIMS: list[Colour] = [
    (0.93, 0.92, 0.88),
    (0.80, 0.78, 0.74),
    (0.38, 0.36, 0.35),
    (0.52, 0.44, 0.36),
]
_ROOFS: list[Colour] = [
    (0.56, 0.29, 0.22),
    (0.36, 0.33, 0.34),
    (0.44, 0.30, 0.26),
    (0.28, 0.31, 0.36),
]
_LEAVES: list[Colour] = [(0.30, 0.46, 0.17), (0.24, 0.40, 0.16), (0.37, 0.50, 0.20), (0.20, 0.36, 0.20),
                         (0.43, 0.50, 0.18)]  # fmt: skip
_AUTUMN: list[Colour] = [(0.70, 0.46, 0.14), (0.62, 0.32, 0.14), (0.66, 0.56, 0.20)]
_PAINTS: list[Colour] = [(0.86, 0.87, 0.88), (0.10, 0.11, 0.13), (0.52, 0.54, 0.57), (0.30, 0.32, 0.36),
                         (0.62, 0.10, 0.11), (0.12, 0.24, 0.50), (0.70, 0.71, 0.70), (0.14, 0.34, 0.28),
                         (0.80, 0.62, 0.16), (0.46, 0.38, 0.30), (0.34, 0.54, 0.66)]  # fmt: skip
_SKINS: list[Colour] = [
    (0.86, 0.66, 0.54),
    (0.74, 0.54, 0.42),
    (0.54, 0.36, 0.26),
    (0.36, 0.24, 0.18),
]
_CLOTHES: list[Colour] = [(0.14, 0.16, 0.22), (0.66, 0.14, 0.16), (0.20, 0.34, 0.56), (0.82, 0.80, 0.76),
                          (0.86, 0.66, 0.20), (0.28, 0.42, 0.30), (0.40, 0.24, 0.36), (0.52, 0.50, 0.48),
                          (0.88, 0.48, 0.30), (0.12, 0.12, 0.13), (0.36, 0.62, 0.66)]  # fmt: skip
_TROUSERS: list[Colour] = [(0.13, 0.15, 0.22), (0.20, 0.26, 0.40), (0.16, 0.16, 0.17), (0.46, 0.40, 0.32),
                           (0.32, 0.32, 0.34)]  # fmt: skip
_HAIR: list[Colour] = [
    (0.10, 0.08, 0.07),
    (0.30, 0.20, 0.12),
    (0.58, 0.44, 0.24),
    (0.50, 0.48, 0.46),
]


def _grain(rng: np.random.Generator) -> int:
    return int(rng.integers(1 << 20))


def _building(rng: np.random.Generator, side: int, s: float, z1: float, kind: str) -> Building:
    house = kind in ("suburb", "open")
    wall = str(rng.choice(["plaster", "brick", "boards"] if house else ["plaster", "brick", "concrete", "glass"],
                          p=[0.4, 0.35, 0.25] if house else [0.42, 0.26, 0.2, 0.12]))  # fmt: skip
    long = rng.uniform(8, 12) if house else rng.uniform(9, 19)
    storeys = int(rng.integers(1, 3)) if house else int(rng.integers(3, 9 if kind == "city" else 6))
    storey = float(rng.uniform(2.7, 3.0) if house else rng.uniform(3.0, 3.7))
    roofs = ["eaves", "gable"] if house else ["flat", "flat", "mansard", "eaves"]
    roof = "flat" if wall == "glass" else str(rng.choice(roofs))
    broad, tall = (
        (0.9, 0.86) if wall == "glass" else (rng.uniform(0.36, 0.66), rng.uniform(0.44, 0.62))
    )
    return Building(
        s=side * s, z1=z1, z2=z1 + float(long), height=storeys * storey + (0.3 if house else 1.2),
        depth=float(rng.uniform(7, 10) if house else rng.uniform(9, 14)), roof=roof, wall=wall,
        colour=_pick(rng, _WALLS[wall]), trim=_pick(rng, _TRIMS), roof_colour=_pick(rng, _ROOFS),
        pitch=float(rng.uniform(1.9, 3.3)), storey=storey, window=(float(broad), float(tall)),
        shop=not house and bool(rng.random() < 0.7), end=True, grain=_grain(rng),
    )  # fmt: skip


def _row(rng: np.random.Generator, side: int, front: float, kind: str) -> list[Building]:
    """The buildings of one side, from near to far."""
    gaps = {
        "city": (0.12, 5, 9),
        "avenue": (0.3, 4, 9),
        "suburb": (1.0, 3, 9),
        "open": (1.0, 16, 46),
    }
    chance, low, high = gaps[kind]
    z, row = float(rng.uniform(-6, 6) if kind != "open" else rng.uniform(8, 34)), []
    while z < FAR - 12:
        setback = front + (float(rng.uniform(0, 3)) if kind in ("suburb", "open") else 0.0)
        row.append(_building(rng, side, setback, z, kind))
        z = row[-1].z2 + (float(rng.uniform(low, high)) if rng.random() < chance else 0.0)
    return [b for b in row if b.z2 > 1.5]


def _trees(rng: np.random.Generator, kind: str, half: float, walk: float) -> list[Tree]:
    autumn = rng.random() < 0.14
    leaves = _AUTUMN + _LEAVES[-1:] if autumn else _LEAVES
    tone = _pick(rng, leaves)

    def tree(s: float, z: float, shape: str) -> Tree:
        high = {"round": (5.5, 9), "tall": (7, 12), "cone": (6, 11), "bush": (1.1, 2.2)}[shape]
        stout = {
            "round": (0.3, 0.4),
            "tall": (0.13, 0.18),
            "cone": (0.2, 0.27),
            "bush": (0.6, 0.9),
        }[shape]
        height = float(rng.uniform(*high))
        colour = tone if kind == "avenue" else _pick(rng, leaves)
        return Tree(s, z, shape, height, height * float(rng.uniform(*stout)), colour, _grain(rng))

    found = []
    for side in (-1, 1):
        if kind == "avenue" or (kind == "city" and rng.random() < 0.6):
            step = rng.uniform(7, 10) if kind == "avenue" else rng.uniform(11, 22)
            shape = "tall" if rng.random() < 0.2 else "round"
            place = side * (half + 0.8)
            found += [tree(place, z + float(rng.uniform(-0.8, 0.8)), shape)
                      for z in np.arange(rng.uniform(7, 12), 62, step).tolist()]  # fmt: skip
        elif kind != "city":
            for _ in range(int(rng.integers(4, 8) if kind == "suburb" else rng.integers(6, 13))):
                shape = str(
                    rng.choice(["round", "tall", "cone", "bush"], p=[0.55, 0.12, 0.15, 0.18])
                )
                away = rng.uniform(1.5, 6) if kind == "suburb" else rng.uniform(2, 20)
                found.append(
                    tree(side * (half + walk + float(away)), float(rng.uniform(8, 75)), shape)
                )
    return found


def _hedges(rng: np.random.Generator, kind: str, half: float, walk: float) -> list[Hedge]:
    found = []
    for side in (-1, 1):
        if kind != "suburb" and not (kind == "open" and rng.random() < 0.3):
            continue
        z = float(rng.uniform(0, 5))
        while z < 62:
            long, fence = float(rng.uniform(4, 8)), bool(rng.random() < 0.25)
            height = float(rng.uniform(0.8, 1.0) if fence else rng.uniform(0.8, 1.7))
            found.append(Hedge(side * (half + walk + 0.2), z, z + long, height,
                               _pick(rng, _TRIMS if fence else _LEAVES), fence, _grain(rng)))  # fmt: skip
            z += long + (float(rng.uniform(1.5, 5)) if rng.random() < 0.4 else 0)
    return found


def _cars(rng: np.random.Generator, kind: str, half: float, own: float) -> list[Car]:
    """Parked cars along the kerbs, then traffic; none where the camera's own car is."""

    def car(s: float, z: float, heading: float, parked: bool) -> Car:
        body = str(rng.choice(["hatch", "saloon", "estate", "van"], p=[0.38, 0.3, 0.2, 0.12]))
        return Car(s, z, heading, body, _pick(rng, _PAINTS, 0.02), parked, _grain(rng))

    found = []
    busy = {"city": 0.7, "avenue": 0.55, "suburb": 0.4, "open": 0.0}[kind]
    for side in (-1, 1):
        z = float(rng.uniform(6, 12))
        while z < 70 and busy:
            if rng.random() < busy:
                turn = float(rng.normal(0, 0.03)) + (
                    np.pi if (side < 0) != (rng.random() < 0.15) else 0.0
                )
                found.append(car(side * (half - 1.05), z, turn, True))
            z += float(rng.uniform(5.3, 7.5))
    lane = half / 2 - (0.9 if busy else 0.0)
    for side, heading in ((1, 0.0), (-1, np.pi)):
        z = float(rng.uniform(9, 24) if side > 0 else rng.uniform(8, 26))
        for _ in range(int(rng.integers(0, 3)) + (kind == "open")):
            if abs(side * lane - own) > 1.6 or z > 9:
                found.append(car(side * lane, z, heading + float(rng.normal(0, 0.03)), False))
            z += float(rng.uniform(10, 25))
    if rng.random() < 0.12:
        found.append(
            car(
                float(rng.uniform(-1, 1)),
                float(rng.uniform(22, 36)),
                float(rng.choice([1.4, -1.4])),
                False,
            )
        )
    return found


def _people(
    rng: np.random.Generator, kind: str, half: float, walk: float, crossing: float
) -> list[Person]:
    low, high = {"city": (4, 11), "avenue": (3, 8), "suburb": (1, 5), "open": (1, 3)}[kind]
    found = []
    for _ in range(int(rng.integers(low, high))):
        side = 1 if rng.random() < 0.5 else -1
        s, z = (
            side * (half + float(rng.uniform(0.5, max(walk - 0.3, 0.8)))),
            float(rng.uniform(5, 24) ** 1.05),
        )
        across = crossing > 0 and rng.random() < 0.35
        if across:
            s, z = float(rng.uniform(-half, half)), crossing + float(rng.uniform(0.3, 2.5))
        child = rng.random() < 0.12
        found.append(Person(
            s=s, z=z, height=float(rng.uniform(1.05, 1.4) if child else rng.uniform(1.58, 1.9)),
            pose="side" if across or rng.random() < 0.3 else "front", swing=float(rng.uniform(-1, 1)),
            skin=_pick(rng, _SKINS), top=_pick(rng, _CLOTHES), bottom=_pick(rng, _TROUSERS),
            hair=_pick(rng, _HAIR), coat=bool(rng.random() < 0.3), bag=bool(rng.random() < 0.35),
        ))  # fmt: skip
        if rng.random() < 0.3:  # somebody beside
            twin = found[-1]
            found.append(Person(
                twin.s + 0.6, twin.z + 0.1, float(rng.uniform(1.55, 1.85)), twin.pose, -twin.swing,
                _pick(rng, _SKINS), _pick(rng, _CLOTHES), _pick(rng, _TROUSERS), _pick(rng, _HAIR),
                bool(rng.random() < 0.3), False,
            ))  # fmt: skip
    return found


def _signs(rng: np.random.Generator, kind: str, half: float) -> list[Sign]:
    found = []
    faces = ["limit", "warning", "parking", "stop", "arrow", "board", "back"]
    for side in (-1, 1):
        for _ in range(int(rng.integers(1, 3))):
            z = float(rng.uniform(5.5, 26))
            found.append(
                Sign(side * (half + 0.35), z, str(rng.choice(faces)), float(rng.uniform(2.2, 2.7)))
            )
        if kind != "open" and rng.random() < 0.75:
            start, step = float(rng.uniform(9, 17)), float(rng.uniform(18, 26))
            tall = float(rng.uniform(5, 7.5))
            found += [Sign(side * (half + 0.45), start + i * step, "lamp", tall) for i in range(3)]
    if kind in ("city", "avenue") and rng.random() < 0.45:
        z = float(rng.uniform(12, 24))
        found += [Sign(side * (half + 0.3), z, "lights", 3.2) for side in (-1, 1)]
    return found


def _camera(rng: np.random.Generator, size: tuple[int, int]) -> Camera:
    rows, cols = size[0] * SCALE, size[1] * SCALE
    return Camera(
        rows, cols, focal=cols * float(rng.uniform(0.72, 0.98)),
        centre=cols * float(rng.uniform(0.44, 0.56)), horizon=rows * float(rng.uniform(0.42, 0.54)),
        height=float(rng.uniform(1.35, 1.95)),
    )  # fmt: skip


def street(rng: np.random.Generator, size: tuple[int, int]) -> Street:
    """A street for a picture of `size` (height, width)."""
    kind = str(rng.choice(KINDS, p=[0.34, 0.26, 0.22, 0.18]))
    half = float(
        {"city": rng.uniform(5, 7), "avenue": rng.uniform(4.8, 6.5)}.get(
            kind, rng.uniform(3.4, 5.0)
        )
    )
    walk = float(
        {"city": rng.uniform(2.4, 4), "avenue": rng.uniform(2.6, 4.2)}.get(
            kind, rng.uniform(1.5, 2.3)
        )
    )
    side = 1 if rng.random() < 0.75 else -1
    on_foot = rng.random() < 0.22
    own = side * (half + walk * 0.45) if on_foot else side * (half / 2 - 0.6)
    turn = side * float(rng.uniform(0.08, 0.22)) if on_foot else float(rng.normal(0, 0.045))
    bend = float(rng.normal(0, 0.0022)) if rng.random() < 0.55 else 0.0
    crossing = (
        float(rng.uniform(8, 17)) if kind in ("city", "avenue") and rng.random() < 0.4 else 0.0
    )
    front = half + walk + {"city": 0.0, "avenue": 1.5, "suburb": 4.5, "open": 7.0}[kind]
    buildings = [b for flank in (-1, 1) for b in _row(rng, flank, front, kind)]
    return Street(
        kind=kind, camera=_camera(rng, size), light=light(rng), half=half, walk=walk,
        line=(-own, turn, bend), markings=str(rng.choice(["dashed", "solid", "double", "none"], p=[0.5, 0.2, 0.12, 0.18])),
        crossing=crossing, green=kind in ("suburb", "open"),
        bonnet=not on_foot and bool(rng.random() < 0.22), buildings=tuple(buildings),
        hedges=tuple(_hedges(rng, kind, half, walk)), trees=tuple(_trees(rng, kind, half, walk)),
        cars=tuple(_cars(rng, kind, half, own)), people=tuple(_people(rng, kind, half, walk, crossing)),
        signs=tuple(_signs(rng, kind, half)), grain=_grain(rng),
    )  # fmt: skip
