"""The layers that decoders share: convolution blocks, resizing, transposed convolutions."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def conv_block(
    channels: int,
    maps: int,
    *,
    kernel: int = 1,
    rate: int = 1,
    separable: bool = False,
    plain: bool = False,
) -> nn.Sequential:
    """Convolution, batch norm, ReLU; same size out.

    A separable one is a depthwise convolution with its own batch norm and ReLU, then 1x1
    (DeepLabv3+, sec. 3.2: "extra batch normalization and ReLU after each 3x3 depthwise").
    A `plain` separable one has nothing between the two.
    """
    padding = rate * (kernel // 2)
    spatial = {"kernel_size": kernel, "padding": padding, "dilation": rate, "bias": False}
    if not separable:
        return nn.Sequential(*_normalised(nn.Conv2d(channels, maps, **spatial), maps))
    depthwise = nn.Conv2d(channels, channels, groups=channels, **spatial)
    pointwise = nn.Conv2d(channels, maps, 1, bias=False)
    first = _normalised(depthwise, channels)
    return nn.Sequential(*(first[:1] if plain else first), *_normalised(pointwise, maps))


def _normalised(convolution: nn.Conv2d, maps: int) -> tuple[nn.Module, ...]:
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return convolution, nn.BatchNorm2d(maps), nn.ReLU(inplace=True)


def conv_relu(
    channels: int, maps: int, *, kernel: int = 1, rate: int = 1, padding: int | None = None
) -> nn.Sequential:
    """Convolution with bias and ReLU, as before batch norm was known; same size out by default."""
    padding = rate * (kernel // 2) if padding is None else padding
    convolution = nn.Conv2d(channels, maps, kernel, padding=padding, dilation=rate)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    assert convolution.bias is not None
    nn.init.zeros_(convolution.bias)
    return nn.Sequential(convolution, nn.ReLU(inplace=True))


def dropout(share: float, *, whole_maps: bool) -> nn.Module:
    """Dropout of single values, as in VGG16's fc6 and fc7, or of whole maps."""
    return nn.Dropout2d(share) if whole_maps else nn.Dropout(share)


def score_layer(
    channels: int, num_classes: int, *, std: float, kernel: int = 1, rate: int = 1
) -> nn.Conv2d:
    """A classifier with normal weights of `std`; 0 gives zeros."""
    padding = rate * (kernel // 2)
    score = nn.Conv2d(channels, num_classes, kernel, padding=padding, dilation=rate)
    assert score.bias is not None
    nn.init.normal_(score.weight, std=std) if std else nn.init.zeros_(score.weight)
    nn.init.zeros_(score.bias)
    return score


def enlarge(features: Tensor, factor: int) -> Tensor:
    """Bilinear, half-pixel, by a whole factor: what is read never depends on the size."""
    if factor == 1:
        return features
    return F.interpolate(features, scale_factor=factor, mode="bilinear", align_corners=False)


def resized(features: Tensor, size: tuple[int, int], *, align_corners: bool = False) -> Tensor:
    """Bilinear, to a size."""
    if tuple(features.shape[2:]) == tuple(size):
        return features
    return F.interpolate(features, size=size, mode="bilinear", align_corners=align_corners)


def transposed(maps: int, factor: int, *, same: bool, learned: bool) -> nn.ConvTranspose2d:
    """Up-sampling by a transposed convolution that begins as bilinear interpolation.

    With `same` the output is `factor` times the input, else it has `factor` more (FCN crops it).
    Beyond the borders there are zeros, so the outer half cell fades. (FCN, sec. 3.3.)
    """
    kernel = 2 * factor
    layer = nn.ConvTranspose2d(
        maps, maps, kernel, stride=factor, padding=factor // 2 if same else 0, bias=False
    )
    nn.init.zeros_(layer.weight)
    with torch.no_grad():
        layer.weight[range(maps), range(maps)] = bilinear_kernel(kernel)
    layer.weight.requires_grad_(learned)
    return layer


def bilinear_kernel(side: int) -> Tensor:
    """The weights with which a transposed convolution of stride side/2 interpolates.

    Example:
        >>> bilinear_kernel(4)[0].tolist()
        [0.0625, 0.1875, 0.1875, 0.0625]
    """
    centre = (side - 1) / 2
    ramp = 1 - (torch.arange(side) - centre).abs() / (side / 2)
    return ramp[:, None] * ramp
