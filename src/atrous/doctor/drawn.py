"""Checks of annotations: what is wrong with shapes that are painted one over the other."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from atrous.data.layouts import Pair
from atrous.data.layouts.pairs import relative
from atrous.data.shapes import Drawing, Polygon, crosses_itself, outside, overlaps
from atrous.doctor.findings import Finding
from atrous.types import Size

SLIVER = 0.25  # of a pixel: points of an outline less far from a line lie on it


def wrong_shapes(drawing: Drawing, size: Size, pair: Pair, root: Path) -> Iterator[Finding]:
    """What is wrong with the shapes of one picture: of each kind the first, and how many."""
    where, picture = relative(pair.mask, root), relative(pair.image, root)
    rings = [
        (shape.label, ring)
        for shape in drawing.shapes
        if isinstance(shape, Polygon)
        for ring in shape.rings
    ]
    checks = (
        (
            "A702",
            lambda ring: not _is_line(ring) and crosses_itself(ring),
            "that crosses itself",
            "Draw it again without the crossing.",
        ),
        ("A703", lambda ring: outside(ring, size), "beyond the frame", "Cut it at the frame."),
        ("A704", _is_line, "without area", "Remove it, or draw it again."),
    )
    for code, wrong, words, fix in checks:
        bad = [ring for _, ring in rings if wrong(ring)]
        if bad:
            column, row = bad[0][0] if len(bad[0]) else (0, 0)
            more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
            found = f"has an outline {words}{more} ({picture})"
            yield Finding(code, where, found, fix, (int(row), int(column)), (picture,))
    for over in overlaps(drawing, size, touching=False)[:1]:
        found = f"paints label {over.above} over {over.below} on {over.pixels} px ({picture})"
        fix = "Cut the shapes apart, or leave it: the later one wins."
        yield Finding("A701", where, found, fix, over.first, (picture,))


def _is_line(ring: Shaped[np.ndarray, "N 2"]) -> bool:
    """Whether all points of an outline lie on a line, or on one point."""
    points = np.asarray(ring, np.float64).reshape(-1, 2)
    points = points[np.isfinite(points).all(1)]
    if len(points) < 3:
        return True
    away = np.linalg.svd(points - points.mean(0), compute_uv=False)[-1]
    return bool(away < SLIVER * np.sqrt(len(points)))
