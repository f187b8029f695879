"""Grid logits and masks -> (sum over valid pixels, number of valid pixels).

The division is done once, by the caller, over all the batches of an update.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from atrous.types import Grid, Size


def at_pixels(logits: Tensor, *, grid: Grid, size: Size) -> Tensor:
    """Grid logits `B K h w` at the pixels of a picture: `B K H W`, as `Grid` says."""
    shift = round(-grid.offset * grid.stride)
    assert shift == -grid.offset * grid.stride, "a grid is off by whole pixels"
    assert shift >= 0, "a grid begins at or before the picture"
    enlarged = F.interpolate(logits, scale_factor=grid.stride, mode="bilinear", align_corners=False)
    return enlarged[..., shift : shift + size[0], shift : shift + size[1]]


def cross_entropy(
    logits: Tensor,
    masks: Tensor,
    *,
    grid: Grid,
    ignore_index: int,
    class_weights: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Soft-max cross-entropy of grid logits `B K h w` against masks `B H W`, weighted by class.

    Ignored pixels add nothing to either number.
    """
    pixels = at_pixels(logits.float(), grid=grid, size=(masks.shape[1], masks.shape[2]))
    masks = masks.to(torch.int64)
    total = F.cross_entropy(
        pixels, masks, weight=class_weights, ignore_index=ignore_index, reduction="sum"
    )
    return total, (masks != ignore_index).sum()
