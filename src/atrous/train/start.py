"""What stands before the first step: the run folder, the state to go on from, the networks."""

import copy
import json
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from atrous.classes import Classes, class_weights
from atrous.data.dataset import DataSet
from atrous.errors import DataError, RunError
from atrous.files import make_folder, remove_leftovers, write_whole
from atrous.machine import cores
from atrous.models.build import begins_trained, build_model, outline
from atrous.models.geometry import tap_line, valid_taps
from atrous.predict.engines.torch import pick_device
from atrous.predict.postprocess import check_steps
from atrous.recipe import Basic, Recipe, to_toml
from atrous.recipe.postprocessing import named_steps
from atrous.runs import RunFolder, read_model, weights_file
from atrous.train.checkpoint import (
    Facts,
    Training,
    check_same_run,
    find_state,
    restore,
    write_derived,
)
from atrous.train.events import Note
from atrous.train.optim import build_optimizer
from atrous.train.step import Objective

CLASSES_SHOWN, NEW_SHOWN = 24, 6


def start(
    run: RunFolder, recipe: Recipe, dataset: DataSet, *, resume: bool
) -> tuple[Training, list[Note]]:
    """A new training, or the one of the run folder; and what was decided. Writes nothing new.

    Raises:
        RunError: the folder belongs to another run.
        DataError: there is no train or no val.
        RecipeError: a step after the network does not fit the classes.
    """
    for split in ("train", "val"):
        dataset.split(split)
        if not dataset.counts[split].any():
            raise DataError(
                dataset.root,
                found=f"has no pixel of any class in {split}",
                allowed="training and validation need labelled pixels",
                fix="Check the masks, and what dataset.toml ignores. Where rasters are cut and "
                "have much no data, try another seed or smaller blocks: [raster] in dataset.toml.",
            )
    state, note = find_state(run) if resume else (None, "")
    if not state:
        refuse_imported(run)
    check_steps(recipe.postprocess, dataset.classes, dtype=dataset.dtype)
    facts = new_facts(recipe, dataset)
    if state:
        earlier = Facts.from_dict(state.about)
        check_same_run(earlier, facts, run)
        note += _other_steps(earlier.recipe, recipe)
        facts = earlier
    torch.set_num_threads(facts.threads)
    now = new_training(facts, dataset, resumed=state is not None)
    notes = [Note(note)] if resume else []
    if state:
        restore(now, state)
        write_derived(run, now)
    elif recipe.model.from_run:
        notes.append(take_over(now, Path(recipe.model.from_run)))
    return now, [*notes, *described(now, dataset)]


def _other_steps(begun: Recipe, asked: Recipe) -> str:
    """What becomes of other steps than those that a run began with."""
    if begun.postprocess == asked.postprocess:
        return ""
    return (
        " It keeps the steps after the network that it began with: "
        f"{named_steps(begun.postprocess)}; others are for `predict`, `evaluate` and `atrous tune`."
    )


@torch.no_grad()
def take_over(now: Training, run: Path) -> Note:
    """Give the networks the weights of a run where name and shape agree; says what stays new.

    So FCN-16s goes on from FCN-32s, and a data set with other classes from any run. The whole
    encoder must agree, and the rules of pixels and padding that it was trained by.

    Raises:
        RunError, WeightsError: there are no weights, or those of another encoder or rules.
    """
    file, model = weights_file(run), now.facts.recipe.model
    theirs, about, _ = read_model(file)
    own = now.model.state_dict()
    fitting = {
        key for key, tensor in own.items() if key in theirs and theirs[key].shape == tensor.shape
    }
    begun, here = _encoder_words(about["recipe"]["model"]), _encoder_words(model.model_dump())
    if begun != here or any(key.startswith("encoder.") for key in own.keys() - fitting):
        raise RunError(
            file,
            found=f"holds the weights of {begun}",
            allowed=f"this model stands on {here}",
            fix="Give a run on the same encoder in model.from_run, with the same model.origin.",
        )
    for network in (now.model, now.ema):
        for key, tensor in network.state_dict().items():
            if key in fitting:
                tensor.copy_(torch.from_numpy(theirs[key]))
    new = [key for key in own if key not in fitting]
    rest = f"; new: {', '.join(new[:NEW_SHOWN])}{', …' * (len(new) > NEW_SHOWN)}" if new else ""
    if Classes.from_dict(about["classes"]).names != now.facts.classes.names:
        rest += "; its classes had other names"
    return Note(f"Weights of {run}: {len(fitting)} of {len(own)} tensors taken{rest}.")


def _encoder_words(model: dict[str, Any]) -> str:
    """An encoder, and whose rules it keeps, in words."""
    return (
        f"{model.get('encoder', 'a small network')} by the rules of {model.get('origin', 'atrous')}"
    )


def refuse_taken(run: RunFolder) -> None:
    """A new run needs a folder of its own.

    Raises:
        RunError: it holds a run.
    """
    if run.is_run:
        raise RunError(
            run.path,
            found="holds a run already",
            allowed="a new run needs a folder of its own",
            fix="Add --resume to go on with it, or give another --out.",
        )


