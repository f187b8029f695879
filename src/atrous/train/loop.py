"""The training loop, top to bottom. It yields what happens; whoever calls it shows it."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from math import isfinite
from typing import IO, Any

import torch

from atrous.data.dataset import DataSet
from atrous.data.loading import CACHE_BYTES, Batch, Samples, batches, first_batch
from atrous.data.transforms import Purpose, keyed
from atrous.errors import RunError
from atrous.evaluate import Evaluation, score_images, summed
from atrous.files import write_whole
from atrous.predict.engines.torch import TorchEngine
from atrous.predict.predictor import Predictor
from atrous.recipe import Recipe
from atrous.runs import RunFolder
from atrous.train.checkpoint import Training, save
from atrous.train.events import Event, Finished, Note, Started, Stepped, Stopped, Validated
from atrous.train.interrupts import interrupts
from atrous.train.optim import average, ema_decay, learning_rate, set_rate
from atrous.train.probe import choose_precision, seconds_per_step
from atrous.train.start import machine, objective, prepare_folder, start
from atrous.train.step import Objective, Update, update

SAVE_SECONDS, SAVE_STEPS = 60.0, 50  # a state is written when either has passed
SKIPS_ALLOWED = 10  # updates in a row left out because their gradient was not finite


def training(
    run: RunFolder, recipe: Recipe, dataset: DataSet, *, resume: bool, workers: int
) -> Iterator[Event]:
    """Train into a run folder, from the start or from its last state; yields what happens.

    Raises:
        RunError: the folder is taken, belongs to another run, or the training diverged.
        DataError: a picture could not be read.
    """
    now, notes = start(run, recipe, dataset, resume=resume)
    yield from notes
    options, steps = recipe.train, recipe.train.steps
    if now.facts.step == steps:
        yield Note("The run is finished; nothing is left to do.")
        if not run.scores.exists():
            write_scores(run, validate(now, dataset))
        yield Finished(steps, None)
        return
    loss = objective(now, dataset)
    yield from probe(now, dataset, loss)
    prepare_folder(run, recipe, dataset)
    samples = Samples(dataset, "train", room=CACHE_BYTES // max(workers, 1))
    stream = batches(samples, recipe, start=now.facts.step, workers=workers)
    evaluation, skips = None, 0
    with interrupts() as interrupted, closing(stream), open_log(run, now) as log:
        if recipe.train.precision != "f32" and now.facts.step == 0:
            save(run, now, log)  # a choice made by timing must not be made anew
        saved, began = Saved(now.facts.step), time.monotonic()
        for parts in stream:
            made, rate = advance(now, parts, loss)
            step = now.facts.step
            skips = 0 if isfinite(made.grad_norm) else skips + 1
            if skips > SKIPS_ALLOWED:
                raise _not_finite(step, skips)
            ended = time.monotonic()
            speed = options.batch * options.accumulate / (ended - began)
            began = ended
            yield _logged(log, Stepped(step, made, rate, speed))

            last = step == steps
            if last or step % recipe.validation_steps == 0:
                evaluation = validate(now, dataset)
                best = now.keep_best(evaluation.scores.miou)
                yield _logged(log, Validated(step, evaluation, best))
                began = time.monotonic()
            if last and evaluation:  # before the state that says that all is done
                write_scores(run, evaluation)
            if last or interrupted() or saved.is_due(step):
                save(run, now, log)
                saved = Saved(step)
            if interrupted() and not last:
                yield Stopped(step, interrupted())
                return
    yield Finished(steps, evaluation)


def advance(now: Training, parts: list[Batch], loss: Objective) -> tuple[Update, float]:
    """One step: an update of the weights and of their average. Also its learning rate."""
    recipe, step = now.facts.recipe, now.facts.step
    torch.manual_seed(dropout_seed(recipe.seed, step))
    rate = learning_rate(step, recipe.train)
    set_rate(now.optimizer, rate)
    made = update(
        now.model.train(),
        now.optimizer,
        parts,
        loss,
        precision=now.facts.precision,
        clip=recipe.train.clip,
    )
    if made.made:
        average(now.ema, now.model, ema_decay(step, recipe.train))
    now.note(step=step + 1)
    return made, rate


def probe(now: Training, dataset: DataSet, loss: Objective) -> Iterator[Event]:
    """Choose the precision and estimate the time, on the first batch that will be seen."""
    recipe, facts = now.facts.recipe, now.facts
    begin = time.monotonic()
    batch = first_batch(Samples(dataset, "train"), recipe, step=facts.step)
    reading = time.monotonic() - begin
    images, masks = batch.images.to(now.model.device), batch.masks.to(now.model.device)
    if not facts.precision:
        wanted = recipe.train.precision
        precision, reason = choose_precision(wanted, now.model, images, masks, loss)
        now.note(precision=precision)
        if reason:
            yield Note(f"{reason}.")
    step = seconds_per_step(now.model, images, masks, loss, now.facts.precision) + reading
    left = recipe.train.steps - facts.step
    validations = -(-left // recipe.validation_steps) * seconds_per_validation(now, dataset)
    seconds = step * recipe.train.accumulate * left + validations
    yield Started(facts.step, recipe.train.steps, seconds)


def seconds_per_validation(now: Training, dataset: DataSet) -> float:
    """An estimate, from one picture."""
    predictor, pair = _predictor(now, dataset), dataset.split("val")[0]
    predictor(dataset.read(pair).image)  # kernels are compiled on their first call
    begin = time.monotonic()
    predictor(dataset.read(pair).image)
    return (time.monotonic() - begin) * len(dataset.split("val"))


def validate(now: Training, dataset: DataSet) -> Evaluation:
    """The scores of the averaged weights on val, after the steps of the recipe."""
    predictor = _predictor(now, dataset)
    averaged = ", averaged (EMA)" if now.facts.recipe.train.ema else ""
    words = f"last weights, step {now.facts.step}{averaged}"
    images = score_images(predictor, dataset, "val")
    return summed("val", dataset.classes, images, weights=words)


def _predictor(now: Training, dataset: DataSet) -> Predictor:
    steps = now.facts.recipe.postprocess
    return Predictor(TorchEngine(now.ema), dataset.classes, postprocess=steps)


def write_scores(run: RunFolder, evaluation: Evaluation) -> None:
    """The scores of the last weights, as a file of the run."""
    text = json.dumps(evaluation.to_dict(), indent=1, ensure_ascii=False)
    write_whole(run.scores, text.encode(), durable=True)


def dropout_seed(seed: int, step: int) -> int:
    """What torch's generator starts from at a step."""
    return int(keyed(seed, Purpose.DROPOUT, step).integers(2**63))


