"""The models: one class of options for each, defaults as published, every trick a switch."""

from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import AfterValidator, Field, model_validator

from atrous.recipe.table import Options

OutputStride = Literal[8, 16, 32]


def _eighths(values: tuple[float, ...]) -> tuple[float, ...]:
    if any(value <= 0 or value * 8 % 1 for value in values):
        raise ValueError("scales are multiples of 0.125, so that they are of whole pixels")
    return values


def _positive(values: tuple[float, ...]) -> tuple[float, ...]:
    if any(value <= 0 for value in values):
        raise ValueError("each number must be above 0")
    return values


# Lists come out of TOML, tuples stay as they are.
Rates = Annotated[tuple[int, ...], Field(strict=False), AfterValidator(_positive)]
Scales = Annotated[tuple[float, ...], Field(strict=False), AfterValidator(_eighths)]


class AnyModel(Options):
    """What every model says."""

    crop: ClassVar[int] = 304  # side of its training squares unless augment.crop says otherwise

    from_run: str = ""
    """Start from the weights of this run, where name and shape agree."""

    def bare(self) -> Self:
        """The same network without where its first weights come from: others will follow."""
        sources = {"from_run": "", "pretrained": False, "encoder_file": ""}
        known = {key: value for key, value in sources.items() if key in type(self).model_fields}
        return self.model_copy(update=known)


class Encoded(AnyModel):
    """What every model on an encoder says."""

    encoder: str = "efficientnet_lite0"
    """vgg16, or a timm model that gives features."""
    pretrained: bool = True
    """Start from ImageNet weights where a package has them."""
    encoder_file: str = ""
    """Encoder weights of this file instead (.safetensors, .pth)."""
    batch_norm: Literal["trained", "frozen"] = "trained"
    """Frozen: the encoder's statistics and scales stay as they are."""

    @property
    def on_vgg16(self) -> bool:
        """Whether it stands on VGG16, whose fc6 and fc7 then are part of the head."""
        return self.encoder == "vgg16"


class Fcn(Encoded):
    """Fully convolutional networks with skips (Long et al. 2015; Shelhamer et al. 2017)."""

    name: Literal["fcn32s", "fcn16s", "fcn8s"] = "fcn8s"
    """The finest skip used."""
    encoder: str = "vgg16"
    """vgg16 as published, or a timm model that gives features."""
    output_stride: OutputStride = 32
    """Pixels a cell of the deepest features."""
    padding: Literal["auto", "paper", "same"] = "auto"
    """100 pixels and crops as published; auto: on vgg16 alone."""
    upsampling: Literal["bilinear", "fixed", "skips", "learned"] = "skips"
    """Resize; transposed, fixed; learned but the last; all learned."""
    at_once: bool = False
    """Scale pool4 by 0.01, pool3 by 0.0001: no stages needed."""
    fc_channels: int = Field(default=0, ge=0)
    """Maps before the deepest score; 0 = 4096 on vgg16, else 512."""
    dropout: float = Field(default=0.5, ge=0, lt=1)
    """Share of those maps dropped in training."""
    origin: Literal["atrous", "pytorch-fcn"] = "atrous"
    """Whose rules of pixels, padding and resizing."""

    @property
    def pads_as_published(self) -> bool:
        """Whether the picture is padded by 100 pixels and scores are cropped."""
        return self.padding == "paper" or (self.padding == "auto" and self._can_be_padded)

    @property
    def _can_be_padded(self) -> bool:
        return self.on_vgg16 and self.output_stride == 32

    @model_validator(mode="after")
    def _paper_padding_is_of_vgg16(self) -> "Fcn":
        if self.padding == "paper" and not self._can_be_padded:
            raise ValueError("padding = paper goes with encoder vgg16 and output_stride 32 alone")
        return self


class FcnDilated(Encoded):
    """The "FCN" of torchvision and others: dilated encoder, a 3x3 head, an auxiliary head."""

    name: Literal["fcn_dilated"] = "fcn_dilated"
    """One word chooses the model."""
    output_stride: OutputStride = 8
    """Pixels a cell of the deepest features."""
    aux_weight: float = Field(default=0.5, ge=0, le=1)
    """Of the loss of the auxiliary head; 0 = no such head."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of the head's maps dropped in training."""
    origin: Literal["atrous", "torchvision"] = "atrous"
    """Whose rules of pixels, padding and resizing."""


class DeepLabV1(Encoded):
    """DeepLab v1 (Chen et al. 2015): VGG16 at stride 8 and a large field of view in fc6."""

    name: Literal["deeplabv1"] = "deeplabv1"
    """One word chooses the model."""
    encoder: str = "vgg16"
    """vgg16 as published, or a timm model that gives features."""
    output_stride: OutputStride = 8
    """Pixels a cell of the deepest features."""
    fc_kernel: Literal[1, 3, 5, 7] = 3
    """Side of fc6; 3 is LargeFOV, 7 VGG16's own."""
    fc_rate: int = Field(default=12, ge=1)
    """Dilation of fc6 at stride 8; it follows the output stride."""
    fc_channels: int = Field(default=1024, ge=1)
    """Maps of fc6 and fc7."""
    dropout: float = Field(default=0.5, ge=0, lt=1)
    """Share of those maps dropped in training."""


