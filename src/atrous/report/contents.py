"""A run folder, or what `atrous evaluate --out` wrote -> what a report shows, as plain values."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from atrous.classes import Classes
from atrous.errors import RunError
from atrous.report.pictures import Layers
from atrous.runs import RunFolder

MODEL = "model.json"  # which model an evaluation scored


@dataclass(frozen=True)
class Log:
    """The training log; of a step that was logged twice the later line counts."""

    train: tuple[Mapping[str, Any], ...] = ()
    val: tuple[Mapping[str, Any], ...] = ()  # {"step": .., "mIoU": .., "IoU": [..]}
    machine: Mapping[str, Any] = field(default_factory=dict)

    @property
    def steps(self) -> Float64[np.ndarray, " N"]:
        return _column(self.train, "step")

    @property
    def val_steps(self) -> Float64[np.ndarray, " V"]:
        return _column(self.val, "step")

    def column(self, key: str) -> Float64[np.ndarray, " N"]:
        """A number of each training line; NaN where a line has none."""
        return _column(self.train, key)

    def val_column(self, key: str) -> Float64[np.ndarray, " V"]:
        """A number of each validation; NaN where one has none."""
        return _column(self.val, key)

    def class_iou(self, index: int) -> Float64[np.ndarray, " V"]:
        """IoU of a class at each validation."""
        ious = [line.get("IoU") or [] for line in self.val]
        return np.array([_number(row[index]) if index < len(row) else np.nan for row in ious])


@dataclass(frozen=True)
class Shown:
    """A picture of the report.

    `wrong`, a share, and `mistake` (true class, predicted class, pixels) are those of its
    prediction at full size.
    """

    name: str
    miou: float
    layers: Layers
    wrong: float
    mistake: tuple[str, str, int] | None = None


@dataclass(frozen=True)
class Model:
    """Which model an evaluation scored, as its `model.json` says: `options` are those of `load`."""

    path: str
    digest: str = ""
    description: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Contents:
    """Everything that a report shows. `note` says why pictures are missing or not the scored.

    An evaluation has no recipe and no log, but names its model; a run is its own model.
    """

    name: str
    scores: Mapping[str, Any]
    classes: Classes
    recipe: str = ""
    dataset: Mapping[str, Any] = field(default_factory=dict)
    log: Log = field(default_factory=Log)
    model: Model | None = None
    worst: tuple[Shown, ...] = ()
    best: tuple[Shown, ...] = ()
    note: str = ""

    @cached_property
    def options(self) -> Mapping[str, Any]:
        """The recipe's tables; none if it cannot be read, for then its text is shown as it is."""
        try:
            return tomllib.loads(self.recipe)
        except tomllib.TOMLDecodeError:
            return {}

    def option(self, table: str, key: str) -> Any:
        """An option of the recipe, None if it has none of that name."""
        return self.options.get(table, {}).get(key)

    @cached_property
    def confusion(self) -> Int64[np.ndarray, "K K"] | Int64[np.ndarray, "K 2 2"]:
        """Pixels by true class (row) and predicted class (column); or those of each class."""
        return np.array(self.scores["confusion"], np.int64)


def read_contents(run: Path) -> Contents:
    """What the files of a run or of an evaluation say, without pictures.

    Raises:
        RunError: neither is there, it has no scores yet, or a file is damaged.
    """
    folder = RunFolder(run)
    _must_be_scored(folder)
    scores = _json(folder.scores, folder)
    dataset = _json(folder.dataset, folder) if folder.dataset.is_file() else {}
    known = Contents(
        name=run.resolve().name,
        scores=scores,
        classes=_classes(dataset, scores, folder),
        dataset=dataset,
    )
    if not folder.is_run:
        return replace(known, model=_model(folder))
    recipe = folder.recipe.read_text(encoding="utf-8", errors="replace")
    return replace(known, recipe=recipe, log=read_log(folder.log))


