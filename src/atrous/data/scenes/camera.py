"""Where a point of the street falls in the picture, and which point a pixel sees.

World: x to the right, y up from the ground, z ahead, in metres; the camera stands at (0, height, 0)
and looks along z. The curve and the heading of the road are in the street, not here.
"""

from dataclasses import dataclass

import numpy as np

NEAR = 0.6  # metres; nothing nearer is drawn


@dataclass(frozen=True)
class Camera:
    """A pinhole; `focal`, `centre` (a column) and `horizon` (a row) are in pixels."""

    rows: int
    cols: int
    focal: float
    centre: float
    horizon: float
    height: float

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixel (column, row) of each point, N x 2; points nearer than NEAR are taken at NEAR."""
        x, y, z = np.asarray(points, np.float64).T
        scale = self.focal / np.maximum(z, NEAR)
        return np.stack((self.centre + x * scale, self.horizon - (y - self.height) * scale), 1)

    def scale(self, z: float) -> float:
        """Pixels a metre at distance z."""
        return self.focal / max(z, NEAR)


def cross(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The cross product of two vectors (np.cross spends ten times as long on its generality)."""
    (a, b, c), (d, e, f) = u.tolist(), v.tolist()
    return np.array([b * f - c * e, c * d - a * f, a * e - b * d])


@dataclass(frozen=True)
class Patch:
    """The pixels that see a flat surface, one after another.

    `a` and `b` run from 0 to 1 along the two sides of the surface, `depth` is the distance in
    metres, `pixels` the places in the flattened picture.
    """

    pixels: np.ndarray
    a: np.ndarray
    b: np.ndarray
    depth: np.ndarray


def _clip(corners: np.ndarray) -> np.ndarray:
    """Cut a polygon at the plane z = NEAR (Sutherland-Hodgman)."""
    kept = []
    for here, there in zip(corners, np.roll(corners, -1, 0), strict=True):
        if here[2] >= NEAR:
            kept.append(here)
        if (here[2] >= NEAR) != (there[2] >= NEAR):
            kept.append(here + (there - here) * (NEAR - here[2]) / (there[2] - here[2]))
    return np.array(kept).reshape(-1, 3)


def _window(camera: Camera, corners: np.ndarray) -> tuple[slice, slice] | None:
    seen = _clip(corners)
    if len(seen) == 0:
        return None
    spots = camera.project(seen)
    left, top = np.floor(spots.min(0)).astype(int)
    right, bottom = np.ceil(spots.max(0)).astype(int) + 1
    left, right = max(left, 0), min(right, camera.cols)
    top, bottom = max(top, 0), min(bottom, camera.rows)
    if left >= right or top >= bottom:
        return None
    return slice(top, bottom), slice(left, right)


def surface(camera: Camera, origin: np.ndarray, u: np.ndarray, v: np.ndarray) -> Patch | None:
    """The pixels that see the parallelogram at `origin` with sides `u` and `v`; None if none do."""
    window = _window(camera, np.array([origin, origin + u, origin + u + v, origin + v]))
    if window is None:
        return None
    normal = cross(u, v)
    u_dual = cross(v, normal) / np.dot(u, cross(v, normal))
    v_dual = cross(normal, u) / np.dot(v, cross(normal, u))
    start = origin - np.array([0.0, camera.height, 0.0])
    y = ((camera.horizon - np.arange(window[0].start, window[0].stop)) / camera.focal)[:, None]
    x = ((np.arange(window[1].start, window[1].stop) - camera.centre) / camera.focal)[None, :]

    def along(axis: np.ndarray) -> np.ndarray:
        return (x * axis[0] + axis[2]).astype(np.float32) + (y * axis[1]).astype(np.float32)

    facing = along(normal)
    facing[facing == 0] = 1e-9  # a pixel whose ray runs along the surface sees it infinitely far
    depth = np.float32(np.dot(start, normal)) / facing
    a = depth * along(u_dual) - np.float32(np.dot(start, u_dual))
    b = depth * along(v_dual) - np.float32(np.dot(start, v_dual))
    inside = np.flatnonzero((a >= 0) & (a <= 1) & (b >= 0) & (b <= 1) & (depth >= NEAR))
    if not inside.size:
        return None
    row, col = np.divmod(inside, window[1].stop - window[1].start)
    pixels = (row + window[0].start) * camera.cols + (col + window[1].start)
    return Patch(pixels, a.ravel()[inside], b.ravel()[inside], depth.ravel()[inside])


def keep(patch: Patch, where: np.ndarray) -> Patch | None:
    """The patch cut down to the pixels that `where` tells; None if none is left."""
    if not where.any():
        return None
    return Patch(patch.pixels[where], patch.a[where], patch.b[where], patch.depth[where])
