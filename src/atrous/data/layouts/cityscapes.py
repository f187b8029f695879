"""Cityscapes: `leftImg8bit/train/CITY/...png` and `gtFine/train/CITY/...labelIds.png`."""

from pathlib import Path

from atrous.classes import IGNORE
from atrous.data.images import is_image
from atrous.data.layouts.pairs import Files, Found, Pool, Problems, by_name, files_below, named
from atrous.errors import DataError
from atrous.types import Colour

FORM = "leftImg8bit/ and gtFine/ (or gtCoarse/), each with SPLIT/CITY/ inside (Cityscapes)"
_PICTURE = "_leftImg8bit"
_FOLDERS = {"train": ("train", "train_extra"), "val": ("val",), "test": ("test",)}
# The classes that are evaluated, with their ids in labelIds, in the order of their trainIds
# (labels.py of the data set's scripts). What has another id is ignored.
CLASSES: tuple[tuple[int, str, Colour], ...] = (
    (7, "road", (128, 64, 128)),
    (8, "sidewalk", (244, 35, 232)),
    (11, "building", (70, 70, 70)),
    (12, "wall", (102, 102, 156)),
    (13, "fence", (190, 153, 153)),
    (17, "pole", (153, 153, 153)),
    (19, "traffic light", (250, 170, 30)),
    (20, "traffic sign", (220, 220, 0)),
    (21, "vegetation", (107, 142, 35)),
    (22, "terrain", (152, 251, 152)),
    (23, "sky", (70, 130, 180)),
    (24, "person", (220, 20, 60)),
    (25, "rider", (255, 0, 0)),
    (26, "car", (0, 0, 142)),
    (27, "truck", (0, 0, 70)),
    (28, "bus", (0, 60, 100)),
    (31, "train", (0, 80, 100)),
    (32, "motorcycle", (0, 0, 230)),
    (33, "bicycle", (119, 11, 32)),
)
_LAST_ID = 33


def recognise(root: Path) -> Found | None:
    """The pools of Cityscapes' folders; None if it is none.

    Pictures whose masks are not published, or not drawn yet, are unlabelled.

    Raises:
        DataError: there are the two folders, but no mask in numbers.
    """
    images, truth = _home(root, "leftImg8bit"), _home(root, "gtFine") or _home(root, "gtCoarse")
    if images is None or truth is None:
        return None
    for numbers in ("labelIds", "labelTrainIds"):
        ending = f"_{truth.name}_{numbers}"
        pools = {split: _pool(images, truth, split, ending) for split in _FOLDERS}
        if any(pool.masks for pool in pools.values()):
            return _found(pools, truth.name, numbers)
    raise DataError(
        truth,
        found="holds no mask in numbers",
        allowed="the masks of Cityscapes end in _labelIds.png, or in _labelTrainIds.png",
        fix="Make them from the polygons with the data set's scripts.",
        code="S109",
    )


def _found(pools: dict[str, Pool], truth: str, numbers: str) -> Found:
    labelled = {split: pool for split, pool in pools.items() if pool.masks}
    rest = [
        p for split, pool in pools.items() if split not in labelled for p in pool.images.values()
    ]
    remap: dict[int, int | str] = dict.fromkeys((-1, 255), IGNORE)
    note, label_note = f"Masks are those of {truth}, in train ids.", ""
    if numbers == "labelIds":
        note = f"Masks are those of {truth}, in label ids."
        label_note = f"Label ids are mapped to the {len(CLASSES)} train ids."
        remap |= dict.fromkeys(range(_LAST_ID + 1), IGNORE)
        remap |= {label: index for index, (label, *_) in enumerate(CLASSES)}
    return Found(
        "Cityscapes",
        labelled,
        names=tuple(name for _, name, _ in CLASSES),
        colours=tuple(colour for *_, colour in CLASSES),
        remap=remap,
        notes=(note,),
        label_note=label_note,
        unlabelled=tuple(rest),
    )


def _home(root: Path, name: str) -> Path | None:
    """The folder of a part of the data set, which its archives may have put one deeper."""
    places = [root, *(p for p in [named(root, f"{name.lower()}_trainvaltest")] if p)]
    return next((p for place in places if (p := named(place, name.lower()))), None)


def _pool(images: Path, truth: Path, split: str, ending: str) -> Pool:
    pictures, problems = _files(images, split, _PICTURE)
    masks, more = _files(truth, split, ending)
    return Pool(pictures, masks, partial=True, problems=problems + more)


def _files(home: Path, split: str, ending: str) -> tuple[dict[str, Path], Problems]:
    """Files of a split by `CITY/NAME`."""
    found, problems = {}, ()
    for folder in _FOLDERS[split]:
        place = home / folder
        wanted: Files = by_name(place, files_below(place), lambda p: _ends(p, ending))
        found |= {name.removesuffix(ending): path for name, path in wanted.by_name.items()}
        problems += wanted.problems
    return found, problems


def _ends(path: Path, ending: str) -> bool:
    return is_image(path) and path.stem.endswith(ending)
