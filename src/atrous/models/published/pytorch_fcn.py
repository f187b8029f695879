"""wkentaro/pytorch-fcn: FCN-32s, 16s and 8s on VGG16.

Its FCN8sAtOnce has the keys of FCN8s but scales pool4 and pool3, which a file does not tell:
weights are taken as those of the staged FCN8s, which are the published ones.
"""

import re
from pathlib import Path
from typing import Literal

from atrous.models.published.matching import (
    Piece,
    Published,
    Renames,
    Tensors,
    from_bgr,
    maps,
    renamed,
    unrecognised,
)
from atrous.models.vgg import BLOCKS
from atrous.recipe import Fcn

STAGED = "Taken as FCN8s trained in stages; FCN8sAtOnce has the same keys, but other scales."
Name = Literal["fcn32s", "fcn16s", "fcn8s"]
UP: dict[Name, tuple[str, ...]] = {  # the transposed convolutions, the last one last
    "fcn8s": ("upscore2", "upscore_pool4", "upscore8"),
    "fcn16s": ("upscore2", "upscore16"),
    "fcn32s": ("upscore",),
}
OWN: dict[Name, tuple[str, ...]] = {  # what those after it have not
    "fcn8s": ("score_pool3", "upscore_pool4", "upscore8"),
    "fcn16s": ("score_pool4", "upscore2", "upscore16"),
    "fcn32s": ("score_fr", "upscore"),
}
HEAD: Renames = (
    (r"head\.fc\.0\.0", "fc6"),
    (r"head\.fc\.2\.0", "fc7"),
    (r"head\.score_fr", "score_fr"),
    (r"head\.scores\.0", "score_pool4"),
    (r"head\.scores\.1", "score_pool3"),
)


def recognise(tensors: Tensors, file: Path) -> Published:
    """The network whose keys these are.

    Raises:
        WeightsError: neither of the three.
    """
    name = _name(tensors)
    if name is None:
        raise unrecognised(
            file,
            tensors,
            allowed="keys of pytorch-fcn's FCN32s, FCN16s and FCN8s begin with conv1_1 and end "
            "with upscore, upscore16, upscore8",
        )
    options = Fcn(
        name=name,
        pretrained=False,
        padding="paper",
        upsampling="learned",
        fc_channels=maps(tensors, "fc6"),
        origin="pytorch-fcn",
    )

    def piece(ours: str) -> Piece:
        return _piece(ours, UP[name])

    notes = (STAGED,) if name == "fcn8s" else ()
    return Published(options, maps(tensors, "score_fr"), tensors, piece, notes=notes)


def _name(tensors: Tensors) -> Name | None:
    layers = {key.rpartition(".")[0] for key in tensors}
    for name, own in OWN.items():
        if layers.intersection(own):
            return name
    return None


def _piece(name: str, up: tuple[str, ...]) -> Piece:
    if layer := re.fullmatch(r"encoder\.body\.features\.(\d+)\.(.*)", name):
        theirs = f"{_convolution(int(layer[1]))}.{layer[2]}"
        return Piece((theirs,), from_bgr) if theirs == "conv1_1.weight" else Piece((theirs,))
    if enlarging := re.fullmatch(r"head\.up\.(\d+)\.weight", name):
        return Piece((f"{up[int(enlarging[1])]}.weight",))
    return Piece((renamed(name, (*HEAD, (r"head\.up_last", up[-1]))),))


def _convolution(position: int) -> str:
    """The name of the convolution at a place among VGG16's layers.

    Example:
        >>> _convolution(0), _convolution(5), _convolution(28)
        ('conv1_1', 'conv2_1', 'conv5_3')
    """
    for block, (_, convolutions) in enumerate(BLOCKS, 1):
        if position < 2 * convolutions:
            return f"conv{block}_{position // 2 + 1}"
        position -= 2 * convolutions + 1  # a ReLU after each, a pool after all
    raise AssertionError("VGG16 has no such layer")
