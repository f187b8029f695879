"""Scores -> HTML tables: the classes, the confusion matrix, the largest confusions."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from atrous.classes import Classes, to_hex
from atrous.report.charts import sparkline
from atrous.types import Colour

MOST_IN_LARGE = 15  # classes; beyond, the cells of the confusion matrix are smaller
MOST_WITH_NUMBERS = 32  # classes; beyond, a cell of the confusion matrix is only a colour
SMALLEST_TITLE = 0.003  # in those large ones, smaller shares say no number under the mouse
LEVELS = 10  # colours from 0 to 100 %

# What a step after the network says of a score: before it, the change, the change's interval.
WHOLE_CHANGES = (
    ("mIoU_before", "mIoU_change", "mIoU_interval"),
    ("boundary_mIoU_before", "boundary_mIoU_change", "boundary_mIoU_interval"),
)
CLASS_CHANGES = (
    ("IoU_before", "change", "interval"),
    ("boundary_IoU_before", "boundary_IoU_change", "boundary_IoU_interval"),
)

# Ends of the heat scale, (light, dark) page: no share, all of a right class, all of a wrong one.
NONE_HEAT: tuple[Colour, Colour] = (255, 255, 255), (24, 27, 34)
RIGHT_HEAT: tuple[Colour, Colour] = (15, 94, 156), (116, 190, 255)
WRONG_HEAT: tuple[Colour, Colour] = (190, 60, 10), (255, 158, 98)


class Confused(NamedTuple):
    """Pixels of one class that were taken for another; `share` of the true class's pixels."""

    truth: int
    prediction: int
    pixels: int
    share: float


def class_table(
    rows: Sequence[Mapping[str, Any]],
    classes: Classes,
    trends: Sequence[Float64[np.ndarray, " V"]],
) -> str:
    """A row a class, in the classes' order; the best and the worst IoU are marked.

    `trends` holds the IoU of each class at each validation; without any there is no column of
    it. That of boundary IoU is there if the scores have it: those of before it was counted do not.
    """
    known = [row["IoU"] for row in rows if row["IoU"] is not None]
    marks = {min(known): "worst", max(known): "best"} if len(set(known)) > 1 else {}
    borders = any("boundary_IoU" in row for row in rows)
    lines = [
        _class_row(row, colour, trend, marks.get(row["IoU"], ""), borders)
        for row, colour, trend in zip(
            rows, classes.colours, trends or [None] * len(rows), strict=True
        )
    ]
    heads = [
        f'<th scope="col"{wide}>{head}</th>'
        for head, wide in [
            ("Class", ""),
            ("IoU", ' class="wide"'),
            *([("Boundary IoU", ' class="num"')] if borders else []),
            ("Precision", ' class="num"'),
            ("Recall", ' class="num"'),
            ("Pixel share", ' class="num"'),
            *([("IoU in training", ' class="trend"')] if trends else []),
        ]
    ]
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Scores of each class">'
        f'<table class="classes"><thead><tr>{"".join(heads)}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def steps_table(steps: Sequence[Mapping[str, Any]], classes: Classes) -> str:
    """A row a class: its scores before the first step after the network, and what each changed.

    Those of boundary IoU are there if the scores have them, as are intervals: old ones do not.
    """
    names = zip(classes.names, classes.colours, strict=True)
    by_class = zip(*(step["classes"] for step in steps), strict=True)
    rows = [("mean", whole := _change_cells(steps, WHOLE_CHANGES))] + [
        (f"{chip(colour)}{escape(name)}", _change_cells(by_step, CLASS_CHANGES))
        for (name, colour), by_step in zip(names, by_class, strict=True)
    ]
    cost = ["", *(f"{step['ms']:.1f}" for step in steps)]
    rows.append(("ms a picture", cost + [""] * (len(whole) - len(cost))))
    lines = "".join(
        f'<tr><th scope="row">{head}</th>{"".join(f"<td class=num>{c}</td>" for c in cells)}</tr>'
        for head, cells in rows
    )
    kinds = ("IoU", "Boundary IoU")[: len(whole) // len(cost)]
    heads = [head for kind in kinds for head in (kind, *(step["step"] for step in steps))]
    head = "".join(f'<th scope="col" class=num>{escape(name)}</th>' for name in heads)
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Steps after the network">'
        f'<table class="classes"><thead><tr><th scope="col">Class</th>{head}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def _change_cells(
    by_step: Sequence[Mapping[str, Any]], scores: Sequence[tuple[str, str, str]]
) -> list[str]:
    """Of each score: that before the first step, then the change by each with its interval."""
    return [
        cell
        for before, change, interval in scores
        if before in by_step[0]
        for cell in (
            score(by_step[0][before]),
            *(f"{points(step[change])}{_interval(step.get(interval))}" for step in by_step),
        )
    ]


