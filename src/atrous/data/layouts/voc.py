"""Pascal VOC: `JPEGImages/`, `SegmentationClass/`, lists in `ImageSets/Segmentation/`.

labelme writes the same folders without lists, with `class_names.txt` beside them.
"""

from dataclasses import replace
from pathlib import Path

from atrous.data.layouts.legends import with_legend
from atrous.data.layouts.pairs import UNDIVIDED, Found, Pool, masks, pictures, read_lines
from atrous.errors import DataError
from atrous.types import Colour

FORM = "JPEGImages/ and SegmentationClass/ (Pascal VOC)"
LISTS = Path("ImageSets", "Segmentation")
NAMES = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog "
    "horse motorbike person pottedplant sheep sofa train tvmonitor"
).split()
_MASKS = ("SegmentationClass", "SegmentationClassPNG")
_IGNORED = "__ignore__"  # labelme's first line in labels.txt; it has label -1, or 255 in PNGs


def recognise(root: Path) -> Found | None:
    """The pool of a VOC folder; None if it is none."""
    images, folder = root / "JPEGImages", mask_folder(root)
    if not images.is_dir() or folder is None:
        return None
    found = Found("Pascal VOC", {UNDIVIDED: listed_pool(images, folder)})
    names = _names(root)
    if names is None:
        return with_legend(found, root)
    note = f"Class names are those of {_list_file(root)}."
    return replace(found, names=names, colours=colour_map(len(names)), notes=(note,))


def mask_folder(root: Path) -> Path | None:
    """The folder of VOC's masks, if there is one."""
    return next((root / name for name in _MASKS if (root / name).is_dir()), None)


def listed_pool(images: Path, mask_folder: Path) -> Pool:
    """The pool of VOC's two folders, where pictures may have no mask."""
    photos, labels = pictures(images), masks(mask_folder)
    problems = photos.problems + labels.problems
    return Pool(photos.by_name, labels.by_name, partial=True, problems=problems)


def colour_map(count: int) -> tuple[Colour, ...]:
    """VOC's colours: the bits of the index dealt to red, green and blue, high bits first.

    Example:
        >>> colour_map(3)
        ((0, 0, 0), (128, 0, 0), (0, 128, 0))
    """
    return tuple((_dealt(i), _dealt(i >> 1), _dealt(i >> 2)) for i in range(count))


def _dealt(bits: int) -> int:
    return sum((bits >> 3 * place & 1) << 7 - place for place in range(8))


def _list_file(root: Path) -> str | None:
    return next((n for n in ("class_names.txt", "labels.txt") if (root / n).is_file()), None)


def _names(root: Path) -> tuple[str, ...] | None:
    file = _list_file(root)
    if file is None:
        return None
    lines = [line.strip() for line in read_lines(root / file)]
    names = [line for line in lines if line and line != _IGNORED]
    twice = [name for name in names if names.count(name) > 1]
    if twice or not names:
        raise DataError(
            root / file,
            found=f"names {twice[0]!r} twice" if twice else "names no class",
            allowed="each line is one class, in the order of the labels",
            fix="Correct the list.",
            code="S109",
        )
    return tuple("background" if name == "_background_" else name for name in names)
