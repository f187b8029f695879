"""Recipe -> `Segmenter`: plain pixels in, grid logits out."""

from fractions import Fraction
from math import lcm
from pathlib import Path
from typing import NamedTuple, assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atrous.errors import RecipeError
from atrous.models.basic import BasicEncoder, BasicHead
from atrous.models.deeplab import (
    ASPP_AT_8,
    DeepLabV1Head,
    DeepLabV2Head,
    DeepLabV3Head,
    DeepLabV3PlusHead,
)
from atrous.models.encoders import (
    PACKAGED,
    Encoder,
    build_encoder,
    dilate,
    follow,
    load_packaged,
    load_tensors,
    pixel_statistics,
)
from atrous.models.fcn import MARGIN, AuxHead, FcnDilatedHead, FcnHead, load_fc
from atrous.models.foreign import read_foreign
from atrous.models.layers import resized
from atrous.models.origins import RULES, Rules
from atrous.recipe import (
    Basic,
    DeepLabV1,
    DeepLabV2,
    DeepLabV3,
    DeepLabV3Plus,
    Fcn,
    FcnDilated,
    ModelOptions,
    Recipe,
    from_tables,
    make_recipe,
)
from atrous.types import Grid, PixelType, Placement, Spread, Statistics

OnEncoder = Fcn | FcnDilated | DeepLabV1 | DeepLabV2 | DeepLabV3 | DeepLabV3Plus
Head = (
    FcnHead
    | FcnDilatedHead
    | DeepLabV1Head
    | DeepLabV2Head
    | DeepLabV3Head
    | DeepLabV3PlusHead
    | BasicHead
)


class Supervised(NamedTuple):
    """Logits that have a loss in training, where they lie, and the weight of that loss."""

    logits: Tensor
    grid: Placement
    weight: float


class Pixels(NamedTuple):
    """The pictures that a model takes."""

    bands: int = 3
    dtype: PixelType = "uint8"
    statistics: Statistics | None = None


class Segmenter(nn.Module):
    """A network that takes pixels `B H W C` of any size and gives grid logits `B K h w`.

    It pads the picture once, at the bottom and right, with the mean colour, to a multiple of
    `alignment`; `grid` says where the logits lie. It owns its normalisation of pixels of `dtype`:
    by `statistics`, which its weights then hold as `mean` and `std`, else by its rules.
    With several `scales` it looks at the picture in each, and the largest logit counts.
    """

    def __init__(
        self,
        encoder: Encoder | BasicEncoder,
        head: Head,
        *,
        pixels: Pixels,
        aux_head: AuxHead | None = None,
        aux_weight: float = 0.0,
        scales: tuple[float, ...] = (1.0,),
        frozen: bool = False,
        rules: Rules = RULES["atrous"],
    ) -> None:
        super().__init__()
        self.encoder, self.head, self.aux_head = encoder, head, aux_head
        self.aux_weight, self.scales, self.frozen, self.rules = aux_weight, scales, frozen, rules
        self.bands, statistics = pixels.bands, pixels.statistics
        self.dtype: PixelType = pixels.dtype
        self.alignment = max(encoder.strides) * _denominator(scales) if rules.pads else 1
        self.grid = self._placement(head.grid)
        self.largest = {"uint8": 255, "uint16": 65535, "float32": 1}[self.dtype]
        self.measured = statistics is not None
        if statistics is not None:
            self.register_buffer("mean", torch.tensor(statistics.mean, dtype=torch.float32))
            std = torch.tensor(statistics.std, dtype=torch.float32)
            self.register_buffer("std", std.where(std > 0, 1.0))
        for norm in self._frozen_norms():
            norm.requires_grad_(False)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def train(self, mode: bool = True) -> "Segmenter":
        """Training or evaluation; frozen batch norms evaluate in both."""
        super().train(mode)
        for norm in self._frozen_norms():
            norm.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        return self.logits(self.pictures(images))

    def logits(self, pictures: Tensor) -> Tensor:
        """Grid logits of what `pictures` gave."""
        logits = [self.head(self.encoder(picture)) for picture in self._scaled(pictures)]
        return _largest(logits, self.scales.index(1))

    def supervised(self, images: Tensor) -> list[Supervised]:
        """What has a loss in training: the logits first, then those of an auxiliary head."""
        if self.aux_head is None:
            return [Supervised(self(images), self.grid, 1.0)]
        features = self.encoder(self.pictures(images))
        logits, aux = self.head(features), self.aux_head(features)
        return [
            Supervised(logits, self.grid, 1.0),
            Supervised(aux, self._placement(self.aux_head.grid), self.aux_weight),
        ]

    def branches(self, images: Tensor) -> dict[str, Tensor]:
        """The parts whose sum the logits are, at every cell: FCN's skips, the rates of DeepLab v2.

        Of several scales those parts are given that belong to the largest logit.

        Raises:
            RecipeError: the model's logits are no sum.
        """
        if not isinstance(self.head, FcnHead | DeepLabV2Head):
            raise RecipeError(
                "branches",
                found=f"this model ends in a {type(self.head).__name__}",
                allowed="the logits of FCN-32s, 16s, 8s and of DeepLab v2 are sums",
                fix="Use one of these, or a method that needs no sum.",
            )
        scaled = [
            self.head.branches(self.encoder(picture))
            for picture in self._scaled(self.pictures(images))
        ]
        height, width = next(iter(scaled[self.scales.index(1)].values())).shape[2:]
        stacked = {
            name: torch.stack([resized(parts[name], (height, width)) for parts in scaled])
            for name in scaled[0]
        }
        winner = torch.stack(list(stacked.values())).sum(0).argmax(0, keepdim=True)
        return {name: parts.gather(0, winner)[0] for name, parts in stacked.items()}

    def pictures(self, images: Tensor) -> Tensor:
        """Pixels `B H W C` -> normalised, padded pictures `B C H W`, channels-last in memory."""
        pixels = images.permute(0, 3, 1, 2).to(torch.float32)
        pictures = (pixels - self._each("mean", pixels)) / self._each("std", pixels)
        down, across = (-side % self.alignment for side in pictures.shape[2:])
        return F.pad(pictures, (0, across, 0, down))  # 0 is the mean colour here

    def _each(self, name: str, pixels: Tensor) -> Tensor | float:
        """A number for each band, in pixel values: measured, or of the rules."""
        if self.measured:
            return self.get_buffer(name)[:, None, None]
        values = getattr(self.rules.statistics(self.bands, self.largest), name)
        return values[0] if len({*values}) == 1 else pixels.new_tensor(values)[:, None, None]

    def _frozen_norms(self) -> list[nn.Module]:
        modules = self.encoder.modules() if self.frozen else ()
        return [m for m in modules if isinstance(m, nn.modules.batchnorm._BatchNorm)]

    def _scaled(self, pictures: Tensor) -> list[Tensor]:
        """The pictures in each scale; whole numbers of pixels, because they are padded for it."""
        return [
            pictures
            if scale == 1
            else F.interpolate(pictures, scale_factor=scale, mode="bilinear", align_corners=False)
            for scale in self.scales
        ]

    def _placement(self, grid: Grid) -> Placement:
        """Where a head's logits lie: on its grid, or spread over the picture by the rules."""
        return Spread(self.rules.align_corners, self.alignment) if self.rules.spreads else grid


