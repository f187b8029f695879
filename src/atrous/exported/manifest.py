"""The manifest of an exported file: all that one must know to use its graph rightly.

It lies inside the file that `atrous export` writes. A graph of another program, a guest, gets
one from a side file with the same keys, of which few are needed.
"""

import difflib
from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from atrous.classes import IGNORE, Classes
from atrous.errors import RecipeError
from atrous.recipe import Steps, make_steps
from atrous.recipe.postprocessing import plain_steps
from atrous.types import Grid, PixelType, Placement, Spread, Task

FORMAT = 1  # raise when old readers would misread
EXAMPLE = 'classes = ["background", "person"], mean = [127.5, 127.5, 127.5], std = [127.5, ...]'
# Graphs of other programs, where their side file does not say otherwise.
GUEST: dict[str, Any] = {
    "dtype": "uint8",
    "normalises": False,
    "layout": "NCHW",
    "placement": Spread()._asdict(),
}
LABELS = ("colours", "remap", "task")  # beside `classes`, as in dataset.toml
FORMER = ("post_processing", "global_parts")  # of files of before; the first always empty

Numbers = Annotated[tuple[float, ...], Field(strict=False)]  # JSON and TOML have lists
Positive = Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(strict=False)]
Side = Annotated[int, Field(ge=1)]


@dataclass(
    frozen=True,
    kw_only=True,
    config=ConfigDict(strict=True, allow_inf_nan=False, use_attribute_docstrings=True),
)
class Manifest:
    """What an exported graph takes and gives, and where it comes from."""

    classes: Classes
    """The label space."""
    dtype: PixelType
    """Of the pixels that it takes."""
    bands: int = Field(ge=1)
    """Of a picture."""
    mean: Numbers
    """Of each band, in pixel values: the network sees (pixel - mean) / std."""
    std: Positive
    """Of each band, in pixel values."""
    placement: Placement
    """Where its logits lie in the picture."""
    normalises: bool = True
    """Whether the graph applies mean and std; else whoever calls it does."""
    layout: Literal["NHWC", "NCHW"] = "NHWC"
    """The order of the graph's input."""
    size: Annotated[tuple[Side, Side], Field(strict=False)] | None = None
    """Height and width of the only pictures that the graph takes; others are resized."""
    band_order: Literal["RGB", "BGR", ""] = "RGB"
    """Of three bands; empty for others."""
    probabilities: bool = False
    """Whether the graph gives probabilities, not logits."""
    precision: Literal["f32", "int8"] = "f32"
    """Of its weights and sums."""
    alignment: int = Field(default=1, ge=1)
    """Pixels: tiles are cut at multiples of it."""
    halo: int = Field(default=0, ge=0)
    """Pixels around a tile that its cells need."""
    tiling: Literal["exact", "two-pass", "blend"] = "blend"
    """How tiles equal the whole picture: as they are, with `pooled` given, or not at all."""
    inexact: str = ""
    """Why tiles differ from the whole picture, in words, if they do."""
    room: int = Field(default=0, ge=0)
    """Bytes of memory a pixel, about, while the network answers; 0 = not known."""
    pooled: int = Field(default=0, ge=0)
    """Channels of the input `pooled` and the output `pooled_features`; 0 = it has none."""
    pooled_stride: int = Field(default=0, ge=0)
    """Pixels a cell of the input `counted`, which says what is pooled; 0 = it has none."""
    model: dict[str, Any] = Field(default_factory=dict)
    """Name, encoder, parameters, MACs at a size, ..."""
    weights: str = ""
    """Digest of the weights file that was exported."""
    description: str = ""
    """Which weights these are, in words."""
    opset: int = Field(default=0, ge=0)
    """Of the graph's operators."""
    postprocess: Steps = ()
    """What is done to masks after the graph, step by step."""
    calibration: dict[str, Any] | None = None
    """Of probabilities."""
    scores: dict[str, Any] | None = None
    """Of the run, when it was exported."""
    verified: dict[str, Any] | None = None
    """How it compared with the run that it was made from."""
    quantised: dict[str, Any] | None = None
    """How an int8 graph was made: pictures, layers kept in float, ..."""
    format: Literal[1] = FORMAT
    """Of the manifest itself."""

    def __post_init__(self) -> None:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.bands:
                raise ValueError(f"{name} has {len(values)} values for {self.bands} bands")
        match self.placement:
            case Grid(stride=cells) | Spread(multiple=cells) if cells < 1:
                raise ValueError("a cell is a pixel or more")
            case Grid() if self.size:
                raise ValueError("logits of pictures of one size are spread over the picture")

    @property
    def is_plain(self) -> bool:
        """Whether the graph takes pictures as they are and gives logits, as ours do."""
        takes = self.normalises and self.layout == "NHWC" and self.size is None
        return takes and self.band_order != "BGR" and not self.probabilities

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `classes`, `colours`, `remap` and `task` as in dataset.toml."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        labels = self.classes.to_dict()
        values |= {"classes": labels["names"]} | {key: labels[key] for key in LABELS}
        values["placement"] = self.placement._asdict()
        values["postprocess"] = plain_steps(self.postprocess)
        return {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, where: object) -> "Manifest":
        """The manifest that `to_dict` wrote, or a person; what is left out takes its default.

        Raises:
            RecipeError: an unknown key, a wrong value, or one that must be there and is not.
        """
        values = dict(data)
        for key in FORMER:
            values.pop(key, None)
        known = [*(field.name for field in fields(cls)), *LABELS]
        for key in values:
            if key not in known:
                raise _unknown(key, known, where)
        values["classes"] = _classes(values, where)
        if "postprocess" in values:
            values["postprocess"] = make_steps(values["postprocess"], where=str(where))
        for key in LABELS:
            values.pop(key, None)
        mean = values.get("mean")
        values.setdefault("bands", len(mean) if mean and isinstance(mean, list | tuple) else 1)
        if values["bands"] != 3:
            values.setdefault("band_order", "")
        try:
            return cls(**values)
        except ValidationError as error:
            raise _explained(error.errors()[0], where) from None


