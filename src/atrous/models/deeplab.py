"""The heads of DeepLab v1, v2, v3 and v3+ (Chen et al. 2015, 2018, 2017, 2018b)."""

import torch
from torch import Tensor, nn

from atrous.models.encoders import Encoder
from atrous.models.layers import conv_block, conv_relu, dropout, enlarge, resized, score_layer
from atrous.recipe import DeepLabV1, DeepLabV2, DeepLabV3, DeepLabV3Plus
from atrous.types import Grid

ASPP_AT_8 = {"S": (2, 4, 8, 12), "L": (6, 12, 18, 24)}  # DeepLabv2, sec. 4.1.2
V2_CHANNELS = 1024  # of fc6 and fc7 in each branch on VGG16 (DeepLabv2, fig. 7)
V2_JOINED = 256  # maps of a branch that is concatenated on other encoders: v3's
RATES_AT_16 = (6, 12, 18)  # DeepLabv3, sec. 3.3
LOW_LEVEL_STRIDE = 4  # DeepLabv3+, sec. 3.1
SCORE_STD = 0.01  # of new score layers in the released v1 and v2


def atrous_rates(output_stride: int) -> tuple[int, ...]:
    """Dilation of each pyramid branch, so that it sees the same pixels at any stride.

    Example:
        >>> atrous_rates(8)
        (12, 24, 36)
    """
    return tuple(rate * 16 // output_stride for rate in RATES_AT_16)


def rate_at(rate_at_8: int, output_stride: int) -> int:
    """A dilation that is published for stride 8, at another stride; at least 1."""
    return max(1, rate_at_8 * 8 // output_stride)


class DeepLabV1Head(nn.Module):
    """VGG16's fc6 with a large field of view, fc7, classifier (v1, sec. 3.2 and 5)."""

    def __init__(self, options: DeepLabV1, encoder: Encoder, num_classes: int) -> None:
        super().__init__()
        stride, maps = encoder.strides[-1], options.fc_channels
        rate = rate_at(options.fc_rate, stride)
        self.layers = nn.Sequential(
            conv_relu(encoder.channels[-1], maps, kernel=options.fc_kernel, rate=rate),
            _dropout(options),
            conv_relu(maps, maps),
            _dropout(options),
            score_layer(maps, num_classes, std=SCORE_STD),
        )
        self.grid = Grid(stride)

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.layers(features[-1])


class DeepLabV2Head(nn.Module):
    """Branches of several rates on the same features, summed (v2, sec. 4.1.2) or concatenated."""

    def __init__(self, options: DeepLabV2, encoder: Encoder, num_classes: int) -> None:
        super().__init__()
        stride, channels = encoder.strides[-1], encoder.channels[-1]
        self.summed = options.combine == "sum"
        self.rates = ASPP_AT_8[options.aspp]
        self.aspp = nn.ModuleList(
            _v2_branch(options, channels, rate_at(rate, stride), num_classes) for rate in self.rates
        )
        if not self.summed:
            maps = (options.fc_channels or V2_JOINED) * len(self.rates)
            self.classify = score_layer(maps, num_classes, std=SCORE_STD)
        self.grid = Grid(stride)

    def forward(self, features: list[Tensor]) -> Tensor:
        outputs = [branch(features[-1]) for branch in self.aspp]
        return torch.stack(outputs).sum(0) if self.summed else self.classify(torch.cat(outputs, 1))

    def branches(self, features: list[Tensor]) -> dict[str, Tensor]:
        """What each rate, as it is at stride 8, adds to the logits; the sum is `forward`.

        A classifier over concatenated branches is a sum over them too; its bias is a branch.
        """
        names = [f"rate {rate}" for rate in self.rates]
        outputs = [branch(features[-1]) for branch in self.aspp]
        if self.summed:
            return dict(zip(names, outputs, strict=True))
        weights = self.classify.weight.chunk(len(outputs), 1)
        parts = [
            nn.functional.conv2d(o, weight) for o, weight in zip(outputs, weights, strict=True)
        ]
        assert self.classify.bias is not None
        bias = self.classify.bias[:, None, None].expand_as(parts[0])
        return {**dict(zip(names, parts, strict=True)), "bias": bias}


def _v2_branch(options: DeepLabV2, channels: int, rate: int, num_classes: int) -> nn.Module:
    """fc6 of a rate, fc7 and fc8 on VGG16; elsewhere the classifier itself is dilated."""
    maps = options.fc_channels or (V2_CHANNELS if options.on_vgg16 else 0)
    if not maps and options.combine == "sum":
        return score_layer(channels, num_classes, std=SCORE_STD, kernel=3, rate=rate)
    maps = maps or V2_JOINED
    layers = [conv_relu(channels, maps, kernel=3, rate=rate), _dropout(options)]
    if options.on_vgg16:
        layers += [conv_relu(maps, maps), _dropout(options)]
    if options.combine == "sum":
        layers.append(score_layer(maps, num_classes, std=SCORE_STD))
    return nn.Sequential(*layers)


def _dropout(options: DeepLabV1 | DeepLabV2) -> nn.Module:
    return dropout(options.dropout, whole_maps=not options.on_vgg16)


class ImagePooling(nn.Module):
    """The mean of all features, as one vector for the whole picture (DeepLabv3, sec. 3.3).

    It has no batch norm: over one value a picture, batches of 1 have no variance to divide by.
    """

    def __init__(self, channels: int, maps: int) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Conv2d(channels, maps, 1), nn.ReLU(inplace=True))

    def forward(self, features: Tensor, pooled: Tensor | None = None) -> Tensor:
        """`pooled` `B C 1 1` stands for the mean of the features where it is given."""
        pooled = mean_of(features) if pooled is None else pooled
        return self.project(pooled).expand(-1, -1, *features.shape[2:])


def mean_of(features: Tensor) -> Tensor:
    """The mean over all cells, `B C 1 1`."""
    return features.mean((2, 3), keepdim=True)


class Aspp(nn.Module):
    """Atrous spatial pyramid pooling of v3: 1x1, three rates, image pooling; joined by 1x1."""

    def __init__(self, options: DeepLabV3 | DeepLabV3Plus, encoder: Encoder) -> None:
        super().__init__()
        maps, channels = options.aspp_channels, encoder.channels[-1]
        self.rates = options.aspp_rates or atrous_rates(encoder.strides[-1])
        branches: list[nn.Module] = [conv_block(channels, maps)]
        branches += [
            conv_block(channels, maps, kernel=3, rate=rate, **_separable(options))
            for rate in self.rates
        ]
        if options.image_pooling:
            branches.append(ImagePooling(channels, maps))
        self.pools = options.image_pooling
        self.branches = nn.ModuleList(branches)
        self.project = conv_block(maps * len(branches), maps)
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, features: Tensor, pooled: Tensor | None = None) -> Tensor:
        """Pyramid features; `pooled` is what image pooling takes in place of the mean."""
        outputs = [
            branch(features, pooled) if isinstance(branch, ImagePooling) else branch(features)
            for branch in self.branches
        ]
        return self.dropout(self.project(torch.cat(outputs, 1)))