def build_model(
    options: ModelOptions,
    *,
    num_classes: int,
    bands: int = 3,
    dtype: PixelType = "uint8",
    statistics: Statistics | None = None,
    seed: int = 0,
) -> Segmenter:
    """The network that `options` describe, with one logit for each of `num_classes`.

    Normalisation is by `statistics` where given, else by the rules of `options`; of floats
    those are for pixels from 0 to 1. New weights follow from `seed` alone.

    Raises:
        RecipeError: `num_classes` or `bands` is below 1, `statistics` are of other bands, or
            the encoder cannot be built so.
    """
    for name, value in (("num_classes", num_classes), ("bands", bands)):
        if value < 1:
            raise RecipeError(
                name,
                found=f"is {value}",
                allowed="a model tells one class or more in pictures of one band or more",
                fix="Give the number of classes or bands of the data.",
            )
    if statistics and {len(statistics.mean), len(statistics.std)} != {bands}:
        raise RecipeError(
            "statistics",
            found=f"has {len(statistics.mean)} means and {len(statistics.std)} deviations",
            allowed=f"the pictures have {bands} bands",
            fix="Give a mean and a standard deviation for each band.",
        )
    pixels = Pixels(bands, dtype, statistics)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if isinstance(options, Basic):
            return Segmenter(BasicEncoder(bands), BasicHead(options, num_classes), pixels=pixels)
        return _on_encoder(options, num_classes, pixels)


def begins_trained(options: ModelOptions) -> bool:
    """Whether the encoder's first weights are more than random."""
    if isinstance(options, Basic):
        return bool(options.from_run)
    packaged = options.pretrained and options.encoder in PACKAGED
    return bool(options.from_run or options.encoder_file) or packaged


def outline(options: ModelOptions, *, num_classes: int) -> Segmenter:
    """The network without values, on torch's meta device: names, shapes and calls alone."""
    with torch.device("meta"):
        return build_model(options.bare(), num_classes=num_classes)


