"""What stands where: a street drawn by one generator."""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from atrous.data.scenes import palettes
from atrous.data.scenes.camera import Camera
from atrous.data.scenes.light import light
from atrous.data.scenes.palettes import pick
from atrous.data.scenes.street import FAR, Building, Car, Hedge, Person, Sign, Street, Tree

KINDS = ("city", "suburb", "avenue", "open")
SCALE = 2  # painted at twice the final size


def _grain(rng: np.random.Generator) -> int:
    return int(rng.integers(1 << 20))


def _building(rng: np.random.Generator, side: int, s: float, z1: float, kind: str) -> Building:
    house = kind in ("suburb", "open")
    wall = str(
        rng.choice(
            ["plaster", "brick", "boards"] if house else ["plaster", "brick", "concrete", "glass"],
            p=[0.4, 0.35, 0.25] if house else [0.42, 0.26, 0.2, 0.12],
        )
    )
    long = rng.uniform(8, 12) if house else rng.uniform(9, 19)
    storeys = int(rng.integers(1, 3)) if house else int(rng.integers(3, 9 if kind == "city" else 6))
    storey = float(rng.uniform(2.7, 3.0) if house else rng.uniform(3.0, 3.7))
    roofs = ["eaves", "gable"] if house else ["flat", "flat", "mansard", "eaves"]
    roof = "flat" if wall == "glass" else str(rng.choice(roofs))
    broad, tall = (
        (0.9, 0.86) if wall == "glass" else (rng.uniform(0.36, 0.66), rng.uniform(0.44, 0.62))
    )
    return Building(
        s=side * s,
        z1=z1,
        z2=z1 + float(long),
        height=storeys * storey + (0.3 if house else 1.2),
        depth=float(rng.uniform(7, 10) if house else rng.uniform(9, 14)),
        roof=roof,
        wall=wall,
        colour=pick(rng, palettes.WALLS[wall]),
        trim=pick(rng, palettes.TRIMS),
        roof_colour=pick(rng, palettes.ROOFS),
        pitch=float(rng.uniform(1.9, 3.3)),
        storey=storey,
        window=(float(broad), float(tall)),
        shop=not house and bool(rng.random() < 0.7),
        end=True,
        grain=_grain(rng),
    )


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
    seen = row[:1] + [_hidden_end(here, before) for before, here in pairwise(row)]
    return [b for b in seen if b.z2 > 1.5]


def _hidden_end(here: Building, before: Building) -> Building:
    """The building, whose near end the one before it may cover."""
    touching = here.z1 == before.z2 and here.roof != "eaves"
    covered = touching and here.height <= before.height and here.depth <= before.depth
    return replace(here, end=not covered)


def _trees(rng: np.random.Generator, kind: str, half: float, walk: float) -> list[Tree]:
    autumn = rng.random() < 0.14
    leaves = palettes.AUTUMN + palettes.LEAVES[-1:] if autumn else palettes.LEAVES
    tone = pick(rng, leaves)

    def tree(s: float, z: float, shape: str) -> Tree:
        """A tree of a kind, `s` metres to the side and `z` along the road."""
        high = {"round": (5.5, 9), "tall": (7, 12), "cone": (6, 11), "bush": (1.1, 2.2)}[shape]
        stout = {
            "round": (0.3, 0.4),
            "tall": (0.13, 0.18),
            "cone": (0.2, 0.27),
            "bush": (0.6, 0.9),
        }[shape]
        height = float(rng.uniform(*high))
        colour = tone if kind == "avenue" else pick(rng, leaves)
        return Tree(s, z, shape, height, height * float(rng.uniform(*stout)), colour, _grain(rng))

    found = []
    for side in (-1, 1):
        if kind == "avenue" or (kind == "city" and rng.random() < 0.6):
            step = rng.uniform(7, 10) if kind == "avenue" else rng.uniform(11, 22)
            shape = "tall" if rng.random() < 0.2 else "round"
            place = side * (half + 0.8)
            found += [
                tree(place, z + float(rng.uniform(-0.8, 0.8)), shape)
                for z in np.arange(rng.uniform(7, 12), 62, step).tolist()
            ]
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
            found.append(
                Hedge(
                    side * (half + walk + 0.2),
                    z,
                    z + long,
                    height,
                    pick(rng, palettes.TRIMS if fence else palettes.LEAVES),
                    fence,
                    _grain(rng),
                )
            )
            z += long + (float(rng.uniform(1.5, 5)) if rng.random() < 0.4 else 0)
    return found


