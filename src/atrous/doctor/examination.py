"""The examination of a data set, top to bottom."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

from atrous.classes import TRANSPARENT, label_colour
from atrous.data.colours import Space
from atrous.data.dataset import DataSet, assemble, label_values_of
from atrous.data.labels import label_space, plane_space, with_bits
from atrous.data.layouts import Layout, find_layout
from atrous.data.layouts.pairs import relative
from atrous.data.survey import FileRecord, survey
from atrous.doctor.balance import check_balance
from atrous.doctor.card import card_of
from atrous.doctor.copies import check_copies
from atrous.doctor.damage import check_damage
from atrous.doctor.diagnosis import Diagnosis
from atrous.doctor.findings import Finding, finding_of, in_order
from atrous.doctor.names import check_names
from atrous.doctor.observe import Observer
from atrous.doctor.pictures import check_pictures
from atrous.doctor.placement import check_placement, shift_of
from atrous.doctor.truth import (
    check_masks,
    left_gaps,
    meaning_of_255,
    one_off,
    outside,
    two_meanings,
)
from atrous.errors import DataError
from atrous.types import LayoutName, Task, Track

UNUSABLE = frozenset({"M403", "M409", "P306"})  # even where they are accepted
FEW = 0.1  # share of the masks: labels of fewer, where the others count up from 0, are mistakes
_NOTHING = frozenset({-1, 255, 65535, TRANSPARENT})  # but for these, which may be of a few


class _Decided(NamedTuple):
    """A label space, if there is one, and what is wrong with labels."""

    space: Space | None
    findings: list[Finding]


def examine(
    root: Path | str,
    *,
    task: Task | Literal["auto"] = "auto",
    layout: LayoutName | Literal["auto"] = "auto",
    track: Track | None = None,
) -> Diagnosis:
    """Everything that is wrong with a data set; every pair of files is looked at once.

    `task` and `layout` are as in `open_dataset`. Bad data is never raised: it is the answer.
    """
    root = Path(root)
    asked = None if task == "auto" else task
    try:
        found = with_bits(find_layout(root, layout), None, asked)
        planes = plane_space(found, None, asked) if found.planes is not None else None
    except DataError as error:
        return Diagnosis(root, None, (finding_of(error, root),), None, None)
    seen = survey(
        found, planes=planes.classes if planes else None, observe=Observer(found), track=track
    )
    findings = [finding_of(problem, root) for problem in seen.problems]
    findings += check_names(found)
    findings += check_pictures(seen.files, root)
    findings += check_damage(seen.files, root)
    findings += check_copies(seen.files, root)
    shift = shift_of(seen, found)
    findings += check_placement(seen, found, shift)
    whole = _without_errors(seen.files, findings, found)
    decided = _Decided(planes, []) if planes else _decide(found, whole, asked)
    findings += decided.findings
    data = None
    if decided.space:
        sound = _without_errors(whole, decided.findings, found)
        data, more = _assembled(found, sound, decided.space)
        findings += more
    findings += [finding for file in seen.files for finding in file.signs.told]
    if found.unlabelled:
        findings.append(_unlabelled(found))
    if data:
        findings += [*check_masks(data), *check_balance(data)]
    findings = _once_a_raster(findings, found)
    card = card_of(data, len(found.unlabelled)) if data else None
    return Diagnosis(
        root,
        found,
        in_order(findings),
        data,
        card,
        frozenset(found.accept),
        shift[:2],
        on=meaning_of_255(whole, found) or 1,
    )


def _decide(layout: Layout, files: tuple[FileRecord, ...], task: Task | None) -> _Decided:
    """The label space of the masks; labels that are mistakes do not take part."""
    if not files:
        return _Decided(None, [])
    off = one_off(files, layout)
    if off and off.code not in layout.accept:
        return _Decided(None, [off])
    findings = [*([off] if off else []), *two_meanings(files, layout)]
    try:
        space = label_space(layout, _meant(layout, files), None, task)
    except DataError as error:
        return _Decided(None, [*findings, finding_of(error, layout.root)])
    wrong = [outside(file, space.classes, layout.root) for file in files]
    findings += [finding for finding in wrong if finding]
    if gaps := left_gaps(layout, space.classes):
        findings.append(gaps)
    return _Decided(space, findings)


def _meant(layout: Layout, files: tuple[FileRecord, ...]) -> set[int]:
    """The label values of masks; without those of a few that others would count up to.

    And without colours of a few that have no inside anywhere.
    """
    values = label_values_of(files)
    if layout.names or len(files) * FEW < 1:
        return values
    held = Counter(value for file in files for value in file.labels)
    usual = {value for value, count in held.items() if count > FEW * len(files)}
    if any(map(label_colour, usual)):
        inside = {v for f in files for v in f.facts.values[f.facts.cores > 0].tolist()}
        return usual | inside | (values & {TRANSPARENT})
    labels = sorted(usual - _NOTHING)
    counted = len(labels) > 1 and labels == [*range(len(labels))]
    return usual | (values & _NOTHING) if counted else values


def _assembled(
    layout: Layout, files: tuple[FileRecord, ...], space: Space
) -> tuple[DataSet | None, list[Finding]]:
    """The data set of the files that can be used."""
    if not files:
        return None, []
    kept = {(file.split, file.pair.name) for file in files}
    splits = {
        split: tuple(pair for pair in pairs if (split, pair.name) in kept)
        for split, pairs in layout.splits.items()
    }
    layout = replace(layout, splits={split: pairs for split, pairs in splits.items() if pairs})
    try:
        return assemble(layout, files, space), []
    except DataError as error:
        return None, [finding_of(error, layout.root)]


def _without_errors(
    files: tuple[FileRecord, ...], findings: Iterable[Finding], layout: Layout
) -> tuple[FileRecord, ...]:
    """The records that no error names, but for errors that are accepted and can be read."""
    accepted = {*layout.accept} - UNUSABLE
    wrong = {
        finding.where
        for finding in findings
        if finding.severity == "error" and finding.code not in accepted
    }
    return tuple(file for file in files if not _names(file, layout) & wrong)


def _once_a_raster(findings: list[Finding], layout: Layout) -> list[Finding]:
    """The findings; of a kind that many windows of a raster have, the first."""
    pairs = [pair for pairs in layout.splits.values() for pair in pairs if pair.window]
    cut = {relative(path, layout.root) for pair in pairs for path in (pair.image, pair.mask)}
    first = {(f.code, f.where): f for f in reversed(findings) if f.where in cut}
    return [f for f in findings if first.get((f.code, f.where), f) is f]


def _names(file: FileRecord, layout: Layout) -> set[str]:
    """The files that are this pair's alone: an annotation file may be that of many."""
    paths = [file.pair.image] if layout.drawings else [file.pair.image, file.pair.mask]
    return {relative(path, layout.root) for path in paths}


def _unlabelled(layout: Layout) -> Finding:
    names = [relative(path, layout.root) for path in layout.unlabelled]
    found = f"has {len(names)} picture{'s' * (len(names) > 1)} without labels, left out"
    return Finding("S108", "", found, "Nothing, or label them.", others=tuple(names))
