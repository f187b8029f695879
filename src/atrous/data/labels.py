"""The label space of a data set: declared, or derived from the label values its masks hold.

With it the task: asked for, else declared, else what the masks are.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from atrous.classes import IGNORE, MOST_LABELS, Classes
from atrous.data.layouts import Layout
from atrous.data.layouts.voc import NAMES as VOC_NAMES
from atrous.data.layouts.voc import colour_map
from atrous.data.masks import plane_names
from atrous.errors import DataError
from atrous.types import Task

BINARY = ("background", "foreground")
_ON = (255, 65535)  # how programs write "foreground" into 8 and 16 bits
_SHOWN = 20  # label values in a message


class Space(NamedTuple):
    """A label space and a sentence on each decision that led to it."""

    classes: Classes
    notes: tuple[str, ...]


def label_space(
    layout: Layout, values: set[int], given: Classes | None, task: Task | None = None
) -> Space:
    """The label space of mask files that hold `values`.

    The layout's own names come first, else `given` (those of a run), else what the values
    say: contiguous from 0; 255, 65535 and -1 are ignored; {0, 255} is background and
    foreground. The task is that of `given`, else `task`, else the layout's, else binary where
    the values gave background and foreground, else multiclass.

    Raises:
        DataError: names differ from `given`; the values are no label space; one class only;
            the task does not fit the classes.
    """
    if given is not None:
        _same_names(layout, given)
    if layout.names is not None:
        colours = given.colours if given else layout.colours or ()
        kind = given.task if given else "multiclass"
        space = Space(Classes(layout.names, colours, layout.remap, kind), ())
    elif given is not None:
        _refuse_both_meanings(layout, values, given)
        _refuse_unnamed_planes(layout, given)
        note = f"Classes are the {len(given)} of the model: the data set names none."
        space = Space(replace(given, remap=layout.remap or given.remap), (note,))
    else:
        space = _derived(layout, values)
    if given is None:  # what 255 means to a trained model is settled, and its task
        space = _with_task(_with_on(space, values), layout, task)
    space = _with_ignored(space, values)
    return space if given is not None else _at_least_two(layout.root, space, values)


def plane_space(layout: Layout, given: Classes | None, task: Task | None = None) -> Space:
    """The label space of masks that are folders of planes, by the names of their files.

    The layout's own names come first, else `given` (those of a run), else the files'.

    Raises:
        DataError: the task is another than multilabel; label values are mapped; no class, or
            too many; two classes would share a file.
    """
    if given is not None:
        _same_names(layout, given)
    wanted = given.task if given else task or layout.task or "multilabel"
    if wanted != "multilabel":
        raise _planes_of_one(layout, wanted, given is not None)
    if layout.remap:
        raise DataError(
            layout.root,
            found=f"maps the label values {_listed(set(layout.remap))}",
            allowed="its masks are folders of planes, which hold no labels",
            fix="Take [remap] and ignore_index out of dataset.toml; void.png is what is ignored.",
        )
    names = layout.names or (given.names if given else layout.planes or ())
    colours = given.colours if given else layout.colours or ()
    classes = Classes(names, colours, task="multilabel")
    _check_task(layout.root, classes)
    plane_names(names, layout.root)
    by = "as declared" if layout.names else "of the model" if given else "from the planes' names"
    return Space(
        classes,
        (f"Task: multilabel, as masks are folders of planes. Classes: {len(names)}, {by}.",),
    )


def _with_task(space: Space, layout: Layout, asked: Task | None) -> Space:
    """The space with its task and, unless that is plainly multiclass, a note on it."""
    derived: Task = "binary" if not layout.names and space.classes.names == BINARY else "multiclass"
    task = asked or layout.task or derived
    classes = replace(space.classes, task=task)
    _check_task(layout.root, classes)
    logits = f"{classes.num_logits} logit{'s' * (classes.num_logits > 1)}"
    if asked or layout.task:
        by = "by the recipe" if asked else "by dataset.toml"
        note = f"Task: {task} ({logits}), {by}."
    else:
        note = (
            f"Task: binary ({logits}), as the masks hold two values; "
            '`task = "multiclass"` in dataset.toml or --set task=multiclass trains two logits.'
        )
    plainly = task == "multiclass" and not (asked or layout.task)
    return Space(classes, space.notes if plainly else (*space.notes, note))


def _check_task(root: Path, classes: Classes) -> None:
    """Binary is of two classes, multilabel of one or more and as many as fit into bits."""
    most = {"binary": 2, "multilabel": MOST_LABELS}.get(classes.task)
    least = {"binary": 2, "multilabel": 1}.get(classes.task, 2)
    if len(classes) >= least and (most is None or len(classes) <= most):
        return
    names = ", ".join(classes.names[:_SHOWN]) + ", ..." * (len(classes) > _SHOWN)
    allowed = {
        "binary": "the task binary tells two apart, the background first",
        "multilabel": f"the task multilabel takes one to {MOST_LABELS}",
    }
    raise DataError(
        root,
        found=f"has {len(classes)} classes ({names})" if names else "has planes of no class",
        allowed=allowed[classes.task],
        fix="Choose another task (--set task=..., or in dataset.toml), or other classes.",
    )


def _planes_of_one(layout: Layout, task: Task, settled: bool) -> DataError:
    folder = next(pair.mask for pairs in layout.splits.values() for pair in pairs)
    return DataError(
        folder,
        found="is a folder of planes, where classes may overlap",
        allowed=f"the task {task} takes mask files with one class a pixel",
        fix=("Take a multilabel model" if settled else "Leave the task to the masks")
        + ", or make one mask of each folder.",
    )


def _derived(layout: Layout, values: set[int]) -> Space:
    mapped = {layout.remap.get(value, value) for value in values} - {IGNORE}
    labels = sorted(int(value) for value in mapped)
    kept = [v for v in labels if v not in (-1, 65535)]
    if max(kept, default=0) <= 255:
        kept = [v for v in kept if v != 255]
    if len(kept) < 2 or kept == [0, 1]:  # one class, or none, is refused below
        names, note = BINARY, "Classes: background (0), foreground (1), from the masks' values."
    elif layout.kind == "Pascal VOC" and kept[0] >= 0 and kept[-1] == 20:
        names, note = tuple(VOC_NAMES), "Classes: the 21 of Pascal VOC, as the labels reach 20."
    elif kept == list(range(len(kept))):
        names = tuple(f"class {i}" for i in kept)
        note = f"Classes: {len(kept)}, from the masks' values 0-{kept[-1]}."
    else:
        raise _gaps(layout.root, kept)
    colours = colour_map(len(names)) if layout.kind == "Pascal VOC" else ()
    return Space(Classes(names, colours, layout.remap), (note,))


def _with_on(space: Space, values: set[int]) -> Space:
    """Two classes in masks of {0, 255}: 255 is foreground, not "ignore"."""
    on = next((v for v in _ON if values == {0, v}), None)
    if on is None or len(space.classes) != 2 or on in space.classes.remap:
        return space
    note = f"Masks hold 0 and {on} alone: {on} is {space.classes.names[1]!r}."
    return _mapping(space, {on: 1}, note)


def _with_ignored(space: Space, values: set[int]) -> Space:
    """-1, and 65535 in masks of few classes, are ignored unless something else is said."""
    extra: dict[int, int | str] = {
        v: IGNORE for v in (-1, 65535) if v in values and space.classes.index_of(v) is None
    }
    if extra:
        space = _mapping(space, extra, f"Label {', '.join(map(str, extra))} is ignored.")
    ignored = sorted(v for v in values if space.classes.index_of(v) == space.classes.ignore_index)
    note = f"Ignored label values: {', '.join(map(str, ignored))}."
    return space._replace(notes=(*space.notes, note)) if ignored and not extra else space


def _mapping(space: Space, extra: Mapping[int, int | str], note: str) -> Space:
    classes = replace(space.classes, remap={**space.classes.remap, **extra})
    return Space(classes, (*space.notes, note))


def _at_least_two(root: Path, space: Space, values: set[int]) -> Space:
    indices = {space.classes.index_of(value) for value in values}
    found = indices - {space.classes.ignore_index}
    if len(found) > 1:
        return space
    what = "one class" if found else "nothing but ignored pixels"
    raise DataError(
        root,
        found=f"has masks of {what} (label values {_listed(values)})",
        allowed="at least two classes are needed to tell them apart",
        fix="Check the masks; a label that stands for a class can be mapped: [remap] 255 = 1.",
    )


def _gaps(root: Path, labels: list[int]) -> DataError:
    some = "\n".join(f"    {value} = {i}" for i, value in enumerate(labels[:4]))
    more = "\n    ..." if len(labels) > 4 else ""
    last = labels[-1]
    naming = (
        f'the label space:\n    classes = ["NAME OF 0", ..., "NAME OF {last}"]'
        f"   # or classes = {last + 1}\nor close the gaps:"
        if labels[0] >= 0 and last < 65535
        else "a class for each label:"
    )
    return DataError(
        root,
        found=f"has masks with {len(labels)} label values that leave gaps ({_listed(labels)})",
        allowed="without declared classes, labels count up from 0",
        fix=f"Write dataset.toml there (or in a copy), with {naming}\n    [remap]\n{some}{more}",
    )


def _same_names(layout: Layout, given: Classes) -> None:
    if layout.names is None or layout.names == given.names:
        return
    pairs = zip(layout.names, given.names, strict=False)
    at = next((i for i, (a, b) in enumerate(pairs) if a != b), None)
    if at is None:
        found = f"declares {len(layout.names)} classes"
        allowed = f"the model knows {len(given)}"
    else:
        found = f"declares class {at} as {layout.names[at]!r}"
        allowed = f"the model knows it as {given.names[at]!r}"
    raise DataError(
        layout.root,
        found=found,
        allowed=allowed,
        fix="Evaluate on data with the model's classes in the model's order, or train again.",
    )


def _refuse_both_meanings(layout: Layout, values: set[int], given: Classes) -> None:
    """Masks of {0, 255} for a model of two classes to which 255 is "ignore": which is meant?"""
    remap = layout.remap or given.remap
    if len(given) == 2 and values == {0, 255} and 255 not in remap:
        raise DataError(
            layout.root,
            found="has masks of 0 and 255 alone",
            allowed=f"to this model {given.names[1]} is 1 and 255 is ignored",
            fix='Say in dataset.toml which is meant: [remap] 255 = 1, or 255 = "ignore".',
        )


def _refuse_unnamed_planes(layout: Layout, given: Classes) -> None:
    """Which class is label 0 of a file, to a model that has a plane for each?"""
    if given.task == "multilabel":
        raise DataError(
            layout.root,
            found="has masks of one label a pixel, which name no classes",
            allowed=f"this model finds {len(given)} classes that overlap: {', '.join(given.names)}",
            fix="Name the classes in dataset.toml, or give a folder of planes for each picture.",
        )


def _listed(values: set[int] | list[int]) -> str:
    words = [str(value) for value in sorted(values)]
    return ", ".join(words[:_SHOWN]) + (f", ... {words[-1]}" if len(words) > _SHOWN else "")
