"""What can be wrong with a ring of a polygon. Points that are not finite count as far outside."""

import numpy as np

from atrous.data.shapes.forms import Ring
from atrous.kernels.crossings import first_crossing
from atrous.types import Size

SLACK = 1.0  # pixels that a point may lie outside: people draw up to the very edge


def area(ring: Ring) -> float:
    """The area inside a ring, in pixels; 0 if all its points lie on a line.

    Parts that a ring goes around the other way, as one that crosses itself does, are taken off.

    Example:
        >>> area(np.array([[0, 0], [4, 0], [4, 3], [0, 3]]))
        12.0
    """
    points = np.asarray(ring, np.float64).reshape(-1, 2)
    points = points[np.isfinite(points).all(1)]
    if not len(points):
        return 0.0
    x, y = (points - points[0]).T  # near 0, where floats are finest
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def outside(ring: Ring, size: Size) -> bool:
    """Whether a point lies outside the picture by more than a pixel.

    Example:
        >>> outside(np.array([[0, 0], [31, 0], [31, 8]]), (8, 30))
        False
        >>> outside(np.array([[0, 0], [32, 0], [31, 8]]), (8, 30))
        True
    """
    points = np.asarray(ring, np.float64).reshape(-1, 2)
    most = np.array([size[1], size[0]]) + SLACK
    return not bool(((points >= -SLACK) & (points <= most)).all())


def crosses_itself(ring: Ring) -> tuple[float, float] | None:
    """The point (x, y) where the ring crosses itself; None if it does not.

    A ring may touch itself, and may go there and back along one line.
    """
    points = np.asarray(ring, np.float64).reshape(-1, 2)
    return first_crossing(points[np.isfinite(points).all(1)])
