"""Every option: its type, range, default and one sentence; TOML in and out; `--set`.

A recipe is frozen. Keys that do not exist are errors that name the nearest one.
"""

import difflib
import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from atrous.errors import RecipeError


class Options(BaseModel):
    """A table of a recipe."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,  # a field's sentence stands under it
    )


class Fcn(Options):
    """Fully convolutional networks (Long et al. 2015): score layers and skips on any encoder."""

    name: Literal["fcn32s", "fcn16s", "fcn8s"] = "fcn8s"
    """The finest skip used."""
    encoder: str = "efficientnet_lite0"
    """A timm model that gives features."""
    pretrained: bool = True
    """Start from ImageNet weights where a package has them."""
    output_stride: Literal[8, 16, 32] = 32
    """Pixels a cell of the deepest features."""
    fc_channels: int = Field(default=512, ge=1)
    """Maps of the layer before the deepest score."""
    dropout: float = Field(default=0.5, ge=0, lt=1)
    """Share of those maps dropped in training."""


class DeepLabV3Plus(Options):
    """DeepLab v3+ (Chen et al. 2018b): atrous pyramid, image pooling, stride-4 decoder."""

    name: Literal["deeplabv3plus"] = "deeplabv3plus"
    """One word chooses the model."""
    encoder: str = "efficientnet_lite0"
    """A timm model that gives features."""
    pretrained: bool = True
    """Start from ImageNet weights where a package has them."""
    output_stride: Literal[8, 16] = 16
    """8 is finer; the last stages hold 4x as much."""
    aspp_channels: int = Field(default=256, ge=1)
    """Maps of each branch of the pyramid."""
    low_level_channels: int = Field(default=48, ge=1)
    """Maps kept of the stride-4 features."""
    decoder_channels: int = Field(default=256, ge=1)
    """Maps of the decoder."""
    separable: bool = True
    """Depthwise separable 3x3 in pyramid and decoder."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of pyramid maps dropped in training."""


Model = Annotated[DeepLabV3Plus | Fcn, Field(discriminator="name")]
MODEL_TABLES: dict[str, type[Options]] = {  # which table a name opens
    name: table
    for table in (DeepLabV3Plus, Fcn)
    for name in get_args(table.model_fields["name"].annotation)
}


class Augment(Options):
    """How a training picture is changed before it is seen."""

    crop: int = Field(default=304, ge=64, le=4096)
    """Side of the training square, pixels."""
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


class Train(Options):
    """The optimisation."""

    steps: int = Field(default=1000, ge=1, le=10**9)
    """Updates of the weights."""
    batch: int = Field(default=8, ge=1, le=4096)
    """Pictures in one forward pass."""
    accumulate: int = Field(default=1, ge=1)
    """Forward passes that make one update."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """Update rule."""
    lr: float = Field(default=1.5e-3, gt=0)
    """Peak learning rate of decoder and head."""
    encoder_lr: float = Field(default=0.3, ge=0)
    """Factor on lr for the encoder."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Of sgd; beta1 of adamw."""
    weight_decay: float = Field(default=0.01, ge=0)
    """On weights of convolutions, not on biases."""
    warmup: int = Field(default=50, ge=0)
    """Steps of linear rise of the rate (half of all at most)."""
    poly_power: float = Field(default=0.9, gt=0)
    """Rate falls as (1 - step / steps) ** this."""
    clip: float = Field(default=5.0, ge=0)
    """Largest gradient norm; 0 = no limit."""
    class_weight: float = Field(default=0.35, ge=0, le=1)
    """Weight (1 / frequency) ** this; 0 = none."""
    ema: float = Field(default=0.999, ge=0, lt=1)
    """Decay of the averaged weights; 0 = off."""
    precision: Literal["f32", "bf16", "auto"] = "f32"
    """Bf16 is used only where its self-test passes; auto tries it."""
    validate_every: int = Field(default=0, ge=0)
    """Steps between validations; 0 = an eighth of all."""


class Predict(Options):
    """Which weights of a run answer."""

    weights: Literal["last", "best"] = "last"
    """Best was chosen on val."""


