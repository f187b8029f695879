"""VGG16 (Simonyan and Zisserman 2015, configuration D) as FCN and DeepLab changed it."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

# Maps and convolutions of each block; a pool follows each.
BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
STRIDES = (2, 4, 8, 16, 32)


class Vgg16(nn.Module):
    """The convolutions and pools of VGG16; gives what each of the five pools gives.

    Pools that would go beyond `output_stride` keep their stride at 1, and what follows is
    dilated instead (DeepLab v1, sec. 3.1). `pool` is 2 in FCN; DeepLab's released networks
    have 3, which stays centred at stride 1. `margin` pixels of zeros surround the picture
    (100 in FCN). Names of parameters are those of torchvision's `vgg16().features`.
    """

    def __init__(self, *, bands: int, output_stride: int, pool: int, margin: int) -> None:
        super().__init__()
        self.channels = tuple(maps for maps, _ in BLOCKS)
        self.strides = tuple(min(stride, output_stride) for stride in STRIDES)
        layers: list[nn.Module] = []
        channels, rate = bands, 1
        for (maps, convolutions), (before, after) in zip(
            BLOCKS, pairwise((1, *self.strides)), strict=True
        ):
            for _ in range(convolutions):
                padding = rate if layers else margin or rate
                layers += [_conv(channels, maps, rate, padding), nn.ReLU(inplace=True)]
                channels = maps
            layers.append(Pool(pool, stride=after // before, rate=rate))
            rate *= 1 if after > before else 2
        self.features = nn.Sequential(*layers)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        pools = []
        for layer in self.features:
            pictures = layer(pictures)
            if isinstance(layer, Pool):
                pools.append(pictures)
        return pools


class Pool(nn.Module):
    """Maximum over 2x2 or 3x3; same size out at stride 1.

    A 2x2 of stride 2 rounds sizes up, as Caffe does. What it takes is never negative, so that
    zeros around it change no maximum (torch's own padding is limited to half a kernel).
    """

    def __init__(self, kernel: int, *, stride: int, rate: int) -> None:
        super().__init__()
        after = rate if kernel == 3 or stride == 1 else 0
        before = rate if kernel == 3 else 0
        self.around = (before, after, before, after)
        self.kernel, self.stride, self.rate = kernel, stride, rate

    def forward(self, features: Tensor) -> Tensor:
        features = F.pad(features, self.around) if any(self.around) else features
        rounds_up = self.kernel == 2
        return F.max_pool2d(
            features, self.kernel, self.stride, dilation=self.rate, ceil_mode=rounds_up
        )


def _conv(channels: int, maps: int, rate: int, padding: int) -> nn.Conv2d:
    convolution = nn.Conv2d(channels, maps, 3, padding=padding, dilation=rate)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    assert convolution.bias is not None
    nn.init.zeros_(convolution.bias)
    return convolution
