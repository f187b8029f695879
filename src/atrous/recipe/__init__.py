"""Every option: its type, range, default and one sentence; TOML in and out; `--set`.

A recipe is frozen. Keys that do not exist are errors that name the nearest one.
"""

import difflib
import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from atrous.errors import RecipeError
from atrous.recipe.models import (
    MODEL_TABLES,
    Basic,
    DeepLabV1,
    DeepLabV2,
    DeepLabV3,
    DeepLabV3Plus,
    Encoded,
    Fcn,
    FcnDilated,
    Model,
    ModelOptions,
)
from atrous.recipe.table import Options
from atrous.recipe.training import Augment, Loss, Predict, Train
from atrous.types import LayoutName

__all__ = [
    "MODEL_TABLES",
    "Augment",
    "Basic",
    "DeepLabV1",
    "DeepLabV2",
    "DeepLabV3",
    "DeepLabV3Plus",
    "Encoded",
    "Fcn",
    "FcnDilated",
    "Loss",
    "ModelOptions",
    "Options",
    "Predict",
    "Recipe",
    "Train",
    "difference",
    "flat",
    "from_tables",
    "make_recipe",
    "read_toml",
    "to_toml",
]


MOVED = {"train.class_weight": "loss.class_power"}  # keys of earlier versions


class Recipe(Options):
    """All options of a run."""

    seed: int = Field(default=0, ge=0, lt=2**63)
    """Order, augmentation, initial weights, dropout."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where torch computes."""
    threads: int = Field(default=0, ge=0, le=1024)
    """CPU threads; 0 = as many as cores."""
    task: Literal["auto", "multiclass", "binary", "multilabel"] = "auto"
    """What a pixel can be; auto: as the data set says or its masks show."""
    layout: Literal["auto", LayoutName] = "auto"
    """How the data set's folders are read; auto: the layout that recognises them."""
    model: Model = Field(default_factory=DeepLabV3Plus)
    augment: Augment = Field(default_factory=Augment)
    loss: Loss = Field(default_factory=Loss)
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
    try:
        return Recipe.model_validate(_completed(json.loads(json.dumps(tables, default=str))))
    except ValidationError as error:
        raise _explained(error.errors()[0], where) from None


def _completed(tables: dict[str, Any]) -> dict[str, Any]:
    """With the model's name, and the crop that goes with it, where nothing says them."""
    model, augment = tables.setdefault("model", {}), tables.setdefault("augment", {})
    if isinstance(model, dict) and isinstance(augment, dict):  # else refused, with a message
        name = model.setdefault("name", DeepLabV3Plus.model_fields["name"].default)
        if isinstance(name, str) and name in MODEL_TABLES:
            augment.setdefault("crop", MODEL_TABLES[name].crop)
    return tables


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
            yield from ((f"{name}.{key}", getattr(value, key)) for key in _keys(value))
        else:
            yield name, value


def to_toml(recipe: Recipe) -> str:
    """The recipe as TOML, each key with its sentence as a comment."""
    lines = [_line(recipe, name) for name, value in recipe if not isinstance(value, Options)]
    for name, table in recipe:
        if isinstance(table, Options):
            lines += ["", f"[{name}]", *(_line(table, key) for key in _keys(table))]
    return "\n".join(lines) + "\n"


def _keys(table: Options) -> list[str]:
    """The keys of a table, its name first."""
    return sorted(type(table).model_fields, key=lambda key: key != "name")


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
    if key in MOVED:
        return RecipeError(
            f"{where}, {key}",
            found="is not a key of a recipe any more",
            allowed=f"{MOVED[key]} stands for it",
            fix=f"Write {MOVED[key]}; runs from before need the version that made them.",
        )
    same_end = [name for name in every if name.endswith("." + key.rpartition(".")[2])]
    near = difflib.get_close_matches(key, known, 1) or same_end
    near = near or difflib.get_close_matches(key, every, 1)
    return RecipeError(
        f"{where}, {key}",
        found="is not a key of a recipe",
        allowed="its table has " + ", ".join(name.rpartition(".")[2] for name in known),
        fix=f"Did you mean {near[0]}?" if near else "`atrous recipe show` lists every key.",
    )
