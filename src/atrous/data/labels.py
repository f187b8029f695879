"""The label space of a data set: declared, or derived from the label values its masks hold.

With it the task: asked for, else declared, else what the masks are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from atrous.classes import (
    COLOURED,
    IGNORE,
    MOST_LABELS,
    NO_CLASS,
    TRANSPARENT,
    Classes,
    label_text,
)
from atrous.data.colours import (
    BINARY,
    Space,
    derived_from_colours,
    grey_levels,
    table_of_colours,
)
from atrous.data.layouts import Layout, Pair
from atrous.data.layouts.annotations import class_names, unknown_class
from atrous.data.layouts.pairs import Drawings
from atrous.data.layouts.voc import NAMES as VOC_NAMES
from atrous.data.layouts.voc import colour_map
from atrous.data.masks import plane_names
from atrous.data.shapes import GROUND, Drawing
from atrous.errors import DataError
from atrous.types import Task

_ON = (255, 65535)  # how programs write "foreground" into 8 and 16 bits
MOST_GUESSED = 256  # labels with gaps that are read without being declared
_SHOWN = 20  # label values in a message


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
    if levels := grey_levels(values, layout.colours or ()):
        numbers = {levels.get(value, value) for value in values}
        return _with_levels(label_space(layout, numbers, given, task), levels)
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
    space = _with_ignored(_with_colours(space, values), values)
    return space if given is not None else _at_least_two(layout.root, space, values)


@dataclass(frozen=True)
class BitDrawings:
    """Drawings whose labels are bits: those in `bits` of the indices in `classes`.

    What is ignored has -1, what has no bit is the background.
    """

    drawings: Drawings
    classes: Classes
    bits: dict[int, int]

    def __call__(self, pair: Pair) -> Drawing:
        """What is drawn of a picture.

        Raises:
            DataError: it cannot be read, or a shape is of no class.
        """
        size, shapes, background = self.drawings(pair)
        known = background >= 0 and self.classes.index_of(background) != self.classes.ignore_index
        bits = tuple(s._replace(label=self._bit(s.label, pair)) for s in shapes)
        return Drawing(size, bits, 0 if known else -1)

    def _bit(self, label: int, pair: Pair) -> int:
        index = self.classes.index_of(label)
        if index is None:
            raise unknown_class(pair.mask, "a shape", label, self.classes.names)
        return -1 if index == self.classes.ignore_index else self.bits.get(index, GROUND)


def with_bits(layout: Layout, given: Classes | None, task: Task | None = None) -> Layout:
    """The layout with a bit for each class that is drawn, if the task is multilabel.

    It then has planes, as folders of planes have, and the background is no class.
    """
    wanted = given.task if given else task or layout.task
    if layout.drawings is None or layout.names is None or wanted != "multilabel":
        return layout
    kept = [i for i, name in enumerate(layout.names) if class_names([name]).places[name]]
    names, colours = tuple(layout.names[i] for i in kept), layout.colours
    return replace(
        layout,
        names=names,
        colours=tuple(colours[i] for i in kept) if colours else None,
        remap={},
        planes=names,
        drawings=BitDrawings(
            layout.drawings,
            Classes(layout.names, (), layout.remap),
            {index: bit for bit, index in enumerate(kept)},
        ),
    )


def plane_space(layout: Layout, given: Classes | None, task: Task | None = None) -> Space:
    """The label space of masks that are folders of planes, by the names of their files.

    That of drawings `with_bits`, too. The layout's own names come first, else `given` (those of
    a run), else the files'.

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
    why = "as masks are folders of planes" if layout.drawings is None else "so shapes may overlap"
    return Space(classes, (f"Task: multilabel, {why}. Classes: {len(names)}, {by}.",))


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
    if any(COLOURED <= value < TRANSPARENT for value in values):
        return derived_from_colours(layout, values)
    mapped = {layout.remap.get(value, value) for value in values} - {IGNORE}
    labels = sorted(int(value) for value in mapped)
    kept = [v for v in labels if v not in (-1, 65535, TRANSPARENT)]
    if max(kept, default=0) <= 255 and not _spread(kept):
        kept = [v for v in kept if v != 255]
    if len(kept) < 2 or kept == [0, 1]:  # one class, or none, is refused below
        names, note = BINARY, "Classes: background (0), foreground (1), from the masks' values."
    elif layout.kind == "Pascal VOC" and kept[0] >= 0 and kept[-1] == 20:
        names, note = tuple(VOC_NAMES), "Classes: the 21 of Pascal VOC, as the labels reach 20."
    elif kept == list(range(len(kept))):
        names = tuple(f"class {i}" for i in kept)
        note = f"Classes: {len(kept)}, from the masks' values 0-{kept[-1]}."
    elif len(kept) <= MOST_GUESSED:
        return _with_gaps(layout, kept)
    else:
        raise _gaps(layout.root, kept)
    colours = colour_map(len(names)) if layout.kind == "Pascal VOC" else ()
    return Space(Classes(names, colours, layout.remap), (note,))


