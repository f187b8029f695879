"""How a model is trained: what happens to pictures, the loss, the optimisation."""

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, model_validator

from atrous.classes import Weighting
from atrous.recipe.table import Options
from atrous.types import EngineName, Precision

SMALLEST, LARGEST = 0.125, 8.0  # scales of a picture that is predicted


class Augment(Options):
    """How a training picture is changed before it is seen."""

    crop: int = Field(default=304, ge=64, le=4096)
    """Side of the training square, pixels; 128 for the small networks."""
    scale_min: float = Field(default=0.5, gt=0, le=8)
    """Smallest random scale."""
    scale_max: float = Field(default=2.0, gt=0, le=8)
    """Largest random scale."""
    flip: bool = True
    """Mirror left-right half of the time."""
    photometric: float = Field(default=0.3, ge=0, le=1)
    """Brightness, contrast, saturation: +- share."""

    @model_validator(mode="after")
    def _scales_in_order(self) -> "Augment":
        if self.scale_min > self.scale_max:
            raise ValueError(f"scale_min must not exceed scale_max, {self.scale_max}")
        return self


Term = Literal["cross_entropy", "ohem", "focal", "dice", "tversky", "lovasz", "boundary"]
TERMS: tuple[Term, ...] = get_args(Term)


class Loss(Options):
    """The loss: a weighted sum of terms, and how classes weigh in those that count pixels."""

    cross_entropy: float = Field(default=1.0, ge=0)
    """Weight of cross-entropy; sigmoid for binary and multilabel."""
    ohem: float = Field(default=0.0, ge=0)
    """Weight of cross-entropy over the hardest pixels."""
    ohem_threshold: float = Field(default=0.7, gt=0, le=1)
    """Ohem: hard is what gives the truth less probability."""
    ohem_share: float = Field(default=0.0625, gt=0, le=1)
    """Ohem: at least this share of the pixels is kept."""
    focal: float = Field(default=0.0, ge=0)
    """Weight of the focal loss."""
    focal_gamma: float = Field(default=2.0, ge=0, le=10)  # Lin et al. 2017, sec. 4.1
    """Focal: pixels count (1 - probability of truth) ** this."""
    dice: float = Field(default=0.0, ge=0)
    """Weight of the Dice loss."""
    tversky: float = Field(default=0.0, ge=0)
    """Weight of the Tversky loss."""
    tversky_alpha: float = Field(default=0.3, ge=0, le=10)  # Salehi et al. 2017, sec. 3
    """Tversky: cost of false positives; 0.5 and 0.5 are Dice."""
    tversky_beta: float = Field(default=0.7, gt=0, le=10)
    """Tversky: cost of false negatives."""
    lovasz: float = Field(default=0.0, ge=0)
    """Weight of the Lovasz extension of the Jaccard loss."""
    boundary: float = Field(default=0.0, ge=0)
    """Extra weight of cross-entropy near borders of classes."""
    boundary_pixels: int = Field(default=5, ge=1, le=100)
    """Boundary: how far from a border is near."""
    class_weights: Weighting = "power"
    """How rare classes count more."""
    class_power: float = Field(default=0.35, ge=0, le=1)
    """Power: weight (1 / frequency) ** this."""
    effective_beta: float = Field(default=0.999999, ge=0, lt=1)
    """Effective number: 1 - 1 / pixels after which more say less."""

    @model_validator(mode="after")
    def _some_term(self) -> "Loss":
        if not any(self.weights.values()):
            raise ValueError("at least one term needs a weight above 0")
        return self

    @property
    def weights(self) -> dict[Term, float]:
        """The weight of each term, by its name."""
        return {name: getattr(self, name) for name in TERMS}


class Train(Options):
    """The optimisation."""

    steps: int = Field(default=1000, ge=1, le=10**9)
    """Updates of the weights."""
    batch: int = Field(default=8, ge=1, le=4096)
    """Pictures in one forward pass."""
    accumulate: int = Field(default=1, ge=1)
    """Forward passes that make one update."""
    optimizer: Literal["adamw", "adam", "sgd", "rmsprop"] = "adamw"
    """Update rule."""
    lr: float = Field(default=1.5e-3, gt=0)
    """Peak learning rate of decoder and head."""
    encoder_lr: float = Field(default=0.3, ge=0)
    """Factor on lr for an encoder with trained weights."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Of sgd and rmsprop; beta1 of adam and adamw."""
    weight_decay: float = Field(default=0.01, ge=0)
    """On weights of convolutions, not on biases."""
    warmup: int = Field(default=50, ge=0)
    """Steps of linear rise of the rate (half of all at most)."""
    schedule: Literal["poly", "cosine", "one_cycle", "constant"] = "poly"
    """The rate after the warm-up; one_cycle has a rise of its own."""
    poly_power: float = Field(default=0.9, gt=0)
    """Poly: the rate falls as (1 - step / steps) ** this."""
    clip: float = Field(default=5.0, ge=0)
    """Largest gradient norm; 0 = no limit."""
    ema: float = Field(default=0.999, ge=0, lt=1)
    """Decay of the averaged weights; 0 = off."""
    precision: Literal["f32", "bf16", "auto"] = "f32"
    """Bf16 is used only where its self-test passes; auto tries it."""
    validate_every: int = Field(default=0, ge=0)
    """Steps between validations; 0 = an eighth of all."""


def averaged(scales: tuple[float, ...]) -> tuple[float, ...]:
    """The scales of a picture whose logits may be averaged, as they are.

    Raises:
        ValueError: one is out of range or twice there, or 1 is missing.
    """
    if 1 not in scales or len({*scales}) < len(scales):
        raise ValueError("scales are different numbers, 1 among them: its grid is that of all")
    if not all(SMALLEST <= scale <= LARGEST for scale in scales):
        raise ValueError(f"scales lie between {SMALLEST:g} and {LARGEST:g}")
    return scales


Scales = Annotated[tuple[float, ...], Field(strict=False), AfterValidator(averaged)]


class Predict(Options):
    """How a trained model answers."""

    weights: Literal["last", "best"] = "last"
    """Of a run. Best was chosen on val."""
    output_stride: Literal[0, 8, 16, 32] = 0
    """Of the trained weights; 0 = as they were trained."""
    engine: Literal["auto", EngineName] = "auto"
    """Auto: torch for a run, the fastest there for an exported file."""
    precision: Literal["auto", Precision] = "auto"
    """Auto: that of the run or file."""
    flip: bool = False
    """Average the logits of the picture and its mirror image."""
    scales: Scales = (1.0,)
    """Average the logits of the picture at these scales."""
    tile: Literal["auto", "exact", "blend", "off"] = "auto"
    """How large pictures are cut: in tiles that equal the whole, blended ones, or not."""
    memory: int = Field(default=0, ge=0)
    """MiB that the network may hold at once; 0 = half of the machine's."""
    geotiff: bool = True
    """Masks of georeferenced pictures are GeoTIFFs; else PNGs, as of others."""
    overviews: bool = False
    """GeoTIFFs get smaller versions inside, for maps."""
    polygons: Literal["", "gpkg", "geojson"] = ""
    """Of rasters, also the outlines of what was found."""
    simplify: float = Field(default=0.0, ge=0, le=1000)
    """Pixels by which the outlines of polygons may be off."""
    remote: bool = False
    """Inputs may be addresses: https://..., s3://..., gs://..., az://..."""
    every: int = Field(default=1, ge=1)
    """Of a video every Nth frame is predicted; the overlay holds its mask until the next."""
    smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Of a video, how much of an answer is that of frames before: a running average of logits."""