class Recipe(Options):
    """All options of a run."""

    seed: int = Field(default=0, ge=0, lt=2**63)
    """Order, augmentation, initial weights, dropout."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where torch computes."""
    threads: int = Field(default=0, ge=0, le=1024)
    """CPU threads of torch; 0 = as many as cores."""
    model: Model = Field(default_factory=DeepLabV3Plus)
    augment: Augment = Field(default_factory=Augment)
    train: Train = Field(default_factory=Train)
    predict: Predict = Field(default_factory=Predict)

    @property
    def validation_steps(self) -> int:
        """Steps between two validations."""
        return self.train.validate_every or max(1, -(-self.train.steps // 8))


def make_recipe(
    *, config: Path | None = None, flags: Mapping[str, Any] | None = None, sets: Iterable[str] = ()
) -> Recipe:
    """Defaults, then the file, then flags (`{"train.steps": 9}`), then `section.key=value` texts.

    Example:
        >>> make_recipe(sets=["train.steps=9", "model.name=fcn8s"]).model.name
        'fcn8s'

    Raises:
        RecipeError: unknown key, wrong type, out of range, unreadable file.
    """
    tables = read_toml(config) if config else {}
    for key, value in (flags or {}).items():
        if value is not None:
            _put(tables, key, value)
    for text in sets:
        key, equals, value = text.partition("=")
        if not equals:
            raise RecipeError(
                f"--set {text}",
                found="holds no '='",
                allowed="it is written section.key=value",
                fix="Write for example --set train.lr=0.001.",
            )
        _put(tables, key.strip(), _value(value.strip()))
    return from_tables(tables, where=str(config or "recipe"))


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(
            path,
            found=f"cannot be read as TOML ({getattr(error, 'strerror', None) or error})",
            allowed="a recipe is a UTF-8 TOML file",
            fix="`atrous recipe show` prints one to start from.",
        ) from None


def from_tables(tables: Mapping[str, Any], *, where: str) -> Recipe:
    """The recipe that nested tables describe; missing keys take their defaults."""
    tables = json.loads(json.dumps(tables, default=str))
    model = tables.get("model")
    if isinstance(model, dict):
        model.setdefault("name", DeepLabV3Plus.model_fields["name"].default)
    try:
        return Recipe.model_validate(tables)
    except ValidationError as error:
        raise _explained(error.errors()[0], where) from None


def difference(a: Recipe, b: Recipe) -> str | None:
    """The first key in which two recipes differ, as `key: value of a != value of b`."""
    ours, theirs = dict(flat(a)), dict(flat(b))
    for key in [*ours, *theirs]:
        if ours.get(key) != theirs.get(key):
            return f"{key}: {ours.get(key)} != {theirs.get(key)}"
    return None


def flat(recipe: Recipe) -> Iterable[tuple[str, Any]]:
    """`("train.steps", 1000)` and so on, in order."""
    for name, value in recipe:
        if isinstance(value, Options):
            yield from ((f"{name}.{key}", inner) for key, inner in value)
        else:
            yield name, value


def to_toml(recipe: Recipe) -> str:
    """The recipe as TOML, each key with its sentence as a comment."""
    lines = [_line(recipe, name) for name, value in recipe if not isinstance(value, Options)]
    for name, table in recipe:
        if isinstance(table, Options):
            lines += ["", f"[{name}]", *(_line(table, key) for key, _ in table)]
    return "\n".join(lines) + "\n"


def _line(table: Options, key: str) -> str:
    sentence = type(table).model_fields[key].description
    return f"{key} = {json.dumps(getattr(table, key))}".ljust(36) + f"  # {sentence}"


def _put(tables: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key.split(".")
    for name in path:
        tables = tables.setdefault(name, {})
        if not isinstance(tables, dict):
            raise _unknown(key, [k for k, _ in flat(Recipe())], "--set")
    tables[last] = value


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # a bare word is a string


def _explained(error: Any, where: str) -> RecipeError:
    location = [str(part) for part in error["loc"]]
    if location[:1] == ["model"] and len(location) > 1 and location[1] in MODEL_TABLES:
        del location[1]  # pydantic names the branch of the union
    key = ".".join(location)
    if error["type"] == "extra_forbidden":
        return _unknown(key, _siblings(location, error), where)
    if error["type"] == "union_tag_invalid":
        key += ".name"
        found, allowed = f"is {error['ctx']['tag']!r}", "the models are " + ", ".join(MODEL_TABLES)
        near = difflib.get_close_matches(str(error["ctx"]["tag"]), MODEL_TABLES, 1)
        fix = f"Did you mean {near[0]}?" if near else "`atrous models` describes them."
    else:
        found, allowed = f"is {error['input']!r}", _lowered(error["msg"])
        fix = "`atrous recipe show` lists every key with its sentence."
    return RecipeError(f"{where}, {key}", found=found, allowed=allowed, fix=fix)


def _lowered(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return message[0].lower() + message[1:]


def _siblings(location: list[str], error: Any) -> list[str]:
    if len(location) == 1:
        return list(Recipe.model_fields)
    if location[0] == "model":
        tag = str(error["loc"][1])
        return [f"model.{key}" for key in MODEL_TABLES[tag].model_fields]
    table = Recipe.model_fields[location[0]].annotation
    assert isinstance(table, type) and issubclass(table, Options)
    return [f"{location[0]}.{key}" for key in table.model_fields]


def _unknown(key: str, known: list[str], where: str) -> RecipeError:
    every = [name for name, _ in flat(Recipe())]
    same_end = [name for name in every if name.endswith("." + key.rpartition(".")[2])]
    near = difflib.get_close_matches(key, known, 1) or same_end
    near = near or difflib.get_close_matches(key, every, 1)
    return RecipeError(
        f"{where}, {key}",
        found="is not a key of a recipe",
        allowed="its table has " + ", ".join(name.rpartition(".")[2] for name in known),
        fix=f"Did you mean {near[0]}?" if near else "`atrous recipe show` lists every key.",
    )
