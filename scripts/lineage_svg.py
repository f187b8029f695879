"""SVG text for the diagrams of docs/lineage.md: one size of letters, one set of colours, white."""

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

WIDTH = 800
INK, MUTED, RULE, PAPER = "#1f2328", "#59636e", "#d1d9e0", "#f3f6f9"
BLUE, ORANGE, GREEN, PURPLE = "#0969da", "#d1570b", "#1a7f37", "#8250df"
SHADES = ("#dbe9fb", "#a9cdf7", "#6ba8ee", "#2f7bd8", "#0b4f9e")  # few to many


def page(height: float, parts: Iterable[str], *, label: str) -> str:
    """A whole picture on a white ground; `label` says in words what there is to see."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" '
        f'width="{WIDTH}" height="{height:g}" role="img" aria-label="{escape(label)}" '
        f'font-family="Helvetica, Arial, sans-serif" font-size="13" fill="{INK}">\n'
        f'<rect width="{WIDTH}" height="{height:g}" fill="#ffffff"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def text(
    x: float, y: float, words: str, *, anchor: str = "start", fill: str = INK, bold: bool = False
) -> str:
    """A line of words; y is that of its letters' feet."""
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{fill}"{weight}>'
        f"{escape(words)}</text>"
    )


def box(
    x: float, y: float, width: float, height: float, *, fill: str = "none", line: str = "none"
) -> str:
    """A rectangle."""
    return (
        f'<rect x="{x:.4g}" y="{y:.4g}" width="{width:.4g}" height="{height:.4g}" '
        f'fill="{fill}" stroke="{line}"/>'
    )


def path(d: str, *, line: str = RULE, width: float = 1, dash: str = "") -> str:
    """A line along `d`."""
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<path d="{d}" fill="none" stroke="{line}" stroke-width="{width:g}"{dashes}/>'


def polyline(x: Sequence[float], y: Sequence[float], *, line: str, width: float = 2) -> str:
    """A line through points."""
    points = "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
    return path(f"M{points}", line=line, width=width)


def dot(x: float, y: float, radius: float, *, fill: str, line: str = "none") -> str:
    """A small disc."""
    return f'<circle cx="{x:.4g}" cy="{y:.4g}" r="{radius:g}" fill="{fill}" stroke="{line}"/>'


def cells(counts: np.ndarray, x: float, y: float, side: float) -> list[str]:
    """A grid of cells at (x, y), the darker the larger their count; those of 0 stay paper."""
    height, width = counts.shape
    parts = [box(x, y, width * side, height * side, fill=PAPER)]
    levels = np.ceil(counts / max(counts.max(), 1) * len(SHADES)).astype(int)
    for level, shade in enumerate(SHADES, 1):
        where = np.argwhere(levels == level)
        squares = "".join(
            f"M{x + column * side:.4g} {y + row * side:.4g}h{side:g}v{side:g}h-{side:g}z"
            for row, column in where
        )
        if squares:
            parts.append(f'<path d="{squares}" fill="{shade}"/>')
    rows = "".join(f"M{x:g} {y + i * side:.4g}h{width * side:g}" for i in range(height + 1))
    columns = "".join(f"M{x + i * side:.4g} {y:g}v{height * side:g}" for i in range(width + 1))
    return [*parts, path(rows + columns, width=0.5)]
