"""The heads of FCN-32s, 16s and 8s (Long et al. 2015; Shelhamer et al. 2017) and dilated FCNs."""

from collections.abc import Iterator, Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atrous.models.encoders import Encoder
from atrous.models.layers import conv_block, conv_relu, dropout, enlarge, score_layer, transposed
from atrous.recipe import Fcn, FcnDilated
from atrous.types import Grid

SKIPS = {"fcn32s": 0, "fcn16s": 1, "fcn8s": 2}  # 2015, sec. 4.2: none, pool4, pool4 and pool3
FC6_KERNEL, FC_CHANNELS = 7, 4096  # VGG16's classifier as convolutions (2015, sec. 4.1)
PLAIN_CHANNELS = 512  # of the layer in their place on other encoders: our choice
AT_ONCE = (1.0, 0.01, 0.0001)  # 2017, sec. 4.3: deepest, pool4, pool3
MARGIN = 100  # pixels around the picture in the released networks
SKIP_CROPS = (0, 5, 9)  # rows and columns cut from the scores of pool4, pool3
AUX_DROPOUT = 0.1  # torchvision
PICTURE_CROPS = (19, 27, 31)  # pixels cut from the enlarged scores of 32s, 16s, 8s


class FcnHead(nn.Module):
    """Scores of the deepest features, enlarged and added to those of finer ones.

    `grid` says where the logits lie. `fc` stands before the deepest score: fc6 and fc7 on VGG16.
    `scores` and `up` begin with the deepest skip, pool4.
    """

    def __init__(self, options: Fcn, encoder: Encoder, num_classes: int) -> None:
        super().__init__()
        skips = SKIPS[options.name]
        self.cropped, learned = options.pads_as_published, options.upsampling == "learned"
        self.scale = AT_ONCE if options.at_once else (1.0, 1.0, 1.0)
        self.fc, maps = _fc(options, encoder)
        self.score_fr = score_layer(maps, num_classes, std=0)  # zeros: 2015, sec. 4.3
        self.scores = nn.ModuleList(
            score_layer(encoder.channels[-2 - i], num_classes, std=0) for i in range(skips)
        )
        strides = encoder.strides[::-1][: skips + 1]  # deepest first
        self.up = nn.ModuleList(
            _up(options, num_classes, deeper // finer) for deeper, finer in pairwise(strides)
        )
        self.up_last = _up(options, num_classes, strides[-1]) if learned else nn.Identity()
        self.grid = self._grid(strides[-1], PICTURE_CROPS[skips], learned)

    def _grid(self, stride: int, crop: int, learned: bool) -> Grid:
        """A transposed convolution begins half a kernel before the resize that it equals."""
        if not self.cropped:
            return Grid(1 if learned else stride)
        return Grid(1, -float(crop)) if learned else Grid(stride, -(crop - stride / 2) / stride)

    def forward(self, features: list[Tensor]) -> Tensor:
        deepest, *finer = self._scored(features)
        logits = deepest
        for skip, scores in enumerate(finer):
            logits = self.up[skip](logits)
            logits = logits + self._crop(scores, logits, SKIP_CROPS[skip + 1])
        return self.up_last(logits)

    def branches(self, features: list[Tensor]) -> dict[str, Tensor]:
        """What each layer adds to the logits, on their grid; the sum is `forward`."""
        names = ("deepest", "pool4", "pool3")
        parts: dict[str, Tensor] = {}
        for name, scores in zip(names, self._scored(features), strict=False):
            skip = len(parts)
            if skip:
                parts = {key: self.up[skip - 1](part) for key, part in parts.items()}
                scores = self._crop(scores, parts["deepest"], SKIP_CROPS[skip])
            parts[name] = scores
        return {key: self.up_last(part) for key, part in parts.items()}

    def _scored(self, features: list[Tensor]) -> Iterator[Tensor]:
        """Scores on each feature's own cells, deepest first."""
        yield self.score_fr(self.fc(features[-1]))
        for skip, score in enumerate(self.scores):
            yield score(features[-2 - skip] * self.scale[skip + 1])

    def _crop(self, scores: Tensor, like: Tensor, begin: int) -> Tensor:
        if not self.cropped:
            return scores
        height, width = like.shape[2:]
        return scores[..., begin : begin + height, begin : begin + width]


def _fc(options: Fcn, encoder: Encoder) -> tuple[nn.Sequential, int]:
    """The layers between the deepest features and their score, and how many maps they give."""
    channels = encoder.channels[-1]
    drops = [dropout(options.dropout, whole_maps=not options.on_vgg16) for _ in range(2)]
    if not options.on_vgg16:
        maps = options.fc_channels or PLAIN_CHANNELS
        return nn.Sequential(conv_block(channels, maps), drops[0]), maps
    maps, rate = options.fc_channels or FC_CHANNELS, 32 // encoder.strides[-1]
    padding = 0 if options.pads_as_published else None
    fc6 = conv_relu(channels, maps, kernel=FC6_KERNEL, rate=rate, padding=padding)
    fc7 = conv_relu(maps, maps)
    return nn.Sequential(fc6, drops[0], fc7, drops[1]), maps


@torch.no_grad()
def load_fc(head: FcnHead, tensors: Mapping[str, Tensor]) -> bool:
    """Give fc6 and fc7 the weights of VGG16's classifier (2015, sec. 4.1), if all are there.

    Names are those of torchvision's `vgg16`, whose fully connected layers read 7 x 7 cells.
    """
    layers = [layer for layer in head.fc.modules() if isinstance(layer, nn.Conv2d)]
    pairs = [
        (own, tensors.get(f"{name}.{kind}"))
        for layer, name in zip(layers, ("classifier.0", "classifier.3"), strict=False)
        for kind, own in layer.named_parameters()
    ]
    if any(theirs is None or theirs.numel() != own.numel() for own, theirs in pairs):
        return False
    for own, theirs in pairs:
        assert theirs is not None
        own.copy_(theirs.reshape(own.shape))
    return True


def _up(options: Fcn, num_classes: int, factor: int) -> nn.Module:
    if factor == 1:
        return nn.Identity()
    same, learned = not options.pads_as_published, options.upsampling != "fixed"
    if options.upsampling == "bilinear":
        return Enlarge(factor, same=same)
    return transposed(num_classes, factor, same=same, learned=learned)


class Enlarge(nn.Module):
    """Bilinear resize by a whole factor, as a layer in the place of a transposed convolution.

    Without `same` the output is `factor` larger, as that one's is; borders are held.
    """

    def __init__(self, factor: int, *, same: bool) -> None:
        super().__init__()
        self.factor, self.same = factor, same

    def forward(self, scores: Tensor) -> Tensor:
        if self.same:
            return enlarge(scores, self.factor)
        cut = slice(self.factor // 2, -(self.factor // 2))
        return enlarge(F.pad(scores, (1, 1, 1, 1), mode="replicate"), self.factor)[..., cut, cut]


class FcnDilatedHead(nn.Module):
    """3x3 to a quarter of the channels, dropout, classifier on the deepest features.

    What torchvision and others call FCN.
    """

    def __init__(self, options: FcnDilated, encoder: Encoder, num_classes: int) -> None:
        super().__init__()
        self.layers = _quarter(encoder.channels[-1], num_classes, options.dropout)
        self.grid = Grid(encoder.strides[-1])

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.layers(features[-1])


class AuxHead(nn.Module):
    """The same layers on the features before the deepest: a second loss for deep encoders.

    (PSPNet, sec. 4; torchvision's `aux_classifier`.)
    """

    def __init__(self, encoder: Encoder, num_classes: int) -> None:
        super().__init__()
        self.layers = _quarter(encoder.channels[-2], num_classes, AUX_DROPOUT)
        self.grid = Grid(encoder.strides[-2])

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.layers(features[-2])


def _quarter(channels: int, num_classes: int, dropout: float) -> nn.Sequential:
    block = conv_block(channels, channels // 4, kernel=3)
    return nn.Sequential(*block, nn.Dropout(dropout), nn.Conv2d(channels // 4, num_classes, 1))
