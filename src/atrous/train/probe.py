"""What a step costs on this machine, and whether bf16 can be trusted with its gradients."""

import copy
import time
from typing import NamedTuple

import torch
from torch import Tensor

from atrous.models.build import Segmenter
from atrous.train.step import Objective, forward_backward

LARGEST_ERROR = 0.5  # of a parameter's bf16 gradient, relative to f32


class Verdict(NamedTuple):
    """Whether bf16 may train, and why."""

    passed: bool
    reason: str


def seconds_per_step(
    model: Segmenter, images: Tensor, masks: Tensor, objective: Objective, precision: str
) -> float:
    """Seconds of one forward and backward pass, on a copy of the model, after a warm-up."""
    model = copy.deepcopy(model).train()
    _timed(model, images, masks, objective, precision)
    return _timed(model, images, masks, objective, precision)


def bf16_verdict(model: Segmenter, images: Tensor, masks: Tensor, objective: Objective) -> Verdict:
    """Compare one bf16 with one f32 backward pass from the same weights, statistics fixed.

    On torch 2.14 the bf16 channels-last weight gradient of dilated depthwise convolutions is
    garbage on wide feature maps, hence a test on the built model at the real crop and batch.
    """
    if images.device.type == "mps":
        return Verdict(False, "Precision: f32; bf16 is not used on MPS")
    model = copy.deepcopy(model).eval()  # fixed statistics, no dropout
    wake(model)
    seconds = {}
    gradients = {}
    for precision in ("f32", "bf16"):
        _timed(model, images, masks, objective, precision)
        seconds[precision] = _timed(model, images, masks, objective, precision)
        gradients[precision] = {
            name: parameter.grad.float().clone()
            for name, parameter in model.named_parameters()
            if parameter.grad is not None
        }
    wrong = wrong_gradient(gradients["f32"], gradients["bf16"])
    if wrong:
        return Verdict(False, f"Precision: f32; bf16 fails its self-test: {wrong}")
    gain = seconds["f32"] / seconds["bf16"]
    if gain <= 1:
        return Verdict(
            False, f"Precision: f32; bf16 is right here, but takes {1 / gain:.2f}x as long"
        )
    return Verdict(
        True, f"Precision: bf16; it passes its self-test and is {gain:.2f}x as fast as f32"
    )


@torch.no_grad()
def wake(model: Segmenter) -> None:
    """Give layers that begin at zero small random weights: nothing shows behind zeros."""
    random = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        if parameter.ndim > 1 and not parameter.any():
            parameter.copy_(0.01 * torch.randn(parameter.shape, generator=random))


def wrong_gradient(right: dict[str, Tensor], tested: dict[str, Tensor]) -> str | None:
    """The first parameter whose tested gradient is not finite or far from the right one."""
    for name, gradient in right.items():
        if not torch.isfinite(tested[name]).all():
            return f"the gradient of {name} is not finite"
        error, size = (tested[name] - gradient).norm(), gradient.norm()
        if error > LARGEST_ERROR * size:
            return f"the gradient of {name} is off by {float(error / size):.2g} of its size"
    return None


def choose_precision(
    wanted: str, model: Segmenter, images: Tensor, masks: Tensor, objective: Objective
) -> tuple[str, str]:
    """The precision to train in, and a sentence on why."""
    if wanted == "f32":
        return "f32", ""
    verdict = bf16_verdict(model, images, masks, objective)
    return ("bf16" if verdict.passed else "f32"), verdict.reason


def _timed(
    model: Segmenter, images: Tensor, masks: Tensor, objective: Objective, precision: str
) -> float:
    model.zero_grad()
    begin = time.perf_counter()
    forward_backward(model, images, masks, objective, precision)
    if images.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin
