"""The files of a run or an evaluation -> one HTML page that loads nothing from anywhere.

Everything that comes from the user (names of classes and files, the recipe) is escaped, and
the page's security policy lets no script run but its own.
"""

import base64
import hashlib
from collections.abc import Iterable
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np

from atrous.classes import Classes
from atrous.report.charts import Curve, line_chart, smoothed
from atrous.report.contents import Contents, Log, Model, Shown
from atrous.report.tables import (
    chip,
    class_table,
    confusion_table,
    heat_rules,
    largest_confusions,
    percent,
    score,
    steps_table,
)

MOST_IN_LEGEND = 40  # classes; more are folded away
LAYERS = ("photo", "truth", "prediction", "errors")


def page(contents: Contents) -> str:
    """The page of a run or of an evaluation; the same contents give the same bytes."""
    style, script = _resource("page.css"), _resource("page.js")
    style = style.replace("/*heat-light*/", heat_rules(dark=False))
    style = style.replace("/*heat-dark*/", heat_rules(dark=True))
    sections = [
        _header(contents),
        _curves(contents.log),
        _class_section(contents),
        _steps_section(contents),
        _confusion_section(contents),
        _gallery(contents),
        _recipe(contents),
        _footer(contents),
    ]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_policy(script)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(contents.name)} · mIoU {score(contents.scores['mIoU'])}</title>",
            f"<style>{style}</style></head><body>",
            *(section for section in sections if section),
            f"<script>{script}</script></body></html>\n",
        ]
    )


def _header(contents: Contents) -> str:
    scores, options = contents.scores, contents.option
    steps, seed = options("train", "steps"), contents.options.get("seed")
    splits = contents.dataset.get("splits") or {}
    data = _last(contents.dataset.get("root") or "")
    counts = ", ".join(f"{_pictures(split)} {name}" for name, split in splits.items())
    facts = [
        ("Task", contents.classes.task),
        ("Model", options("model", "name") or _model(contents.model)),
        ("Encoder", options("model", "encoder")),
        ("Data set", data + (f" ({counts})" if counts else "")),
        ("Steps", _count(steps)),
        ("Seed", seed),
        ("Weights", scores.get("weights")),
        ("Engine", scores.get("engine")),
    ]
    tiles = [
        ("Pixel accuracy", score(scores["pixel_accuracy"])),
        ("mIoU per image", score(scores.get("mIoU_per_image"))),
        *([("Boundary IoU", score(scores["boundary_mIoU"]))] if "boundary_mIoU" in scores else []),
        ("Images", _count(scores.get("num_images"))),
        ("Pixels with truth", _millions(scores["pixels"])),
    ]
    split = escape(str(scores.get("split", "")))
    return (
        f"<header><p class=over>atrous report</p><h1>{escape(contents.name)}</h1>"
        f"<dl class=facts>{_pairs(facts)}</dl><div class=headline>"
        f'<p class=big><b data-miou="{scores["mIoU"]!r}">{score(scores["mIoU"])}</b>'
        f"<span>mIoU on {split}</span></p>"
        f"<dl class=tiles>{_pairs(tiles)}</dl></div>"
        f"<p class=lead>{_in_words(contents)}</p></header><main>"
    )


def _model(model: Model | None) -> str:
    """The name of the file or folder that was scored."""
    return _last(model.path) if model else ""


def _in_words(contents: Contents) -> str:
    """What the scores say, in sentences."""
    rows = [row for row in contents.scores["classes"] if row["IoU"] is not None]
    words = []
    if len(rows) > 1:
        best, worst = (pick(rows, key=lambda row: row["IoU"]) for pick in (max, min))
        words.append(
            f"Best on {_strong(best['name'])} (IoU {score(best['IoU'])}), "
            f"weakest on {_strong(worst['name'])} ({score(worst['IoU'])})."
        )
    for confused in largest_confusions(contents.confusion, 1):
        names = contents.classes.names
        words.append(
            f"The costliest mistake: {percent(confused.share)} of "
            f"{_strong(names[confused.truth])} is taken for {_strong(names[confused.prediction])}."
        )
    return " ".join(words)


