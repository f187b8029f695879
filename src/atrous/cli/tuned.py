"""What a search for a step found, as a table."""

from collections.abc import Iterator
from textwrap import fill

from atrous.cli.tables import WIDTH, aligned
from atrous.metrics.intervals import RULE, Change
from atrous.tune import Tuned
from atrous.tune.halves import FEWEST

RULES = fill(f"In percent. The halves are made of blocks of neighbouring pictures. {RULE}", WIDTH)


def tuned_table(tuned: Tuned) -> str:
    """The change of each class and of mIoU, in percent, and what becomes of the step."""
    width = max(len("class"), *(len(name) for name in tuned.names))
    lines = [f"{'class':<{width}}  before   after  change  95 % interval"]
    rows = zip((*tuned.names, "mIoU"), (*tuned.changes.classes, tuned.changes.miou), strict=True)
    lines += [f"{name:<{width}}  {_row(change)}" for name, change in rows]
    lines.insert(-1, "")
    said = [_verdict(tuned), *(_doubts(tuned) if tuned.kept else []), RULES]
    return "\n".join([*lines, "", aligned(_facts(tuned)), "", *said])


def _row(change: Change) -> str:
    values = (change.before, change.after)
    scores = "  ".join(f"{100 * v:6.2f}" if v == v else f"{'-':>6}" for v in values)
    signs = (change.change, change.low, change.high)
    moved, low, high = (f"{100 * v:+6.2f}" if v == v else f"{'-':>6}" for v in signs)
    return f"{scores}  {moved}  {low} to {high}"


def _facts(tuned: Tuned) -> Iterator[tuple[str, str]]:
    for name, value in tuned.best.model_dump(mode="json").items():
        yield name, " ".join(map(str, value)) if isinstance(value, list) else str(value)
    mious = f"mIoU {100 * tuned.trials[0].miou:.2f} to {100 * tuned.chosen.miou:.2f}"
    failed = sum(bool(trial.failed) for trial in tuned.trials)
    number = f"{len(tuned.trials) - 1} trials" + (f", {failed} failed" if failed else "")
    tried, half = len(tuned.halves.tried), len(tuned.halves.choosing)
    count = f"{tried} of {half}" if tried < half else str(tried)
    yield "cost", f"{tuned.milliseconds:.1f} ms a picture"
    yield "chosen", f"the best of {number}, on {count} images of {tuned.split}: {mious}"
    yield "measured", f"on the other {len(tuned.halves.reporting)} images, which the table is of"


def _verdict(tuned: Tuned) -> str:
    kind, miou = tuned.best.step, tuned.changes.miou
    interval = f"{100 * miou.low:+.2f} to {100 * miou.high:+.2f}"
    said = f"the interval of its change of mIoU, {interval},"
    if tuned.kept:
        where = f"Written to {tuned.file}" if tuned.file else "It stands so already"
        return f"The step {kind} is kept: {said} lies above 0. {where}."
    where = f"It is taken out, in {tuned.file}" if tuned.file else "Nothing is written"
    if not tuned.halves.enough:
        count = len(tuned.halves.reporting)
        few = f"it is measured on {count} images, and {FEWEST} are needed to show a gain"
        return f"The step {kind} is kept off: {few}. {where}."
    return f"The step {kind} is kept off: {said} does not lie above 0. {where}."


def _doubts(tuned: Tuned) -> Iterator[str]:
    """What speaks against a step that is kept: classes that it harms for sure."""
    pairs = zip(tuned.names, tuned.changes.classes, strict=True)
    if lost := [name for name, change in pairs if change.high < 0]:
        yield f"It harms {', '.join(lost)}: look at their rows before you take it."