class Saved:
    """When the state was last written."""

    def __init__(self, step: int) -> None:
        self.step, self.time = step, time.monotonic()

    def is_due(self, step: int) -> bool:
        """Whether it is time for another."""
        return step - self.step >= SAVE_STEPS or time.monotonic() - self.time >= SAVE_SECONDS


@contextmanager
def open_log(run: RunFolder, now: Training) -> Iterator[IO[bytes]]:
    """The log, cut to what the state knows of; a new one begins with the machine."""
    with open(run.log, "r+b") as log:
        size = log.seek(0, os.SEEK_END)
        log.truncate(min(now.facts.log_bytes, size))
        if log.seek(0, os.SEEK_END) == 0:
            _write(log, {"machine": machine(now)})
        yield log


def _logged(log: IO[bytes], event: Stepped | Validated) -> Stepped | Validated:
    _write(log, event.to_dict())
    return event


def _write(log: IO[bytes], line: dict[str, Any]) -> None:
    log.write(json.dumps(line).encode() + b"\n")
    log.flush()


def _not_finite(step: int, skips: int) -> RunError:
    return RunError(
        f"training, step {step}",
        found=f"the gradient was not finite {skips} times in a row",
        allowed=f"{SKIPS_ALLOWED} such updates are left out",
        fix="Begin a new run (another --out) with a lower train.lr, or train.precision=f32.",
    )
