"""Curves -> SVG text: axes with round numbers, colours by CSS variables of the page.

A chart's width of 400 units is about its width in CSS pixels, on a wide screen (three in a
row) as on a phone (one), so its letters stay readable.
"""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

WIDTH, HEIGHT = 400, 240
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 12, 34  # room for the axes' numbers
MOST_POINTS = 600  # more would lie closer than pixels


class Curve(NamedTuple):
    """Values at steps; `style` is a CSS class of the page: `faint`, `line` or `marked`."""

    steps: Float64[np.ndarray, " N"]
    values: Float64[np.ndarray, " N"]
    style: str = "line"


class Axis(NamedTuple):
    """A range of numbers and the pixels it is drawn on; `ticks` are round numbers inside."""

    low: float
    high: float
    ticks: tuple[float, ...]
    pixels: tuple[float, float]

    def place(self, values: np.ndarray) -> np.ndarray:
        """Where values lie, in pixels; those outside the range are held at its ends."""
        share = (np.clip(values, self.low, self.high) - self.low) / (self.high - self.low)
        return self.pixels[0] + share * (self.pixels[1] - self.pixels[0])


def line_chart(curves: Sequence[Curve], *, label: str, top: float | None = None) -> str:
    """Curves over steps as one `<svg>`; `label` says in words what there is to see.

    The value axis starts at 0 and ends at `top`, or above the largest value of the curves
    that are not `faint`. Values that are not finite are left out.

    Example:
        >>> steps = np.array([0.0, 100.0])
        >>> line_chart([Curve(steps, np.array([2.0, 0.5]))], label="the loss falls")[:44]
        '<svg class="chart" viewBox="0 0 400 240" rol'
    """
    curves = [_thinned(_finite(curve)) for curve in curves]
    x = _step_axis(curves)
    y = _axis(0.0, top or _top(curves), (HEIGHT - BOTTOM, TOP), count=5)
    parts = [_grid(x, y), *(_drawn(curve, x, y) for curve in curves)]
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


def sparkline(values: Float64[np.ndarray, " N"], *, label: str) -> str:
    """Values between 0 and 1 as a line the height of a word; empty below two values.

    Example:
        >>> sparkline(np.array([0.5]), label="")
        ''
    """
    finite = np.flatnonzero(np.isfinite(values))
    if len(finite) < 2:
        return ""
    x, y = 3 + 74 * finite / (len(values) - 1), 19 - 16 * np.clip(values[finite], 0, 1)
    return (
        f'<svg class="spark" viewBox="0 0 80 22" role="img" aria-label="{escape(label)}">'
        f'<path class="base" d="M3 19.5H77"/><path class="line" d="{_path(x, y)}"/>'
        f'<circle class="dot" cx="{x[-1]:.1f}" cy="{y[-1]:.1f}" r="2.2"/></svg>'
    )


def smoothed(values: Float64[np.ndarray, " N"], reach: int) -> Float64[np.ndarray, " N"]:
    """Mean of each value and its neighbours up to `reach` away, of those that are finite.

    Example:
        >>> smoothed(np.array([4.0, 1.0, 1.0, 7.0]), 1).tolist()
        [2.5, 2.0, 3.0, 4.0]
    """
    known = np.isfinite(values)
    sums = np.cumsum(np.r_[0.0, np.where(known, values, 0.0)])
    counts = np.cumsum(np.r_[0, known])
    i = np.arange(len(values))
    low, high = np.maximum(i - reach, 0), np.minimum(i + reach + 1, len(values))
    count = counts[high] - counts[low]
    whole = np.full(len(values), np.nan)
    return np.divide(sums[high] - sums[low], count, out=whole, where=count > 0)


def nice_ticks(low: float, high: float, count: int) -> tuple[float, ...]:
    """Round numbers (1, 2, 2.5 or 5 times a power of ten) in a range, at most `count` steps.

    Example:
        >>> nice_ticks(0, 613, 4)
        (0.0, 200.0, 400.0, 600.0)
    """
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    spacing = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * (1 - 1e-9))
    first, last = math.ceil(low / spacing - 1e-9), math.floor(high / spacing + 1e-9)
    return tuple(float(f"{i * spacing:.12g}") for i in range(first, last + 1))


