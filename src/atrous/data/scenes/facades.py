"""Buildings: walls with windows, shops and gables, roofs, fences and hedges, in perspective."""

import numpy as np

from atrous.data.scenes import noise
from atrous.data.scenes.camera import Patch, cross, keep, surface
from atrous.data.scenes.canvas import Canvas
from atrous.data.scenes.legend import BUILDING, TREE
from atrous.data.scenes.light import rgb
from atrous.data.scenes.street import Building, Hedge, Street

_UP = np.array([0.0, 1.0, 0.0])


def _shine(canvas: Canvas, normal: np.ndarray) -> np.ndarray:
    """Light on a surface, whichever way its normal was taken: the side that the camera sees."""
    n = normal / np.linalg.norm(normal)
    return canvas.light.on((float(n[0]), float(n[1]), float(n[2]))).astype(np.float32)[:, None]


def _blend(
    colour: np.ndarray, where: np.ndarray, other: np.ndarray, part: np.ndarray | float = 1.0
) -> None:
    """Move `colour` towards `other` by `part` (one, or one for each pixel), only at `where`."""
    spots = np.flatnonzero(where)
    share = part[spots] if isinstance(part, np.ndarray) else part
    new = other if other.shape[1] == 1 else other[:, spots]
    old = colour[:, spots]
    colour[:, spots] = old + (new - old) * share


def _masonry(b: Building, u: np.ndarray, v: np.ndarray, close: np.ndarray) -> np.ndarray:
    """The bare wall before light."""
    fine = noise.at(v * 26, u * 26, cells=128, octaves=3, grain=b.grain)
    stain = noise.at(v * 9, u * 22, cells=16, octaves=4, grain=b.grain + 99)
    shade = 0.86 + 0.16 * fine + 0.14 * stain
    match b.wall:
        case "brick":
            course = np.floor(v / 0.16)
            brick = noise.dice(course, u / 0.42 + (course % 2) * 0.5, grain=b.grain)
            seam = (noise.frac(v / 0.16) < 0.025 / 0.16) | (
                noise.frac(u / 0.42 + (course % 2) * 0.5) < 0.06
            )
            shade += close * ((brick - 0.5) * 0.26 + 0.22 * seam)
        case "boards":
            shade -= close * 0.22 * (noise.frac(v / 0.2) < 0.035 / 0.2)
        case "concrete":
            shade -= (
                close
                * 0.2
                * (
                    (noise.frac(v / b.storey) < 0.06 / b.storey)
                    | (noise.frac(u / (b.pitch * 2)) < 0.06 / (b.pitch * 2))
                )
            )
        case _:
            pass
    shade *= np.clip(0.78 + 0.14 * v, 0, 1)  # damp and dust near the ground
    return rgb(b.colour) * shade


def _glass(canvas: Canvas, own: np.ndarray, climb: np.ndarray, mottle: np.ndarray) -> np.ndarray:
    """What a pane shows, whatever light the wall is in: a dark room, the sky, curtains, a lamp."""
    light = canvas.light
    sky = rgb(light.low_sky) * 0.6 + rgb(light.zenith) * 0.4
    mirror = np.clip(0.08 + 0.34 * own + 0.25 * climb + (mottle - 0.5) * 0.5, 0.03, 0.85)
    pane = rgb([0.10, 0.12, 0.14]) + (sky - 0.1) * mirror
    curtain = (own > 0.80) & (climb > (own - 0.8) * 4)
    _blend(pane, curtain, rgb([0.74, 0.71, 0.65]) * rgb(light.ambient), 0.6)
    if light.lamps:
        _blend(pane, noise.frac(own * 37) < 0.42, rgb([1.0, 0.80, 0.46]), 0.85)
    return pane


