"""Checks of masks by the labels they hold."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from atrous.classes import COLOURED, NO_CLASS, TRANSPARENT, Classes, label_colour, label_text
from atrous.data.colours import BINARY
from atrous.data.dataset import DataSet
from atrous.data.layouts import Layout
from atrous.data.layouts.pairs import relative
from atrous.data.survey import FileRecord, read_raw
from atrous.doctor.findings import Finding

SOLID = 0.01  # share of the pixels that a class has inside its regions, and a rim has not
SOLID_GROUND = 0.1  # that of a background
SAMPLE = 8  # masks that are read again
SHOWN = 12  # classes in a sentence


def pixel_of(file: FileRecord, value: int) -> tuple[int, int]:
    """Row and column of the first pixel of a label."""
    at = int(file.facts.first[np.flatnonzero(file.facts.values == value)[0]])
    row, column = divmod(at, file.header.size[1])
    window = file.pair.window
    return (row + window.box.top, column + window.box.left) if window else (row, column)


def check_masks(data: DataSet) -> Iterator[Finding]:
    """What is odd about masks whose labels are all in the label space."""
    if data.planes:
        return
    yield from _coloured(data)
    for file in data.files:  # an annotation file may be that of many pictures
        if file.pair.window:  # of one class, as many a window is
            continue
        path = file.pair.image if data.drawings else file.pair.mask
        yield from _contents(file, data.classes, relative(path, data.root))


def _coloured(data: DataSet) -> Iterator[Finding]:
    """Masks of colours; and those of numbers among them."""
    names: list[str] = []
    numbers: list[str] = []
    for file in data.files:
        if any(map(label_colour, file.labels)):
            names.append(relative(file.pair.mask, data.root))
        elif min(file.labels) < COLOURED:  # others are transparent all over
            numbers.append(relative(file.pair.mask, data.root))
    if not names:
        return
    found = f"{len(names)} of {len(data.files)} masks hold colours, read by a table"
    fix = "Nothing; `atrous doctor --fix DIR` writes them as indices."
    yield Finding("M408", "", found, fix, others=tuple(names))
    if numbers:
        few = min(numbers, names, key=len)
        found = f"is one of the fewer: {len(names)} masks hold colours, {len(numbers)} numbers"
        yield Finding("M414", few[0], found, "Bring all into one form.", others=tuple(few[1:]))


def _contents(file: FileRecord, classes: Classes, where: str) -> Iterator[Finding]:
    indices = {classes.index_of(value) for value in file.labels}
    there = indices - {classes.ignore_index, None}
    if not there:
        found = "holds nothing but ignored pixels"
        yield Finding("M411", where, found, "Label the picture, or leave the pair out.")
    elif len(there) == 1:
        (only,) = there
        name = classes.names[only or 0]
        if only == 0 and (classes.names[0] == BINARY[0] or classes.task == "binary"):
            fix = "Leave it, if nothing of the kind is in the picture; else label it."
            yield Finding("M411", where, f"holds {name} alone", fix)
        else:
            fix = "Check that the whole picture is that; else label the rest."
            yield Finding("M412", where, f"holds {name} alone", fix)


def two_meanings(files: Sequence[FileRecord], layout: Layout) -> Iterator[Finding]:
    """Masks of {0, 255} among masks of {0, 1}; 255 where a class of the list should be."""
    meant = meaning_of_255(files, layout)
    if meant is None:
        return
    root, names = layout.root, layout.names
    large = [file for file in files if 255 in file.labels]
    if names is None or len(names) == 2:
        small = [file for file in files if 1 in file.labels]
        yield from (_another_one(file, root) for file in min(large, small, key=len))
        return
    found = f"holds 255 in whole areas, while class {meant} is nowhere"
    fix = f"If 255 is {names[meant]}: [remap] 255 = {meant} in dataset.toml."
    for file in large:
        if _solid(file, 255):
            yield Finding("M404", relative(file.pair.mask, root), found, fix, pixel_of(file, 255))


def meaning_of_255(files: Sequence[FileRecord], layout: Layout) -> int | None:
    """The class that 255 stands for, where it cannot be void; None where it may be.

    Void rims lie around objects: where 1 and 255 never meet in a mask, 255 is another 1, unless
    it is padding in all of a sample. Where 255 fills areas in half of the masks and a single
    class of the list is nowhere, it is that.
    """
    names = layout.names
    values = {value for file in files for value in file.labels}
    if 255 not in values or 255 in layout.remap or values == {0, 255}:
        return None
    large = [file for file in files if 255 in file.labels]
    if names is None or len(names) == 2:
        if values != {0, 1, 255} or any(1 in file.labels for file in large):
            return None
        sample = large[:: -(-len(large) // SAMPLE)]
        return None if all(_is_padded(file, layout) for file in sample) else 1
    missing = [k for k in range(min(len(names), 255)) if k not in values]
    solid = [file for file in large if _solid(file, 255)]
    return missing[0] if len(missing) == 1 and len(solid) * 2 >= len(files) else None


def _another_one(file: FileRecord, root: Path) -> Finding:
    value = next(v for v in (255, 1) if v in file.labels)
    found = f"writes foreground as {value}, other masks of the set as {256 - value}"
    fix = "Write it alike everywhere; [remap] 255 = 1 in dataset.toml reads both."
    return Finding("M404", relative(file.pair.mask, root), found, fix, pixel_of(file, value))


def _is_padded(file: FileRecord, layout: Layout) -> bool:
    """Whether 255 fills whole rows and columns of a mask, and nothing else."""
    there = read_raw(file.pair, file.header.size, layout.drawings) == 255
    return not (there & ~there.all(0) & ~there.all(1, keepdims=True)).any()


def _solid(file: FileRecord, value: int, share: float = SOLID) -> bool:
    """Whether a label fills areas of a mask, beyond lines."""
    at = np.flatnonzero(file.facts.values == value)[0]
    return bool(file.facts.cores[at] > share * file.facts.counts.sum())


def one_off(files: Sequence[FileRecord], layout: Layout) -> Finding | None:
    """Labels 1 to K for K declared classes: each is one too large; 0 is nowhere, or rims."""
    names = layout.names
    values = {value for file in files for value in file.labels} - {255, 65535, -1, TRANSPARENT}
    count = len(names) if names else 0
    if not names or layout.remap or values - {0} != {*range(1, count + 1)}:
        return None
    if any(0 in file.labels and _solid(file, 0, SOLID_GROUND) for file in files):
        return None
    file = next(f for f in files if count in f.labels)
    lines = ", ".join(f"{k + 1} = {k}" for k in range(min(count, 3))) + ", ..." * (count > 3)
    return Finding(
        "M405",
        relative(file.pair.mask, layout.root),
        f"holds label {count}, and 0 has no area anywhere: labels run from 1 to {count}, "
        f"but {count} classes are 0 to {count - 1}",
        f'Write [remap] in dataset.toml: 0 = "ignore", {lines}.',
        pixel_of(file, count),
    )


def left_gaps(layout: Layout, classes: Classes) -> Finding | None:
    """Labels that skip numbers, with nothing to say which classes there are."""
    if layout.names or layout.remap or NO_CLASS not in classes.remap.values():
        return None
    found = f"has {len(classes)} labels that leave gaps ({', '.join(classes.names[:SHOWN])}"
    found += ", ...)" if len(classes) > SHOWN else ")"
    return Finding("C505", "", found, "Declare `classes` in dataset.toml, with [remap] if need be.")


def outside(file: FileRecord, classes: Classes, root: Path) -> Finding | None:
    """The first label of a mask that is outside the label space."""
    wrong = [value for value in file.labels if classes.index_of(value) is None]
    if not wrong:
        return None
    value = wrong[0]
    pixels, more = file.labels[value], len(wrong) - 1
    others = f", and {more} more such label{'s' * (more > 1)}" if more else ""
    error = classes.outside(np.array([[value]]), value, "")
    found = f"holds label {label_text(value)} ({pixels:,} px{others}), but {error.allowed}"
    code = "M409" if value >= COLOURED else "M403"
    return Finding(code, relative(file.pair.mask, root), found, error.fix, pixel_of(file, value))
