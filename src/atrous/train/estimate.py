"""What a training would take on this machine, from a step with a few real pictures."""

import sys
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from atrous.data.dataset import DataSet
from atrous.data.loading import CACHE_BYTES, Samples, first_batch
from atrous.recipe import Basic, Recipe
from atrous.train.checkpoint import Training
from atrous.train.loop import seconds_per_validation
from atrous.train.probe import seconds_per_step
from atrous.train.start import new_facts, new_training
from atrous.train.step import Objective, forward_backward

FEW = 2  # pictures that are tried on a CPU: there, time and memory grow with their number
PATIENCE = 5.0  # seconds; a first step that takes longer is not tried again


@dataclass(frozen=True)
class Estimate:
    """What a training takes, about.

    `seconds` are those of all steps and validations; `bytes` are memory of the process, or of
    the GPU where `device` is one, None where the system does not tell; `model` is its name.
    """

    seconds_per_step: float
    seconds: float
    bytes: int | None
    model: str
    device: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def estimate(data: DataSet, recipe: Recipe) -> Estimate | None:
    """Time and memory of training `recipe` on `data`; None where that cannot be tried.

    A step is made with real pictures at the recipe's crop, without the trained weights, which
    change nothing here. The number of torch's threads is left as it was.
    """
    threads = torch.get_num_threads()
    try:
        return _tried(data, recipe)
    except ImportError:
        raise
    except Exception:  # odd data and odd recipes break networks in every way there is
        return None
    finally:
        torch.set_num_threads(threads)


def _tried(data: DataSet, recipe: Recipe) -> Estimate:
    facts = new_facts(recipe, replace(data, files=()))  # hashing all files is not needed
    torch.set_num_threads(facts.threads)
    now = new_training(facts, data, resumed=True)
    on_cpu, options = now.model.device.type == "cpu", recipe.train
    few = min(FEW, options.batch) if on_cpu else options.batch
    tried = recipe.model_copy(update={"train": options.model_copy(update={"batch": few})})
    begin = time.monotonic()
    batch = first_batch(Samples(data, "train"), tried, step=0)
    reading = time.monotonic() - begin
    images, masks = batch.images.to(now.model.device), batch.masks.to(now.model.device)
    loss = Objective(recipe.loss, data.classes.task, data.classes.ignore_index)
    begin = time.monotonic()
    kept = _bytes_kept(now, images, masks, loss) * options.batch / few
    step = time.monotonic() - begin
    if step < PATIENCE:
        step = seconds_per_step(now.model, images, masks, loss, "f32")
    step = (step + reading) * options.accumulate * options.batch / few
    validation = seconds_per_validation(now, data) if "val" in data.splits else 0.0
    validations = -(-options.steps // recipe.validation_steps)
    return Estimate(
        seconds_per_step=step,
        seconds=step * options.steps + validation * validations,
        bytes=_bytes(now, data, kept, on_cpu=on_cpu),
        model=_words(recipe),
        device=str(now.model.device),
    )


def _words(recipe: Recipe) -> str:
    model = recipe.model
    return model.name if isinstance(model, Basic) else f"{model.name} on {model.encoder}"


def _bytes(now: Training, data: DataSet, kept: float, *, on_cpu: bool) -> int | None:
    """Weights, their gradients and averages, what a step keeps; on a CPU the process beside."""
    weights = sum(p.numel() * p.element_size() for p in now.model.parameters())
    if not on_cpu:
        return round(5 * weights + kept)  # weights, EMA, gradients, two averages of Adam
    resident = _resident()  # holds the weights and their EMA already
    return None if resident is None else round(resident + 3 * weights + kept + _cache(data))


def _cache(data: DataSet) -> int:
    """Decoded pictures of train that are kept in memory."""
    pair = data.split("train")[0]
    sample = data.read(pair)
    each = sample.image.nbytes + sample.mask.nbytes
    return min(CACHE_BYTES, each * len(data.split("train")))


def _bytes_kept(now: Training, images: Tensor, masks: Tensor, objective: Objective) -> int:
    """What a forward pass keeps for the backward pass, the weights left out."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    model = now.model.train()
    own = {tensor.untyped_storage().data_ptr() for tensor in model.state_dict().values()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        forward_backward(model, images, masks, objective, "f32")
    return sum(size for place, size in kept.items() if place not in own)


def _resident() -> int | None:
    """The most memory that this process has held so far; None on Windows."""
    if sys.platform == "win32":
        return None
    import resource

    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held if sys.platform == "darwin" else held * 1024
