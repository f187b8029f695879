"""The training state on disk: one file is the truth, the one before is kept.

state.safetensors            model/…  ema/…  best/…  optimizer/…  and what is said of them
state.previous.safetensors   the state before it, used when the newer one is damaged
last.safetensors             derived: the averaged weights, for predicting
best.safetensors             derived: those that did best on val
"""

import os
from dataclasses import dataclass, replace
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from atrous.classes import Classes
from atrous.errors import RunError, WeightsError
from atrous.files import sync_folder
from atrous.models.build import Segmenter
from atrous.recipe import Recipe, difference, from_tables
from atrous.runs import RunFolder, model_facts
from atrous.types import PixelType
from atrous.weights import Weights, read_weights, write_weights


@dataclass(frozen=True)
class Facts:
    """What a state says beside its tensors."""

    recipe: Recipe
    classes: Classes
    dtype: PixelType
    dataset: str  # digest of the data set's fingerprint
    threads: int
    precision: str  # empty until it is chosen
    step: int = 0  # updates done
    best_step: int = 0
    best_miou: float = -1.0
    log_bytes: int = 0  # length of the log at this step
    torch: str = torch.__version__

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the weights file."""
        nested = {"recipe": self.recipe.model_dump(), "classes": self.classes.to_dict()}
        return {**vars(self), **nested, "kind": "state"}

    @classmethod
    def from_dict(cls, about: dict[str, Any]) -> "Facts":
        """The facts that `to_dict` wrote."""
        plain = {key: value for key, value in about.items() if key != "kind"}
        recipe = from_tables(about["recipe"], where="the state")
        return cls(**{**plain, "recipe": recipe, "classes": Classes.from_dict(about["classes"])})


@dataclass
class Training:
    """What changes while training: networks, optimiser, the best weights so far, facts."""

    model: Segmenter
    ema: Segmenter
    optimizer: torch.optim.Optimizer
    best: dict[str, Tensor]
    facts: Facts

    def note(self, **changes: Any) -> None:
        """Replace some of the facts."""
        self.facts = replace(self.facts, **changes)

    def keep_best(self, miou: float) -> bool:
        """Remember the averaged weights if they are the best so far."""
        if not miou > self.facts.best_miou:
            return False
        self.best = {name: tensor.clone() for name, tensor in self.ema.state_dict().items()}
        self.note(best_miou=miou, best_step=self.facts.step)
        return True


def save(run: RunFolder, training: Training, log: IO[bytes]) -> None:
    """Write the state durably, keeping the one before; then the files derived from it."""
    log.flush()
    os.fsync(log.fileno())
    training.note(log_bytes=log.tell())
    tensors = {
        **_named("model", training.model.state_dict()),
        **_named("ema", training.ema.state_dict()),
        **_named("best", training.best),
        **_named("optimizer", _optimizer_tensors(training)),
    }
    write_weights(run.next_state, tensors, training.facts.to_dict())
    if run.state.exists():  # whole: find_state has put a damaged one away
        os.replace(run.state, run.previous_state)
    os.replace(run.next_state, run.state)
    sync_folder(run.path)
    write_derived(run, training)


def write_derived(run: RunFolder, training: Training) -> None:
    """Write `last` and `best` from the state."""
    facts = training.facts
    parameters = sum(parameter.numel() for parameter in training.model.parameters())
    about = model_facts(
        facts.recipe,
        facts.classes,
        dtype=facts.dtype,
        parameters=parameters,
        averaged=facts.recipe.train.ema > 0,
    )
    last = {**about, "weights": "last", "step": facts.step}
    write_weights(run.weights("last"), _arrays(training.ema.state_dict()), last)
    if training.best:
        best = {**about, "weights": "best", "step": facts.best_step}
        write_weights(run.weights("best"), _arrays(training.best), best)


def find_state(run: RunFolder) -> tuple[Weights | None, str]:
    """The newest state that is whole, with a sentence on it; None where there is none.

    A damaged state gives way to the one before, which then stands in its place.

    Raises:
        WeightsError: states are there, but none is whole.
    """
    damage: WeightsError | None = None
    for path in (run.state, run.previous_state):
        if not path.exists():
            continue
        try:
            state = read_weights(path)
        except WeightsError as error:
            damage = error
            continue
        os.replace(path, run.state)
        note = f"Going on from step {state.about['step']}."
        return state, f"{damage.where} {damage.found}: {note}" if damage else note
    if damage:
        raise damage
    return None, "No state yet: starting from step 0."


def check_same_run(old: Facts, new: Facts, run: RunFolder) -> None:
    """A state is only gone on with by the same recipe, label space and data.

    Raises:
        RunError: names the first difference.
    """
    allowed, fix = "a run goes on as it began", "Give another --out for a new run."
    answers = {"predict": old.recipe.predict, "postprocess": old.recipe.postprocess}
    asked = new.recipe.model_copy(update=answers)  # which are not of training
    changed = difference(old.recipe, asked)
    if changed:
        raise RunError(run.path, found=f"was begun with {changed}", allowed=allowed, fix=fix)
    if old.classes != new.classes:
        names = [*zip(old.classes.names, new.classes.names, strict=False)]
        tasks, sizes = (old.classes.task, new.classes.task), (len(old.classes), len(new.classes))
        pair = next((p for p in [*names, tasks] if p[0] != p[1]), sizes)
        found = f"holds a state of another label space ({pair[0]} there, {pair[1]} in the data)"
        raise RunError(run.path, found=found, allowed=allowed, fix=fix)
    if old.dataset != new.dataset:
        found = "was begun on other files (dataset.json lists their hashes)"
        raise RunError(run.path, found=found, allowed=allowed, fix=fix)


def restore(training: Training, state: Weights) -> None:
    """Put the tensors of a state into networks and optimiser."""
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "ema": {}, "best": {}, "optimizer": {}}
    for name, array in state.tensors.items():
        part, _, rest = name.partition("/")
        parts[part][rest] = torch.from_numpy(array)
    training.model.load_state_dict(parts["model"])
    training.ema.load_state_dict(parts["ema"])
    training.best = parts["best"]
    for name, parameter in training.model.named_parameters():
        slots = {
            key.removeprefix(f"{name}/"): _like(parameter, tensor)
            for key, tensor in parts["optimizer"].items()
            if key.rpartition("/")[0] == name
        }
        if slots:
            training.optimizer.state[parameter] = slots


def _like(parameter: Tensor, saved: Tensor) -> Tensor:
    """A saved tensor on the parameter's device and, if of its shape, in its memory layout."""
    if saved.shape != parameter.shape:
        return saved.to(parameter.device)  # the step counter, which fused optimisers want there
    return torch.empty_like(parameter).copy_(saved)


def _optimizer_tensors(training: Training) -> dict[str, Tensor]:
    return {
        f"{name}/{slot}": tensor
        for name, parameter in training.model.named_parameters()
        for slot, tensor in training.optimizer.state.get(parameter, {}).items()
        if isinstance(tensor, Tensor)
    }


def _named(part: str, tensors: dict[str, Tensor]) -> dict[str, np.ndarray]:
    return {f"{part}/{name}": array for name, array in _arrays(tensors).items()}


def _arrays(tensors: dict[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in tensors.items()}
