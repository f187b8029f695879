"""Answers as text tables that align."""

from collections.abc import Iterable, Sequence
from textwrap import fill
from typing import Any

from atrous.cli.networks import NUM_CLASSES, Network
from atrous.evaluate import Evaluation
from atrous.metrics.intervals import RULE, Change
from atrous.metrics.scores import RULES
from atrous.metrics.steps import StepScores
from atrous.types import Size

NAMES_SHOWN = 24
WIDTH = 96  # of a paragraph, in characters


def scores_table(evaluation: Evaluation) -> str:
    """Per class and whole, in percent."""
    scores, boundary = evaluation.scores, evaluation.boundary
    width = max(len("class"), *(len(name) for name in scores.names))
    lines = [f"{'class':<{width}}     IoU  border  precision  recall  pixels"]
    numbers = (scores.iou, boundary.iou, scores.precision, scores.recall, scores.pixel_share)
    for name, iou, border, precision, recall, share in zip(scores.names, *numbers, strict=True):
        lines.append(
            f"{name:<{width}}  {_percent(iou, 6)}  {_percent(border, 6)}  {_percent(precision, 9)}"
            f"  {_percent(recall, 6)}  {_percent(share, 6)}"
        )
    whole = [
        ("mIoU", scores.miou),
        ("pixel accuracy", scores.pixel_accuracy),
        ("mIoU per image", evaluation.miou_per_image),
        (f"boundary IoU ({boundary.distance} px)", boundary.miou),
    ]
    images = f"{evaluation.split}: {evaluation.num_images} images"
    answered = "; ".join(filter(None, (evaluation.weights, evaluation.engine)))
    lines += [
        "",
        aligned((name, _percent(value, 6)) for name, value in whole),
        "",
        *([steps_table(evaluation.steps), ""] if evaluation.steps else []),
        f"{images}, {scores.pixels:,} pixels with truth; {answered}.",
        RULES,
    ]
    return "\n".join(lines)


def steps_table(steps: Sequence[StepScores]) -> str:
    """What each step after the network did, one below the other: IoU, boundary IoU, and its cost.

    Those before it in percent, their changes and the intervals of these in points.
    """
    head = ["", "IoU", "change", "95 % interval", "border", "change", "95 % interval"]
    rows = [[name, *_change(a), *_change(b)] for step in steps for name, a, b in _means_first(step)]
    head, *lines = columns([head, *rows]).splitlines()
    said = ["After the network: the scores before each step, and their changes in points."]
    each = len(lines) // len(steps)
    for i, step in enumerate(steps):
        said += ["", f"{step.step}, {step.ms:.1f} ms a picture", head]
        said += lines[i * each : (i + 1) * each]
    return "\n".join([*said, "", fill(RULE, WIDTH)])


def _means_first(step: StepScores) -> list[tuple[str, Change, Change]]:
    return [("mean", step.iou.miou, step.boundary.miou), *step.rows]


def _change(change: Change) -> tuple[str, str, str]:
    low, high = points(change.low), points(change.high)
    interval = "-" if low == high == "-" else f"{low} to {high:>6}"
    return _percent(change.before, 0), points(change.change), interval


def info_table(facts: dict[str, Any], network: list[tuple[str, str]]) -> str:
    """What a weights file says of itself, and what its network sees."""
    model, names = facts["recipe"]["model"], facts["classes"]["names"]
    averaged = ", averaged (EMA)" if facts["ema"] else ""
    rows = [
        ("file", facts["file"]),
        ("weights", f"{facts['weights']}, step {facts['step']}{averaged}{_imported(facts)}"),
        ("model", f"{model['name']}{_on(model)}"),
        ("classes", f"{len(names)}: {', '.join(names)}"),
        ("task", facts["classes"].get("task", "multiclass")),
        ("pixels", facts["dtype"]),
        ("digest", facts["digest"]),
    ]
    if steps := facts["postprocess"]:
        rows.append(("then", ", ".join(step["step"] for step in steps)))
    return aligned([*rows, *network])


def _on(model: dict[str, Any]) -> str:
    return f" on {model['encoder']}" if "encoder" in model else ""


def _imported(facts: dict[str, Any]) -> str:
    origin = facts.get("origin")
    return f", imported from {origin['from']} ({origin['file']})" if origin else ""


def imported_table(facts: dict[str, Any]) -> str:
    """What became of a file of another project, and what it keeps of its origin."""
    names, rules = facts["classes"], facts["rules"]
    reasons = "; ".join(rules["inexact_tiles"])
    rows = [
        ("run", facts["run"]),
        ("model", f"{facts['model']} on {facts['encoder']}, as in {facts['from']}"),
        ("parameters", f"{facts['parameters'] / 1e6:.2f} M"),
        ("classes", f"{len(names)}: {shortened(names)}"),
        ("pixels", f"less {numbers(rules['mean'])}, divided by {numbers(rules['std'])}"),
        ("padding", rules["padding"]),
        ("resizing", rules["resizing"]),
        ("tiles", f"not as the whole picture: {reasons}" if reasons else "as the whole picture"),
    ]
    return aligned(rows)


def models_table(networks: Sequence[Network], size: Size) -> str:
    """A line for each model: its cost for a picture of `size`, what a cell sees, what it is."""
    on = max(len(network.encoder) for network in networks)
    head = f"{'model':<13}  {'encoder':<{on}}  params M  GMACs  stride  sees px  what"
    lines = [
        f"{n.name:<13}  {n.encoder:<{on}}  {n.parameters / 1e6:8.2f}  {n.macs / 1e9:5.1f}"
        f"  {n.output_stride:6}  {n.receptive_field:7}  {n.what}"
        for n in networks
    ]
    foot = (
        f"With {NUM_CLASSES} classes; GMACs for {size[0]} x {size[1]} pixels; output stride;\n"
        "sees: pixels across that a cell of the logits reads (image pooling reads all).\n"
        "All but the small two go on any encoder: `atrous models NAME --encoder ENCODER`."
    )
    return "\n".join([head, *lines, "", foot])


def aligned(rows: Iterable[tuple[str, str]]) -> str:
    """Names in a column and what is said of them."""
    rows = list(rows)
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def columns(rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Rows of words as columns, the first `left` of them flush left, the others flush right.

    Example:
        >>> print(columns([["a", "1"], ["bc", "10"]]))
        a    1
        bc  10
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            f"{word:<{width}}" if place < left else f"{word:>{width}}"
            for place, (word, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def points(value: float) -> str:
    """A change of a score in points."""
    return "-" if value != value else f"{100 * value:+.2f}"


def numbers(values: Sequence[float]) -> str:
    """Numbers in a line."""
    return ", ".join(f"{value:g}" for value in values)


def shortened(names: list[str]) -> str:
    """The first of many names."""
    more = ", …" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more


def _percent(value: float, width: int) -> str:
    return f"{'-':>{width}}" if value != value else f"{100 * value:{width}.1f}"
