"""kazuto1011/deeplab-pytorch: DeepLab v2 on ResNet-101 in three scales.

Keys begin with `base.`, in older files with `scale.` or nothing; older files also call
`shortcut` `proj` and have `aspp.stages.c0` for `aspp.c0`.
"""

import re
from pathlib import Path

from atrous.models.published.matching import (
    Piece,
    Published,
    Renames,
    Tensors,
    from_bgr,
    maps,
    renamed,
    under,
    unrecognised,
)
from atrous.recipe import DeepLabV2

# Parts of a bottleneck by timm's names; theirs are a module of convolution and batch norm each.
PARTS: Renames = (
    ("conv1", "reduce.conv"),
    ("bn1", "reduce.bn"),
    ("conv2", "conv3x3.conv"),
    ("bn2", "conv3x3.bn"),
    ("conv3", "increase.conv"),
    ("bn3", "increase.bn"),
    (r"downsample\.0", "shortcut.conv"),
    (r"downsample\.1", "shortcut.bn"),
)
OTHERS: Renames = (
    (r"encoder\.body\.conv1", "base.layer1.conv1.conv"),
    (r"encoder\.body\.bn1", "base.layer1.conv1.bn"),
    (r"head\.aspp\.", "base.aspp.c"),
)
SCALES = (
    "Taken as the network of three scales; a file does not say how many it was trained with, and "
    "--set model.scales=[1.0] trains on with one."
)
STEM = "base.layer1.conv1.conv.weight"
CURRENT: Renames = ((r"(base\.|scale\.)?(?=layer\d|aspp)", "base."),)


def recognise(tensors: Tensors, file: Path) -> Published:
    """DeepLab v2, if these are its keys.

    Raises:
        WeightsError: they are not.
    """
    tensors = under(_current, tensors)
    if STEM not in tensors or not any(key.startswith("base.aspp.c") for key in tensors):
        raise unrecognised(
            file,
            tensors,
            allowed="keys of deeplab-pytorch's DeepLabV2_ResNet101_MSC begin with base.layer1. "
            "and end with base.aspp.c0 to c3",
        )
    options = DeepLabV2(encoder="resnet101", pretrained=False, origin="deeplab-pytorch")
    return Published(options, maps(tensors, "base.aspp.c0"), tensors, _piece, notes=(SCALES,))


def _current(key: str) -> str:
    """A key as the present code has it."""
    key = renamed(key, CURRENT)
    return key.replace(".aspp.stages.", ".aspp.").replace(".proj.", ".shortcut.")


def _piece(name: str) -> Piece:
    if part := re.fullmatch(r"encoder\.body\.layer(\d)\.(\d+)\.(.*)", name):
        block = f"base.layer{int(part[1]) + 1}.block{int(part[2]) + 1}"
        return Piece((f"{block}.{renamed(part[3], PARTS)}",))
    theirs = renamed(name, OTHERS)
    return Piece((theirs,), from_bgr) if theirs == STEM else Piece((theirs,))