class DeepLabV2(Encoded):
    """DeepLab v2 (Chen et al. 2018): a pyramid of rates, summed; several scales, maximum."""

    name: Literal["deeplabv2"] = "deeplabv2"
    """One word chooses the model."""
    encoder: str = "resnet101"
    """resnet101 or vgg16 as published, or another of timm."""
    output_stride: OutputStride = 8
    """Pixels a cell of the deepest features."""
    aspp: Literal["S", "L"] = "L"
    """Rates at stride 8: S 2, 4, 8, 12; L 6, 12, 18, 24."""
    combine: Literal["sum", "concatenate"] = "sum"
    """How the branches become one."""
    fc_channels: int = Field(default=0, ge=0)
    """Maps in a branch; 0 = 1024 on vgg16, else none if summed."""
    scales: Scales = (1.0, 0.75, 0.5)
    """Of the picture; the largest score of all counts."""
    dropout: float = Field(default=0.5, ge=0, lt=1)
    """Share of a branch's maps dropped in training."""
    origin: Literal["atrous", "deeplab-pytorch"] = "atrous"
    """Whose rules of pixels, padding and resizing."""

    @model_validator(mode="after")
    def _one_is_a_scale(self) -> "DeepLabV2":
        if 1 not in self.scales:
            raise ValueError("scales must hold 1, whose cells the logits have")
        return self


class DeepLabV3(Encoded):
    """DeepLab v3 (Chen et al. 2017): multi-grid, atrous pyramid with image pooling."""

    name: Literal["deeplabv3"] = "deeplabv3"
    """One word chooses the model."""
    output_stride: OutputStride = 16
    """8 is finer; the last stages hold 4x as much."""
    multi_grid: Rates = (1, 2, 4)
    """Factors on the dilation of the last blocks; [] = none."""
    aspp_rates: Rates = ()
    """Of the pyramid; [] = 6, 12, 18 at stride 16, and so on."""
    aspp_channels: int = Field(default=256, ge=1)
    """Maps of each branch of the pyramid."""
    image_pooling: bool = True
    """A branch with the mean of the whole picture."""
    separable: bool = False
    """Depthwise separable 3x3 in the pyramid."""
    refine: bool = False
    """A 3x3 before the classifier, which torchvision and smp have."""
    aux_weight: float = Field(default=0.0, ge=0, le=1)
    """Of the loss of an auxiliary head; 0 = no such head."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of pyramid maps dropped in training."""
    origin: Literal["atrous", "torchvision", "smp"] = "atrous"
    """Whose rules of pixels, padding and resizing."""


class DeepLabV3Plus(Encoded):
    """DeepLab v3+ (Chen et al. 2018b): atrous pyramid, image pooling, stride-4 decoder."""

    name: Literal["deeplabv3plus"] = "deeplabv3plus"
    """One word chooses the model."""
    output_stride: OutputStride = 16
    """8 is finer; the last stages hold 4x as much."""
    multi_grid: Rates = ()
    """Factors on the dilation of the last blocks; [] = none."""
    aspp_rates: Rates = ()
    """Of the pyramid; [] = 6, 12, 18 at stride 16, and so on."""
    aspp_channels: int = Field(default=256, ge=1)
    """Maps of each branch of the pyramid."""
    image_pooling: bool = True
    """A branch with the mean of the whole picture."""
    decoder: bool = True
    """Off: classify the pyramid's features as v3 does."""
    low_level_channels: int = Field(default=48, ge=1)
    """Maps kept of the stride-4 features."""
    decoder_channels: int = Field(default=256, ge=1)
    """Maps of the decoder."""
    separable: bool = True
    """Depthwise separable 3x3 in pyramid and decoder."""
    aux_weight: float = Field(default=0.0, ge=0, le=1)
    """Of the loss of an auxiliary head; 0 = no such head."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of pyramid maps dropped in training."""
    origin: Literal["atrous", "smp"] = "atrous"
    """Whose rules of pixels, padding and resizing."""


class Basic(AnyModel):
    """The small networks of introductory articles, trained from scratch on 128 px crops."""

    crop: ClassVar[int] = 128

    name: Literal["fcn_basic", "deeplab_basic"] = "fcn_basic"
    """Two 3x3 after the enlarging, or six atrous blocks."""


ModelOptions = Fcn | FcnDilated | DeepLabV1 | DeepLabV2 | DeepLabV3 | DeepLabV3Plus | Basic
Model = Annotated[ModelOptions, Field(discriminator="name")]
MODEL_TABLES: dict[str, type[AnyModel]] = {  # which table a name opens, in the order of the papers
    name: table
    for table in get_args(ModelOptions)
    for name in get_args(table.model_fields["name"].annotation)
}
