"""The convolution blocks that decoders share, and resizing by whole factors."""

from torch import Tensor, nn
from torch.nn import functional as F


def conv_block(
    channels: int, maps: int, *, kernel: int = 1, rate: int = 1, separable: bool = False
) -> nn.Sequential:
    """Convolution, batch norm, ReLU; same size out.

    A separable one is a depthwise convolution with its own batch norm and ReLU, then 1x1
    (DeepLabv3+, sec. 3.2: "extra batch normalization and ReLU after each 3x3 depthwise").
    """
    padding = rate * (kernel // 2)
    spatial = {"kernel_size": kernel, "padding": padding, "dilation": rate, "bias": False}
    if not separable:
        return nn.Sequential(*_normalised(nn.Conv2d(channels, maps, **spatial), maps))
    depthwise = nn.Conv2d(channels, channels, groups=channels, **spatial)
    pointwise = nn.Conv2d(channels, maps, 1, bias=False)
    return nn.Sequential(*_normalised(depthwise, channels), *_normalised(pointwise, maps))


def _normalised(convolution: nn.Conv2d, maps: int) -> tuple[nn.Module, ...]:
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return convolution, nn.BatchNorm2d(maps), nn.ReLU(inplace=True)


def enlarge(features: Tensor, factor: int) -> Tensor:
    """Bilinear, half-pixel, by a whole factor: what is read never depends on the size."""
    if factor == 1:
        return features
    return F.interpolate(features, scale_factor=factor, mode="bilinear", align_corners=False)
