"""Exported files as text: what they say of themselves, how they compare, how fast they are."""

from collections.abc import Callable, Sequence
from math import isnan
from typing import Any

from atrous.bench import Benchmark, Row, machine
from atrous.cli.tables import aligned, columns, numbers, points, shortened
from atrous.exported import Manifest
from atrous.recipe.postprocessing import named_steps
from atrous.types import Placement, Spread
from atrous.verify import Verification
from atrous.verify.comparison import TIE, Comparison

MEGA, GIGA = 1e6, 1e9
TILES = {
    "exact": "equal the whole picture",
    "two-pass": "equal the whole picture once its pooled features are known",
    "blend": "are blended; they do not equal the whole picture",
}


def manifest_table(file: str, manifest: Manifest, *, size: int, digest: str) -> str:
    """What an exported file says of itself; `size` is in bytes."""
    names = list(manifest.classes.names)
    rows = [
        ("file", f"{file}, {size / MEGA:.1f} MB, {manifest.precision}{_opset(manifest)}"),
        ("weights", manifest.description or "not said"),
        ("model", _told(_model, manifest.model)),
        ("classes", f"{len(names)}: {shortened(names)}"),
        ("task", manifest.classes.task),
        ("input", _input(manifest)),
        ("normalising", _normalising(manifest)),
        ("output", f"{manifest.classes.num_logits} logits a cell, {_lie(manifest.placement)}"),
        ("tiles", _tiles(manifest)),
        ("then", named_steps(manifest.postprocess) if manifest.postprocess else ""),
        ("quantised", _told(_quantised, manifest.quantised)),
        ("scores", _told(_scores, manifest.scores)),
        ("verified", _told(_verified, manifest.verified) or "never"),
        ("digest", digest),
    ]
    return aligned((name, text) for name, text in rows if text)


def verification_table(verification: Verification) -> str:
    """The runtimes beside the reference, classes, and the verdict."""
    parts = []
    if rows := verification.rows:
        parts.append(_runtimes(verification))
    if any(row.pictures for row in rows):
        parts += [_classes(rows), _read_so(rows)]
    reasons = [f"  {reason}" for reason in verification.reasons]
    verdict = (
        "It answers as the run does." if verification.passed else "It does not answer as the run:"
    )
    return "\n\n".join([*parts, "\n".join([verdict, *reasons])])


def _runtimes(verification: Verification) -> str:
    head = ["", "version", "differ", "not ties", "logits by", "mIoU", "change", "ms"]
    first, reference = verification.rows[0], verification.reference
    lines = [
        [
            str(reference),
            reference.version,
            "",
            "",
            "",
            _percent(first.reference.miou),
            "",
            _ms(first.reference_ms),
        ]
    ]
    for row in verification.rows:
        lines.append(
            [
                str(row.runtime),
                row.runtime.version,
                f"{row.differing:,}",
                f"{row.flipped:,}",
                f"{row.largest:.1e}",
                _percent(row.scores.miou),
                points(row.change),
                _ms(row.ms),
            ]
        )
    return columns([head, *lines], left=2)


def _classes(rows: Sequence[Comparison]) -> str:
    """IoU of each class by the reference, and its change in each runtime; none without truth."""
    reference = rows[0].reference
    if isnan(reference.miou):
        return "Nothing is known of the truth: masks alone were compared."
    lines = [["IoU", "run", *(str(row.runtime) for row in rows)]]
    for k, name in enumerate(reference.names):
        changes = (points(row.scores.iou[k] - reference.iou[k]) for row in rows)
        lines.append([name, _percent(reference.iou[k]), *changes])
    return columns(lines)


def _read_so(rows: Sequence[Comparison]) -> str:
    most, largest = max(rows, key=lambda row: row.pictures), max(row.scale for row in rows)
    lines = (
        f"{most.pictures} pictures, {most.pixels:,} pixels. IoU in percent, changes in points;",
        f"ms: median of a picture, from decoded pixels to mask. Largest logit: {largest:.3g};",
        f"where the two largest differ by less than {TIE:g} of the largest of their picture, a",
        "pixel is a tie.",
    )
    return "\n".join(lines)


