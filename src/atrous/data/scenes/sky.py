"""The sky with its clouds and sun, and the far backdrop that closes the view."""

import numpy as np

from atrous.data.scenes import noise
from atrous.data.scenes.canvas import Canvas
from atrous.data.scenes.legend import BUILDING, SKY, TREE
from atrous.data.scenes.light import rgb
from atrous.data.scenes.street import FAR, Street


def _mix(low: np.ndarray, high: np.ndarray, t: np.ndarray) -> np.ndarray:
    return low + (high - low) * t.ravel()


def paint_sky(canvas: Canvas, street: Street) -> None:
    """Gradient, clouds that flatten towards the horizon, and the sun's glow where it is in view."""
    camera, light = canvas.camera, street.light
    rows, cols = min(int(camera.horizon) + 8, camera.rows), camera.cols
    climb = np.clip(1 - np.arange(rows, dtype=np.float32) / camera.horizon, 0, 1)
    sky = np.repeat(_mix(rgb(light.low_sky), rgb(light.zenith), climb**0.7), cols, 1)
    lift = 1 / (climb + 0.14)  # a cloud layer overhead is squeezed towards the horizon
    spots = noise.at(
        (lift * 150)[:, None],
        (np.arange(cols, dtype=np.float32) - np.float32(camera.centre))[None, :]
        * (0.35 + lift[:, None] * 0.2),
        cells=4,
        octaves=6,
        grain=street.grain,
    )
    cover = (
        np.clip((spots - (0.78 - 0.5 * light.clouds)) * 3.2, 0, 0.92)
        * np.clip(climb * 5, 0.25, 1)[:, None]
    )
    thick = np.clip((spots - 0.45) * 1.6, 0, 1)
    bright = rgb(light.ambient) * 0.66 + rgb(light.sun) * 0.48 + rgb(light.low_sky) * 0.12
    cloud = _mix(bright, bright * rgb([0.72, 0.75, 0.80]), thick)
    sky += (cloud - sky) * cover.ravel()
    canvas.lay(slice(0, rows * cols), sky, SKY)
    if light.to_sun[2] > 0.15 and light.hour != "overcast":
        scale = camera.focal / light.to_sun[2]
        spot = camera.centre + light.to_sun[0] * scale, camera.horizon - light.to_sun[1] * scale
        strength = 0.9 if light.hour == "golden" else 0.4
        canvas.glow(*spot, 330, rgb(light.sun) * strength)


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
        where = np.arange(low, foot)[:, None] >= top
        leaf = noise.crop(foot - low, camera.cols, cells=64, octaves=3, grain=street.grain + 77)
        base = rgb([0.26, 0.36, 0.19] if label == TREE else [0.50, 0.48, 0.48])
        tone = base * light.on((0, 0.4, -0.9)).astype(np.float32)[:, None]
        colour = tone * (0.7 + 0.6 * leaf if label == TREE else 0.9 + 0.2 * leaf)[where]
        canvas.lay(canvas.places(low, 0, where), canvas.haze(colour, depth), label)
