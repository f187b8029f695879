"""Logits and masks -> (sum over valid pixels, number of valid pixels).

The division is done once, by the caller, over all the batches of an update. What is no sum over
pixels (the mean of OHEM's hardest, Dice, Tversky, Lovász) is of one batch, and is multiplied by
the batch's valid pixels: the same division then gives its mean over the batches.
"""

from dataclasses import dataclass
from functools import cached_property
from math import ceil, log
from typing import assert_never

import torch
from torch import Tensor
from torch.nn import functional as F

from atrous.recipe import Loss
from atrous.recipe.training import Term
from atrous.types import Placement, Size, Spread, Task


def at_pixels(logits: Tensor, *, grid: Placement, size: Size) -> Tensor:
    """Grid logits `B K h w` at the pixels of a picture: `B K H W`, as their placement says."""
    if isinstance(grid, Spread):
        padded = [side + -side % grid.multiple for side in size]
        corners = grid.align_corners
        spread = F.interpolate(logits, size=padded, mode="bilinear", align_corners=corners)
        return spread[..., : size[0], : size[1]]
    shift = round(-grid.offset * grid.stride)
    assert shift == -grid.offset * grid.stride, "a grid is off by whole pixels"
    assert shift >= 0, "a grid begins at or before the picture"
    enlarged = F.interpolate(logits, scale_factor=grid.stride, mode="bilinear", align_corners=False)
    return enlarged[..., shift : shift + size[0], shift : shift + size[1]]