def _cars(rng: np.random.Generator, kind: str, half: float, own: float) -> list[Car]:
    """Parked cars along the kerbs, then traffic; none where the camera's own car is."""

    def car(s: float, z: float, heading: float, parked: bool) -> Car:
        body = str(rng.choice(["hatch", "saloon", "estate", "van"], p=[0.38, 0.3, 0.2, 0.12]))
        return Car(s, z, heading, body, pick(rng, palettes.PAINTS, 0.02), parked, _grain(rng))

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
    low, high = {"city": (5, 12), "avenue": (4, 10), "suburb": (2, 6), "open": (1, 4)}[kind]
    found = []
    for _ in range(int(rng.integers(low, high))):
        side = 1 if rng.random() < 0.5 else -1
        s, z = (
            side * (half + float(rng.uniform(0.5, max(walk - 0.3, 0.8)))),
            float(4.5 + 17 * rng.random() ** 1.4),
        )
        across = crossing > 0 and rng.random() < 0.35
        if across:
            s, z = float(rng.uniform(-half, half)), crossing + float(rng.uniform(0.3, 2.5))
        child = rng.random() < 0.12
        found.append(
            Person(
                s=s,
                z=z,
                height=float(rng.uniform(1.05, 1.4) if child else rng.uniform(1.58, 1.9)),
                pose="side" if across or rng.random() < 0.3 else "front",
                swing=float(rng.uniform(-1, 1)),
                skin=pick(rng, palettes.SKINS),
                top=pick(rng, palettes.CLOTHES),
                bottom=pick(rng, palettes.TROUSERS),
                hair=pick(rng, palettes.HAIR),
                coat=bool(rng.random() < 0.3),
                bag=bool(rng.random() < 0.35),
            )
        )
        if rng.random() < 0.3:  # somebody beside
            twin = found[-1]
            found.append(
                Person(
                    twin.s + 0.6 * side,
                    twin.z + 0.1,
                    float(rng.uniform(1.55, 1.85)),
                    twin.pose,
                    -twin.swing,
                    pick(rng, palettes.SKINS),
                    pick(rng, palettes.CLOTHES),
                    pick(rng, palettes.TROUSERS),
                    pick(rng, palettes.HAIR),
                    bool(rng.random() < 0.3),
                    False,
                )
            )
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
        rows,
        cols,
        focal=cols * float(rng.uniform(0.72, 0.98)),
        centre=cols * float(rng.uniform(0.44, 0.56)),
        horizon=rows * float(rng.uniform(0.42, 0.54)),
        height=float(rng.uniform(1.35, 1.95)),
    )


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
    bend = float(rng.normal(0, 0.0035)) if rng.random() < 0.55 else 0.0
    crossing = (
        float(rng.uniform(8, 17)) if kind in ("city", "avenue") and rng.random() < 0.4 else 0.0
    )
    front = half + walk + {"city": 0.0, "avenue": 1.5, "suburb": 4.5, "open": 7.0}[kind]
    buildings = [b for flank in (-1, 1) for b in _row(rng, flank, front, kind)]
    return Street(
        kind=kind,
        camera=_camera(rng, size),
        light=light(rng),
        half=half,
        walk=walk,
        line=(-own, turn, bend),
        markings=str(rng.choice(["dashed", "solid", "double", "none"], p=[0.5, 0.2, 0.12, 0.18])),
        crossing=crossing,
        green=kind in ("suburb", "open"),
        bonnet=not on_foot and bool(rng.random() < 0.22),
        buildings=tuple(buildings),
        hedges=tuple(_hedges(rng, kind, half, walk)),
        trees=tuple(_trees(rng, kind, half, walk)),
        cars=tuple(_cars(rng, kind, half, own)),
        people=tuple(_people(rng, kind, half, walk, crossing)),
        signs=tuple(_signs(rng, kind, half)),
        grain=_grain(rng),
    )
