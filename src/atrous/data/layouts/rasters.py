"""Pairs of rasters and their labels -> pairs of windows.

A pair is cut where `[raster]` stands in `dataset.toml`, where its labels are polygons, where the
raster is too large to be decoded whole, and where its labels lie on another grid. First into
blocks, which are divided among splits as pairs are, then these into windows.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from atrous.classes import IGNORE
from atrous.data.layouts.pairs import Layout, Pair, shown
from atrous.data.layouts.toml import Cutting, Declared, nearest
from atrous.data.rasters import is_raster, read_head
from atrous.data.windows import (
    FIELD,
    Box,
    Facts,
    Source,
    Window,
    check_source,
    cut,
    is_polygons,
    raster_of,
    read_facts,
    within,
)
from atrous.errors import DataError

_TIFF = (".tif", ".tiff")
BLOCKS = 10  # at least, where rasters are large enough: one is no fair part for val


class _Field(NamedTuple):
    """The field of all polygons that holds their class ("" = there is none), and the classes."""

    name: str
    classes: tuple[str, ...] = ()


def in_blocks(layout: Layout, declared: Declared | None) -> tuple[Layout, Cutting | None]:
    """The layout with each raster cut into blocks, and how it is cut; None if no raster is.

    Raises:
        DataError: the package that reads rasters is not installed; values of polygons are no
            classes.
    """
    asked = declared.raster if declared else None
    chosen = _chosen(layout, whole=asked is None)
    if not chosen:
        if not asked:
            return layout, None
        raise _no_raster(layout)
    cutting = asked or Cutting()
    field = _field(layout, {pair.mask for pair in chosen}, cutting.attribute)
    kept = tuple(value for value in layout.remap if isinstance(value, int))
    problems: list[DataError] = []
    boxes: dict[Pair, Window] = {}
    for pair in sorted(chosen):
        of_polygons = is_polygons(pair.mask)
        source = Source(pair.image, pair.mask, *(field if of_polygons else ("", ())), kept)
        try:
            check_source(source)
            box = Box(0, 0, *raster_of(pair.image).size)
            boxes[pair] = Window(source, box, box)
        except DataError as error:
            problems.append(error)
    cutting = _resolved(layout, cutting, boxes.values())
    splits = {
        split: tuple(
            part
            for pair in pairs
            if pair in boxes or pair not in chosen
            for part in (_blocks(pair, boxes[pair], cutting) if pair in boxes else (pair,))
        )
        for split, pairs in layout.splits.items()
    }
    return replace(
        layout,
        splits={split: pairs for split, pairs in splits.items() if pairs},
        names=field.classes or layout.names,
        notes=(*layout.notes, *_notes(field, len(boxes), cutting)),
        problems=(*layout.problems, *problems),
    ), cutting


def in_windows(layout: Layout, cutting: Cutting, *, apart: bool) -> Layout:
    """The layout with each block cut into windows.

    Where blocks of one raster may be of several splits, those of val lose their rims, so that
    they lie `apart` from others.
    """
    assert cutting.block and cutting.gap is not None
    splits: dict[str, tuple[Pair, ...]] = {}
    for split, pairs in layout.splits.items():
        gap = cutting.gap if apart and split != "train" else 0
        splits[split] = tuple(
            part
            for pair in pairs
            for part in (_windows(pair, pair.window, cutting, gap) if pair.window else (pair,))
        )
    notes = layout.notes
    if apart and cutting.gap:
        notes += (f"Blocks of val lose {cutting.gap} pixels where they meet others.",)
    return replace(layout, splits=splits, notes=notes)


def _blocks(pair: Pair, whole: Window, cutting: Cutting) -> Iterator[Pair]:
    assert cutting.block
    for row, boxes in enumerate(cut(whole.box, cutting.block)):
        for column, box in enumerate(boxes):
            name = f"{pair.name}/b{row}_{column}"
            yield pair._replace(name=name, window=Window(whole.source, box, box))


def _windows(pair: Pair, block: Window, cutting: Cutting, gap: int) -> Iterator[Pair]:
    room = within(block.box, gap, raster_of(pair.image).size)
    name = pair.name.rpartition("/")[0]
    for box in (box for row in cut(room, cutting.window) for box in row):
        window = Window(block.source, box, room)
        yield pair._replace(name=f"{name}/r{box.top:06}_c{box.left:06}", window=window)


def _chosen(layout: Layout, *, whole: bool) -> set[Pair]:
    """The pairs that are cut. Unless `whole`, all that can be; else if any must be, all rasters."""
    if layout.drawings is not None or layout.planes is not None:
        return set()
    pairs = [pair for pairs in layout.splits.values() for pair in pairs if not pair.bands]
    if not whole:
        return {pair for pair in pairs if is_polygons(pair.mask) or read_head(pair.image)}
    must = {pair for pair in pairs if is_polygons(pair.mask) or _must_be_cut(pair)}
    if not must:
        return must
    return must | {pair for pair in pairs if _is_tiff(pair.image) and is_raster(pair.image)}


def _must_be_cut(pair: Pair) -> bool:
    """Whether a picture is too large, or its labels lie on another grid."""
    if not _is_tiff(pair.image) or not (head := read_head(pair.image)):
        return False
    if is_raster(pair.image, georeferenced=False):
        return True
    if not head.georeferenced or not _is_tiff(pair.mask):
        return False
    labels = read_head(pair.mask)
    return labels is not None and labels.georeferenced and labels.size != head.size


def _is_tiff(path: Path) -> bool:
    return path.suffix.lower() in _TIFF


def _resolved(layout: Layout, cutting: Cutting, rasters: Iterable[Window]) -> Cutting:
    """The cutting with its block and its gap.

    Raises:
        DataError: the gap leaves nothing of a block.
    """
    block, boxes = cutting.block, [raster.box for raster in rasters]
    if block is None:
        block = 4 * cutting.window
        while block > cutting.window and sum(_count(box, block) for box in boxes) < BLOCKS:
            block = max(cutting.window, block // 2)
    gap = cutting.window // 8 if cutting.gap is None else cutting.gap
    if gap * 4 > block:
        raise DataError(
            layout.root,
            found=f"asks for a gap of {gap} pixels between blocks of {block}",
            allowed="a gap is at most a quarter of a block",
            fix="Make it smaller, or blocks larger: [raster] in dataset.toml.",
            code="S109",
        )
    return replace(cutting, block=block, gap=gap)


def _count(box: Box, side: int) -> int:
    return sum(map(len, cut(box, side)))


def _field(layout: Layout, files: set[Path], asked: str | None) -> _Field:
    """The field of polygons that holds their class, and the classes if it is of texts.

    Raises:
        DataError: some files have it and some do not; values are no classes.
    """
    name = asked or FIELD
    facts = {path: read_facts(path, name) for path in sorted(files) if is_polygons(path)}
    lacking = [path for path, told in facts.items() if name not in told.fields]
    if not facts or (not asked and len(lacking) == len(facts)):
        return _Field("")
    if lacking:
        raise _no_field(lacking[0], facts[lacking[0]], name)
    texts: dict[str, Path] = {}
    numbers: dict[int, Path] = {}
    for path, told in facts.items():
        for value in told.values - {IGNORE}:
            if isinstance(value, str) and value.strip():
                texts.setdefault(value, path)
            elif isinstance(value, int) and value >= 0:
                numbers.setdefault(value, path)
            else:
                raise _no_class(path, name, value)
    if texts and numbers:
        raise _no_class(next(iter(texts.values())), name, next(iter(texts)))
    if not texts:
        return _Field(name)
    if layout.names is None:
        return _Field(name, ("background", *sorted(texts.keys() - {"background"})))
    for text, path in texts.items():
        if text not in layout.names:
            raise _unknown(path, name, text, layout.names)
    return _Field(name, layout.names)


def _notes(field: _Field, count: int, cutting: Cutting) -> Iterator[str]:
    yield (
        f"Rasters that are cut: {count}, into windows of about {cutting.window} x "
        f"{cutting.window} pixels, in blocks of about {cutting.block}."
    )
    if field.classes:
        first = field.classes[0]
        yield f"Classes are those of the polygons' field {field.name!r}; elsewhere is {first!r}."


def _no_raster(layout: Layout) -> DataError:
    return DataError(
        layout.root,
        found="has [raster] in dataset.toml, and no raster",
        allowed="TIFF and PNG pictures with masks or polygons can be cut",
        fix="Remove the table.",
        code="S109",
    )


def _no_field(path: Path, facts: Facts, name: str) -> DataError:
    return DataError(
        path,
        found=f"has no field {name!r}{nearest(name, facts.fields)}",
        allowed=f"its fields are {shown(facts.fields, limit=8) or 'none'}",
        fix="Name the one that holds the class: [raster] attribute in dataset.toml.",
        code="A705",
    )


def _no_class(path: Path, name: str, value: object) -> DataError:
    empty = value is None or value == ""
    return DataError(
        path,
        found=f"has a feature {'without' if empty else 'with'} the {name}"
        + ("" if empty else f" {value!r}"),
        allowed="classes are all texts, or all numbers from 0",
        fix='Correct it, or write "ignore" where nothing is known.',
        code="A705",
    )


def _unknown(path: Path, name: str, text: str, names: tuple[str, ...]) -> DataError:
    return DataError(
        path,
        found=f"has a feature with the {name} {text!r}{nearest(text, names)}",
        allowed=f'classes are {", ".join(names)}, or "ignore"',
        fix="Correct it, or add the class to dataset.toml.",
        code="A705",
    )
