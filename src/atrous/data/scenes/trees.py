"""Trees: a trunk with boughs and a crown of leaf clumps lit from the sun's side."""

import numpy as np

from atrous.data.scenes import noise
from atrous.data.scenes.canvas import Canvas, Sketch
from atrous.data.scenes.legend import TREE
from atrous.data.scenes.light import rgb
from atrous.data.scenes.street import Street, Tree


def _clumps(tree: Tree, rng: np.random.Generator) -> np.ndarray:
    """Clumps of the crown as rows (x, y, radius) in units of the crown's half width and height."""
    count = {"round": 17, "tall": 16, "cone": 20, "bush": 9}[tree.shape]
    y = np.sort(rng.uniform(-0.82, 0.82, count))[::-1]  # the upper ones are painted last
    room = {
        "round": np.sqrt(np.clip(1 - y * y, 0.08, 1)),
        "tall": np.sqrt(np.clip(1 - y * y, 0.15, 1)),
        "cone": np.clip((y + 1) / 2, 0.06, 1),
        "bush": np.sqrt(np.clip(1 - (y - 0.3) ** 2, 0.1, 1)),
    }[tree.shape]
    x = rng.uniform(-0.7, 0.7, count) * room
    radius = rng.uniform(0.34, 0.52, count) * (0.55 + 0.45 * room)
    return np.stack((x, y, radius), 1)


def _crown(
    clumps: np.ndarray, x: np.ndarray, y: np.ndarray, sun: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """How far inside the nearest clump a pixel is (negative: outside), and its brightness."""
    field = np.full(np.broadcast_shapes(x.shape, y.shape), -1, np.float32)
    shade = np.zeros_like(field)
    for cx, cy, radius in clumps.astype(np.float32):
        cols = slice(*np.searchsorted(x[0], [cx - radius * 1.25, cx + radius * 1.25]))
        rows = slice(*np.searchsorted(y[:, 0], [cy - radius * 1.25, cy + radius * 1.25]))
        dx, dy = (x[:, cols] - cx) / radius, (y[rows] - cy) / radius
        bulge = 1 - dx * dx - dy * dy
        facing = 0.6 + 0.30 * (dx * sun[0] - dy * sun[1]) - 0.2 * cy
        better = bulge > field[rows, cols]
        np.copyto(field[rows, cols], bulge, where=better)
        np.copyto(shade[rows, cols], facing, where=better)
    return field, shade


def _trunk(
    canvas: Canvas, tree: Tree, foot: np.ndarray, scale: float, rng: np.random.Generator
) -> None:
    column, row = foot
    wide, high = max(tree.height * 0.022 * scale, 1.2), tree.height * scale
    reach = tree.radius * scale
    sketch = Sketch(canvas, (column - reach, row - high, column + reach, row + 2))
    if sketch.empty:
        return
    bark = np.array([0.33, 0.27, 0.22]) * canvas.light.on((0.0, 0.2, -0.9))
    lean = rng.uniform(-0.03, 0.03) * high
    fork = (column + lean, row - high * 0.5)
    sketch.polygon(
        [
            (column - wide, row),
            (column + wide, row),
            (fork[0] + wide * 0.6, fork[1]),
            (fork[0] - wide * 0.6, fork[1]),
        ],
        bark,
    )
    lit = wide * 0.45 * np.sign(canvas.light.to_sun[0])
    sketch.stroke(
        [(column + lit, row - 1), (fork[0] + lit * 0.6, fork[1])], wide * 0.6, bark * 1.25
    )
    for _ in range(5):
        tip = (fork[0] + rng.uniform(-0.7, 0.7) * reach, row - high * rng.uniform(0.55, 0.85))
        sketch.stroke(
            [(fork[0], fork[1] + rng.uniform(0, 0.12) * high), tip], wide * 0.55, bark * 0.85
        )
    grain = (
        noise.crop(sketch.size[1], sketch.size[0], cells=128, octaves=2, grain=tree.grain) * 0.5
        + 0.75
    )
    sketch.lay(TREE, tree.z, grain)


def paint_tree(canvas: Canvas, street: Street, tree: Tree) -> None:
    """One tree or bush, standing on the ground."""
    camera, light, rng = canvas.camera, canvas.light, noise.generator(tree.grain, 23)
    scale = camera.scale(tree.z)
    foot = camera.project(street.ground(tree.s, tree.z)[None])[0]
    if tree.shape != "bush":
        _trunk(canvas, tree, foot, scale, rng)
    bare = {"round": 0.32, "tall": 0.14, "cone": 0.1, "bush": 0.0}[tree.shape]
    rx, ry = tree.radius * scale, tree.height * (1 - bare) / 2 * scale
    middle = foot[1] - tree.height * bare * scale - ry
    left, right = max(int(foot[0] - rx * 1.3), 0), min(int(foot[0] + rx * 1.3) + 1, camera.cols)
    top, bottom = max(int(middle - ry * 1.3), 0), min(int(middle + ry * 1.3) + 1, camera.rows)
    if left >= right or top >= bottom:
        return
    x = ((np.arange(left, right, dtype=np.float32) - foot[0]) / rx)[None, :].astype(np.float32)
    y = ((np.arange(top, bottom, dtype=np.float32) - middle) / ry)[:, None].astype(np.float32)
    field, shade = _crown(
        _clumps(tree, rng), x, y, (light.to_sun[0], 0.55 + 0.45 * light.to_sun[1])
    )
    # Leaves keep their size in metres: the farther tree reads the same texture in longer steps.
    step = 44 / scale
    rows, cols = (np.arange(top, bottom) * step)[:, None], (np.arange(left, right) * step)[None, :]
    leaf = noise.at(rows, cols, cells=64, octaves=4, grain=tree.grain)
    ragged = noise.crop(bottom - top, right - left, cells=128, octaves=3, grain=tree.grain + 31)
    where = field + (leaf - 0.5) * 0.75 + (ragged - 0.5) * 0.3 > 0.02
    field, shade, leaf, ragged = (plane[where] for plane in (field, shade, leaf, ragged))
    bright = np.clip(shade, 0.2, 1.1) * (0.30 + 0.95 * leaf + 0.45 * ragged)
    bright *= 1.4 + 0.35 * np.clip(field * 3, 0, 1)  # darker towards the ragged edge
    warm = rgb(light.ambient) * 0.75 + rgb(light.sun) * np.clip(shade - 0.25, 0, 1)
    colour = rgb(tree.colour) * bright * warm
    canvas.lay(canvas.places(top, left, where), canvas.haze(colour, tree.z), TREE)
