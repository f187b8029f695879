"""Plain folders: `images/` and `masks/`, divided or not, or pairs side by side in one folder.

`marks` holds the words that may stand in place of `images` and `masks`.
"""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from atrous.data.images import is_image
from atrous.data.layouts.legends import with_legend
from atrous.data.layouts.marks import IMAGE_FOLDERS, MASK_FOLDERS, UNLABELLED
from atrous.data.layouts.pairs import (
    SPLITS,
    UNDIVIDED,
    Found,
    Pool,
    folder_pool,
    folders,
    holds_labels,
    mixed_pool,
    named,
    pictures,
    shown,
    split_folders,
    split_name,
)
from atrous.errors import DataError

FORMS = (
    "images/ and masks/ (each may hold train/, val/, test/)",
    "train/, val/, test/ with images/ and masks/ in each",
    "train/ and train_masks/, val/ and val_masks/",
    "x.jpg beside x_mask.png, in one folder or in train/, val/, test/",
)


def recognise(root: Path) -> Found | None:
    """The pools of a plain folder; None if it is none.

    Raises:
        DataError: `masks/` holds no mask, or several folders may be that of the masks.
    """
    found = _two_folders(root) or _by_split(root) or _by_name(root) or _mixed(root)
    return with_legend(_without_unlabelled(found, root), root) if found else None


def _two_folders(root: Path) -> Found | None:
    pair = _pair(root)
    if pair is None:
        return None
    images, masks, notes = pair
    found = _divided(images, masks) or Found("", {UNDIVIDED: folder_pool(images, masks)})
    kind = f"{images.name}/ and {masks.name}/"
    aside = (*found.unlabelled, *_aside(images))
    return replace(found, kind=kind, notes=notes, unlabelled=aside)


def _divided(images: Path, masks: Path) -> Found | None:
    """`images/train` and `masks/train` and so on, if all folders inside are named so."""
    inside = [p for p in (*folders(images), *folders(masks)) if p.name.lower() not in UNLABELLED]
    if not inside or any(split_name(folder.name) is None for folder in inside):
        return None
    left, right = split_folders(images), split_folders(masks)
    return _joined("", left, right)


def _joined(kind: str, images: dict[str, Path], masks: dict[str, Path]) -> Found:
    """The pools of folders by split. Test pictures may have no masks; other splits are empty."""
    pools = {s: folder_pool(images[s], masks[s]) for s in images if s in masks}
    lonely = {*images, *masks} - {*pools}
    unlabelled = _pictures(images["test"]) if "test" in images.keys() & lonely else ()
    pools |= {split: Pool({}, {}) for split in lonely if split != "test" or not unlabelled}
    return Found(kind, pools, unlabelled=unlabelled)


def _by_split(root: Path) -> Found | None:
    """`train/`, `val/` and so on, with two folders or with both kinds of files in each."""
    parts = split_folders(root)
    inside = {s: _of_test(p) if s == "test" else _inside(p) for s, p in parts.items()}
    if not any(inside.values()):
        return None
    lonely = "test" in parts and inside["test"] is None
    unlabelled = _pictures(parts["test"]) if lonely else ()
    known = [split for split in parts if split != "test" or not unlabelled]
    pools = {split: inside[split] or Pool({}, {}) for split in known}
    return Found("a folder for each split", pools, unlabelled=unlabelled)


def _inside(part: Path) -> Pool | None:
    pair = _pair(part)
    return folder_pool(*pair[:2]) if pair else mixed_pool(part)


def _of_test(part: Path) -> Pool | None:
    """As `_inside`; None where the folder of the masks is empty: who sets a test keeps them."""
    try:
        return _inside(part)
    except DataError:
        return None


