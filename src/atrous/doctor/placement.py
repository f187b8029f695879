"""Checks of masks against their pictures: swapped, turned, moved."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from atrous.data.images import read_image
from atrous.data.layouts import Layout, Pair
from atrous.data.layouts.pairs import relative
from atrous.data.survey import Survey, read_picture, read_raw
from atrous.doctor.alignment import Shift, best_shift, is_label_like
from atrous.doctor.findings import Finding
from atrous.errors import DataError

SWAPPED_SAMPLE, SHIFTED_SAMPLE = 8, 32  # pairs that are read again
MOST = 0.75  # of the sample, that tell of swapped folders
Item = TypeVar("Item")


def check_placement(seen: Survey, layout: Layout, shift: Shift) -> Iterator[Finding]:
    """Masks that are pictures, or lie across or beside their pictures; `shift` is that of all."""
    root = layout.root
    if layout.planes is None and layout.drawings is None:
        yield from _swapped(layout)
    for file in seen.files:
        if file.signs.turned:
            found = "was drawn on the stored picture, which EXIF turns when it is shown"
            fix = "Turn it as the picture is turned, or draw it on the turned picture."
            yield Finding("M402", relative(file.pair.mask, root), found, fix)
    if shift[:2] != (0, 0):
        where, *others = (relative(file.pair.mask, root) for file in seen.files)
        found = f"lies {_way(shift)} of its picture, as the others of the set do"
        fix = "Find out where the offset comes from; `--fix` moves the masks back."
        yield Finding("M413", where, found, fix, others=tuple(others))


def shift_of(seen: Survey, layout: Layout) -> Shift:
    """The offset by which masks lie beside their pictures, seen in a sample of pairs."""
    if layout.planes is not None or not seen.files:
        return Shift(0, 0, 1)
    images, masks = [], []
    for file in _some(seen.files, SHIFTED_SAMPLE):
        try:
            images.append(read_picture(file.pair))
            masks.append(read_raw(file.pair, file.header.size, layout.drawings))
        except (DataError, OSError):  # gone since it was looked at
            del images[len(masks) :]
    return best_shift(images, masks)


def _swapped(layout: Layout) -> Iterator[Finding]:
    """Pictures that look like labels, with masks that look like photographs."""
    pairs = [pair for pairs in layout.splits.values() for pair in pairs if not pair.window]
    sample = _some(pairs, SWAPPED_SAMPLE)
    swapped = [pair for pair in sample if _is_swapped(pair)]
    if swapped and len(swapped) >= MOST * len(sample):
        where, *others = (relative(pair.mask, layout.root) for pair in swapped)
        image = relative(swapped[0].image, layout.root)
        found = f"looks like a photograph, and its picture {image} like labels"
        fix = "Exchange the two folders."
        yield Finding("S105", where, found, fix, others=tuple(others))


def _is_swapped(pair: Pair) -> bool:
    try:
        return is_label_like(read_image(pair.image)) and not is_label_like(read_image(pair.mask))
    except (DataError, OSError):
        return False


def _some(items: Sequence[Item], count: int) -> Sequence[Item]:
    """At most `count` of them, evenly taken."""
    step = -(-len(items) // count) if items else 1
    return items[::step]


def _way(shift: Shift) -> str:
    rows, columns = shift[:2]
    ways = [
        f"{abs(rows)} pixels {'below' if rows > 0 else 'above'}" if rows else "",
        f"{abs(columns)} pixels {'right' if columns > 0 else 'left'}" if columns else "",
    ]
    return " and ".join(filter(None, ways))
