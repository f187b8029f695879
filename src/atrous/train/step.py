"""One update of the weights: sums over all its batches, one division, clipping."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from atrous.data.loading import Batch
from atrous.errors import RunError
from atrous.losses import cross_entropy
from atrous.models.build import Segmenter


class Objective(NamedTuple):
    """What the loss needs beside logits and masks."""

    ignore_index: int
    class_weights: Tensor | None


class Update(NamedTuple):
    """What an update was: loss per valid pixel, norm of the gradient, whether it was made."""

    loss: float
    grad_norm: float
    made: bool


def forward_backward(
    model: Segmenter, images: Tensor, masks: Tensor, objective: Objective, precision: str
) -> tuple[Tensor, Tensor]:
    """Add the gradient of the loss's sum; returns the sum and the number of valid pixels."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bf16"):
        logits = model(images)
    total, valid = cross_entropy(
        logits,
        masks,
        grid=model.grid,
        ignore_index=objective.ignore_index,
        class_weights=objective.class_weights,
    )
    total.backward()
    return total.detach(), valid


def update(
    model: Segmenter,
    optimizer: torch.optim.Optimizer,
    batches: Sequence[Batch],
    objective: Objective,
    *,
    precision: str,
    clip: float,
) -> Update:
    """One step of the optimiser; left out when the gradient is not finite.

    Raises:
        RunError: the loss itself is not finite; the weights are as they were before.
    """
    optimizer.zero_grad()
    device = next(model.parameters()).device
    sums, counts = [], []
    for batch in batches:
        total, valid = forward_backward(
            model, batch.images.to(device), batch.masks.to(device), objective, precision
        )
        sums.append(total)
        counts.append(valid)
    valid = max(int(sum(counts)), 1)
    loss = float(sum(sums)) / valid
    if not math.isfinite(loss):
        raise _diverged(loss, batches)
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad /= valid
    norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), clip or math.inf))
    if made := math.isfinite(norm):
        optimizer.step()
    return Update(loss, norm, made)


def _diverged(loss: float, batches: Sequence[Batch]) -> RunError:
    names = [name for batch in batches for name in batch.names]
    return RunError(
        "training",
        found=f"the loss is {loss} on {', '.join(names[:4])}{' …' if len(names) > 4 else ''}",
        allowed="a loss is finite",
        fix="Lower train.lr, or look at these pictures; the last checkpoint is untouched.",
    )
