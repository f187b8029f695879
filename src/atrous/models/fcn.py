"""The heads of FCN-32s, 16s and 8s (Long et al. 2015; Shelhamer et al. 2017) on any encoder."""

from itertools import pairwise

from torch import Tensor, nn

from atrous.models.encoders import Encoder
from atrous.models.layers import conv_block, enlarge
from atrous.recipe import Fcn

SKIPS = {"fcn32s": 0, "fcn16s": 1, "fcn8s": 2}  # sec. 4.2: none, pool4, pool4 and pool3


class FcnHead(nn.Module):
    """Scores of the deepest features, enlarged and added to those of finer ones.

    `stride` is that of the logits, in pixels.
    """

    def __init__(self, options: Fcn, encoder: Encoder, num_classes: int) -> None:
        super().__init__()
        used = slice(-1 - SKIPS[options.name], None)
        channels, strides = encoder.channels[used], encoder.strides[used]
        self.fc = conv_block(channels[-1], options.fc_channels)
        self.dropout = nn.Dropout2d(options.dropout)
        inputs = (*channels[:-1], options.fc_channels)
        self.scores = nn.ModuleList(_score(maps, num_classes) for maps in inputs)
        self.factors = [b // a for a, b in pairwise(strides)]
        self.stride = strides[0]

    def forward(self, features: list[Tensor]) -> Tensor:
        deepest = self.dropout(self.fc(features[-1]))
        logits = self.scores[-1](deepest)
        finer = list(
            zip(self.scores[:-1], features[-len(self.scores) : -1], self.factors, strict=True)
        )
        for score, feature, factor in reversed(finer):
            logits = enlarge(logits, factor) + score(feature)
        return logits


def _score(channels: int, num_classes: int) -> nn.Conv2d:
    """Zero-initialised, so that a new skip changes nothing at first (sec. 4.2)."""
    score = nn.Conv2d(channels, num_classes, 1)
    nn.init.zeros_(score.weight)
    assert score.bias is not None
    nn.init.zeros_(score.bias)
    return score