def _curves(log: Log) -> str:
    cards = []
    loss = log.column("loss")
    if np.isfinite(loss).any():
        smooth = smoothed(loss, len(loss) // 40)
        last = smooth[np.isfinite(smooth)][-1]
        curves = [Curve(log.steps, loss, "faint"), Curve(log.steps, smooth, "line")]
        label = f"Training loss over steps, each and smoothed; {last:.3f} at the end"
        cards.append(
            _card("Training loss", f"at the end {last:.3f}", line_chart(curves, label=label))
        )
    miou = log.val_column("mIoU")
    if np.isfinite(miou).any():
        best = float(np.nanmax(miou))
        label = f"mIoU of each validation over steps; the best is {best:.3f}"
        chart = line_chart([Curve(log.val_steps, miou, "marked")], label=label, top=_ceiling(best))
        cards.append(_card("Validation mIoU", f"best {best:.3f}", chart))
    lr = log.column("lr")
    if np.isfinite(lr).any():
        peak = float(np.nanmax(lr))
        label = f"Learning rate over steps; {peak:.2g} at its peak"
        chart = line_chart([Curve(log.steps, lr, "line")], label=label)
        cards.append(_card("Learning rate", f"peak {peak:.2g}", chart))
    return _section("Training", f'<div class="cards">{"".join(cards)}</div>') if cards else ""


def _class_section(contents: Contents) -> str:
    count = len(contents.classes) if contents.recipe else 0  # an evaluation has no training
    trends = [contents.log.class_iou(i) for i in range(count)]
    table = class_table(contents.scores["classes"], contents.classes, trends)
    return _section("Classes", table)


def _steps_section(contents: Contents) -> str:
    steps = contents.scores.get("steps")
    if not steps:
        return ""
    note = (
        "Scores of the network, and what each step after it changed, one after the other: in "
        "points, below it the 95 % interval of the change over pictures like these. Times are "
        "medians. All other scores of this page are those after the last."
    )
    table = steps_table(steps, contents.classes)
    return _section("After the network", f"<p class=note>{note}</p>{table}")


def _confusion_section(contents: Contents) -> str:
    if contents.classes.task == "multilabel":  # no class is taken for another
        return ""
    names, colours = contents.classes.names, contents.classes.colours
    items = "".join(
        f"<li>{chip(colours[c.truth])}<b>{escape(names[c.truth])}</b> taken for "
        f"{chip(colours[c.prediction])}<b>{escape(names[c.prediction])}</b>"
        f"<span>{percent(c.share)} of it, {c.pixels:,} px</span></li>"
        for c in largest_confusions(contents.confusion)
    )
    note = (
        "Each row shows, in percent, what the pixels of a true class were predicted as. "
        "Right is blue, wrong is orange; the colour grows with the square root of the share, "
        "so that small confusions show. Hover a cell for its pixels."
    )
    costly = f"<h3>Costliest confusions</h3><ol class=costly>{items}</ol>" if items else ""
    table = confusion_table(contents.confusion, contents.classes)
    costly = f"<div class=costliest>{costly}</div>" if costly else ""
    return _section("Confusion", f"<p class=note>{note}</p><div class=beside>{table}{costly}</div>")


def _gallery(contents: Contents) -> str:
    note = f'<p class="notice">{escape(contents.note)}</p>' if contents.note else ""
    if not contents.worst and not contents.best:
        return _section("Pictures", note) if note else ""
    keys = (
        "<kbd>Click</kbd> a picture to enlarge it; then <kbd>←</kbd> <kbd>→</kbd> change the "
        "picture, <kbd>o</kbd> <kbd>g</kbd> <kbd>p</kbd> <kbd>e</kbd> show photo, truth, "
        "prediction, errors, <kbd>[</kbd> <kbd>]</kbd> set the opacity."
    )
    tools = (
        f'<div class="tools" hidden><label>Opacity <input id="opacity" type="range" min="0" '
        f'max="100" step="5" value="60"></label><p>{keys}</p></div>'
    )
    groups = [("The worst", contents.worst), ("The best", contents.best)]
    figures = "".join(
        f"<h3>{title}</h3>{''.join(map(_figure, shown))}" for title, shown in groups if shown
    )
    legend = _legend(contents.classes)
    dialog = '<dialog id="viewer" aria-label="Enlarged picture"></dialog>'
    return _section("Pictures", f"{note}{legend}{tools}{figures}{dialog}")


def _figure(shown: Shown) -> str:
    width, height = shown.layers.size
    name = escape(shown.name)
    mistake = ""
    if shown.mistake:
        truth, prediction, _ = map(str, shown.mistake)
        mistake = f", mostly {escape(truth)} taken for {escape(prediction)}"
    panels = "".join(
        f'<div class="panel" data-layer="{layer}"><div class="frame">'
        f"{_layer(shown, layer, name)}</div><span>{layer.capitalize()}</span></div>"
        for layer in LAYERS
    )
    return (
        f'<figure style="--photo:url({shown.layers.photo});--w:{width};--h:{height}">'
        f"<figcaption><b>{name}</b><span class=miou>mIoU {score(shown.miou)}</span>"
        f"<span>{percent(shown.wrong)} of its pixels wrong{mistake}</span></figcaption>"
        f'<div class="panels">{panels}</div></figure>'
    )


def _layer(shown: Shown, layer: str, name: str) -> str:
    if layer == "photo":
        return f'<div role="img" aria-label="{name}: photo"></div>'
    width, height = shown.layers.size
    words = {
        "truth": "true classes",
        "prediction": f"predicted classes, mIoU {score(shown.miou)}",
        "errors": f"wrong pixels, {percent(shown.wrong)}, hatched",
    }
    return (
        f'<img src="{getattr(shown.layers, layer)}" width="{width}" height="{height}" '
        f'alt="{name}: {words[layer]}" decoding="async">'
    )


def _legend(classes: Classes) -> str:
    items = "".join(
        f"<li>{chip(colour)}{escape(name)}</li>"
        for name, colour in zip(classes.names, classes.colours, strict=True)
    )
    verdicts = (
        '<li><span class="chip wrong"></span>predicted wrong</li>'
        '<li><span class="chip right"></span>right, dimmed</li>'
        '<li><span class="chip ignored"></span>no truth, not scored</li>'
    )
    if classes.task == "multilabel":
        items += "<li>several at once: the mean of their colours</li>"
    names = f'<ul class="legend" aria-label="Classes">{items}</ul>'
    if len(classes) > MOST_IN_LEGEND:
        names = f"<details><summary>The {len(classes)} classes</summary>{names}</details>"
    return f'{names}<ul class="legend" aria-label="Errors">{verdicts}</ul>'


def _recipe(contents: Contents) -> str:
    definitions = contents.scores.get("definitions") or {}
    terms = _pairs(definitions.items())
    rules = escape(str(contents.scores.get("rules") or ""))
    scored = f"<dl class=terms>{terms}</dl><p class=note>{rules}</p>" if terms or rules else ""
    recipe = f"<pre tabindex=0>{_commented(contents.recipe)}</pre>"
    return (
        (_section("What the scores mean", scored) if scored else "")
        + (_section("Recipe", recipe) if contents.recipe else "")
        + "</main>"
    )


def _footer(contents: Contents) -> str:
    speed = contents.log.column("images_per_s")
    speed = speed[np.isfinite(speed)]
    facts = [*contents.log.machine.items()]
    if speed.size:
        facts.append(("images/s in training", f"{float(np.median(speed)):.3g} (median)"))
    if contents.model:
        facts += [("model", contents.model.path), ("digest", contents.model.digest)]
    if contents.dataset.get("root"):
        facts.append(("data set", contents.dataset["root"]))
    machine = f"<dl class=facts>{_pairs(facts)}</dl>" if facts else ""
    return (
        f"<footer>{machine}<p>Made by atrous. This page loads nothing from anywhere.</p></footer>"
    )


def _section(title: str, body: str) -> str:
    name = title.lower().replace(" ", "-")
    return f'<section aria-labelledby="{name}"><h2 id="{name}">{title}</h2>{body}</section>'


def _card(title: str, value: str, chart: str) -> str:
    return f'<div class="card"><h3>{title}<span>{value}</span></h3>{chart}</div>'


def _pairs(facts: Iterable[tuple[Any, Any]]) -> str:
    """`<dt>` and `<dd>` of those that are known."""
    return "".join(
        f"<div><dt>{escape(str(term))}</dt><dd>{escape(str(value))}</dd></div>"
        for term, value in facts
        if value not in (None, "")
    )


def _commented(recipe: str) -> str:
    """The recipe with its comments set back."""
    lines = []
    for line in recipe.splitlines():
        code, mark, comment = line.rpartition("  # ")
        code = code if mark else line
        text = f"<b>{escape(code)}</b>" if code.startswith("[") else escape(code)
        lines.append(text + (f"<i>  # {escape(comment)}</i>" if mark else ""))
    return "\n".join(lines)


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def _resource(name: str) -> str:
    return files("atrous.report").joinpath(name).read_text(encoding="utf-8")


def _strong(name: str) -> str:
    return f"<b>{escape(name)}</b>"


def _last(path: str) -> str:
    """The last name of a path of any system."""
    return str(path).replace("\\", "/").rstrip("/").rpartition("/")[2]


def _pictures(split: Any) -> str:
    """How many pictures a split has: a number, or a table with its `files`."""
    return _count(len(split.get("files", ())) if isinstance(split, dict) else split)


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "" if value is None else str(value)


def _millions(pixels: int) -> str:
    return f"{pixels / 1e6:.1f} M" if pixels >= 1e6 else f"{pixels:,}"


def _ceiling(best: float) -> float:
    """The top of an mIoU axis: 1, or a rounder number for those that are far below."""
    return next((top for top in (0.1, 0.25, 0.5) if best <= top * 0.95), 1.0)