def guest_manifest(data: Mapping[str, Any], *, where: object) -> Manifest:
    """The manifest of a graph of another program, by its side file: classes, mean, std, ...

    It takes float32 `N C H W` that is normalised for it, and its logits are stretched over the
    picture, where the file does not say otherwise.

    Raises:
        RecipeError: as `Manifest.from_dict`; or mean and std are of pixels from 0 to 1.
    """
    manifest = Manifest.from_dict(GUEST | dict(data), where=where)
    small = all(0 < mean < 1 for mean in manifest.mean) and max(manifest.std) < 1
    if small and manifest.dtype != "float32":
        largest = {"uint8": 255, "uint16": 65535}[manifest.dtype]
        raise RecipeError(
            f"{where}, mean",
            found=f"is {list(manifest.mean)}, of pixels from 0 to 1",
            allowed=f"mean and std are in pixel values, 0 to {largest}",
            fix=f"Multiply both by {largest}.",
        )
    return manifest


def _classes(values: Mapping[str, Any], where: object) -> Classes:
    """The label space of flat keys."""
    names = values.get("classes")
    if not isinstance(names, list | tuple) or not names or len({*map(str, names)}) < len(names):
        raise RecipeError(
            f"{where}, classes",
            found=f"is {names!r}" if "classes" in values else "is missing",
            allowed="the names of the classes are needed, in their order, each once",
            fix=f"Write for example: {EXAMPLE}.",
        )
    labels = {"names": [*map(str, names)], "colours": [], "remap": {}}
    try:
        classes = Classes.from_dict(labels | {key: values[key] for key in LABELS if key in values})
        _check(classes)
    except (ValueError, TypeError, AttributeError) as error:
        raise RecipeError(
            f"{where}, classes",
            found=f"with colours, remap and task are no label space ({error})",
            allowed='colours are "#rrggbb", one a class; remap gives a label a class or "ignore"; '
            "a task is multiclass, binary (two classes) or multilabel",
            fix="Write these keys as in dataset.toml.",
        ) from None
    return classes


def _check(classes: Classes) -> None:
    """ValueError if this is no label space."""
    if len(classes.colours) != len(classes):
        raise ValueError(f"{len(classes.colours)} colours for {len(classes)} classes")
    if classes.task not in get_args(Task):
        raise ValueError(f"the task {classes.task!r}")
    if classes.task == "binary" and len(classes) != 2:
        raise ValueError(f"{len(classes)} classes of a binary task")
    for target in classes.remap.values():
        if target != IGNORE and not (isinstance(target, int) and target < len(classes)):
            raise ValueError(f"the class {target!r} in remap")


def _unknown(key: str, known: list[str], where: object) -> RecipeError:
    near = difflib.get_close_matches(str(key), known, 1)
    return RecipeError(
        f"{where}, {key}",
        found="is not a key of a manifest",
        allowed="it has " + ", ".join(known),
        fix=f"Did you mean {near[0]}?" if near else f"Write for example: {EXAMPLE}.",
    )


def _explained(error: Any, where: object) -> RecipeError:
    message = error["msg"].removeprefix("Value error, ")
    key = "".join(f", {part}" for part in error["loc"][:1])
    found = f"is {error['input']!r}" if key else "does not fit together"
    allowed = message[0].lower() + message[1:]
    if key == ", placement":  # a union, whose own message is of one of its kinds
        found, allowed = "is neither", "it is {stride, offset}, or {align_corners, multiple}"
    elif error["type"] == "missing":
        found, allowed = "is missing", "nothing else says it"
    fix = f"Write for example: {EXAMPLE}."
    return RecipeError(f"{where}{key}", found=found, allowed=allowed, fix=fix)
