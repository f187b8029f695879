"""Where the pairs of a data set lie, and its splits: a module for each layout.

Names of files are looked at, and what lists, legends and annotation files say; of pictures only
the heads of rasters are read, nothing is ever written. The first layout that recognises a folder
has it; `dataset.toml` and list files then say more.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from atrous.data.layouts import (
    ade20k,
    camvid,
    cityscapes,
    coco,
    cvat,
    folder,
    label_studio,
    labelme,
    nnunet,
    table,
    voc,
    yolo,
)
from atrous.data.layouts.pairs import (
    SPLITS,
    UNDIVIDED,
    Found,
    Layout,
    Pair,
    Pool,
    Problems,
    folders,
    pair_up,
    shown,
)
from atrous.data.layouts.planes import divided_by_form
from atrous.data.layouts.rasters import in_blocks, in_windows
from atrous.data.layouts.splits import (
    VAL_SHARE,
    count_unlisted,
    divide,
    empty,
    list_files,
    read_list,
    shared,
)
from atrous.data.layouts.toml import Declared, read_toml
from atrous.errors import DataError
from atrous.types import LayoutName

__all__ = ["Layout", "Pair", "find_layout"]

# What each layout needs, by its name.
FORMS: dict[str, tuple[str, ...]] = {
    "camvid": (camvid.FORM,),
    "cityscapes": (cityscapes.FORM,),
    "ade20k": (ade20k.FORM,),
    "nnunet": (nnunet.FORM,),
    "cvat": (cvat.FORM,),
    "voc": (voc.FORM,),
    "label_studio": (label_studio.FORM,),
    "coco": (coco.FORM,),
    "labelme": (labelme.FORM,),
    "yolo": (yolo.FORM,),
    "csv": (table.FORM,),
    "folder": folder.FORMS,
}
LISTS = "train.txt, val.txt with `picture mask` lines"
# In this order: who asks for the most particular files comes first.
RECOGNISERS: dict[str, Callable[[Path], Found | None]] = {
    "cityscapes": cityscapes.recognise,
    "ade20k": ade20k.recognise,
    "nnunet": nnunet.recognise,
    "cvat": cvat.recognise,
    "camvid": camvid.recognise,
    "voc": voc.recognise,
    "label_studio": label_studio.recognise,
    "coco": coco.recognise,
    "labelme": labelme.recognise,
    "yolo": yolo.recognise,
    "csv": table.recognise,
    "folder": folder.recognise,
}

# Asked for by name, these need no sign that it is they.
NAMED: dict[str, Callable[[Path], Found | None]] = {"ade20k": ade20k.read}


def find_layout(root: Path, name: LayoutName | Literal["auto"] = "auto") -> Layout:
    """The layout of a data set's folder, with every pair in its split.

    `name` says which layout it is; else `layout` in `dataset.toml` does, else the first that
    recognises the folder has it. Splits come from `[splits]` in `dataset.toml`, else from list
    files, else from folders. A data set with a train split and no val split gets one that
    depends on its names alone.

    What is wrong with single files is in `problems`, and so are splits without pairs.

    Raises:
        DataError: not a folder, no layout recognised; a file that describes all of it, such as
            `dataset.toml`, is not understood.
    """
    root = _folder(Path(root))
    declared = read_toml(root)
    named = (declared.layout if declared else None) or "auto" if name == "auto" else name
    found = _recognise(root, declared, named) or _refuse(root, named)
    layout = _split(root, found, declared)
    if found.drawings is None:
        splits, planes, wrong = divided_by_form(layout.splits)
        layout = replace(layout, splits=splits, planes=planes, problems=(*layout.problems, *wrong))
    if declared is not None:
        layout = _declare(layout, declared)
    layout, cutting = in_blocks(layout, declared)
    divided = "val" not in layout.splits
    if "train" in layout.splits and "val" not in layout.splits:
        layout = _with_val(layout, declared)
    elif declared and (declared.share or declared.group):
        note = "[splits] val and group were not used: the data set has its own val split."
        layout = replace(layout, notes=(*layout.notes, note))
    if cutting:
        layout = in_windows(layout, cutting, apart=divided and not (declared and declared.group))
    counts = ", ".join(f"{len(pairs)} {split}" for split, pairs in layout.splits.items())
    return replace(layout, notes=(f"Layout: {layout.kind}; {counts}.", *layout.notes))


def _recognise(
    root: Path, declared: Declared | None, name: LayoutName | Literal["auto"]
) -> Found | None:
    wanted = RECOGNISERS.values() if name == "auto" else [NAMED.get(name, RECOGNISERS[name])]
    for recognise in wanted:
        if found := recognise(root):
            return found
    if name == "auto" and _lists(root, declared):
        return Found("list files", {UNDIVIDED: Pool({}, {})})
    return None


def _lists(root: Path, declared: Declared | None) -> dict[str, Path]:
    if declared and declared.lists:
        return declared.lists
    return list_files(root, root / "splits", root / voc.LISTS)


def _split(root: Path, found: Found, declared: Declared | None) -> Layout:
    """The layout of what was found, its pools divided into splits."""
    splits, notes, problems = {}, list(found.notes), []
    if found.label_note and not (declared and declared.names):
        notes.append(found.label_note)
    by_list = _lists(root, declared)
    everything = _together(found.pools)
    for split, file in by_list.items():
        pool = found.pools.get(split, everything)
        splits[split], note, wrong = read_list(file, root, pool)
        notes.append(note)
        problems += [*pool.problems, *wrong]
    rest = {s: p for s, p in found.pools.items() if not by_list or (s and s not in by_list)}
    for split, pool in rest.items():
        splits[split or "train"], wrong = _by_folder(root, split, pool)
        problems += wrong
    if unlisted := count_unlisted(everything, splits) * bool(by_list):
        notes.append(f"Pictures in no list, left out: {unlisted}.")
    unlabelled = (*found.unlabelled, *_without_masks(found.pools))
    if unlabelled:
        notes.append(f"Pictures without a mask, left out: {len(unlabelled)}.")
    return Layout(
        found.kind,
        root,
        {split: splits[split] for split in SPLITS if splits.get(split)},
        found.names,
        found.colours,
        found.remap,
        tuple(notes),
        drawings=found.drawings,
        unlabelled=unlabelled,
        problems=(*dict.fromkeys(problems), *shared(splits)),  # two lists may share a pool
    )


def _by_folder(root: Path, split: str, pool: Pool) -> tuple[tuple[Pair, ...], Problems]:
    pairs, problems = pair_up(pool, root)
    if not pairs and not problems:
        named = f"the split {split!r}" if split else "the data set"
        problems = (empty(root, f"{named} holds no pair"),)
    return pairs, problems


def _without_masks(pools: dict[str, Pool]) -> list[Path]:
    return [
        path
        for pool in pools.values()
        if pool.partial
        for name, path in pool.images.items()
        if name not in pool.masks
    ]


def _together(pools: dict[str, Pool]) -> Pool:
    """One pool of all; where splits share a name, the first of them has it."""
    images: dict[str, Path] = {}
    masks: dict[str, Path] = {}
    bands: dict[str, tuple[Path, ...]] = {}
    for split, pool in pools.items():
        for name, path in pool.images.items():
            key = name if name not in images else f"{split}/{name}"
            images[key] = path
            if name in pool.masks:
                masks[key] = pool.masks[name]
            if name in pool.bands:
                bands[key] = pool.bands[name]
    problems = tuple(problem for pool in pools.values() for problem in pool.problems)
    return Pool(images, masks, bands=bands, problems=problems)


def _declare(layout: Layout, declared: Declared) -> Layout:
    layout = replace(layout, task=declared.task, accept=declared.accept)
    if declared.names is None:
        remap = {**layout.remap, **declared.resolved(layout.names)}
        return replace(layout, remap=remap)
    remap = declared.resolved(declared.names)
    note = f"Class names are those of {declared.path.name}."
    return replace(
        layout,
        names=declared.names,
        colours=declared.colours,
        remap=remap,
        notes=(*layout.notes, note),
    )


def _with_val(layout: Layout, declared: Declared | None) -> Layout:
    share = (declared.share if declared else None) or VAL_SHARE
    group = declared.group if declared else None
    try:
        seed = declared.raster.seed if declared and declared.raster else 0
        train, val, note = divide(layout.splits["train"], share, group, layout.root, seed=seed)
    except DataError as error:
        return replace(layout, problems=(*layout.problems, error))
    splits = {**layout.splits, "train": train, "val": val}
    ordered = {split: splits[split] for split in SPLITS if split in splits}
    return replace(layout, splits=ordered, notes=(*layout.notes, note))


def _folder(root: Path) -> Path:
    if root.is_dir():
        return root
    raise DataError(
        root,
        found="is a file" if root.exists() else "there is no such folder",
        allowed="a data set is a folder of pictures and masks",
        fix="Check the path.",
        code="S109",
    )


def _refuse(root: Path, name: LayoutName | Literal["auto"]) -> Found:
    nearby = [folder for folder in folders(root) if _is_data_set(folder)]
    seen = shown((p.name + "/" * p.is_dir() for p in sorted(root.iterdir())), limit=6)
    which = "which is no layout that is known" if name == "auto" else f"which is not {name}"
    raise DataError(
        root,
        found=f"holds {seen or 'nothing'}, {which}",
        allowed=_needed(name),
        fix=f"Give {nearby[0]} instead." if nearby else "Arrange it as one of these.",
        code="S109",
    )


def _needed(name: LayoutName | Literal["auto"]) -> str:
    if name != "auto":
        return f"layout = {name!r} is\n  " + "\n  or ".join(FORMS[name])
    every = [*(form for forms in FORMS.values() for form in forms), LISTS]
    return "a data set is one of:\n  " + "\n  ".join(every)


def _is_data_set(folder: Path) -> bool:
    try:
        return _recognise(folder, None, "auto") is not None
    except (DataError, OSError):
        return False
