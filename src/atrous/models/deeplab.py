"""The decoder of DeepLab v3+ (Chen et al. 2018b) and its atrous spatial pyramid pooling."""

import torch
from torch import Tensor, nn

from atrous.models.encoders import Encoder
from atrous.models.layers import conv_block, enlarge
from atrous.recipe import DeepLabV3Plus

RATES_AT_16 = (6, 12, 18)  # DeepLabv3, sec. 3.3
LOW_LEVEL_STRIDE = 4  # DeepLabv3+, sec. 3.1


def atrous_rates(output_stride: int) -> tuple[int, ...]:
    """Dilation of each pyramid branch, so that it sees the same pixels at any stride.

    Example:
        >>> atrous_rates(8)
        (12, 24, 36)
    """
    return tuple(rate * 16 // output_stride for rate in RATES_AT_16)


class ImagePooling(nn.Module):
    """The mean of all features, as one vector for the whole picture (DeepLabv3, sec. 3.3).

    It has no batch norm: over one value a picture, batches of 1 have no variance to divide by.
    """

    def __init__(self, channels: int, maps: int) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Conv2d(channels, maps, 1), nn.ReLU(inplace=True))

    def forward(self, features: Tensor) -> Tensor:
        pooled = features.mean((2, 3), keepdim=True)
        return self.project(pooled).expand(-1, -1, *features.shape[2:])


class Aspp(nn.Module):
    """Atrous spatial pyramid pooling: 1x1, three rates, image pooling; joined by 1x1."""

    def __init__(self, options: DeepLabV3Plus, channels: int, output_stride: int) -> None:
        super().__init__()
        maps = options.aspp_channels
        atrous = [
            conv_block(channels, maps, kernel=3, rate=rate, separable=options.separable)
            for rate in atrous_rates(output_stride)
        ]
        self.branches = nn.ModuleList(
            [conv_block(channels, maps), *atrous, ImagePooling(channels, maps)]
        )
        self.project = conv_block(maps * len(self.branches), maps)
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, features: Tensor) -> Tensor:
        joined = torch.cat([branch(features) for branch in self.branches], 1)
        return self.dropout(self.project(joined))


class DeepLabV3PlusHead(nn.Module):
    """Pyramid features, enlarged to stride 4, joined with low-level ones; two 3x3; classifier."""

    def __init__(self, options: DeepLabV3Plus, encoder: Encoder, num_classes: int) -> None:
        super().__init__()
        self.low_level = encoder.strides.index(LOW_LEVEL_STRIDE)
        self.factor = encoder.strides[-1] // LOW_LEVEL_STRIDE
        self.stride = LOW_LEVEL_STRIDE
        self.aspp = Aspp(options, encoder.channels[-1], encoder.strides[-1])
        self.reduce = conv_block(encoder.channels[self.low_level], options.low_level_channels)
        maps, separable = options.decoder_channels, options.separable
        self.refine = nn.Sequential(
            conv_block(
                options.aspp_channels + options.low_level_channels,
                maps,
                kernel=3,
                separable=separable,
            ),
            conv_block(maps, maps, kernel=3, separable=separable),
        )
        self.classify = nn.Conv2d(maps, num_classes, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        pyramid = enlarge(self.aspp(features[-1]), self.factor)
        low_level = self.reduce(features[self.low_level])
        return self.classify(self.refine(torch.cat([pyramid, low_level], 1)))
