"""The run folder: what its files are called, and which file answers for a run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atrous.classes import Classes
from atrous.errors import RunError, WeightsError
from atrous.files import TEMPORARY
from atrous.recipe import Recipe, Steps, read_steps
from atrous.types import PixelType
from atrous.weights import Weights, read_weights

WHICH = ("last", "best")


@dataclass(frozen=True)
class RunFolder:
    """The files of a run.

    `state` alone is the truth for resuming; `last` and `best` are derived from it.
    """

    path: Path

    @property
    def recipe(self) -> Path:
        return self.path / "recipe.toml"

    @property
    def dataset(self) -> Path:
        return self.path / "dataset.json"

    @property
    def state(self) -> Path:
        return self.path / "state.safetensors"

    @property
    def previous_state(self) -> Path:
        return self.path / "state.previous.safetensors"

    @property
    def next_state(self) -> Path:
        """A state that is being written; a leftover if it stays."""
        return self.path / f"{TEMPORARY}state"

    @property
    def log(self) -> Path:
        return self.path / "log.jsonl"

    @property
    def scores(self) -> Path:
        return self.path / "scores.json"

    @property
    def postprocess(self) -> Path:
        """Steps that `atrous tune` found; they go before those of the recipe."""
        return self.path / "postprocess.toml"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    def weights(self, which: str) -> Path:
        """The weights file called `last` or `best`."""
        return self.path / f"{which}.safetensors"

    @property
    def is_run(self) -> bool:
        """Whether this folder holds a run, finished or begun."""
        return self.recipe.is_file()


def model_facts(
    recipe: Recipe, classes: Classes, *, dtype: PixelType, parameters: int, averaged: bool
) -> dict[str, Any]:
    """What a weights file says of a model, but for which weights of which step they are."""
    return {
        "kind": "model",
        "ema": averaged,
        "recipe": recipe.model_dump(),
        "classes": classes.to_dict(),
        "dtype": dtype,
        "parameters": parameters,
    }


def read_model(path: Path) -> Weights:
    """The weights of a model from a file; a training state is none.

    Raises:
        WeightsError: missing, damaged, or something else than a model.
    """
    weights = read_weights(path)
    if weights.about.get("kind") == "model":
        return weights
    raise WeightsError(
        path,
        found=f"holds {weights.about.get('kind', 'something else')!r}",
        allowed="a model's weights are needed here",
        fix="Give the run folder, or its last.safetensors or best.safetensors.",
    )


def weights_file(run_or_file: Path, which: str = "last") -> Path:
    """The weights file that answers for a run folder, or the file itself.

    Raises:
        RunError: nothing is there, or the run has no weights yet.
    """
    if run_or_file.is_file():
        return run_or_file
    if which not in WHICH:
        raise RunError(
            "weights",
            found=f"are {which!r}",
            allowed=f"a run has {' and '.join(WHICH)}",
            fix="Choose one of them.",
        )
    run = RunFolder(run_or_file)
    if not run.is_run:
        found = "is a folder without recipe.toml" if run_or_file.is_dir() else "does not exist"
        raise RunError(
            run_or_file,
            found=found,
            allowed="a run folder or a weights file (.safetensors) is needed here",
            fix="`atrous train DATA --out RUN` makes one.",
        )
    if not run.weights(which).is_file():
        raise RunError(
            run_or_file,
            found=f"has no {which}.safetensors yet",
            allowed="weights are written at each checkpoint",
            fix="Go on training with `atrous train DATA --out RUN --resume`.",
        )
    return run.weights(which)


def steps_of(weights: Path, recipe: Recipe) -> Steps:
    """The steps after the network of a weights file: those found for its run, else its recipe's.

    Raises:
        RecipeError: the file of those found cannot be read.
    """
    run = RunFolder(weights.parent)
    found = run.is_run and run.postprocess.is_file()
    return read_steps(run.postprocess) if found else recipe.postprocess
