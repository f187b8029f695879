"""CVAT's "Segmentation mask 1.1": VOC's folders with colours, told by `labelmap.txt`."""

from pathlib import Path

from atrous.data.layouts.legends import LABELMAP, Entry, legend_of, read_labelmap, told_by
from atrous.data.layouts.marks import IMAGE_FOLDERS
from atrous.data.layouts.pairs import UNDIVIDED, Found, named
from atrous.data.layouts.voc import colour_map, listed_pool, mask_folder
from atrous.errors import DataError

FORM = f"JPEGImages/, SegmentationClass/ and {LABELMAP} (CVAT's segmentation masks)"


def recognise(root: Path) -> Found | None:
    """The pool of an export of CVAT; None if it is none.

    Raises:
        DataError: it has no pictures, as CVAT leaves them out unless asked.
    """
    path, folder = root / LABELMAP, mask_folder(root)
    entries = read_labelmap(path) if path.is_file() else None
    if folder is None or entries is None:
        return None
    images = next((p for word in ("jpegimages", *IMAGE_FOLDERS) if (p := named(root, word))), None)
    if images is None:
        raise DataError(
            root,
            found=f"holds {folder.name}/ and {LABELMAP} of CVAT, and no pictures",
            allowed="pictures lie in JPEGImages/, each of the same name as its mask",
            fix='Export again with "save images", or put the pictures there.',
            code="S109",
        )
    found = Found("CVAT", {UNDIVIDED: listed_pool(images, folder)})
    return told_by(found, legend_of(path, _coloured(entries)))


def _coloured(entries: list[Entry]) -> list[Entry]:
    """Where no colour is given at all, those of VOC are meant."""
    if any(entry.colour for entry in entries):
        return entries
    colours = colour_map(len(entries))
    return [entry._replace(colour=colours[i]) for i, entry in enumerate(entries)]
