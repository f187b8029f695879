"""nnU-Net's folder, of pictures: `imagesTr/CASE_0000.png`, `labelsTr/CASE.png`, `dataset.json`."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from atrous.data.layouts.json_parts import read_json
from atrous.data.layouts.legends import Entry, legend_of, told_by
from atrous.data.layouts.pairs import (
    UNDIVIDED,
    Found,
    Pool,
    Problems,
    files_below,
    masks,
    pictures,
    shown,
)
from atrous.errors import DataError

FORM = "imagesTr/CASE_0000.png, labelsTr/CASE.png, dataset.json (nnU-Net)"
_CHANNEL = re.compile(r"(.+)_(\d{4})")
_VOLUMES = (".nii", ".nii.gz", ".nrrd", ".mha", ".mhd", ".gipl")


def recognise(root: Path) -> Found | None:
    """The pools of a folder of nnU-Net; None if it is none.

    Pictures of `imagesTs` without `labelsTs` are unlabelled; fold 0 of `splits_final.json`
    divides the others. Further channels of a case are bands.

    Raises:
        DataError: volumes, classes that are regions, a file that cannot be understood.
    """
    images, labels = root / "imagesTr", root / "labelsTr"
    if not images.is_dir() or not labels.is_dir():
        return None
    _refuse_volumes(labels)
    pool = _pool(images, labels)
    pools, notes = _folds(root / "splits_final.json", pool)
    found = Found("nnU-Net", pools or {UNDIVIDED: pool}, notes=notes)
    found = _with_test(found, root / "imagesTs", root / "labelsTs")
    path = root / "dataset.json"
    return told_by(found, legend_of(path, _entries(path))) if path.is_file() else found


def _with_test(found: Found, images: Path, labels: Path) -> Found:
    if not images.is_dir():
        return found
    if labels.is_dir():
        return replace(found, pools={**found.pools, "test": _pool(images, labels)})
    cases = _cases(pictures(images).by_name, known={})
    firsts = tuple(channels[min(channels)] for channels in cases.values())
    return replace(found, unlabelled=firsts)


def _pool(images: Path, labels: Path) -> Pool:
    """Cases by name; those that lack a channel that others have are problems."""
    found, truth = pictures(images), masks(labels)
    cases = _cases(found.by_name, truth.by_name)
    every = sorted({channel for channels in cases.values() for channel in channels})
    whole = {
        case: [channels[c] for c in every]
        for case, channels in cases.items()
        if [*channels] == every
    }
    problems = [_lacking(channels, every) for case, channels in cases.items() if case not in whole]
    return Pool(
        {case: files[0] for case, files in whole.items()},
        {case: path for case, path in truth.by_name.items() if case in whole or case not in cases},
        bands={case: tuple(files[1:]) for case, files in whole.items() if files[1:]},
        problems=(*found.problems, *truth.problems, *problems),
    )


def _cases(found: Mapping[str, Path], known: Mapping[str, Path]) -> dict[str, dict[str, Path]]:
    """The files of each case by channel; a name that a mask has is a case without channels."""
    cases: dict[str, dict[str, Path]] = {}
    for name in sorted(found):
        parts = None if name in known else _CHANNEL.fullmatch(name)
        case, channel = parts.groups() if parts else (name, "0000")
        cases.setdefault(case, {})[channel] = found[name]
    return cases


def _folds(path: Path, pool: Pool) -> tuple[dict[str, Pool], tuple[str, ...]]:
    """The pools of fold 0, and a note; none if there is no such file."""
    if not path.is_file():
        return {}, ()
    folds = read_json(path)
    fold = folds[0] if isinstance(folds, list) and folds else None
    if not isinstance(fold, dict) or not all(
        isinstance(fold.get(s), list) for s in ("train", "val")
    ):
        _refuse(
            path, "has no fold with train and val", 'it is [{"train": [...], "val": [...]}, ...]'
        )
    pools = {}
    for split in ("train", "val"):
        listed = dict.fromkeys(map(str, fold[split]))
        gone = tuple(_not_there(path, c) for c in listed if c not in pool.images)
        pools[split] = _part(pool, [c for c in listed if c in pool.images], gone)
    left = len(pool.images.keys() - pools["train"].images.keys() - pools["val"].images.keys())
    note = f"Splits are those of fold 0 in {path.name}; cases left out: {left}."
    lonely = {c: p for c, p in pool.masks.items() if c not in pool.images}
    first = replace(pools["train"], masks={**pools["train"].masks, **lonely})
    first = replace(first, problems=(*pool.problems, *first.problems))
    return {**pools, "train": first}, (note,)


def _part(pool: Pool, cases: list[str], problems: Problems) -> Pool:
    return Pool(
        {case: pool.images[case] for case in cases},
        {case: pool.masks[case] for case in cases if case in pool.masks},
        bands={case: pool.bands[case] for case in cases if case in pool.bands},
        problems=problems,
    )


def _entries(path: Path) -> list[Entry]:
    """The classes of `dataset.json` in the order of their labels."""
    table = read_json(path)
    labels = table.get("labels") if isinstance(table, dict) else None
    if not isinstance(labels, dict) or not labels:
        _refuse(path, "has no table `labels`", 'it holds "labels": {"background": 0, ...}')
    regions = [name for name, value in labels.items() if isinstance(value, list)]
    if regions:
        _refuse(
            path,
            f"has classes that are regions of several labels ({shown(regions)})",
            "each class has one label, as classes of one mask do not overlap",
        )
    named = [_entry(path, key, value) for key, value in labels.items()]
    return sorted(named, key=lambda entry: entry.value or 0)


def _entry(path: Path, key: str, value: Any) -> Entry:
    """`"car": 1`, or the older `"1": "car"`."""
    name, label = (value, key) if isinstance(value, str) and key.isdecimal() else (key, value)
    if str(label).isdecimal():
        return Entry(name, value=int(label))
    _refuse(path, f"gives {name!r} the label {label!r}", "a label is a whole number from 0")


def _refuse_volumes(folder: Path) -> None:
    volume = next((p for p in files_below(folder) if p.name.lower().endswith(_VOLUMES)), None)
    if volume is not None:
        raise DataError(
            volume,
            found="is a volume",
            allowed="3-D volumes are not read; files of nnU-Net are read where they are pictures",
            fix="Write the slices as pictures (PNG, TIFF), channel and label for each.",
            code="S109",
        )


def _lacking(channels: dict[str, Path], every: list[str]) -> DataError:
    return DataError(
        channels[min(channels)],
        found=f"is of a case with the channels {', '.join(channels)}",
        allowed=f"other cases have {', '.join(every)}",
        fix="Add the channel, or take the case out.",
        code="P302",
    )


def _not_there(path: Path, case: str) -> DataError:
    return DataError(
        path,
        found=f"lists {case!r}, which is not there",
        allowed="each case has a picture in imagesTr/",
        fix="Correct the list, or add the picture.",
        code="S106",
    )


def _refuse(path: Path, found: str, allowed: str) -> NoReturn:
    raise DataError(path, found=found, allowed=allowed, fix="Correct the file.", code="S109")
