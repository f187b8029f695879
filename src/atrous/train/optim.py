"""Parameter groups, the learning rate as a function of the step, averaged weights."""

import math
from typing import assert_never

import torch
from torch import nn

from atrous.models.build import Segmenter
from atrous.recipe import Train

# The shares of the steps that rise, and of the peak rate at the first and the last step: those of
# torch's OneCycleLR and fastai's fit_one_cycle.
ONE_CYCLE_RISE, ONE_CYCLE_FIRST, ONE_CYCLE_LAST = 0.3, 1 / 25, 1 / 25e4


def learning_rate(step: int, options: Train) -> float:
    """The rate of the update that follows `step` earlier ones: linear warm-up times schedule.

    Example:
        >>> [
        ...     round(learning_rate(s, Train(steps=4, warmup=1, lr=1, poly_power=1)), 2)
        ...     for s in range(4)
        ... ]
        [1.0, 0.75, 0.5, 0.25]
    """
    warmup = min(options.warmup, options.steps // 2)
    rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
    match options.schedule:
        case "poly":  # DeepLabv2, sec. 4.1
            return options.lr * rise * (1 - step / options.steps) ** options.poly_power
        case "cosine":  # Loshchilov & Hutter 2017, sec. 3, without restarts
            return options.lr * rise * half_cosine(1.0, 0.0, step / options.steps)
        case "one_cycle":
            return options.lr * one_cycle(step, options.steps)
        case "constant":
            return options.lr * rise
        case _:
            assert_never(options.schedule)


def one_cycle(step: int, steps: int) -> float:
    """The share of the peak rate at a step: a rise from a 25th, then a longer fall to almost 0.

    Both follow half a cosine. (Smith & Topin 2018, in the shape that became usual; the momentum
    stays as it is.)
    """
    top, last = max(ONE_CYCLE_RISE * steps - 1, 0), steps - 1
    if step < top:
        return half_cosine(ONE_CYCLE_FIRST, 1.0, step / top)
    return half_cosine(1.0, ONE_CYCLE_LAST, (step - top) / max(last - top, 1))


def half_cosine(begin: float, end: float, share: float) -> float:
    """From `begin` (share 0) to `end` (share 1), level at both ends.

    Example:
        >>> half_cosine(0.0, 2.0, 0.5)
        1.0
    """
    return end + (begin - end) * (1 + math.cos(math.pi * share)) / 2


def build_optimizer(model: Segmenter, options: Train) -> torch.optim.Optimizer:
    """The update rule over four groups: encoder or not, decayed or not.

    Each group carries `share`, its factor on the learning rate: `encoder_lr` where the encoder
    has trained weights, else 1. Fixed weights are in no group. The decay is AdamW's own
    there, elsewhere a part of the gradient.
    """
    heads = [part for part in (model.head, model.aux_head) if part is not None]
    encoder_share = options.encoder_lr if model.encoder.trained else 1.0
    groups = [
        {
            "params": [
                parameter
                for part in parts
                for parameter in part.parameters()
                if parameter.requires_grad and (parameter.ndim > 1) == decayed
            ],
            "share": share,
            "weight_decay": options.weight_decay if decayed else 0.0,
        }
        for parts, share in (([model.encoder], encoder_share), (heads, 1.0))
        for decayed in (True, False)
    ]
    lr, momentum = options.lr, options.momentum
    match options.optimizer:
        case "adamw":
            return torch.optim.AdamW(groups, lr=lr, betas=(momentum, 0.999), fused=True)
        case "adam":
            return torch.optim.Adam(groups, lr=lr, betas=(momentum, 0.999), fused=True)
        case "sgd":
            return torch.optim.SGD(groups, lr=lr, momentum=momentum, fused=True)
        case "rmsprop":  # which torch does not fuse
            return torch.optim.RMSprop(groups, lr=lr, momentum=momentum)
        case _:
            assert_never(options.optimizer)


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