def tick_text(value: float) -> str:
    """A tick as short as it can be.

    Example:
        >>> [tick_text(v) for v in (0.0, 0.25, 1500.0, 20000.0, 0.0005)]
        ['0', '0.25', '1500', '20k', '5e-4']
    """
    if value == 0:
        return "0"
    if abs(value) >= 10_000:
        millions = abs(value) >= 1e6
        return f"{value / (1e6 if millions else 1e3):g}{'M' if millions else 'k'}"
    if abs(value) < 0.01:
        mantissa, exponent = f"{value:.3e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return f"{value:g}"


def _step_axis(curves: Sequence[Curve]) -> Axis:
    steps = np.concatenate([curve.steps for curve in curves] or [np.zeros(1)])
    last = float(steps.max()) if steps.size else 0.0
    high = max(last, 1.0)
    return Axis(0.0, high, nice_ticks(0.0, high, 5), (LEFT, WIDTH - RIGHT))


def _axis(low: float, high: float, pixels: tuple[float, float], *, count: int) -> Axis:
    ticks = nice_ticks(low, high, count)
    if high - ticks[-1] > 1e-9 * (high - low):  # end on a round number
        ticks = (*ticks, float(f"{2 * ticks[-1] - ticks[-2]:.12g}"))
    return Axis(low, ticks[-1], ticks, pixels)


def _top(curves: Sequence[Curve]) -> float:
    clear = [curve.values for curve in curves if curve.style != "faint" and curve.values.size]
    faint = [curve.values for curve in curves if curve.style == "faint" and curve.values.size]
    tops = [float(values.max()) for values in clear]
    tops += [float(np.quantile(values, 0.97)) for values in faint]  # a spike is cut off
    return max([top for top in tops if top > 0], default=1.0)


def _finite(curve: Curve) -> Curve:
    good = np.isfinite(curve.values)
    return curve._replace(steps=curve.steps[good], values=curve.values[good])


def _thinned(curve: Curve) -> Curve:
    """At most about `MOST_POINTS` points: every n-th, and always the last."""
    every = -(-len(curve.steps) // MOST_POINTS)
    if every <= 1:
        return curve
    kept = np.unique(np.r_[0 : len(curve.steps) : every, len(curve.steps) - 1])
    return curve._replace(steps=curve.steps[kept], values=curve.values[kept])


def _grid(x: Axis, y: Axis) -> str:
    rows = zip(y.ticks, y.place(np.array(y.ticks)), strict=True)
    columns = zip(x.ticks, x.place(np.array(x.ticks)), strict=True)
    right, floor = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = [_tick("step", right, HEIGHT - 3, "end")]
    for value, at in rows:
        style = "base" if value == y.low else "rule"
        parts.append(f'<path class="{style}" d="M{LEFT} {at:.1f}H{right}"/>')
        parts.append(_tick(tick_text(value), LEFT - 7, at + 3.8, "end"))
    for value, at in columns:
        parts.append(f'<path class="base" d="M{at:.1f} {floor}v4"/>')
        parts.append(_tick(tick_text(value), at, floor + 17, "middle"))
    return "".join(parts)


def _tick(text: str, x: float, y: float, anchor: str) -> str:
    return f'<text class="tick" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'


def _drawn(curve: Curve, x: Axis, y: Axis) -> str:
    across, down = x.place(curve.steps), y.place(curve.values)
    if not across.size:
        return ""
    line = f'<path class="{escape(curve.style)}" d="{_path(across, down)}"/>'
    if curve.style != "marked":
        return line
    best = int(np.argmax(curve.values))
    dots = [
        f'<circle class="dot{" best" if i == best else ""}" cx="{a:.1f}" cy="{d:.1f}" '
        f'r="{4.5 if i == best else 3}"><title>step {step:g}: {value:.3f}</title></circle>'
        for i, (a, d, step, value) in enumerate(
            zip(across, down, curve.steps, curve.values, strict=True)
        )
    ]
    return line + "".join(dots)


def _path(x: np.ndarray, y: np.ndarray) -> str:
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
