"""Where the pairs of a data set lie: plain folders, CamVid, Pascal VOC; and its splits.

Names of files alone are looked at; no picture is opened, and nothing is ever written. The
first layout that recognises a folder has it; `dataset.toml` and list files then say more.
"""

from dataclasses import replace
from pathlib import Path

from atrous.data.layouts import camvid, folder, voc
from atrous.data.layouts.pairs import (
    SPLITS,
    UNDIVIDED,
    Found,
    Layout,
    Pair,
    Pool,
    folders,
    pair_up,
    planes_of,
    shown,
)
from atrous.data.layouts.splits import (
    VAL_SHARE,
    count_unlisted,
    divide,
    empty,
    list_files,
    read_list,
)
from atrous.data.layouts.toml import Declared, read_toml
from atrous.errors import DataError

__all__ = ["Layout", "Pair", "find_layout"]

FORMS = (*folder.FORMS, camvid.FORM, voc.FORM, "train.txt, val.txt with `picture mask` lines")


def find_layout(root: Path) -> Layout:
    """The layout of a data set's folder, with every pair in its split.

    Splits come from `[splits]` in `dataset.toml`, else from list files, else from folders. A
    data set with a train split and no val split gets one that depends on its names alone.

    Raises:
        DataError: not a folder, no layout recognised, a file without its partner, the same
            name twice, an empty split, a list that names what is not there.
    """
    root = _folder(Path(root))
    declared = read_toml(root)
    found = _recognise(root, declared) or _refuse(root)
    splits, notes = _split(root, found, declared)
    layout = Layout(found.kind, root, splits, found.names, found.colours, found.remap, notes)
    layout = replace(layout, planes=planes_of(splits))
    if declared is not None:
        layout = _declare(layout, declared)
    if "train" in layout.splits and "val" not in layout.splits:
        layout = _with_val(layout, declared)
    elif declared and (declared.share or declared.group):
        note = "[splits] val and group were not used: the data set has its own val split."
        layout = replace(layout, notes=(*layout.notes, note))
    counts = ", ".join(f"{len(pairs)} {split}" for split, pairs in layout.splits.items())
    return replace(layout, notes=(f"Layout: {layout.kind}; {counts}.", *layout.notes))


def _recognise(root: Path, declared: Declared | None) -> Found | None:
    found = camvid.recognise(root) or voc.recognise(root) or folder.recognise(root)
    if found is None and _lists(root, declared):
        return Found("list files", {UNDIVIDED: Pool({}, {})})
    return found


def _lists(root: Path, declared: Declared | None) -> dict[str, Path]:
    if declared and declared.lists:
        return declared.lists
    return list_files(root, root / "splits", root / voc.LISTS)


def _split(
    root: Path, found: Found, declared: Declared | None
) -> tuple[dict[str, tuple[Pair, ...]], tuple[str, ...]]:
    splits, notes = {}, list(found.notes)
    by_list = _lists(root, declared)
    everything = _together(found.pools)
    for split, file in by_list.items():
        pool = found.pools.get(split, everything)
        splits[split], note = read_list(file, root, pool)
        notes.append(note)
    rest = {s: p for s, p in found.pools.items() if not by_list or (s and s not in by_list)}
    by_folder, more = _by_folder(root, rest)
    splits |= by_folder
    notes += more
    if unlisted := count_unlisted(everything, splits) * bool(by_list):
        notes.append(f"Pictures in no list, left out: {unlisted}.")
    _refuse_shared(root, splits)
    return {split: splits[split] for split in SPLITS if split in splits}, tuple(notes)


def _by_folder(root: Path, pools: dict[str, Pool]) -> tuple[dict[str, tuple[Pair, ...]], list[str]]:
    splits, notes = {}, []
    for split, pool in pools.items():
        pairs = pair_up(pool, root)
        if not pairs:
            named = f"the split {split!r}" if split else "the data set"
            raise empty(root, f"{named} holds no pair")
        splits[split or "train"] = pairs
        if len(pairs) < len(pool.images):
            notes.append(f"Pictures without a mask, left out: {len(pool.images) - len(pairs)}.")
    return splits, notes


def _together(pools: dict[str, Pool]) -> Pool:
    """One pool of all; where splits share a name, the first of them has it."""
    images: dict[str, Path] = {}
    masks: dict[str, Path] = {}
    for split, pool in pools.items():
        for name, path in pool.images.items():
            key = name if name not in images else f"{split}/{name}"
            images[key] = path
            if name in pool.masks:
                masks[key] = pool.masks[name]
    return Pool(images, masks)


def _declare(layout: Layout, declared: Declared) -> Layout:
    layout = replace(layout, task=declared.task)
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
    train, val, note = divide(layout.splits["train"], share, group, layout.root)
    splits = {**layout.splits, "train": train, "val": val}
    ordered = {split: splits[split] for split in SPLITS if split in splits}
    return replace(layout, splits=ordered, notes=(*layout.notes, note))


def _refuse_shared(root: Path, splits: dict[str, tuple[Pair, ...]]) -> None:
    owner: dict[Path, str] = {}
    for split, pairs in splits.items():
        for pair in pairs:
            if owner.setdefault(pair.image, split) != split:
                raise DataError(
                    root,
                    found=f"has {pair.name!r} in both {owner[pair.image]} and {split}",
                    allowed="a picture belongs to one split",
                    fix="Take it out of one list.",
                )


def _folder(root: Path) -> Path:
    if root.is_dir():
        return root
    raise DataError(
        root,
        found="is a file" if root.exists() else "there is no such folder",
        allowed="a data set is a folder of pictures and masks",
        fix="Check the path.",
    )


def _refuse(root: Path) -> Found:
    nearby = [folder for folder in folders(root) if _is_data_set(folder)]
    seen = shown((p.name + "/" * p.is_dir() for p in sorted(root.iterdir())), limit=6)
    raise DataError(
        root,
        found=f"holds {seen or 'nothing'}, which is no layout that is known",
        allowed="a data set is one of:\n  " + "\n  ".join(FORMS),
        fix=f"Give {nearby[0]} instead." if nearby else "Arrange it as one of these.",
    )


def _is_data_set(folder: Path) -> bool:
    try:
        return _recognise(folder, None) is not None
    except (DataError, OSError):
        return False