def loss(
    logits: Tensor,
    masks: Tensor,
    *,
    grid: Placement,
    options: Loss,
    task: Task,
    ignore_index: int,
    class_weights: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The weighted sum of the recipe's terms, for grid logits `B K h w` and masks `B H W`.

    Masks are as `Pixels` says, of any integer type. Ignored pixels add nothing to either
    number; a batch of nothing else gives 0 and 0, and a gradient of zeros.
    """
    size = (masks.shape[1], masks.shape[2])
    answers = at_pixels(logits.float(), grid=grid, size=size)
    pixels = Pixels(answers, masks.to(torch.int64), task, ignore_index, class_weights)
    terms = [
        weight * term(name, pixels, options)[0]
        for name, weight in options.weights.items()
        if weight
    ]
    return torch.stack(terms).sum(), pixels.count


def term(name: Term, pixels: "Pixels", options: Loss) -> tuple[Tensor, Tensor]:
    """One of the recipe's terms, before its weight."""
    match name:
        case "cross_entropy":
            return cross_entropy(pixels)
        case "ohem":
            return ohem(pixels, threshold=options.ohem_threshold, share=options.ohem_share)
        case "focal":
            return focal(pixels, gamma=options.focal_gamma)
        case "dice":
            return dice(pixels)
        case "tversky":
            return tversky(pixels, alpha=options.tversky_alpha, beta=options.tversky_beta)
        case "lovasz":
            return lovasz(pixels)
        case "boundary":
            return boundary(pixels, width=options.boundary_pixels)
        case _:
            assert_never(name)


@dataclass(frozen=True, eq=False)
class Pixels:
    """What is answered and what is true at the pixels of a batch: all that a term needs.

    `logits` are `B K H W` in floating point, one plane for `binary`; `masks` are `B H W` in
    int64: `ignore_index`, or a class index, or for `multilabel` bit k for class k.
    `class_weights` are float: one for each class, for `binary` background and foreground, for
    `multilabel` one for each plane; without them all weigh 1. What several terms share is
    computed once.
    """

    logits: Tensor
    masks: Tensor
    task: Task
    ignore_index: int
    class_weights: Tensor | None = None

    @cached_property
    def valid(self) -> Tensor:
        """Where the mask says something: bool `B H W`."""
        return self.masks != self.ignore_index

    @cached_property
    def count(self) -> Tensor:
        """The number of valid pixels."""
        return self.valid.sum()

    @cached_property
    def truth(self) -> Tensor:
        """Where each plane's class is: bool `B K H W`; nowhere in ignored pixels."""
        masks = self.masks[:, None]
        planes = torch.arange(self.logits.shape[1], device=masks.device)[:, None, None]
        match self.task:
            case "multiclass":
                return masks == planes
            case "binary":
                return masks == 1
            case "multilabel":
                return (masks >> planes & 1).bool()  # ignore_index has the next bit alone
            case _:
                assert_never(self.task)

    @cached_property
    def probs(self) -> Tensor:
        """The probability of each plane's class: `B K H W`."""
        return self.logits.softmax(1) if self.task == "multiclass" else self.logits.sigmoid()

    @cached_property
    def surprise(self) -> Tensor:
        """Minus the logarithm of the truth's probability; 0 in ignored pixels.

        `B 1 H W`; for `multilabel`, which decides on each class, `B K H W`.
        """
        if self.task == "multiclass":
            ignore = self.ignore_index
            return F.cross_entropy(
                self.logits, self.masks, ignore_index=ignore, reduction="none"
            ).unsqueeze(1)
        truth = self.truth.to(self.logits.dtype)
        each = F.binary_cross_entropy_with_logits(self.logits, truth, reduction="none")
        return torch.where(self.valid[:, None], each, 0.0)

    def weighted(self, decisions: Tensor) -> Tensor:
        """Losses of decisions, shaped like `surprise`, times class weight: `B H W`.

        A pixel of a `multilabel` mask takes the mean over its decisions, so that the number of
        classes does not change the loss's scale.
        """
        if self.class_weights is None:
            return decisions.mean(1)
        if self.task == "multilabel":
            return (self.class_weights[:, None, None] * decisions).mean(1)
        return self.class_weights[torch.where(self.valid, self.masks, 0)] * decisions[:, 0]


def cross_entropy(pixels: Pixels) -> tuple[Tensor, Tensor]:
    """Soft-max cross-entropy, or the binary one of each plane, weighted by class."""
    if pixels.task != "multiclass":
        return pixels.weighted(pixels.surprise).sum(), pixels.count
    total = F.cross_entropy(  # one kernel: nothing of the size of a picture is kept
        pixels.logits,
        pixels.masks,
        weight=pixels.class_weights,
        ignore_index=pixels.ignore_index,
        reduction="sum",
    )
    return total, pixels.count


def ohem(pixels: Pixels, *, threshold: float, share: float) -> tuple[Tensor, Tensor]:
    """The mean of the weighted cross-entropy over the hardest pixels, times the valid ones.

    Online hard example mining (Shrivastava et al. 2016) as bootstrapping over pixels (Wu et al.
    2016): kept are those whose truth has less probability than `threshold`, and at
    least `share` of the valid ones. With several decisions the geometric mean counts.
    """
    kept = hardest(pixels.surprise.mean(1), pixels.valid, threshold=threshold, share=share)
    total = torch.where(kept, pixels.weighted(pixels.surprise), 0.0).sum()
    return total / kept.sum().clamp(min=1) * pixels.count, pixels.count


@torch.no_grad()
def hardest(surprise: Tensor, valid: Tensor, *, threshold: float, share: float) -> Tensor:
    """Where OHEM looks: bool `B H W`, for `surprise` and `valid` of that shape."""
    values = surprise[valid]
    if not len(values):
        return valid
    easier = len(values) - ceil(share * len(values))
    least = values.kthvalue(easier + 1).values.clamp(max=-log(threshold))
    return valid & (surprise >= least)


def focal(pixels: Pixels, *, gamma: float) -> tuple[Tensor, Tensor]:
    """Cross-entropy times `(1 - probability of the truth) ** gamma`. (Lin et al. 2017, sec. 3.2.)

    The paper's alpha are the class weights; gamma 0 is cross-entropy.
    """
    doubt = -torch.expm1(-pixels.surprise)
    # A root has no slope at 0; there the loss is 0 and should stay there.
    doubt = doubt.clamp(min=torch.finfo(doubt.dtype).tiny)
    return pixels.weighted(doubt**gamma * pixels.surprise).sum(), pixels.count


def dice(pixels: Pixels) -> tuple[Tensor, Tensor]:
    """1 - soft Dice coefficient, as `tversky` with halves, which it then is.

    The sums are of probabilities, not of their squares. (Drozdzal et al. 2016.)
    """
    return tversky(pixels, alpha=0.5, beta=0.5)


def tversky(pixels: Pixels, *, alpha: float, beta: float) -> tuple[Tensor, Tensor]:
    """1 - soft Tversky index, the mean over the classes in the batch, times the valid pixels.

    `alpha` is the cost of false positives, `beta` that of false negatives. (Salehi et al. 2017,
    sec. 2.) The index is of the whole batch. A class (for `binary`: the foreground) without a
    pixel there has no overlap to be measured and is left out.
    """
    over = (0, 2, 3)
    truth = pixels.truth.to(pixels.probs.dtype)
    hit, real = (pixels.probs * truth).sum(over), truth.sum(over)
    claimed = (pixels.probs * pixels.valid[:, None]).sum(over)
    present = real > 0
    # Left out before the division: the gradient of 0 / 0 is no number, even times 0.
    hit, real, claimed = hit[present], real[present], claimed[present]
    index = hit / (hit + alpha * (claimed - hit) + beta * (real - hit))
    return _mean(1 - index) * pixels.count, pixels.count


def lovasz(pixels: Pixels) -> tuple[Tensor, Tensor]:
    """Lovász extension of the Jaccard loss, mean over the batch's classes, times valid pixels.

    Of the errors of probabilities: Lovász-Softmax (Berman et al. 2018), and the same
    for sigmoids. Of the whole batch; a class without a pixel there is left out.
    """
    truth = pixels.truth.movedim(1, 0)[:, pixels.valid]
    probs = pixels.probs.movedim(1, 0)[:, pixels.valid]
    present = truth.any(1)
    truth, probs = truth[present], probs[present]
    errors, order = (truth.to(probs.dtype) - probs).abs().sort(dim=1, descending=True)
    growth = jaccard_growth(truth.gather(1, order)).to(probs.dtype)
    return _mean((errors * growth).sum(1)) * pixels.count, pixels.count


@torch.no_grad()
def jaccard_growth(truth: Tensor) -> Tensor:
    """By how much the Jaccard loss grows as one pixel after the other becomes wrong: `P N`.

    `truth` is bool `P N`: where each class is, the worst error first. (Berman et al. 2018, alg. 1;
    here each difference of two Jaccard indices is written as one fraction, which loses no digits.)

    Example:
        >>> jaccard_growth(torch.tensor([[True, False, True]]))
        tensor([[0.5000, 0.1667, 0.3333]])
    """
    missed, wrong = truth.cumsum(1), (~truth).cumsum(1)
    all_of_it = missed[:, -1:]
    intersection, union = all_of_it - missed, all_of_it + wrong
    return torch.where(truth, 1 / union, intersection / (union * (union - 1)))


def boundary(pixels: Pixels, *, width: int) -> tuple[Tensor, Tensor]:
    """Weighted cross-entropy of the pixels near borders of classes alone; the rest adds 0.

    Beside the cross-entropy of all pixels, a term of weight w makes those near a border count
    1 + w times: U-Net's weight map (Ronneberger et al. 2015, sec. 3), flat where that has a bell.
    """
    near = near_borders(pixels.masks, ignore_index=pixels.ignore_index, width=width)
    losses = pixels.weighted(pixels.surprise)
    return torch.where(near, losses, 0.0).sum(), pixels.count


def near_borders(masks: Tensor, *, ignore_index: int, width: int) -> Tensor:
    """Where a border of two classes is at most `width` pixels away: bool `B H W`.

    The pixels on both sides of a border are at distance 1; the distance of others is counted
    along rows or columns, whichever is more. Void makes no border: where annotators drew a void
    line round each object, there is none.
    """
    border = torch.zeros_like(masks, dtype=torch.bool)
    for axis in (1, 2):
        length = masks.shape[axis] - 1
        one, other = masks.narrow(axis, 0, length), masks.narrow(axis, 1, length)
        differ = (one != other) & (one != ignore_index) & (other != ignore_index)
        border.narrow(axis, 0, length).logical_or_(differ)
        border.narrow(axis, 1, length).logical_or_(differ)
    zone, reach = border.float(), width - 1
    zone = F.max_pool2d(zone, (2 * reach + 1, 1), stride=1, padding=(reach, 0))
    return F.max_pool2d(zone, (1, 2 * reach + 1), stride=1, padding=(0, reach)) > 0


def _mean(losses: Tensor) -> Tensor:
    """The mean; 0 of none."""
    return losses.sum() / max(len(losses), 1)
