"""Time of day: the colours of sun, sky and haze, and how bright a surface is under them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Colour = tuple[float, float, float]  # red, green, blue in 0..1


def rgb(colour: Sequence[float] | Sequence[Sequence[float]]) -> np.ndarray:
    """A colour as float32 3 x 1, or N of them as 3 x N."""
    return np.ascontiguousarray(np.array(colour, np.float32).reshape(-1, 3).T)


@dataclass(frozen=True)
class Light:
    """What shines; `to_sun` is a unit vector, `haze_range` the metres after which 1/e is left."""

    hour: str
    to_sun: tuple[float, float, float]
    sun: Colour
    ambient: Colour
    zenith: Colour
    low_sky: Colour
    haze: Colour
    haze_range: float
    clouds: float
    lamps: bool

    def on(self, normal: tuple[float, float, float]) -> np.ndarray:
        """Light on a surface that faces `normal` (a unit vector): three factors."""
        facing = max(0.0, sum(n * s for n, s in zip(normal, self.to_sun, strict=True)))
        open_sky = 0.86 + 0.14 * normal[1]
        return np.array(self.ambient) * open_sky + np.array(self.sun) * facing

    def shift(self) -> tuple[float, float]:
        """How far a shadow reaches on the ground (x, z) for each metre of height."""
        x, y, z = self.to_sun
        return -x / max(y, 0.2), -z / max(y, 0.2)


# sun, ambient, zenith, low sky, haze
_HOURS: dict[str, tuple[Colour, Colour, Colour, Colour, Colour]] = {
    "noon": (
        (0.78, 0.72, 0.60),
        (0.47, 0.53, 0.62),
        (0.25, 0.48, 0.82),
        (0.72, 0.85, 0.95),
        (0.74, 0.83, 0.91),
    ),
    "golden": (
        (1.00, 0.64, 0.32),
        (0.44, 0.43, 0.52),
        (0.36, 0.52, 0.78),
        (1.00, 0.80, 0.55),
        (0.95, 0.78, 0.60),
    ),
    "overcast": (
        (0.08, 0.08, 0.08),
        (0.80, 0.83, 0.86),
        (0.66, 0.71, 0.77),
        (0.86, 0.88, 0.89),
        (0.80, 0.83, 0.85),
    ),
    "dusk": (
        (0.16, 0.10, 0.09),
        (0.42, 0.42, 0.56),
        (0.16, 0.22, 0.45),
        (0.93, 0.58, 0.46),
        (0.55, 0.46, 0.53),
    ),
}
_ELEVATION = {"noon": (38, 62), "golden": (13, 24), "overcast": (50, 70), "dusk": (10, 14)}


def _wobble(colour: Colour, rng: np.random.Generator, amount: float) -> Colour:
    red, green, blue = np.clip(np.array(colour) + rng.normal(0, amount, 3), 0.02, 1.05)
    return float(red), float(green), float(blue)


def light(rng: np.random.Generator) -> Light:
    """The light of one scene; bright hours are the more frequent ones."""
    hour = str(rng.choice(list(_HOURS), p=[0.4, 0.25, 0.2, 0.15]))
    low, high = _ELEVATION[hour]
    elevation, azimuth = np.radians(rng.uniform(low, high)), rng.uniform(0, 2 * np.pi)
    to_sun = (
        float(np.cos(elevation) * np.sin(azimuth)),
        float(np.sin(elevation)),
        float(np.cos(elevation) * np.cos(azimuth)),
    )
    sun, ambient, zenith, low_sky, haze = (_wobble(c, rng, 0.022) for c in _HOURS[hour])
    hazy = rng.random() < 0.25
    return Light(
        hour=hour,
        to_sun=to_sun,
        sun=sun,
        ambient=ambient,
        zenith=zenith,
        low_sky=low_sky,
        haze=haze,
        haze_range=float(rng.uniform(70, 110) if hazy else rng.uniform(150, 320)),
        clouds=float(rng.uniform(0.1, 0.75)),
        lamps=hour == "dusk",
    )
