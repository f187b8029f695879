"""Mask files <-> class indices; folders of planes <-> multilabel masks.

`reading` gives the label values as they lie on disk, where a colour is a label too, and
`Classes.encode` turns them into class indices. `painting` writes index PNGs with the classes'
palette, and shows masks. `planes` reads and writes the folders of multilabel masks.
"""

from atrous.data.masks.painting import (
    IGNORE_COLOUR,
    blend,
    colourise,
    flat_png,
    has_colour,
    mask_png,
    write_mask,
)
from atrous.data.masks.planes import (
    VOID,
    plane,
    plane_files,
    plane_names,
    plane_pngs,
    read_planes,
    write_planes,
)
from atrous.data.masks.reading import is_mask, read_lossy_mask, read_mask

__all__ = [
    "IGNORE_COLOUR",
    "VOID",
    "blend",
    "colourise",
    "flat_png",
    "has_colour",
    "is_mask",
    "mask_png",
    "plane",
    "plane_files",
    "plane_names",
    "plane_pngs",
    "read_lossy_mask",
    "read_mask",
    "read_planes",
    "write_mask",
    "write_planes",
]
