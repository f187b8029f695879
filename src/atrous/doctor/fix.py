"""A corrected copy of a data set, with a log of every change; the original is not touched."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from atrous.classes import IGNORE, Classes, colour_label
from atrous.data.colours import Space
from atrous.data.dataset import DataSet, assemble, label_values_of
from atrous.data.exports import folder
from atrous.data.exports.plan import Item, check_place, make_plan, put
from atrous.data.exports.toml import declare
from atrous.data.images import Header
from atrous.data.labels import label_space, plane_space
from atrous.data.layouts import Layout, Pair
from atrous.data.layouts.pairs import relative
from atrous.data.survey import FileRecord, packed, read_bits, read_picture
from atrous.doctor.diagnosis import Diagnosis
from atrous.doctor.examination import UNUSABLE
from atrous.doctor.grouping import regrouped
from atrous.doctor.meant import true_labels
from atrous.doctor.mending import IGNORED, Remedy, mended, read_damaged
from atrous.errors import DataError
from atrous.files import whole_folder
from atrous.kernels.labels import label_facts
from atrous.kernels.ramps import count_ramps
from atrous.types import Mask, Track

LOG = "changes.jsonl"
# Pairs that no rule can mend, and of two copies the one that is named.
LEFT_OUT = frozenset(
    "F201 F202 F203 F204 F205 P304 P306 M401 M415 M416 A705 A706 D601 D602 D603 D604 D607".split()
)
DAMAGED = frozenset({"M406", "M407", "M410"})  # masks with labels that nobody drew


class Fixed(NamedTuple):
    """Pairs written, changes made, pairs left out, and the file that lists them all."""

    pairs: int
    changes: int
    left_out: int
    log: Path


class _Change(NamedTuple):
    """A line of the log: a file of the original, and what became of it."""

    file: str
    change: str
    codes: tuple[str, ...]


def write_fixed(diagnosis: Diagnosis, out: Path, track: Track | None = None) -> Fixed:
    """Write a corrected copy of an examined data set into an empty folder, whole or not at all.

    Masks become class indices in `masks/`, pictures are copied, `dataset.toml` names the
    classes; `changes.jsonl` lists what was changed or left out, a line each.

    Raises:
        RunError: the folder is not empty, or lies in the data set.
        DataError: no layout was recognised, or nothing is left.
    """
    layout = diagnosis.layout
    if layout is None:
        raise _nothing(diagnosis.root, diagnosis.findings[0].found)
    check_place(layout.root, out)
    codes = _codes_by_file(diagnosis)
    remedy = Remedy(_labels(diagnosis, codes, layout), diagnosis.shift, diagnosis.on)
    cure = _Cure(layout, codes, remedy)
    files, changes = _usable(layout, cure)
    if not files:
        raise _nothing(diagnosis.root, "has no pair that can be used")
    space = _space(layout, files)
    files, moved = regrouped(files, diagnosis.findings, layout.root)
    why = tuple(sorted({f.code for f in diagnosis.findings} & {"D605", "D606"}))
    changes += [_Change(name, f"moved to {split}", why) for name, split in moved.items()]
    data = _copy_of(layout, files, space)
    with whole_folder(out) as place:
        plan = make_plan(data, place, track)
        for item in plan.each():
            mask, done = cure.mask(item, space.classes)
            folder.put_pair(plan, item, mask)
            name = relative(item.pair.mask, layout.root)
            changes += [_Change(name, text, tuple(sorted(codes[name]))) for text in done]
        lines = [json.dumps(change._asdict(), ensure_ascii=False) + "\n" for change in changes]
        put(place / LOG, "".join(lines))
        declare(plan, "folder", accept=layout.accept)
    left_out = sum(change.change == "left out" for change in changes)
    return Fixed(len(plan.items), len(changes) - left_out, left_out, out / LOG)


def _labels(diagnosis: Diagnosis, codes: Mapping[str, set[str]], layout: Layout) -> frozenset[int]:
    """The raw labels that are meant: of sound masks, declared, or filling areas of damaged ones."""
    damaged = []
    for _, pair in _pairs(layout):
        found = codes.get(relative(pair.mask, layout.root), set())
        if found & DAMAGED and not found & LEFT_OUT:
            with suppress(DataError, OSError):
                size = read_picture(pair).shape[:2]
                raw = read_damaged(pair, size, layout.drawings, found)
                ramps = count_ramps(raw)
                jpeg = "M406" in found or ramps.mixed > ramps.ramps
                damaged.append((label_facts(raw), jpeg))
    known = {*layout.remap, *map(colour_label, layout.colours or ())}
    sound = diagnosis.data.files if damaged and diagnosis.data else ()
    return true_labels(known | label_values_of(sound), damaged)


class _Cure:
    """How the masks of a data set are read and put right."""

    def __init__(self, layout: Layout, codes: Mapping[str, set[str]], remedy: Remedy) -> None:
        self.layout, self.codes, self.remedy = layout, codes, remedy

    def raw(self, pair: Pair, size: tuple[int, int]) -> tuple[np.ndarray, list[str]]:
        """The label values of a pair put right, and what was done."""
        codes = self.codes[relative(pair.mask, self.layout.root)]
        return mended(pair, size, self.layout.drawings, codes, self.remedy)

    def mask(self, item: Item, classes: Classes) -> tuple[Mask, list[str]]:
        """The mask of a pair put right as class indices, and what was done."""
        if self.layout.planes is not None:
            return read_bits(item.pair, item.size, self.layout.drawings, classes), []
        raw, done = self.raw(item.pair, item.size)
        lost = [v for v in np.unique(raw).tolist() if classes.index_of(v) is None]
        if lost and lost != [IGNORED]:
            done.append(f"{np.isin(raw, lost).sum()} pixels of no class are ignored")
        known = replace(classes, remap={**classes.remap, **dict.fromkeys(lost, IGNORE)})
        return known.encode(raw, where=item.pair.mask), done


def _usable(layout: Layout, cure: _Cure) -> tuple[list[FileRecord], list[_Change]]:
    """A record of every pair that is kept, its mask put right; and those left out."""
    files, changes = [], []
    for split, pair in _pairs(layout):
        paths = [pair.image] if layout.drawings else [pair.image, pair.mask]  # or that of many
        names = [relative(path, layout.root) for path in paths]
        wrong = set().union(*(cure.codes[name] for name in names)) & LEFT_OUT
        record = None
        if not wrong:
            record = _record(split, pair, layout, cure)
        if record is None:
            changes.append(_Change(names[0], "left out", tuple(sorted(wrong))))
        else:
            files.append(record)
    lonely = {problem.where: problem.code for problem in layout.problems}
    changes += [
        _Change(relative(Path(where), layout.root), "left out", (code,))
        for where, code in lonely.items()
    ]
    return files, changes


def _record(split: str, pair: Pair, layout: Layout, cure: _Cure) -> FileRecord | None:
    try:
        image = read_picture(pair)
        if layout.planes is not None:
            raw = np.zeros((1, 1), np.uint8)  # planes are read when the classes are known
        else:
            raw, _ = cure.raw(pair, image.shape[:2])
            if raw.shape != image.shape[:2]:
                return None
    except (DataError, OSError):
        return None
    header = Header(image.shape[:2], image.shape[2], str(image.dtype))
    return FileRecord(split, pair, header, 0, b"", 0, b"", *packed(label_facts(raw)))


def _pairs(layout: Layout) -> Iterator[tuple[str, Pair]]:
    return ((split, pair) for split, pairs in layout.splits.items() for pair in pairs)


def _space(layout: Layout, files: list[FileRecord]) -> Space:
    if layout.planes is not None:
        return plane_space(layout, None)
    return label_space(layout, label_values_of(files) - {IGNORED}, None)


def _copy_of(layout: Layout, files: list[FileRecord], space: Space) -> DataSet:
    splits: dict[str, list[Pair]] = defaultdict(list)
    for file in files:
        splits[file.split].append(file.pair)
    divided = {split: tuple(pairs) for split, pairs in splits.items()}
    return assemble(replace(layout, splits=divided), tuple(files), space)


def _codes_by_file(diagnosis: Diagnosis) -> dict[str, set[str]]:
    codes: dict[str, set[str]] = defaultdict(set)
    accepted = diagnosis.accepted - UNUSABLE
    for finding in diagnosis.findings:
        if finding.code in accepted:
            continue
        if finding.code == "M405":  # of all masks, though one is named
            for _, pair in _pairs(diagnosis.layout) if diagnosis.layout else ():
                codes[relative(pair.mask, diagnosis.root)].add(finding.code)
        codes[finding.where].add(finding.code)
        if finding.code == "M416":  # of a plane: the whole mask is wrong
            codes[finding.where.rpartition("/")[0]].add(finding.code)
        if finding.code == "M413":
            for name in finding.others:
                codes[name].add(finding.code)
    return codes


def _nothing(root: Path, found: str) -> DataError:
    return DataError(
        root,
        found=found,
        allowed="a corrected copy is made of pairs that can be read",
        fix="Mend by hand what `atrous doctor` lists.",
    )