def at_stride(recipe: Recipe, output_stride: int) -> Recipe:
    """The recipe of the same network at another output stride.

    Raises:
        RecipeError: its model has no such option, or would be another network there.
    """
    model, where = recipe.model, "predict.output_stride"
    tables = model.model_dump()
    if rates := tables.get("aspp_rates"):  # they see the same pixels at any stride
        old = tables["output_stride"]
        tables["aspp_rates"] = [max(1, rate * old // output_stride) for rate in rates]
    tables["output_stride"] = output_stride
    new = from_tables({**recipe.model_dump(), "model": tables}, where=where)
    if output_stride != model.model_dump()["output_stride"]:
        _same_network(model, new.model, output_stride)
    return new


def _same_network(old: ModelOptions, new: ModelOptions, output_stride: int) -> None:
    reason, origin = "", getattr(old, "origin", "atrous")
    if isinstance(old, Fcn) and isinstance(new, Fcn):
        padded = old.pads_as_published and not new.pads_as_published
        reason = "the padding of 100 pixels goes with stride 32 alone" if padded else ""
    if RULES[origin].first_dilated:
        reason = f"{origin} dilates blocks that ours do not"
    strides = output_stride, old.model_dump()["output_stride"]
    rates, stride = _rates(old)
    if any(rate * stride % other for rate in rates for other in strides):
        reason = "its rates would be no whole numbers of cells"
    if reason:
        raise RecipeError(
            "predict.output_stride",
            found=f"is {output_stride}, where {reason}",
            allowed="the same weights must be the same network",
            fix="Leave it out, or train at that stride.",
        )


def _rates(options: ModelOptions) -> tuple[tuple[int, ...], int]:
    """Rates of a head that follow the output stride, and the stride that they are given for."""
    match options:
        case DeepLabV1():
            return (options.fc_rate,), 8
        case DeepLabV2():
            return ASPP_AT_8[options.aspp], 8
        case DeepLabV3() | DeepLabV3Plus() if options.aspp_rates:
            return options.aspp_rates, options.output_stride
        case _:
            return (), 1


def _on_encoder(options: OnEncoder, num_classes: int, pixels: Pixels) -> Segmenter:
    rules = RULES[getattr(options, "origin", "atrous")]
    encoder = _encoder(options, pixels.bands, rules)
    head = _head(options, encoder, num_classes)
    if options.encoder_file:
        path = Path(options.encoder_file)
        tensors = read_foreign(path)
        load_tensors(encoder, tensors, path, pixels=(pixel_statistics(options.encoder), rules))
        if isinstance(head, FcnHead) and options.on_vgg16 and load_fc(head, tensors):
            encoder.origin += ", fc6 and fc7 too"
    aux_weight = getattr(options, "aux_weight", 0.0)
    return Segmenter(
        encoder,
        head,
        pixels=pixels,
        aux_head=AuxHead(encoder, num_classes) if aux_weight else None,
        aux_weight=aux_weight,
        scales=options.scales if isinstance(options, DeepLabV2) else (1.0,),
        frozen=options.batch_norm == "frozen",
        rules=rules,
    )


def _encoder(options: OnEncoder, bands: int, rules: Rules) -> Encoder:
    as_published = isinstance(options, Fcn)
    encoder = build_encoder(
        options.encoder,
        output_stride=options.output_stride,
        bands=bands,
        pool=2 if as_published else 3,
        margin=MARGIN if as_published and options.pads_as_published else 0,
    )
    if options.pretrained and not options.encoder_file:
        load_packaged(encoder, options.encoder, rules)
    follow(rules, encoder.body)
    if isinstance(options, DeepLabV3 | DeepLabV3Plus) and options.multi_grid:
        dilate(encoder.body, options.multi_grid)
    return encoder


def _head(options: OnEncoder, encoder: Encoder, num_classes: int) -> Head:
    match options:
        case Fcn():
            return FcnHead(options, encoder, num_classes)
        case FcnDilated():
            return FcnDilatedHead(options, encoder, num_classes)
        case DeepLabV1():
            return DeepLabV1Head(options, encoder, num_classes)
        case DeepLabV2():
            return DeepLabV2Head(options, encoder, num_classes)
        case DeepLabV3():
            return DeepLabV3Head(options, encoder, num_classes)
        case DeepLabV3Plus() if options.decoder:
            return DeepLabV3PlusHead(options, encoder, num_classes)
        case DeepLabV3Plus():
            return DeepLabV3Head(options, encoder, num_classes)
        case _:
            assert_never(options)


def _largest(logits: list[Tensor], reference: int) -> Tensor:
    """The largest logit of several scales, on the cells of the reference."""
    if len(logits) == 1:
        return logits[0]
    height, width = logits[reference].shape[2:]
    return torch.stack([resized(one, (height, width)) for one in logits]).amax(0)


def _denominator(scales: tuple[float, ...]) -> int:
    """What a side must be a multiple of, so that each scale of it is whole."""
    return lcm(*(Fraction(scale).denominator for scale in scales))


def build(
    name: str = "deeplabv3plus", *, num_classes: int, bands: int = 3, **options: object
) -> Segmenter:
    """A network by name, for use in other code; keywords are keys of the recipe's `[model]`.

    Example:
        >>> build("fcn8s", num_classes=2, encoder="efficientnet_lite0").grid
        Grid(stride=8, offset=0.0)
    """
    flags = {f"model.{key}": value for key, value in {"name": name, **options}.items()}
    return build_model(make_recipe(flags=flags).model, num_classes=num_classes, bands=bands)
