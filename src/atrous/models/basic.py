"""The small networks of introductory articles, right: trained from scratch in minutes on a CPU.

Three convolutions with a pool after each see the picture at an eighth of its size. Then come,
at a quarter of it, two convolutions (`fcn_basic`) or six atrous blocks (`deeplab_basic`). The
last layer gives logits, one a class, without a ReLU, which would cut the negative ones off;
they are enlarged to the picture's size by whoever reads them, as those of all our models.
"""

import torch
from torch import Tensor, nn

from atrous.models.layers import conv_relu, enlarge
from atrous.recipe import Basic
from atrous.types import Grid

MAPS = (64, 128, 256)
RATES = (1, 2, 4, 8, 16, 32)


class BasicEncoder(nn.Module):
    """Three 3x3 convolutions with ReLU, a 2x2 max pool after each."""

    channels, strides = (MAPS[-1],), (8,)
    origin, trained = "random weights", False

    def __init__(self, bands: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels, maps in zip((bands, *MAPS), MAPS, strict=False):
            layers += [conv_relu(channels, maps, kernel=3), nn.MaxPool2d(2)]
        self.layers = nn.Sequential(*layers)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        return [self.layers(pictures)]


class BasicHead(nn.Module):
    """Features enlarged twofold, then the layers of `fcn_basic` or of `deeplab_basic`."""

    def __init__(self, options: Basic, num_classes: int) -> None:
        super().__init__()
        layers = _fcn(num_classes) if options.name == "fcn_basic" else _deeplab(num_classes)
        self.layers = nn.Sequential(*layers)
        self.grid = Grid(4)

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.layers(enlarge(features[-1], 2))


def _fcn(num_classes: int) -> list[nn.Module]:
    return [
        conv_relu(MAPS[-1], MAPS[-2], kernel=3),
        nn.Conv2d(MAPS[-2], num_classes, 3, padding=1),
    ]


def _deeplab(num_classes: int) -> list[nn.Module]:
    """Atrous blocks one after the other: each sees twice as far as the one before.

    A crop of 128 has 32 x 32 cells here, on which no outer tap of rate 32 ever lies inside: it
    cannot learn, and must not speak in larger pictures. So outer taps begin at zero.
    """
    layers: list[nn.Module] = []
    channels = MAPS[-1]
    for rate in RATES:
        atrous = conv_relu(MAPS[0], MAPS[0], kernel=3, rate=rate)
        _begin_as_1x1(atrous[0])
        layers += [conv_relu(channels, MAPS[0]), atrous]
        channels = MAPS[0]
    return [*layers, nn.Conv2d(channels, num_classes, 1)]


@torch.no_grad()
def _begin_as_1x1(convolution: nn.Module) -> None:
    assert isinstance(convolution, nn.Conv2d)
    centre = nn.init.kaiming_normal_(torch.empty(*convolution.weight.shape[:2], 1, 1))
    nn.init.zeros_(convolution.weight)[:, :, 1:2, 1:2] = centre
