"""Plain folders: `images/` and `masks/`, divided or not, or pairs side by side in one folder."""

from pathlib import Path

from atrous.data.layouts.pairs import (
    UNDIVIDED,
    Found,
    Pool,
    folder_pool,
    folders,
    mixed_pool,
    named,
    split_folders,
    split_name,
)

FORMS = (
    "images/ and masks/ (each may hold train/, val/, test/)",
    "train/, val/, test/ with images/ and masks/ in each",
    "x.jpg beside x_mask.png, in one folder or in train/, val/, test/",
)


def recognise(root: Path) -> Found | None:
    """The pools of a plain folder; None if it is none."""
    images, masks = named(root, "images"), named(root, "masks")
    if images and masks:
        pools = _divided(images, masks) or {UNDIVIDED: folder_pool(images, masks)}
        return Found("images/ and masks/", pools)
    parts = split_folders(root)
    pools = {split: pool for split, part in parts.items() if (pool := _inside(part)) is not None}
    if pools and len(pools) == len(parts):
        return Found("a folder for each split", pools)
    pool = mixed_pool(root)
    return Found("pictures beside their masks", {UNDIVIDED: pool}) if pool else None


def _divided(images: Path, masks: Path) -> dict[str, Pool]:
    """`images/train` and `masks/train` and so on, if all folders inside are named so."""
    inside = [*folders(images), *folders(masks)]
    if not inside or any(split_name(folder.name) is None for folder in inside):
        return {}
    left, right = split_folders(images), split_folders(masks)
    return {
        split: folder_pool(left[split], right[split])
        if split in left and split in right
        else Pool({}, {})
        for split in {**left, **right}
    }


def _inside(part: Path) -> Pool | None:
    images, masks = named(part, "images"), named(part, "masks")
    return folder_pool(images, masks) if images and masks else mixed_pool(part)
