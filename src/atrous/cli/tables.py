"""Answers as text tables that align."""

from collections.abc import Iterable
from typing import Any

from atrous.evaluate import Evaluation
from atrous.metrics.scores import RULES


def scores_table(evaluation: Evaluation) -> str:
    """Per class and whole, in percent."""
    scores = evaluation.scores
    width = max(len("class"), *(len(name) for name in scores.names))
    lines = [f"{'class':<{width}}     IoU  precision  recall  pixels"]
    rows = zip(
        scores.names, scores.iou, scores.precision, scores.recall, scores.pixel_share, strict=True
    )
    for name, iou, precision, recall, share in rows:
        lines.append(
            f"{name:<{width}}  {_percent(iou, 6)}  {_percent(precision, 9)}"
            f"  {_percent(recall, 6)}  {_percent(share, 6)}"
        )
    images = f"{evaluation.split}: {evaluation.num_images} images"
    lines += [
        "",
        f"mIoU            {_percent(scores.miou, 6)}",
        f"pixel accuracy  {_percent(scores.pixel_accuracy, 6)}",
        f"mIoU per image  {_percent(evaluation.miou_per_image, 6)}",
        "",
        f"{images}, {scores.pixels:,} pixels with truth; {evaluation.weights}.",
        RULES,
    ]
    return "\n".join(lines)


def info_table(facts: dict[str, Any]) -> str:
    """What a weights file says of itself."""
    model, names = facts["recipe"]["model"], facts["classes"]["names"]
    averaged = ", averaged (EMA)" if facts["ema"] else ""
    rows = [
        ("file", facts["file"]),
        ("weights", f"{facts['weights']}, step {facts['step']}{averaged}"),
        ("model", f"{model['name']} on {model['encoder']}, output stride {model['output_stride']}"),
        ("parameters", f"{facts['parameters'] / 1e6:.2f} M"),
        ("classes", f"{len(names)}: {', '.join(names)}"),
        ("pixels", facts["dtype"]),
        ("digest", facts["digest"]),
    ]
    return _aligned(rows)


def models_table(rows: Iterable[tuple[str, str]]) -> str:
    """Names and sentences."""
    return _aligned(rows)


def _aligned(rows: Iterable[tuple[str, str]]) -> str:
    rows = list(rows)
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _percent(value: float, width: int) -> str:
    return f"{'-':>{width}}" if value != value else f"{100 * value:{width}.1f}"