def _by_name(root: Path) -> Found | None:
    """`train/` and `train_masks/`, or `images_train/` and `masks_train/`, and so on."""
    images: dict[str, Path] = {}
    masks: dict[str, Path] = {}
    for folder in sorted(folders(root), key=lambda p: -len(p.name)):  # train_images before train
        split, word = _split_and_word(folder.name)
        if split and (not word or word in IMAGE_FOLDERS):
            images.setdefault(split, folder)
        elif split and word in MASK_FOLDERS and _holds(folder, holds_labels):
            masks.setdefault(split, folder)
    split = next((split for split in SPLITS if split in images and split in masks), None)
    if split is None:
        return None
    return _joined(f"{images[split].name}/ and {masks[split].name}/", images, masks)


def _split_and_word(name: str) -> tuple[str | None, str]:
    """The split that a folder's name begins or ends with, and the rest of the name."""
    first, *rest = re.split("[_-]", name.lower())
    if split := split_name(first):
        return split, "_".join(rest)
    return split_name(rest[-1]) if rest else None, "_".join([first, *rest[:-1]])


def _mixed(root: Path) -> Found | None:
    pool = mixed_pool(root)
    return Found("pictures beside their masks", {UNDIVIDED: pool}) if pool else None


def _pair(root: Path) -> tuple[Path, Path, tuple[str, ...]] | None:
    """The folder of pictures and that of masks, and notes on what else might be one."""
    images = [folder for folder in _called(root, IMAGE_FOLDERS) if _holds(folder, is_image)]
    called = _called(root, MASK_FOLDERS)
    masks = [folder for folder in called if _holds(folder, holds_labels)]
    if images and called and not masks and called[0].name.lower() == MASK_FOLDERS[0]:
        raise DataError(
            called[0],
            found="holds no mask file",
            allowed="masks are pictures, .npy files or polygons, named as their pictures",
            fix="Put the masks there.",
            code="S109",
        )
    if not images or not masks:
        return None
    image, *notes = _one(root, images, IMAGE_FOLDERS[0])
    mask, *more = _one(root, masks, MASK_FOLDERS[0])
    return image, mask, (*notes, *more)


def _called(root: Path, words: Sequence[str]) -> list[Path]:
    return [folder for word in words if (folder := named(root, word))]


def _holds(folder: Path, wanted: Callable[[Path], bool]) -> bool:
    return any(wanted(Path(name)) for _, _, names in os.walk(folder) for name in names)


def _one(root: Path, found: list[Path], usual: str) -> tuple[Path, *tuple[str, ...]]:
    """The first of several folders if it has the usual name, and a note on the others."""
    first, *others = found
    if not others:
        return (first,)
    also = shown(f"{folder.name}/" for folder in others)
    if first.name.lower() == usual:
        return first, f"{first.name}/ was taken; there is also {also}."
    raise DataError(
        root,
        found=f"holds {first.name}/ and {also}",
        allowed=f"nothing says which of them are the {usual}",
        fix=f"Call the right one {usual}, or move the others elsewhere.",
        code="S109",
    )


def _without_unlabelled(found: Found, root: Path) -> Found:
    """What was found, the pictures of folders called `unlabelled` taken out of its pools."""
    pools, aside = {}, [*found.unlabelled, *_aside(root)]
    for split, pool in found.pools.items():
        names = {n for n in pool.images if _is_aside(n) and n not in pool.masks}
        aside += [pool.images[name] for name in names]
        images = {n: path for n, path in pool.images.items() if n not in names}
        pools[split] = replace(pool, images=images) if names else pool
    return replace(found, pools=pools, unlabelled=tuple(dict.fromkeys(aside)))


def _is_aside(name: str) -> bool:
    return "/" in name and name.split("/")[0].lower() in UNLABELLED


def _pictures(folder: Path) -> tuple[Path, ...]:
    return tuple(pictures(folder).by_name.values())


def _aside(folder: Path) -> list[Path]:
    """The pictures in `unlabelled/`, inside a folder."""
    places = _called(folder, UNLABELLED)
    return [path for place in places for path in _pictures(place)]
