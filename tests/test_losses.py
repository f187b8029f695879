import numpy as np
import torch
from torch.nn import functional as F

from atrous.losses import at_pixels, cross_entropy
from atrous.types import Grid

GRID = Grid(4)


def case():
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 5, 6, generator=random, requires_grad=True)
    masks = torch.randint(0, 3, (2, 18, 23), generator=random, dtype=torch.uint8)
    masks[:, 2:5] = 255
    return logits, masks


def test_void_is_never_trained_on():
    logits, masks = case()
    masks[:, :, 12:] = 255  # a void right part: the cells there must get no gradient
    total, valid = cross_entropy(logits, masks, grid=GRID, ignore_index=255)
    total.backward()
    assert logits.grad is not None
    assert logits.grad[..., 4:].abs().sum() == 0
    assert logits.grad[..., :3].abs().sum() > 0
    assert int(valid) == int((masks != 255).sum())


def test_only_void_gives_zero_and_no_pixels():
    logits, masks = case()
    total, valid = cross_entropy(logits, torch.full_like(masks, 255), grid=GRID, ignore_index=255)
    assert float(total.detach()) == 0 and int(valid) == 0


def test_sums_and_counts_of_parts_add_up_to_those_of_the_whole():
    logits, masks = case()
    whole = cross_entropy(logits, masks, grid=GRID, ignore_index=255)
    parts = [
        cross_entropy(logits[i : i + 1], masks[i : i + 1], grid=GRID, ignore_index=255)
        for i in range(2)
    ]
    torch.testing.assert_close(parts[0][0] + parts[1][0], whole[0])
    assert parts[0][1] + parts[1][1] == whole[1]


def test_weights_multiply_the_loss_of_their_class():
    logits, masks = case()
    weights = torch.tensor([1.0, 2.0, 0.5])
    total, _ = cross_entropy(logits, masks, grid=GRID, ignore_index=255, class_weights=weights)
    pixels = at_pixels(logits, grid=GRID, size=(18, 23)).log_softmax(1).detach().numpy()
    expected = sum(
        -float(weights[k]) * pixels[:, k][masks.numpy() == k].sum(dtype=np.float64)
        for k in range(3)
    )
    np.testing.assert_allclose(float(total.detach()), expected, rtol=1e-5)


def test_logits_at_pixels_are_half_pixel_bilinear_and_cropped():
    logits, _ = case()
    whole = F.interpolate(logits, size=(20, 24), mode="bilinear", align_corners=False)
    torch.testing.assert_close(at_pixels(logits, grid=GRID, size=(18, 23)), whole[..., :18, :23])