def refuse_imported(run: RunFolder) -> None:
    """Weights without a training state, as imported ones are, must not be written over.

    Raises:
        RunError: the folder holds such.
    """
    if run.weights("last").exists():
        raise RunError(
            run.path,
            found="holds weights, but no state to go on from",
            allowed="a run goes on from its state; imported weights have none",
            fix="Begin a run of its own (another --out) with --config "
            f"{run.recipe} --set model.from_run={run.path}.",
        )


def new_facts(recipe: Recipe, dataset: DataSet) -> Facts:
    """The facts of a run that has not begun."""
    return Facts(
        recipe=recipe,
        classes=dataset.classes,
        dtype=dataset.dtype,
        dataset=dataset.fingerprint()["sha256"],
        threads=recipe.threads or cores(),
        precision="",
    )


def new_training(facts: Facts, dataset: DataSet, *, resumed: bool = False) -> Training:
    """Networks and optimiser at step 0; where a state will follow, without their first weights."""
    recipe = facts.recipe
    model = build_model(
        recipe.model.bare() if resumed else recipe.model,
        num_classes=dataset.classes.num_logits,
        bands=dataset.bands,
        dtype=dataset.dtype,
        statistics=dataset.statistics,
        seed=recipe.seed,
    )
    if resumed:
        model.encoder.origin = "weights of this run"
        model.encoder.trained = begins_trained(recipe.model)
    elif recipe.model.from_run:
        model.encoder.origin, model.encoder.trained = f"weights of {recipe.model.from_run}", True
    model = model.to(pick_device(recipe.device)).to(memory_format=torch.channels_last)
    ema = copy.deepcopy(model).requires_grad_(False)
    return Training(model, ema, build_optimizer(model, recipe.train), {}, facts)


def objective(now: Training, dataset: DataSet) -> Objective:
    """What is made small: the recipe's loss, with class weights from the pixels of train."""
    weights = weights_of_classes(now, dataset).astype(np.float32)
    on_device = torch.from_numpy(weights).to(now.model.device)
    classes = dataset.classes
    return Objective(now.facts.recipe.loss, classes.task, classes.ignore_index, on_device)


def weights_of_classes(now: Training, dataset: DataSet) -> np.ndarray:
    """A weight for each class, from its pixels in train.

    Of a `multilabel` mask every pixel decides on every class: there the mean over classes is 1.
    """
    options = now.facts.recipe.loss
    weights = class_weights(
        dataset.counts["train"],
        options.class_weights,
        power=options.class_power,
        beta=options.effective_beta,
        around=dataset.around("train"),
    )
    return weights / weights.mean() if dataset.classes.task == "multilabel" else weights


def prepare_folder(run: RunFolder, recipe: Recipe, dataset: DataSet) -> None:
    """The run folder with what is known before the first step."""
    make_folder(run.path)
    remove_leftovers(run.path)
    run.log.touch()
    write_whole(run.dataset, json.dumps(dataset.record(), ensure_ascii=False).encode())
    write_whole(run.recipe, to_toml(recipe).encode(), durable=True)


def machine(now: Training) -> dict[str, Any]:
    """What the numbers of a run were made with; the first line of its log."""
    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": str(now.model.device),
        "threads": now.facts.threads,
        "precision": now.facts.precision,
    }


def described(now: Training, dataset: DataSet) -> Iterator[Note]:
    """What was decided, in sentences."""
    model, facts = now.facts.recipe.model, now.facts
    parameters = sum(parameter.numel() for parameter in now.model.parameters())
    on = "" if isinstance(model, Basic) else f" on {model.encoder}"
    stride = max(now.model.encoder.strides)
    yield Note(
        f"Model: {model.name}{on} ({now.model.encoder.origin}), "
        f"{parameters / 1e6:.1f} M parameters, output stride {stride}."
    )
    side = facts.recipe.augment.crop
    for taps in valid_taps(outline(model, num_classes=1), (side, side)):
        if taps.left == (1, 1):
            yield Note(f"At crop {side}, {tap_line(taps)}; a larger crop or smaller rates use it.")
    if facts.recipe.loss.class_weights != "none":
        weights = weights_of_classes(now, dataset)
        shown = [f"{n} {w:.2f}" for n, w in zip(dataset.classes.names, weights, strict=True)]
        more = ", …" if len(shown) > CLASSES_SHOWN else ""
        kind = facts.recipe.loss.class_weights.replace("_", " ")
        yield Note(f"Class weights ({kind}): {', '.join(shown[:CLASSES_SHOWN])}{more}.")
    unseen = [
        n for n, c in zip(dataset.classes.names, dataset.counts["train"], strict=True) if not c
    ]
    if unseen:
        yield Note(f"Without a pixel in train: {', '.join(unseen[:CLASSES_SHOWN])}.")
    yield Note(
        f"Machine: {now.model.device}, threads: {facts.threads}, torch {torch.__version__}; "
        f"seed {facts.recipe.seed}."
    )
    if facts.torch != torch.__version__:
        yield Note(f"Begun with torch {facts.torch}: bytes may differ from a straight run.")