def benchmark_table(benchmark: Benchmark) -> str:
    """A line for each configuration."""
    head = [
        "engine",
        "precision",
        "threads",
        "at once",
        "median ms",
        "p90 ms",
        "pictures/s",
        "peak MB",
        "first mask s",
    ]
    height, width = benchmark.size
    here = machine()
    foot = (
        f"Pictures of {height} x {width} ({benchmark.why}), from decoded pixels to mask;\n"
        f"{benchmark.weights or 'none answered'}. Peak: of the whole process, with its libraries.\n"
        f"{here['processor']}, {here['cores']} cores."
    )
    failures = [
        f"{' '.join(map(str, row.configuration))}: {row.failure}"
        for row in benchmark.rows
        if row.failure
    ]
    return "\n".join(
        [columns([head, *map(_measured, benchmark.rows)], left=2), "", *failures, foot]
    )


def _measured(row: Row) -> list[str]:
    peak = "-" if row.peak is None else f"{row.peak / MEGA:.0f}"
    numbers = (row.median, row.p90, row.rate)
    first = "-" if isnan(row.first_mask_s) else f"{row.first_mask_s:.1f}"
    return [*map(str, row.configuration), *map(_ms, numbers), peak, first]


def _opset(manifest: Manifest) -> str:
    return f", opset {manifest.opset}" if manifest.opset else ""


def _model(model: dict[str, Any]) -> str:
    on = f" on {model['encoder']}" if model.get("encoder") else ""
    parameters = f", {model['parameters'] / MEGA:.2f} M parameters" if "parameters" in model else ""
    at = " x ".join(map(str, model.get("macs_at", ())))
    macs = f", {model['macs'] / GIGA:.1f} GMACs at {at}" if "macs" in model and at else ""
    return f"{model['name']}{on}{parameters}{macs}" if "name" in model else ""


def _input(manifest: Manifest) -> str:
    order = " ".join(manifest.layout)
    size = "any size" if manifest.size is None else f"{manifest.size[0]} x {manifest.size[1]} alone"
    bands = manifest.band_order or f"{manifest.bands} bands"
    return f"{manifest.dtype} {order}, {bands}, {size}"


def _normalising(manifest: Manifest) -> str:
    who = "by the graph" if manifest.normalises else "before the graph"
    return f"less {numbers(manifest.mean)}, divided by {numbers(manifest.std)}, {who}"


def _lie(placement: Placement) -> str:
    if isinstance(placement, Spread):
        return "stretched over the picture" + ", corners aligned" * placement.align_corners
    offset = f", offset {placement.offset:g}" if placement.offset else ""
    return f"a cell each {placement.stride} pixels{offset}"


def _tiles(manifest: Manifest) -> str:
    return (
        f"{TILES[manifest.tiling]}; cut at multiples of {manifest.alignment}, halo {manifest.halo}"
    )


def _told(words: Callable[[dict[str, Any]], str], facts: dict[str, Any] | None) -> str:
    """Facts in our words; plainly where another program has written others; nothing of none."""
    try:
        return words(facts) if facts else ""
    except (AttributeError, KeyError, TypeError, ValueError):
        return ", ".join(f"{key} {value}" for key, value in (facts or {}).items())


def _quantised(facts: dict[str, Any]) -> str:
    """How whole numbers came about."""
    layers, macs = len(facts["float_layers"]), facts.get("float_macs", 0.0)
    stay = (
        f"{layers} layers stay float ({100 * macs:.1f} % of the MACs)" if layers else "all layers"
    )
    return f"on {facts['pictures']} pictures; {stay}"


def _scores(facts: dict[str, Any]) -> str:
    """The scores of a run in a line, in percent."""
    names = {"mIoU": "mIoU", "pixel_accuracy": "pixel accuracy", "boundary_mIoU": "boundary IoU"}
    known = [(name, facts.get(key)) for key, name in names.items()]
    values = [f"{name} {100 * value:.1f}" for name, value in known if value is not None]
    if not values:
        return ""
    return f"{', '.join(values)} on {facts.get('split', 'some')}"


def _verified(facts: dict[str, Any]) -> str:
    runtimes = ", ".join(
        f"{row['engine']} {row['precision']} {row['flipped']:,}{_and_score(row['mIoU_change'])}"
        for row in facts["runtimes"]
    )
    pictures, date = facts["pictures"], facts["when"][:10]
    return f"{date} on {pictures} pictures; pixels that differ and are no ties: {runtimes}"


def _and_score(change: float | None) -> str:
    return "" if change is None else f" (mIoU {points(change)})"


def _percent(value: float) -> str:
    return "-" if isnan(value) else f"{100 * value:.2f}"


def _ms(value: float) -> str:
    return "-" if isnan(value) else f"{value:.1f}"