def _windows(
    canvas: Canvas,
    b: Building,
    u: np.ndarray,
    v: np.ndarray,
    length: float,
    colour: np.ndarray,
    shine: np.ndarray,
    detail: np.ndarray,
) -> None:
    """Put the windows on a lit wall, in place; `detail` fades what is under a few pixels."""
    first = 3.9 if b.shop else 0.25
    count = max(1, round((length - 0.8) / b.pitch))
    column, level = (u - 0.4) / ((length - 0.8) / count), (v - first) / b.storey
    fu, fv = noise.frac(column) - 0.5, noise.frac(level) - 0.52
    broad, tall = b.window[0] / 2, b.window[1] / 2
    body = (level > 0) & (v < b.height - 0.5) & (column > 0) & (column < count)
    ru, rv = np.abs(fu) / broad, np.abs(fv) / tall
    frame = body & (ru < 1 + 0.07 / broad) & (rv < 1 + 0.05 / tall)
    pane = body & (ru < 1) & (rv < 1)
    sill = body & (np.abs(fu) < broad + 0.06) & (fv < -tall) & (fv > -tall - 0.07)
    bars = (np.abs(fu) < 0.018) | (np.abs(fv - tall * 0.35) < 0.014)
    trim = rgb(b.trim) * shine
    if b.wall != "glass":
        _blend(colour, frame, trim, detail * 0.8)
        _blend(colour, sill, trim * 1.1, detail)
    spots = np.flatnonzero(pane)
    u, v, fv = u[spots], v[spots], fv[spots]
    own = noise.dice(column[spots], level[spots] + 50, grain=b.grain)
    mottle = noise.at(v * 20, u * 20, cells=16, octaves=3, grain=b.grain + 7)
    glass = _glass(canvas, own, (fv + tall) / (2 * tall), mottle)
    glass *= 1 - np.float32(0.45) * (fv > tall * 0.8)  # the shadow of the reveal
    colour[:, spots] += (glass - colour[:, spots]) * (0.35 + 0.65 * detail[spots])
    _blend(colour, pane & bars, trim * 0.9, detail * (0.8 if b.wall != "glass" else 0.4))


def _shopfront(
    canvas: Canvas,
    b: Building,
    u: np.ndarray,
    v: np.ndarray,
    colour: np.ndarray,
    shine: np.ndarray,
    detail: np.ndarray,
) -> None:
    """The ground floor of a shop street: large panes, doors, a fascia and awnings."""
    wide = 4.2
    unit, fu = np.floor(u / wide), noise.frac(u / wide)
    own = noise.dice(unit, unit * 0 + 3, grain=b.grain + 1)
    pane = (v > 0.45) & (v < 2.7) & (fu > 0.06) & (fu < 0.94) & (noise.frac(fu * 4) > 0.05)
    door = (v < 2.4) & (fu > 0.70) & (fu < 0.90)
    mottle = noise.at(v * 40, u * 40, cells=32, octaves=4, grain=b.grain + 13)
    glass = _glass(canvas, own * 0.75, v / 3.5, mottle)
    hues = rgb(
        [
            [0.55, 0.14, 0.14],
            [0.13, 0.30, 0.26],
            [0.16, 0.22, 0.42],
            [0.78, 0.62, 0.24],
            [0.20, 0.19, 0.18],
            [0.62, 0.60, 0.56],
        ]
    )
    tint = hues[:, (own * 5.99).astype(np.intp)] * shine
    colour += (tint * 0.75 - colour) * 0.85
    _blend(colour, pane, glass, 0.5 + 0.5 * detail)
    _blend(colour, door, tint * 0.6, detail)
    _blend(colour, (v > 2.85) & (v < 3.5), tint * 1.15, 0.9)
    letters = (
        (np.abs(v - 3.17) < 0.16)
        & (fu > 0.25)
        & (fu < 0.72)
        & (noise.dice(u * 5, u * 0, grain=b.grain) > 0.4)
    )
    _blend(colour, letters, rgb([0.95, 0.93, 0.86]) * shine, detail * 0.8)
    awning = (own > 0.55) & (v > 2.25) & (v < 2.95) & (fu > 0.04) & (fu < 0.96)
    striped = 0.45 + np.float32(0.55) * (noise.frac(u * 2.2) < 0.5)
    cloth = (tint * striped + (1 - striped) * 0.85 * shine) * (0.6 + 0.4 * (v - 2.25) / 0.7)
    _blend(colour, awning, cloth)


