"""segmentation-models-pytorch: DeepLabV3 and DeepLabV3Plus on ResNets and EfficientNet-Lites.

A state dict does not tell output stride and rates: they are smp's defaults, unless the
`config.json` that `save_pretrained` writes lies beside the file. Nor does it tell what logits
mean: one is taken for a binary task, several for classes that exclude each other.
"""

import json
from pathlib import Path
from typing import Any

from atrous.errors import WeightsError
from atrous.models.published.encoders import lite_name, resnet_name
from atrous.models.published.matching import (
    POOLING,
    Piece,
    Published,
    Renames,
    Tensors,
    maps,
    pooling_piece,
    renamed,
    under,
    unrecognised,
)
from atrous.recipe import DeepLabV3, DeepLabV3Plus

RATES = (12, 24, 36)  # at both strides
STRIDES = {"DeepLabV3": 8, "DeepLabV3Plus": 16}
DROPOUT = 0.5
LEFT_OUT = ("classification_head.",)  # labels of whole pictures
CONFIG = "config.json"
TIMM = "encoder.model."  # of smp's encoders that timm makes: "tu-" and timm's name

# Our plain separable blocks are depthwise, pointwise, batch norm; smp's first two are one module.
V3: Renames = (
    (r"head\.aspp", "decoder.aspp"),
    (r"head\.refine\.0", "decoder.conv"),
    (r"head\.refine\.1", "decoder.bn"),
)
PLUS: Renames = (
    (r"head\.aspp", "decoder.aspp.0"),
    (r"head\.refine\.0\.([01])", r"decoder.aspp.1.\1"),
    (r"head\.refine\.0\.2", "decoder.aspp.2"),
    (r"head\.refine\.1\.([01])", r"decoder.block2.0.\1"),
    (r"head\.refine\.1\.2", "decoder.block2.1"),
    (r"head\.reduce", "decoder.block1"),
)
CLASSIFY: Renames = ((r"head\.classify", "segmentation_head.0"),)
SEPARABLE: Renames = (
    (r"(.*\.convs\.[123])\.([01])", r"\1.0.\2"),
    (r"(.*\.convs\.[123])\.2", r"\1.1"),
)


# Of files from before DeepLabV3's decoder had names.
CURRENT: Renames = (
    (r"decoder\.0\.", "decoder.aspp."),
    (r"decoder\.1\.", "decoder.conv."),
    (r"decoder\.2\.", "decoder.bn."),
)


def recognise(tensors: Tensors, file: Path) -> Published:
    """The network whose keys these are.

    Raises:
        WeightsError: none of smp's that we know, or its config is of another.
    """
    tensors = under(lambda key: renamed(key, CURRENT), tensors)
    prefix = TIMM if any(key.startswith(TIMM) for key in tensors) else "encoder."
    encoder = lite_name(tensors, prefix) if prefix == TIMM else resnet_name(tensors, prefix)
    if encoder is None:
        raise unrecognised(
            file,
            tensors,
            allowed="keys of smp's DeepLabV3 and DeepLabV3Plus on ResNets and "
            "tu-efficientnet_lite0 to 4 begin with encoder., decoder. and segmentation_head. alone",
        )
    plus = any(key.startswith("decoder.block2.") for key in tensors)
    kind = "DeepLabV3Plus" if plus else "DeepLabV3"
    aspp = "decoder.aspp.0" if plus else "decoder.aspp"
    separable = f"{aspp}.convs.1.0.0.weight" in tensors or plus
    named = f"tu-{encoder}" if prefix == TIMM else encoder
    stride, rates, notes = _unseen(file, kind, named)
    given = {
        "encoder": encoder,
        "pretrained": False,
        "origin": "smp",
        "output_stride": stride,
        "multi_grid": (),
        "aspp_rates": rates,
        "aspp_channels": maps(tensors, f"{aspp}.convs.0.0"),
        "separable": separable,
        "dropout": DROPOUT,
    }
    if plus:
        decoder = maps(tensors, "decoder.block2.0.1")
        low_level = maps(tensors, "decoder.block1.0")
        options = DeepLabV3Plus(low_level_channels=low_level, decoder_channels=decoder, **given)
    else:
        options = DeepLabV3(refine=True, **given)

    def piece(name: str) -> Piece:
        if pooling := POOLING.fullmatch(name):
            return pooling_piece(pooling[1], f"{aspp}.convs.4.1", f"{aspp}.convs.4.2")
        body = (r"encoder\.body\.", prefix)
        theirs = renamed(name, (*(PLUS if plus else V3), *CLASSIFY, body))
        theirs = theirs.replace(".branches.", ".convs.")
        return Piece((renamed(theirs, SEPARABLE) if separable else theirs,))

    num_logits = maps(tensors, "segmentation_head.0")
    return Published(options, num_logits, tensors, piece, LEFT_OUT, notes=notes)


def _unseen(file: Path, kind: str, named: str) -> tuple[int, tuple[int, ...], tuple[str, ...]]:
    """Output stride and rates, and what is taken for granted; `named` is smp's encoder.

    Raises:
        WeightsError: the config beside the file is of another network.
    """
    path = file.with_name(CONFIG)
    config = _config(path)
    stride = config.get("encoder_output_stride", STRIDES[kind])
    rates = config.get("decoder_atrous_rates", RATES)
    theirs = config.get("encoder_name", named), config.get("_model_class", kind)
    if theirs != (named, kind) or stride not in (8, 16) or not _are_rates(rates):
        raise WeightsError(
            path,
            found=f"describes {theirs[1]} on {theirs[0]} with stride {stride}, rates {rates}",
            allowed=f"{file.name} holds a {kind} on {named}, whose stride is 8 or 16, with three "
            "rates",
            fix="Put the file beside its own config.json, or alone.",
        )
    source = f"those of {CONFIG}" if config else f"smp's defaults: no {CONFIG} beside it says"
    listed = ", ".join(map(str, rates))
    notes = [f"Output stride {stride} and rates {listed} are {source}."]
    if named.startswith("tu-") and "encoder_name" not in config:
        twin = named.replace("tu-", "tu-tf_")
        notes.append(f"Taken as {named}; {twin} has the same keys, but other padding.")
    return stride, tuple(rates), tuple(notes)


def _are_rates(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == len(RATES)
        and all(type(rate) is int and rate > 0 for rate in value)
    )


def _config(path: Path) -> dict[str, Any]:
    """What smp wrote beside a file; nothing if it wrote nothing there."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) and "_model_class" in config else {}
