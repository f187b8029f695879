"""Words that say what folders and files hold: `masks/`, `train_labels/`, `x_mask.png`."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from atrous.data.images import is_image

# What folders of pictures and of masks are called, in any case; where a folder has several of
# them, the first word of all has it.
IMAGE_FOLDERS = (
    "images image imgs img img_dir jpegimages photos pictures frames inputs input".split()
)
MASK_FOLDERS = (
    "masks mask labels label annotations annotation ann_dir gt groundtruth ground_truth targets "
    "target segmentationclass"
).split()
UNLABELLED = ("unlabelled", "unlabeled")


class _Words(NamedTuple):
    """Endings and beginnings of names, in lower case."""

    endings: tuple[str, ...]
    beginnings: tuple[str, ...]


def _words(text: str) -> _Words:
    words = text.split()
    return _Words(
        tuple(sign + word for word in words for sign in "_-"),
        tuple(word + sign for word in words for sign in "_-"),
    )


IMAGE = _words("image img sat rgb")
MASK = _words("mask masks label labels gt seg segmentation annotation")
_CAMVID = "_L"  # of CamVid's masks, in upper case alone


class Unmarked(NamedTuple):
    """A name without the word that says what it is, and that word with its sign; "" for none."""

    name: str
    mark: str


def unmarked(name: str, words: _Words) -> Unmarked:
    """The name without its ending or beginning, if it has one of these.

    Example:
        >>> unmarked("a/x_mask", MASK).name, unmarked("a/Mask-x", MASK).name
        ('a/x', 'a/x')
    """
    folder, slash, last = name.rpartition("/")
    lower = last.lower()
    if lower.endswith(words.endings):
        mark = next(ending for ending in words.endings if lower.endswith(ending))
        bare = last[: -len(mark)]
    elif lower.startswith(words.beginnings):
        mark = next(word for word in words.beginnings if lower.startswith(word))
        bare = last[len(mark) :]
    elif words is MASK and last.endswith(_CAMVID):
        mark, bare = _CAMVID, last.removesuffix(_CAMVID)
    else:
        return Unmarked(name, "")
    return Unmarked(folder + slash + bare, mark) if bare else Unmarked(name, "")


def usual_mark(names: Iterable[str]) -> str | None:
    """The mark of masks that most names have beside a name without it; None if none has.

    Example:
        >>> usual_mark(["a", "a_mask", "b_sat", "b_mask", "my_label"])
        '_mask'
    """
    names = set(names)
    there = names | {unmarked(name, IMAGE).name for name in names}
    marks = Counter(
        mark for bare, mark in (unmarked(name, MASK) for name in names) if mark and bare in there
    )
    return min(marks, key=lambda mark: (-marks[mark], mark)) if marks else None


def partners(images: Iterable[str], masks: Iterable[str]) -> dict[str, str]:
    """For each name of a mask that of its picture, or its own where it has none.

    The same name comes first, then `x` for `x_mask`, `x.jpg` for `x.jpg.png`, then `x_image`.

    Example:
        >>> partners(["x", "y_sat"], ["x_mask", "y_mask", "z"])
        {'x_mask': 'x', 'y_mask': 'y_sat', 'z': 'z'}
    """
    images = set(images)
    marked = {unmarked(name, IMAGE): name for name in sorted(images)}
    by_bare = {bare: name for (bare, mark), name in marked.items() if mark}
    return {name: _partner(name, images, by_bare) for name in masks}


def _partner(name: str, images: set[str], by_bare: dict[str, str]) -> str:
    if name in images:
        return name
    bare = unmarked(name, MASK).name
    stem = name.rpartition(".")[0] if is_image(Path(name)) else name
    for candidate in (bare, by_bare.get(bare), stem):
        if candidate in images:
            return str(candidate)
    return name
