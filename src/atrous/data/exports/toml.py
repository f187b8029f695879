"""The `dataset.toml` of an export: what its format alone cannot say."""

import json
from collections.abc import Iterable, Mapping, Sequence

from atrous.classes import IGNORE, Classes, to_hex
from atrous.data.exports.plan import Plan, put
from atrous.data.layouts.toml import FILE
from atrous.types import LayoutName


def declare(
    plan: Plan,
    layout: LayoutName,
    remap: Mapping[int, int | str] | None = None,
    classes: Classes | None = None,
    accept: Sequence[str] = (),
) -> None:
    """Write classes, colours and task; the last file of an export, so that it says "finished".

    `remap` is what label values stand for; without it they are class indices. `classes` are
    those of the data set unless given; `accept` are codes of the doctor's that are no errors.
    """
    put(plan.out / FILE, dataset_toml(classes or plan.data.classes, layout, remap, accept))


def dataset_toml(
    classes: Classes,
    layout: LayoutName,
    remap: Mapping[int, int | str] | None = None,
    accept: Sequence[str] = (),
) -> str:
    """The text of a `dataset.toml`.

    Example:
        >>> print(dataset_toml(Classes(("sky", "road")), "voc"))
        layout = "voc"
        task = "multiclass"
        classes = ["sky", "road"]
        colours = ["#3f90da", "#ffa90e"]
        <BLANKLINE>
        [remap]
        255 = "ignore"
        <BLANKLINE>
    """
    lines = [
        f"layout = {_text(layout)}",
        f"task = {_text(classes.task)}",
        f"classes = {_list(classes.names)}",
        f"colours = {_list(map(to_hex, classes.colours))}",
    ]
    if accept:
        lines.append(f"accept = {_list(accept)}")
    if remap is None and classes.task != "multilabel":
        remap = {classes.ignore_index: IGNORE}
    if remap:
        lines += ["", "[remap]"]
        lines += [f"{raw} = {_value(target)}" for raw, target in remap.items()]
    return "\n".join(lines) + "\n"


def _list(texts: Iterable[str]) -> str:
    return "[" + ", ".join(map(_text, texts)) + "]"


def _value(target: int | str) -> str:
    return str(target) if isinstance(target, int) else _text(target)


def _text(text: str) -> str:
    """A TOML string: as JSON's, but for one sign that TOML wants escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
