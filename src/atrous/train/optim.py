"""Parameter groups, the learning rate as a function of the step, averaged weights."""

import torch
from torch import nn

from atrous.models.build import Segmenter
from atrous.recipe import Train


def learning_rate(step: int, options: Train) -> float:
    """The rate of the update that follows `step` earlier ones: linear warm-up times poly.

    Example:
        >>> [
        ...     round(learning_rate(s, Train(steps=4, warmup=1, lr=1, poly_power=1)), 2)
        ...     for s in range(4)
        ... ]
        [1.0, 0.75, 0.5, 0.25]
    """
    warmup = min(options.warmup, options.steps // 2)
    rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
    return options.lr * rise * (1 - step / options.steps) ** options.poly_power


def build_optimizer(model: Segmenter, options: Train) -> torch.optim.Optimizer:
    """AdamW or SGD over four groups: encoder or not, decayed or not.

    Each group carries `share`, its factor on the learning rate.
    """
    groups = [
        {
            "params": [p for p in part.parameters() if (p.ndim > 1) == decayed],
            "share": share,
            "weight_decay": options.weight_decay if decayed else 0.0,
        }
        for part, share in ((model.encoder, options.encoder_lr), (model.head, 1.0))
        for decayed in (True, False)
    ]
    if options.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=options.lr, momentum=options.momentum, fused=True)
    return torch.optim.AdamW(groups, lr=options.lr, betas=(options.momentum, 0.999), fused=True)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give each group its share of the rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["share"]


def ema_decay(step: int, options: Train) -> float:
    """How much of the average is kept at an update: little at first, so that it starts soon."""
    return min(options.ema, (1 + step) / (10 + step))


@torch.no_grad()
def average(averaged: nn.Module, model: nn.Module, decay: float) -> None:
    """Move averaged weights and BatchNorm statistics towards the model's."""
    for mean, value in zip(
        averaged.state_dict().values(), model.state_dict().values(), strict=True
    ):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)
