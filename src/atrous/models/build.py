"""Recipe -> `Segmenter`: plain pixels in, grid logits out."""

from typing import assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atrous.errors import RecipeError
from atrous.models.deeplab import DeepLabV3PlusHead
from atrous.models.encoders import Encoder, build_encoder
from atrous.models.fcn import FcnHead
from atrous.recipe import DeepLabV3Plus, Fcn, make_recipe
from atrous.types import Grid, PixelType

Head = FcnHead | DeepLabV3PlusHead


class Segmenter(nn.Module):
    """A network that takes pixels `B H W C` of any size and gives grid logits `B K h w`.

    It pads the picture once, at the bottom and right, with the mean colour, to a multiple of
    `alignment`; `grid` says where the logits lie. It owns its normalisation: pixels of
    `dtype` are mapped to -1..1.
    """

    def __init__(self, encoder: Encoder, head: Head, *, dtype: PixelType) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head
        self.alignment = max(encoder.strides)
        self.grid = Grid(head.stride)
        self.dtype: PixelType = dtype
        self.middle = {"uint8": 127.5, "uint16": 32767.5}[dtype]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.permute(0, 3, 1, 2).to(torch.float32)  # channels-last in memory
        pictures = (pixels - self.middle) / self.middle
        down, across = (-side % self.alignment for side in pictures.shape[2:])
        pictures = F.pad(pictures, (0, across, 0, down))  # 0 is the mean colour here
        return self.head(self.encoder(pictures))


def build_model(
    options: DeepLabV3Plus | Fcn, *, num_classes: int, dtype: PixelType = "uint8", seed: int = 0
) -> Segmenter:
    """The network that `options` describe; new weights follow from `seed` alone.

    Raises:
        RecipeError: `num_classes` is below 1, or the encoder cannot be built so.
    """
    if num_classes < 1:
        raise RecipeError(
            "num_classes",
            found=f"is {num_classes}",
            allowed="a model tells one class or more",
            fix="Give the number of classes of the data.",
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = build_encoder(
            options.encoder, output_stride=options.output_stride, pretrained=options.pretrained
        )
        match options:
            case Fcn():
                head = FcnHead(options, encoder, num_classes)
            case DeepLabV3Plus():
                head = DeepLabV3PlusHead(options, encoder, num_classes)
            case _:
                assert_never(options)
        return Segmenter(encoder, head, dtype=dtype)


def build(name: str = "deeplabv3plus", *, num_classes: int, **options: object) -> Segmenter:
    """A network by name, for use in other code; keywords are keys of the recipe's `[model]`.

    Example:
        >>> build("fcn8s", num_classes=2, pretrained=False).grid
        Grid(stride=8, offset=0.0)
    """
    flags = {f"model.{key}": value for key, value in {"name": name, **options}.items()}
    return build_model(make_recipe(flags=flags).model, num_classes=num_classes)
