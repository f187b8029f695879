"""The rules of other projects, which imported weights keep: pixels, padding, resizing, dilation."""

from typing import NamedTuple

from atrous.types import Statistics

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # torchvision's statistics, of pixels in 0-1, RGB
IMAGENET_STD = (0.229, 0.224, 0.225)
CAFFE_MEAN = (122.675, 116.669, 104.008)  # of pixels in 0-255, RGB; Caffe's files are BGR
FCN_MEAN = (122.67891434, 116.66876762, 104.00698793)  # the same, as pytorch-fcn writes them


class Rules(NamedTuple):
    """How a project treats a picture; ours are the defaults.

    Pixels become `(pixel / largest - mean) / std`, one number for all bands or one for each.
    """

    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)
    pads: bool = True  # the picture, at the bottom and right, to the alignment
    spreads: bool = False  # logits are stretched over the picture, whatever its size
    align_corners: bool = False
    first_dilated: tuple[str, ...] = ()  # stages whose first block is dilated as the others are
    norm_eps: tuple[tuple[str, float], ...] = ()  # of batch norms in timm's classes, if not ours
    stride_in_first: bool = False  # a residual block's stride lies in its first 1x1 (Caffe)
    ceil_pool: bool = False  # the stem's pool rounds sizes up (Caffe)

    def statistics(self, bands: int, largest: float) -> Statistics:
        """Mean and deviation of each band in pixel values; three of them take turns."""
        return Statistics(
            *(
                tuple(values[band % len(values)] * largest for band in range(bands))
                for values in (self.mean, self.std)
            )
        )


LAST_STAGES = ("layer3", "layer4")  # of a ResNet


def _minus(mean: tuple[float, ...]) -> Rules:
    """Pixels in 0-255 less a mean, not scaled; nothing around them."""
    return Rules(mean=tuple(value / 255 for value in mean), std=(1 / 255,), pads=False)


TORCH = Rules(mean=IMAGENET_MEAN, std=IMAGENET_STD, spreads=True)

RULES = {
    "atrous": Rules(),
    "torchvision": TORCH._replace(
        pads=False, first_dilated=("blocks.5",), norm_eps=(("MobileNetV3Features", 1e-3),)
    ),
    "smp": TORCH._replace(
        align_corners=True,
        first_dilated=LAST_STAGES,
        norm_eps=(("EfficientNetFeatures", 1e-5),),
    ),
    "pytorch-fcn": _minus(FCN_MEAN),
    "deeplab-pytorch": _minus(CAFFE_MEAN)._replace(
        spreads=True, first_dilated=LAST_STAGES, stride_in_first=True, ceil_pool=True
    ),
}