def _spread(labels: list[int]) -> bool:
    """Whether labels are spread evenly over 0-255, so that they can be seen: 255 is one of them."""
    last = len(labels) - 1
    return last > 1 and all(abs(v - 255 * i / last) <= 1 for i, v in enumerate(labels))


def _with_gaps(layout: Layout, labels: list[int]) -> Space:
    """A class for each label that was found; labels between them are none."""
    names = tuple(f"label {value}" for value in labels)
    remap: dict[int, int | str] = dict.fromkeys(range(len(labels)), NO_CLASS)
    remap |= {value: index for index, value in enumerate(labels)}
    note = (
        f"Classes: {len(labels)}, one for each label that was found ({_listed(labels)}); "
        "`classes` in dataset.toml settles which there are."
    )
    return Space(Classes(names, (), {**remap, **layout.remap}), (note,))


def _with_on(space: Space, values: set[int]) -> Space:
    """Two classes in masks of {0, 255}: 255 is foreground, not "ignore"."""
    on = next((v for v in _ON if values - {TRANSPARENT} == {0, v}), None)
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
    known = values - {TRANSPARENT}  # of which is told already
    ignored = sorted(v for v in known if space.classes.index_of(v) == space.classes.ignore_index)
    note = f"Ignored label values: {', '.join(map(label_text, ignored))}."
    return space._replace(notes=(*space.notes, note)) if ignored and not extra else space


def _with_colours(space: Space, values: set[int]) -> Space:
    """Colours in masks stand for the classes of these colours, or for nothing that is known."""
    extra = table_of_colours(space.classes, values)
    if not extra:
        return space
    if extra == {TRANSPARENT: IGNORE}:
        return _mapping(space, extra, "Pixels that are transparent, or no data, are ignored.")
    ignored = [label_text(value) for value, target in extra.items() if target == IGNORE]
    note = f"Masks hold colours: {len(extra) - len(ignored)} are those of classes"
    note += f"; ignored: {', '.join(ignored)}." if ignored else "."
    return _mapping(space, extra, note)


def _with_levels(space: Space, levels: Mapping[int, int]) -> Space:
    """Masks of three equal bands mean what masks of one band mean."""
    extra: dict[int, int | str] = {}
    for colour, level in levels.items():
        target = space.classes.index_of(level)
        if target is not None:
            extra[colour] = IGNORE if target == space.classes.ignore_index else target
    return _mapping(space, extra, "Masks are grey in three bands: one of them is read.")


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
        code="C506",
    )


def _gaps(root: Path, labels: list[int]) -> DataError:
    return DataError(
        root,
        found=f"has masks with {len(labels)} label values that leave gaps ({_listed(labels)})",
        allowed=f"without declared classes, up to {MOST_GUESSED} labels with gaps are read as such",
        fix="Check that these are masks of classes, not of objects or of heights; "
        "`classes` or [remap] in dataset.toml says what the labels are.",
        code="M403",
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
    if len(given) == 2 and values - {TRANSPARENT} == {0, 255} and 255 not in remap:
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
    words = [label_text(value) for value in sorted(values)]
    return ", ".join(words[:_SHOWN]) + (f", ... {words[-1]}" if len(words) > _SHOWN else "")