def read_log(path: Path) -> Log:
    """The log of a run; lines that are cut off or hold other things are left out."""
    train: dict[float, Mapping[str, Any]] = {}
    val: dict[float, Mapping[str, Any]] = {}
    machine: dict[str, Any] = {}
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    for line in map(_line, text.splitlines()):
        step = _number(line.get("step"))
        if isinstance(line.get("machine"), dict):
            machine |= line["machine"]
        if np.isfinite(step) and isinstance(line.get("val"), dict):
            val[step] = {**line["val"], "step": step}
        elif np.isfinite(step) and "loss" in line:
            train[step] = line
    return Log(
        tuple(train[step] for step in sorted(train)),
        tuple(val[step] for step in sorted(val)),
        machine,
    )


def _must_be_scored(folder: RunFolder) -> None:
    if folder.scores.is_file():
        return
    path = folder.path
    if path.is_file():
        raise RunError(
            path,
            found="is a file",
            allowed="a report is made of a run folder, or of the folder of an evaluation",
            fix=f"For that of a model: `atrous evaluate {path} DATA --out DIR`, then "
            "`atrous report DIR`.",
        )
    if not folder.is_run:
        raise RunError(
            path,
            found="is a folder without recipe.toml and scores.json"
            if path.is_dir()
            else "is not a folder",
            allowed="a report is made of a run folder, or of the folder of an evaluation",
            fix="`atrous train DATA --out RUN` makes the one, `atrous evaluate RUN_OR_FILE DATA "
            "--out DIR` the other.",
        )
    raise RunError(
        path,
        found="has no scores.json yet",
        allowed="a report shows the scores that are written when training ends",
        fix=f"Finish it with `atrous train DATA --out {path} --resume`; imported weights have no "
        f"training to report: `atrous evaluate {path} DATA --out DIR`, then `atrous report DIR`.",
    )


def _model(folder: RunFolder) -> Model | None:
    """The model that was scored; None where an earlier atrous did not write it down."""
    path = folder.path / MODEL
    if not path.is_file():
        return None
    value = _json(path, folder)
    options = value.get("options") or {}
    if not isinstance(value.get("model"), str) or not isinstance(options, dict):
        raise _damaged(path, "does not say which model was scored, with which options", folder)
    digest, description = (str(value.get(key) or "") for key in ("digest", "description"))
    return Model(value["model"], digest, description, options)


def _json(path: Path, folder: RunFolder) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, f"cannot be read as JSON ({error})", folder) from None
    if not isinstance(value, dict):
        raise _damaged(path, f"holds a {type(value).__name__}", folder)
    return value


def _classes(dataset: Mapping[str, Any], scores: Mapping[str, Any], folder: RunFolder) -> Classes:
    """The label space of the data set; where it is not told, the names of the scores."""
    try:
        names = tuple(row["name"] for row in scores["classes"])
        shape = np.shape(scores["confusion"])
        task = "multilabel" if shape == (len(names), 2, 2) else "multiclass"
        known = task == "multilabel" or shape == (len(names), len(names))
    except (KeyError, TypeError, ValueError):
        known, names, task = False, (), "multiclass"
    if not known or not {"mIoU", "pixel_accuracy", "pixels"} <= scores.keys():
        found = "lacks scores, classes or a square confusion matrix"
        raise _damaged(folder.scores, found, folder)
    try:
        classes = Classes.from_dict(dataset["classes"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return Classes(names, task=task)
    if classes.names != names:
        raise _damaged(folder.dataset, "has other classes than scores.json", folder)
    return classes


def _damaged(path: Path, found: str, folder: RunFolder) -> RunError:
    evaluated = f"`atrous evaluate RUN_OR_FILE DATA --out {folder.path}`"
    again = "`atrous train DATA --out RUN --resume`" if folder.is_run else evaluated
    return RunError(
        path,
        found=found,
        allowed="a report needs the file as training and evaluation write it",
        fix=f"Make it again with {again}.",
    )


def _line(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:  # the last line of a run that was killed
        return {}
    return value if isinstance(value, dict) else {}


def _column(lines: tuple[Mapping[str, Any], ...], key: str) -> Float64[np.ndarray, " N"]:
    return np.array([_number(line.get(key)) for line in lines], np.float64)


def _number(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else float("nan")