def _wall(
    canvas: Canvas, b: Building, origin: np.ndarray, side: np.ndarray, peak: float, front: bool
) -> None:
    """One upright face; with `peak` metres of gable above the eaves."""
    length, top = float(np.linalg.norm(side)), b.height + peak
    patch = surface(canvas.camera, origin, side, _UP * top)
    if patch is not None and peak:
        patch = keep(patch, patch.b * top < b.height + peak * (1 - np.abs(patch.a * 2 - 1)))
    if patch is None:
        return
    u, v = patch.a * np.float32(length), patch.b * np.float32(top)
    shine = _shine(canvas, np.array([side[2], 0.0, -side[0]]))
    scale = canvas.camera.focal / np.maximum(patch.depth, 1)  # pixels a metre
    slant = np.abs(side[0]) / length + 0.25
    close = np.clip(scale * slant / 40, 0, 1)
    detail = np.clip(scale * slant * b.pitch / 9, 0, 1)
    colour = _masonry(b, u, v, close) * shine
    if front or b.grain % 3 == 0:
        _windows(canvas, b, u, v, length, colour, shine, detail)
    if front and b.shop:
        low = np.flatnonzero(v < 3.55)
        ground_floor = colour[:, low]
        _shopfront(canvas, b, u[low], v[low], ground_floor, shine, detail[low])
        colour[:, low] = ground_floor
    elif front:
        door = (v < 2.15) & (np.abs(u - length * 0.5) < 0.55)
        _blend(colour, door, rgb(b.roof_colour) * 0.8 * shine, detail)
    if not peak and b.wall != "glass":
        edge = (v > b.height - 0.45) | (b.shop & (np.abs(v - 3.75) < 0.13))
        _blend(colour, edge, rgb(b.trim) * shine, 0.8)
        colour *= 1 - np.float32(0.35) * ((v < b.height - 0.45) & (v > b.height - 0.75))
    canvas.lay(patch.pixels, canvas.haze(colour, patch.depth), BUILDING)


def _slope(
    canvas: Canvas,
    b: Building,
    origin: np.ndarray,
    side: np.ndarray,
    rise: np.ndarray,
    cut: bool = False,
) -> None:
    """A pitched face of tiles; with `cut`, hipped at both ends."""
    patch = surface(canvas.camera, origin, side, rise)
    if patch is not None and cut:
        patch = keep(patch, np.abs(patch.a - 0.5) < 0.5 - patch.b * 0.12)
    if patch is None:
        return
    length, climb = np.linalg.norm(side), np.linalg.norm(rise)
    u, v = patch.a * np.float32(length), patch.b * np.float32(climb)
    close = np.clip(canvas.camera.focal / np.maximum(patch.depth, 1) / 50, 0, 1)
    tiles = noise.dice(v / 0.3, u / 0.35, grain=b.grain) - 0.5
    moss = noise.at(v * 20, u * 20, cells=32, octaves=4, grain=b.grain)
    shade = 0.8 + 0.4 * moss + close * (0.25 * tiles - 0.25 * (noise.frac(v / 0.3) < 0.06 / 0.3))
    normal = cross(side, rise)
    shine = _shine(canvas, normal if normal[1] > 0 else -normal)
    if cut:
        pitch = max(2.4, b.pitch)
        dormer = (np.abs(noise.frac(u / pitch) - 0.5) < 0.2) & (np.abs(patch.b - 0.45) < 0.3)
        shade = np.where(dormer, np.float32(0.4), shade)
    colour = rgb(b.roof_colour) * shine * shade
    canvas.lay(patch.pixels, canvas.haze(colour, patch.depth), BUILDING)


