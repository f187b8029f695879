"""What is done to masks after the network: steps, taken in the order in which they stand."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from atrous.recipe.table import Options

NEIGHBOURS = "neighbours"
Probability = Annotated[float, Field(gt=0, lt=1)]


class Crf(Options):
    """The dense CRF of DeepLab v1 and v2: probabilities that follow the picture's edges.

    `preset` stands for the numbers of one of `PRESETS`; those that are given beside it go first.
    """

    step: Literal["crf"] = "crf"
    """Which step this is."""
    gaussian_sxy: float = Field(default=3.0, gt=0)
    """Of near pixels: standard deviation, pixels."""
    gaussian_weight: float = Field(default=3.0, ge=0)
    """Of near pixels: how much they count."""
    bilateral_sxy: float = Field(default=67.0, gt=0)
    """Of near pixels of a like colour: standard deviation, pixels."""
    bilateral_srgb: float = Field(default=3.0, gt=0)
    """Of near pixels of a like colour: standard deviation, pixel values."""
    bilateral_weight: float = Field(default=4.0, ge=0)
    """Of near pixels of a like colour: how much they count."""
    iterations: int = Field(default=10, ge=1, le=1000)
    """Of mean-field inference."""
    mode: Literal["lattice", "exact-spatial"] = "lattice"
    """How near pixels are summed; lattice: as everybody does."""

    @model_validator(mode="before")
    @classmethod
    def _by_preset(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "preset" not in given:
            return given
        name, beside = given["preset"], {k: v for k, v in given.items() if k != "preset"}
        if not isinstance(name, str) or name not in PRESETS:
            raise ValueError(f"preset is {' or '.join(PRESETS)}")
        return PRESETS[name].model_dump() | beside


# Both papers fix near pixels (w2 = 3, sigma_gamma = 3) and 10 iterations, search the other three on
# 100 pictures of val, and print the ranges alone: w1 5-10, sigma_alpha 50-100, sigma_beta 3-10 at
# first (v1, sec. 5), w1 3-6, sigma_alpha 30-100, sigma_beta 3-6 (v2, sec. 4.1). What was found is
# told with the released models: v1's is of VGG16 LargeFOV (its script run_densecrf.sh holds another
# sigma_alpha, 49), v2's of ResNet-101 (that of VGG16: near 2 and 2, the others 65, 3, 4).
PRESETS: dict[str, Crf] = {
    "deeplabv1": Crf(
        gaussian_sxy=3.0,
        gaussian_weight=3.0,
        bilateral_sxy=121.0,
        bilateral_srgb=5.0,
        bilateral_weight=4.0,
    ),
    "deeplabv2": Crf(
        gaussian_sxy=1.0,
        gaussian_weight=3.0,
        bilateral_sxy=67.0,
        bilateral_srgb=3.0,
        bilateral_weight=4.0,
    ),
}


class BilateralGrid(Options):
    """Probabilities that follow the picture's edges in one step: faster than a CRF, and not one."""

    step: Literal["bilateral_grid"] = "bilateral_grid"
    """Which step this is."""
    sxy: float = Field(default=20.0, gt=0)
    """Standard deviation, pixels."""
    srgb: float = Field(default=6.0, gt=0)
    """Standard deviation, values of grey."""
    weight: float = Field(default=3.0, ge=0)
    """How much the neighbours count."""


class Thresholds(Options):
    """A class is where it has more than a probability of its own; of binary and multilabel."""

    step: Literal["thresholds"] = "thresholds"
    """Which step this is."""
    probabilities: Annotated[tuple[Probability, ...], Field(strict=False, min_length=1)]
    """Of multilabel one a class; of binary that of the second class."""


class Priority(Options):
    """The first of some classes that has at least a probability has the pixel."""

    step: Literal["priority"] = "priority"
    """Which step this is."""
    classes: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    """By their names, the most important first."""
    probability: float = Field(default=0.3, gt=0, le=1)
    """That is enough."""


class SmallRegions(Options):
    """Small regions become what is around them; of binary and multilabel they vanish."""

    step: Literal["small_regions"] = "small_regions"
    """Which step this is."""
    pixels: int = Field(default=64, ge=1)
    """Regions of fewer are small."""
    into: str = NEIGHBOURS
    """What they become: the class along most of their border, or the one that is named."""


class Holes(Options):
    """Holes in a class are filled with it."""

    step: Literal["holes"] = "holes"
    """Which step this is."""
    pixels: int = Field(default=64, ge=0)
    """Of so many pixels at most; 0 = of any size."""


StepOptions = Crf | BilateralGrid | Thresholds | Priority | SmallRegions | Holes
Step = Annotated[StepOptions, Field(discriminator="step")]
Steps = tuple[Step, ...]
STEP_TABLES: dict[str, type[Options]] = {
    table.model_fields["step"].default: table for table in get_args(StepOptions)
}


def plain_steps(steps: Iterable[Step]) -> list[dict[str, Any]]:
    """Steps as plain values for JSON and TOML.

    Example:
        >>> plain_steps([Holes(pixels=9)])
        [{'step': 'holes', 'pixels': 9}]
    """
    return [step.model_dump(mode="json") for step in steps]


def named_steps(steps: Iterable[Step]) -> str:
    """The names of steps, in their order, in words."""
    return ", ".join(step.step for step in steps) or "none"
