"""One update of the weights: sums over all its batches, one division, clipping."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from atrous.data.loading import Batch
from atrous.errors import RunError
from atrous.losses import loss
from atrous.models.build import Segmenter
from atrous.recipe import Loss
from atrous.types import Task


class Objective(NamedTuple):
    """What the loss needs beside logits and masks."""

    options: Loss
    task: Task
    ignore_index: int
    class_weights: Tensor | None = None


class Update(NamedTuple):
    """What an update was: loss per valid pixel, norm of the gradient, whether it was made."""

    loss: float
    grad_norm: float
    made: bool


def forward_backward(
    model: Segmenter, images: Tensor, masks: Tensor, objective: Objective, precision: str
) -> tuple[Tensor, Tensor]:
    """Add the gradient of the loss's sum; returns the sum and the number of valid pixels.

    All that the model has supervised goes into the sum, with its weight.
    """
    with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bf16"):
        supervised = model.supervised(images)
    parts = [
        (weight, *loss(logits, masks, grid=grid, **objective._asdict()))
        for logits, grid, weight in supervised
    ]
    total = torch.stack([weight * part for weight, part, _ in parts]).sum()
    total.backward()
    return total.detach(), parts[0][-1]  # the valid pixels are the same ones in each part


def update(
    model: Segmenter,
    optimizer: torch.optim.Optimizer,
    batches: Sequence[Batch],
    objective: Objective,
    *,
    precision: str,
    clip: float,
) -> Update:
    """One step of the optimiser; left out when the gradient is not finite or no pixel is valid.

    Raises:
        RunError: the loss itself is not finite; the weights are as they were before, the
            statistics of BatchNorm are not.
    """
    optimizer.zero_grad()
    sums, counts = [], []
    for batch in batches:
        total, valid = forward_backward(
            model,
            batch.images.to(model.device),
            batch.masks.to(model.device),
            objective,
            precision,
        )
        sums.append(total)
        counts.append(valid)
    valid = int(sum(counts))
    loss = float(sum(sums)) / max(valid, 1)
    if not math.isfinite(loss):
        raise _diverged(loss, batches)
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad /= max(valid, 1)
    norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), clip or math.inf))
    if made := math.isfinite(norm) and valid > 0:
        optimizer.step()
    return Update(loss, norm, made)


def _diverged(loss: float, batches: Sequence[Batch]) -> RunError:
    names = [name for batch in batches for name in batch.names]
    return RunError(
        "training",
        found=f"the loss is {loss} on {', '.join(names[:4])}{' …' if len(names) > 4 else ''}",
        allowed="a loss is finite",
        fix="Look at these pictures, or begin a new run (another --out) with a lower train.lr.",
    )
