"""Which encoder a file holds: ResNets by torchvision's names, which are timm's; timm's Lites."""

from typing import NamedTuple

import timm
import torch

from atrous.models.published.matching import Tensors


class Shape(NamedTuple):
    """What tells ResNets apart: blocks of each stage, and the first block's convolutions.

    `kernel` and `maps` are those of its first convolution, `inputs` the channels that each map
    of its second reads, fewer with groups.
    """

    blocks: tuple[int, ...]
    kernel: int
    maps: int
    inputs: int


RESNETS = {
    "resnet18": Shape((2, 2, 2, 2), 3, 64, 64),
    "resnet34": Shape((3, 4, 6, 3), 3, 64, 64),
    "resnet50": Shape((3, 4, 6, 3), 1, 64, 64),
    "resnet101": Shape((3, 4, 23, 3), 1, 64, 64),
    "resnet152": Shape((3, 8, 36, 3), 1, 64, 64),
    "resnext50_32x4d": Shape((3, 4, 6, 3), 1, 128, 4),
    "resnext101_32x4d": Shape((3, 4, 23, 3), 1, 128, 4),
    "resnext101_32x8d": Shape((3, 4, 23, 3), 1, 256, 8),
}


LITES = tuple(f"efficientnet_lite{i}" for i in range(5))


def lite_name(tensors: Tensors, prefix: str) -> str | None:
    """The name in timm of the EfficientNet-Lite whose keys begin with `prefix`; None if none."""
    held = {key: tensor.shape for key, tensor in tensors.items() if key.startswith(prefix)}
    for name in LITES:
        with torch.device("meta"):
            body = timm.create_model(name, features_only=True)
        if held == {prefix + key: tensor.shape for key, tensor in body.state_dict().items()}:
            return name
    return None


def resnet_name(tensors: Tensors, prefix: str) -> str | None:
    """The name in timm of the ResNet whose keys begin with `prefix`; None if it is none we know."""
    first, second = (tensors.get(f"{prefix}layer1.0.conv{i}.weight") for i in (1, 2))
    if first is None or second is None or first.ndim != 4 or second.ndim != 4:
        return None
    blocks = tuple(_blocks(tensors, f"{prefix}layer{stage}.") for stage in (1, 2, 3, 4))
    shape = Shape(blocks, first.shape[3], first.shape[0], second.shape[1])
    return next((name for name, known in RESNETS.items() if known == shape), None)


def _blocks(tensors: Tensors, prefix: str) -> int:
    return len(
        {key.removeprefix(prefix).split(".")[0] for key in tensors if key.startswith(prefix)}
    )
