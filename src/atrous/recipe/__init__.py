"""Every option: its type, range, default and one sentence; TOML in and out; `--set`.

A recipe is frozen. Keys that do not exist are errors that name the nearest one.
"""

import difflib
import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

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
from atrous.recipe.postprocessing import STEP_TABLES, Step, Steps
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
    "Step",
    "Steps",
    "Train",
    "difference",
    "flat",
    "from_tables",
    "make_recipe",
    "make_steps",
    "read_steps",
    "read_toml",
    "steps_to_toml",
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
    postprocess: Annotated[tuple[Step, ...], Field(strict=False)] = ()
    """Steps after the network, in their order: crf, holes, ... ([[postprocess]] tables)."""

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


def make_steps(given: Iterable[Step | Mapping[str, Any]], *, where: str) -> Steps:
    """The steps that options or plain tables describe.

    Example:
        >>> make_steps([{"step": "holes"}], where="here")
        (Holes(step='holes', pixels=64),)

    Raises:
        RecipeError: as `make_recipe`.
    """
    tables = given
    if isinstance(given, list | tuple):
        tables = [step.model_dump() if isinstance(step, Options) else step for step in given]
    return from_tables({"postprocess": tables}, where=where).postprocess


def read_steps(path: Path) -> Steps:
    """The steps of a file that holds `[[postprocess]]` tables and nothing else.

    Raises:
        RecipeError: it cannot be read, or holds another key.
    """
    tables = read_toml(path)
    for key in tables:
        if key != "postprocess":
            raise RecipeError(
                f"{path}, {key}",
                found="is not a step",
                allowed="the file holds [[postprocess]] tables alone",
                fix="Put it into the recipe, or leave it out.",
            )
    return from_tables(tables, where=str(path)).postprocess


def steps_to_toml(steps: Steps) -> str:
    """Steps as TOML, each key with its sentence as a comment."""
    if not steps:
        return "postprocess = []\n"
    return "\n".join(_step_lines(steps)).lstrip() + "\n"


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
    steps = recipe.postprocess
    lines = [
        _line(recipe, name)
        for name, value in recipe
        if not isinstance(value, Options) and not (name == "postprocess" and steps)
    ]
    for name, table in recipe:
        if isinstance(table, Options):
            lines += ["", f"[{name}]", *(_line(table, key) for key in _keys(table))]
    return "\n".join([*lines, *_step_lines(steps)]) + "\n"


def _step_lines(steps: Steps) -> Iterable[str]:
    for step in steps:
        yield from ("", "[[postprocess]]", *(_line(step, key) for key in _keys(step)))


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
    if location[:1] == ["postprocess"]:
        return _explained_step(location, error, where)
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


def _explained_step(location: list[str], error: Any, where: str) -> RecipeError:
    """The error of a step, which stands at its number, from 0."""
    at = "postprocess" + "".join(f"[{number}]" for number in location[1:2])
    name, inside, given = location[2:3], location[3:], error["input"]
    found, allowed = f"is {given!r}", _lowered(error["msg"])
    fix = 'Write for example: postprocess = [{step = "crf"}].'
    if error["type"].startswith("union_tag") and isinstance(given, dict):
        found = f"is the step {given['step']!r}" if "step" in given else "names no step"
        allowed = "the steps are " + ", ".join(STEP_TABLES)
    elif error["type"] == "extra_forbidden":
        known = [*STEP_TABLES[name[0]].model_fields, *["preset"] * (name == ["crf"])]
        near = difflib.get_close_matches(inside[0], known, 1)
        found, allowed = "is not a key of the step", "it has " + ", ".join(known)
        fix = f"Did you mean {near[0]}?" if near else "Leave it out."
    elif error["type"] == "missing":
        found, allowed = "is missing", "nothing else says it"
    key = ".".join([at, *name, *inside])
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