def _separable(options: DeepLabV3 | DeepLabV3Plus) -> dict[str, bool]:
    """How 3x3 convolutions are made; smp's depthwise ones have no batch norm of their own."""
    return {"separable": options.separable, "plain": options.origin == "smp"}


class DeepLabV3Head(nn.Module):
    """Pyramid features of the deepest, and a classifier (v3, sec. 3.3)."""

    def __init__(
        self, options: DeepLabV3 | DeepLabV3Plus, encoder: Encoder, num_classes: int
    ) -> None:
        super().__init__()
        maps = options.aspp_channels
        self.aspp = Aspp(options, encoder)
        refines = isinstance(options, DeepLabV3) and options.refine
        self.refine = conv_block(maps, maps, kernel=3) if refines else nn.Identity()
        self.classify = nn.Conv2d(maps, num_classes, 1)
        self.grid = Grid(encoder.strides[-1])

    def forward(self, features: list[Tensor], pooled: Tensor | None = None) -> Tensor:
        return self.classify(self.refine(self.aspp(features[-1], pooled)))


class DeepLabV3PlusHead(nn.Module):
    """Pyramid features, enlarged to stride 4, joined with low-level ones; two 3x3; classifier.

    In smp's the first 3x3 comes before the enlarging, which aligns corners.
    """

    def __init__(self, options: DeepLabV3Plus, encoder: Encoder, num_classes: int) -> None:
        super().__init__()
        self.low_level = encoder.strides.index(LOW_LEVEL_STRIDE)
        self.as_smp = options.origin == "smp"
        self.aspp = Aspp(options, encoder)
        self.reduce = conv_block(encoder.channels[self.low_level], options.low_level_channels)
        maps, pyramid = options.decoder_channels, options.aspp_channels
        joined = (maps if self.as_smp else pyramid) + options.low_level_channels
        inputs = (pyramid, joined) if self.as_smp else (joined, maps)
        self.refine = nn.Sequential(
            *(conv_block(channels, maps, kernel=3, **_separable(options)) for channels in inputs)
        )
        self.classify = nn.Conv2d(maps, num_classes, 1)
        self.grid = Grid(LOW_LEVEL_STRIDE)
        self.factor = encoder.strides[-1] // LOW_LEVEL_STRIDE

    def forward(self, features: list[Tensor], pooled: Tensor | None = None) -> Tensor:
        """Logits at stride 4."""
        low_level = self.reduce(features[self.low_level])
        pyramid = self.aspp(features[-1], pooled)
        if not self.as_smp:
            pyramid = enlarge(pyramid, self.factor)
            return self.classify(self.refine(torch.cat([pyramid, low_level], 1)))
        height, width = low_level.shape[2:]
        pyramid = resized(self.refine[0](pyramid), (height, width), align_corners=True)
        return self.classify(self.refine[1](torch.cat([pyramid, low_level], 1)))
