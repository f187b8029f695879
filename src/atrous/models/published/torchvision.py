"""torchvision: FCN and DeepLabV3 on ResNets, DeepLabV3 on MobileNetV3."""

import re
from pathlib import Path

from atrous.models.published.encoders import resnet_name
from atrous.models.published.matching import (
    POOLING,
    Piece,
    Published,
    Renames,
    Tensors,
    maps,
    pooling_piece,
    renamed,
    unrecognised,
)
from atrous.recipe import DeepLabV3, FcnDilated

RATES = (12, 24, 36)  # also at stride 16
ASPP_DROPOUT = 0.5
AUX_WEIGHT = 0.5  # of its training script
MOBILE = "mobilenetv3_large_100"  # timm's name
MOBILE_BLOCKS = (1, 2, 3, 4, 2, 3, 1)  # of timm's stages; torchvision counts through
MOBILE_AUX = "The auxiliary head lies on features that our encoder does not give: it is left out."

HEADS: Renames = (
    (r"aux_head\.layers", "aux_classifier"),
    (r"head\.layers", "classifier"),
    (r"head\.aspp\.branches", "classifier.0.convs"),
    (r"head\.aspp\.project", "classifier.0.project"),
    (r"head\.refine\.0", "classifier.1"),
    (r"head\.refine\.1", "classifier.2"),
    (r"head\.classify", "classifier.4"),
    (r"encoder\.body", "backbone"),
)
# Layers of a block by timm's names: the first of depthwise separable and of inverted ones.
SEPARABLE: Renames = (("conv_dw", "0.0"), ("bn1", "0.1"), ("conv_pw", "1.0"), ("bn2", "1.1"))
INVERTED: Renames = (
    (r"conv_pw\b", "0.0"),
    ("bn1", "0.1"),
    ("conv_dw", "1.0"),
    ("bn2", "1.1"),
    (r"se\.conv_reduce", "2.fc1"),
    (r"se\.conv_expand", "2.fc2"),
)
LAST: Renames = (("conv", "0"), ("bn1", "1"))
STEM: Renames = (("conv_stem", "0.0"), ("bn1", "0.1"))
GATED = (2, 4, 5)  # stages with squeeze-and-excitation, which stands before the last layer


def recognise(tensors: Tensors, file: Path) -> Published:
    """The network whose keys these are.

    Raises:
        WeightsError: none of torchvision's that we know.
    """
    mobile = "backbone.0.0.weight" in tensors
    encoder = MOBILE if mobile else resnet_name(tensors, "backbone.")
    if encoder is None:
        raise unrecognised(
            file,
            tensors,
            allowed="keys of torchvision's fcn and deeplabv3 on ResNets and of its "
            "deeplabv3_mobilenet_v3_large begin with backbone. and classifier. alone",
        )
    has_aux = any(key.startswith("aux_classifier.") for key in tensors)
    given = {"encoder": encoder, "pretrained": False, "origin": "torchvision"}
    given["aux_weight"] = AUX_WEIGHT if has_aux and not mobile else 0.0
    if any(key.startswith("classifier.0.convs.") for key in tensors):
        options = DeepLabV3(
            output_stride=16 if mobile else 8,
            multi_grid=(),
            aspp_rates=RATES,
            aspp_channels=maps(tensors, "classifier.0.convs.0.0"),
            refine=True,
            dropout=ASPP_DROPOUT,
            **given,
        )
    else:
        options = FcnDilated(**given)
    return Published(
        options,
        maps(tensors, "classifier.4"),
        tensors,
        _mobile_piece if mobile else _piece,
        left_out=("aux_classifier.",) if mobile else (),
        notes=(MOBILE_AUX,) if mobile and has_aux else (),
    )


def _piece(name: str) -> Piece:
    if pooling := POOLING.fullmatch(name):
        return pooling_piece(pooling[1], "classifier.0.convs.4.1", "classifier.0.convs.4.2")
    return Piece((renamed(name, HEADS),))


def _mobile_piece(name: str) -> Piece:
    layer = name.removeprefix("encoder.body.")
    if layer == name:
        return _piece(name)
    block = re.match(r"blocks\.(\d)\.(\d+)\.(.*)", layer)
    if not block:
        return Piece((f"backbone.{renamed(layer, STEM)}",))
    stage, index, layer = int(block[1]), int(block[2]), block[3]
    number = 1 + sum(MOBILE_BLOCKS[:stage]) + index
    if stage == len(MOBILE_BLOCKS) - 1:
        return Piece((f"backbone.{number}.{renamed(layer, LAST)}",))
    last = 3 if stage in GATED else 2
    inverted = (*INVERTED, ("conv_pwl", f"{last}.0"), ("bn3", f"{last}.1"))
    return Piece((f"backbone.{number}.block.{renamed(layer, inverted if stage else SEPARABLE)}",))