def _interval(ends: Sequence[float | None] | None) -> str:
    """The ends of an interval, small; nothing where there is none."""
    if ends is None or None in ends:
        return ""
    return f"<small>{' to '.join(map(points, ends))}</small>"


def confusion_table(confusion: Int64[np.ndarray, "K K"], classes: Classes) -> str:
    """The confusion matrix, each row as shares of the true class, pixels under the mouse."""
    shares = row_shares(confusion)
    small = len(classes) <= MOST_WITH_NUMBERS
    size = "" if len(classes) <= MOST_IN_LARGE else " close" if small else " dense"
    heads = "".join(
        f'<th scope="col"><span>{escape(name)}</span></th>'
        if small
        else f'<th scope="col" title="{escape(name)}"><span>{"" if i % 10 else i}</span></th>'
        for i, name in enumerate(classes.names)
    )
    rows = [
        f'<tr><th scope="row">{chip(colour)}{escape(name)}{"" if small else f" <i>{i}</i>"}</th>'
        + "".join(_cell(i, j, confusion, shares, classes, small) for j in range(len(classes)))
        + "</tr>"
        for i, (name, colour) in enumerate(zip(classes.names, classes.colours, strict=True))
    ]
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Confusion matrix">'
        f'<table class="confusion{size}"><thead><tr>'
        f'<td class="corner">truth ↓ &nbsp; prediction →</td>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def largest_confusions(confusion: Int64[np.ndarray, "K K"], count: int = 6) -> list[Confused]:
    """The confusions that cost the most pixels, largest first; none where classes overlap.

    Example:
        >>> largest_confusions(np.array([[8, 2], [0, 5]]))
        [Confused(truth=0, prediction=1, pixels=2, share=0.2)]
    """
    if confusion.ndim == 3:  # of multilabel: a missed class is not taken for another
        return []
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    shares = row_shares(confusion)
    order = np.argsort(-wrong, axis=None, kind="stable")[:count]
    cells = [(int(cell) // len(wrong), int(cell) % len(wrong)) for cell in order]
    return [Confused(i, j, int(wrong[i, j]), float(shares[i, j])) for i, j in cells if wrong[i, j]]


def row_shares(confusion: Int64[np.ndarray, "K K"]) -> Float64[np.ndarray, "K K"]:
    """Each row divided by its sum; NaN for a class without truth."""
    whole = confusion.sum(1, keepdims=True).astype(float)
    return np.divide(confusion, whole, out=np.full(confusion.shape, np.nan), where=whole > 0)


def heat_rules(dark: bool) -> str:
    """The CSS of the confusion matrix's cells, `r0`-`r10` for right and `w0`-`w10` for wrong."""
    return "".join(
        f".{letter}{level}{{background:{to_hex(colour)};color:{to_hex(ink(colour))}}}"
        for letter, ends in (("r", RIGHT_HEAT), ("w", WRONG_HEAT))
        for level, colour in enumerate(heat_scale(NONE_HEAT[dark], ends[dark]))
    )


def heat_scale(low: Colour, high: Colour) -> list[Colour]:
    """`LEVELS + 1` colours from one to the other.

    Example:
        >>> heat_scale((0, 0, 0), (255, 255, 255))[5]
        (128, 128, 128)
    """
    shares = np.linspace(0, 1, LEVELS + 1)[:, None]
    mixed = np.rint(np.array(low) * (1 - shares) + np.array(high) * shares).astype(int)
    return [(int(red), int(green), int(blue)) for red, green, blue in mixed]


def ink(paper: Colour) -> Colour:
    """Black or white, whichever stands out more; always at least 4.5 to 1.

    Example:
        >>> ink((255, 255, 0))
        (0, 0, 0)
    """
    black, white = (0, 0, 0), (255, 255, 255)
    return black if contrast(paper, black) >= contrast(paper, white) else white


def contrast(a: Colour, b: Colour) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2)."""
    dim, bright = sorted((_luminance(a), _luminance(b)))
    return (bright + 0.05) / (dim + 0.05)


def chip(colour: Colour) -> str:
    """A little square of a class's colour."""
    return f'<span class="chip" style="background:{to_hex(colour)}"></span>'


def score(value: float | None) -> str:
    """A score as it is printed everywhere in the page: three decimals.

    Example:
        >>> score(0.61749), score(None)
        ('0.617', '–')
    """
    return "–" if value is None else f"{value:.3f}"


def points(change: float | None) -> str:
    """A change of a score in points.

    Example:
        >>> points(0.0123), points(None)
        ('+1.23', '–')
    """
    return "–" if change is None else f"{100 * change:+.2f}"


def percent(share: float | None) -> str:
    """A share in percent, with more digits the smaller it is.

    Example:
        >>> [percent(share) for share in (0.3712, 0.0123, 0.0004, 0.0, None)]
        ['37.1 %', '1.2 %', '0.04 %', '0 %', '–']
    """
    if share is None:
        return "–"
    if share == 0:
        return "0 %"
    return f"{share * 100:.1f} %" if share >= 0.001 else f"{share * 100:.2g} %"


def _class_row(
    row: Mapping[str, Any],
    colour: Colour,
    trend: Float64[np.ndarray, " V"] | None,
    mark: str,
    borders: bool,
) -> str:
    iou = row["IoU"]
    badge = f' <span class="badge {mark}">{mark}</span>' if mark else ""
    absent = ' title="in neither truth nor prediction"' if iou is None else ""
    label = f"IoU of {row['name']} at each validation"
    border = f'<td class="num">{score(row.get("boundary_IoU"))}</td>' if borders else ""
    line = "" if trend is None else f'<td class="trend">{sparkline(trend, label=label)}</td>'
    return (
        f'<tr><th scope="row">{chip(colour)}{escape(row["name"])}{badge}</th>'
        f'<td class="wide"{absent}><span class="bar"><span style="width:{(iou or 0) * 100:.1f}%">'
        f'</span></span><b data-iou="{"" if iou is None else repr(iou)}">{score(iou)}</b></td>'
        f'{border}<td class="num">{score(row["precision"])}</td>'
        f'<td class="num">{score(row["recall"])}</td>'
        f'<td class="num">{percent(row["pixel_share"])}</td>'
        f"{line}</tr>"
    )


def _cell(
    i: int,
    j: int,
    confusion: Int64[np.ndarray, "K K"],
    shares: Float64[np.ndarray, "K K"],
    classes: Classes,
    small: bool,
) -> str:
    share = shares[i, j]
    if np.isnan(share) or (not small and share < SMALLEST_TITLE):
        return "<td></td>"
    title = f"{classes.names[i]} → {classes.names[j]}: {confusion[i, j]:,} px, {percent(share)}"
    # The square root makes small confusions visible.
    level = round(float(np.sqrt(share)) * LEVELS)
    number = f"{share * 100:.0f}" if small and share >= 0.005 else ""
    letter = "r" if i == j else "w"
    return f'<td class="{letter}{level}" title="{escape(title)}">{number}</td>'


def _luminance(colour: Colour) -> float:
    parts = np.array(colour) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))
