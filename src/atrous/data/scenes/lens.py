"""From the painted canvas to the picture a camera would give and the mask people would draw."""

import numpy as np

from atrous.data.scenes import noise
from atrous.data.scenes.canvas import Canvas
from atrous.data.scenes.legend import CAR, PERSON, VOID
from atrous.data.scenes.light import rgb
from atrous.data.scenes.street import Street


def reduce_image(image: np.ndarray) -> np.ndarray:
    """The mean of each 2 x 2 block of each plane."""
    lines = image[:, ::2] + image[:, 1::2]
    return (lines[..., ::2] + lines[..., 1::2]) * np.float32(0.25)


def reduce_mask(mask: np.ndarray) -> np.ndarray:
    """The most frequent label of each 2 x 2 block; a tie goes to the label met first."""
    a, b, c, d = mask[::2, ::2], mask[::2, 1::2], mask[1::2, ::2], mask[1::2, 1::2]
    other = np.where((b == c) | (b == d), b, np.where(c == d, c, a))
    return np.where((a == b) | (a == c) | (a == d), a, other)


def _soften(image: np.ndarray, amount: float) -> np.ndarray:
    """A small blur: each pixel gives `amount` of itself to its neighbours along both axes."""
    for axis in (1, 2):
        lines = image.swapaxes(0, axis)
        before = np.concatenate((lines[:1], lines[:-1]))
        after = np.concatenate((lines[1:], lines[-1:]))
        image = (lines * (1 - amount) + (before + after) * (amount / 2)).swapaxes(0, axis)
    return image


def develop(image: np.ndarray, rng: np.random.Generator, hour: str) -> np.ndarray:
    """A photograph (uint8 H W 3): exposure, softness, vignette, tone curve, sensor noise."""
    rows, cols = image.shape[1:]
    image = _soften(image, float(rng.uniform(0.02, 0.22)))
    y, x = (
        np.linspace(-1, 1, rows, dtype=np.float32)[:, None],
        np.linspace(-1, 1, cols, dtype=np.float32),
    )
    fall = 1 - np.float32(rng.uniform(0.08, 0.24)) * (0.5 * y * y + 0.5 * x * x)
    gain = float(np.exp(rng.normal(0.14, 0.09))) * (1.1 if hour == "dusk" else 1.0)
    gain *= float(np.clip(0.43 / image.mean(), 0.6, 2.2)) ** 0.45  # it opens up in the shade
    tint = rgb((1 + rng.normal(0, 0.014, 3)).tolist())[..., None]
    image = image * (fall * tint * np.float32(gain))
    image = np.clip(image, 0, None)
    burnt = image > 0.8
    image[burnt] = 1 - 0.2 * np.exp((0.8 - image[burnt]) * 5)  # no hard burn-out
    image = image + 0.06 * image * (1 - image) * (2 * image - 1) * 4
    sigma = float(rng.uniform(0.006, 0.02)) * (1.5 if hour == "dusk" else 1.0)
    grain = rng.standard_normal(image.shape, np.float32)
    grain = grain * 0.5 + grain.mean(0) * 0.85  # brightness is noisier than colour
    image = image + grain * (sigma * np.sqrt(image + 0.08))
    photograph = (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
    return np.ascontiguousarray(photograph.transpose(1, 2, 0))


def paint_bonnet(canvas: Canvas, street: Street) -> None:
    """The own car's bonnet along the lower edge: void, as in sets taken from a car."""
    rng, camera = noise.generator(street.grain, 41), canvas.camera
    rise = rng.uniform(0.05, 0.10) * camera.rows
    x = (np.arange(camera.cols, dtype=np.float32) - camera.cols / 2) / (camera.cols * 0.62)
    edge = camera.rows - rise * np.sqrt(np.clip(1 - x * x, 0, 1))
    top = int(edge.min())
    row = np.arange(top, camera.rows, dtype=np.float32)[:, None]
    paint = rng.uniform(0.05, 0.5, 3) * 0.4 + rng.uniform(0.04, 0.3)
    gloss = np.clip(1 - (row - edge) / (rise * 0.7), 0, 1) ** 2
    where = row >= edge
    tone = rgb(paint.tolist()) * rgb(street.light.ambient)
    colour = tone + gloss[where] * 0.55 * rgb(street.light.low_sky)
    canvas.lay(canvas.places(top, 0, where), colour, VOID)


def void_borders(mask: np.ndarray, grain: int) -> np.ndarray:
    """The mask with thin void bands along some borders of cars and people, as annotators leave."""
    thing = (mask == CAR) | (mask == PERSON)
    border = np.zeros_like(thing)
    border[:, 1:] |= (mask[:, 1:] != mask[:, :-1]) & (thing[:, :-1] & ~thing[:, 1:])
    border[1:] |= (mask[1:] != mask[:-1]) & (thing[:-1] & ~thing[1:])
    border[:, :-1] |= (mask[:, 1:] != mask[:, :-1]) & (thing[:, 1:] & ~thing[:, :-1])
    some = noise.crop(*mask.shape, cells=8, octaves=2, grain=grain) > 0.62
    return np.where(border & some, np.uint8(VOID), mask)