def _chimneys(canvas: Canvas, street: Street, b: Building, base: float) -> None:
    rng = noise.generator(b.grain, 17)
    for _ in range(int(rng.integers(0, 3))):
        z = float(rng.uniform(b.z1 + 1, b.z2 - 1))
        origin = street.ground(b.s + np.sign(b.s) * float(rng.uniform(2, 4)), z) + _UP * base
        patch = surface(
            canvas.camera, origin, np.array([0.9, 0, 0]), _UP * float(rng.uniform(1.0, 2.2))
        )
        if patch is not None:
            tone = rgb(b.colour) * 0.75 * _shine(canvas, np.array([0, 0, -1.0]))
            canvas.lay(patch.pixels, canvas.haze(tone, patch.depth), BUILDING)


def paint_building(canvas: Canvas, street: Street, b: Building) -> None:
    """The faces of a block that can be seen, the farther first."""
    side = np.sign(b.s)
    z1 = max(b.z1, 0.7)
    near, far = street.ground(b.s, z1), street.ground(b.s, b.z2)
    back = np.array([side * b.depth, 0.0, 0.0])
    along, rise = far - near, min(b.depth, b.z2 - b.z1) * 0.36
    high = _UP * b.height
    # The order keeps each normal towards the camera: fronts look at the road, ends look at us.
    front = (near, along) if side < 0 else (far, -along)
    end = (near + back, -back) if side < 0 else (near, back)
    _chimneys(canvas, street, b, b.height + (rise * 0.5 if b.roof in ("eaves", "gable") else 0))
    if b.roof == "mansard":
        _slope(canvas, b, front[0] + high, front[1], np.array([side * 1.2, 2.4, 0.0]), cut=True)
    if b.roof == "eaves":
        _slope(canvas, b, front[0] + high, front[1], np.array([side * b.depth / 2, rise, 0.0]))
    if b.roof == "gable":
        _slope(canvas, b, end[0] + high, end[1], along / 2 + _UP * rise)
    if b.end and b.z1 > 0.7:
        _wall(canvas, b, *end, rise if b.roof == "eaves" else 0.0, front=False)
    _wall(canvas, b, *front, rise if b.roof == "gable" else 0.0, front=True)


def _ragged(patch: Patch, u: np.ndarray, leaf: np.ndarray) -> np.ndarray:
    return patch.b < 0.84 + 0.32 * (leaf - 0.35) + 0.03 * np.sin(u * 3)


def paint_hedge(canvas: Canvas, street: Street, hedge: Hedge) -> None:
    """A clipped hedge (tree), or a fence of boards (building)."""
    near, far = street.ground(hedge.s, max(hedge.z1, 0.7)), street.ground(hedge.s, hedge.z2)
    side = far - near
    patch = surface(canvas.camera, near, side, _UP * hedge.height)
    if patch is None:
        return
    u, v = patch.a * np.float32(np.linalg.norm(side)), patch.b * np.float32(hedge.height)
    shine = _shine(canvas, np.array([-np.sign(hedge.s), 0.35, -0.1]))
    fine = noise.at(v * 60, u * 60, cells=64, octaves=4, grain=hedge.grain)
    if hedge.fence:
        shade = 0.85 + 0.25 * fine - 0.35 * (noise.frac(u / 0.16) < 0.03 / 0.16)
        where, label = (patch.b < 0.93) | (noise.frac(u / 0.16) > 0.3), BUILDING
    else:
        shade, where, label = (
            (0.35 + 1.1 * fine) * (0.72 + 0.4 * patch.b),
            _ragged(patch, u, fine),
            TREE,
        )
    colour = rgb(hedge.colour) * shine * shade
    canvas.lay(patch.pixels[where], canvas.haze(colour, patch.depth)[:, where], label)
