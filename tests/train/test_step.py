import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from atrous.data.loading import Batch
from atrous.errors import RunError
from atrous.models.build import build
from atrous.recipe import Loss, Train
from atrous.train.optim import build_optimizer
from atrous.train.step import Objective, forward_backward, update
from atrous.types import Grid

LOSS = Objective(Loss(), "multiclass", 255)


def batch(count, seed=0):
    random = np.random.default_rng(seed)
    images = torch.from_numpy(random.integers(0, 256, (count, 64, 64, 3), dtype=np.uint8))
    masks = torch.from_numpy(random.integers(0, 2, (count, 64, 64), dtype=np.uint8))
    masks[0, :40] = 255  # parts with unequal numbers of valid pixels
    return Batch(images, masks, tuple(f"{i}.png" for i in range(count)))


def part(whole, i):
    return Batch(whole.images[i : i + 1], whole.masks[i : i + 1], whole.names[i : i + 1])


def model():
    return build("fcn8s", num_classes=2, pretrained=False, dropout=0.0)


def last_of(net):
    """The bias of the deepest score layer."""
    return list(net.head.parameters())[-1]


def stepped(net, batches, **options):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    made = update(net, optimizer, batches, LOSS, **{"precision": "f32", "clip": 0.0, **options})
    return made, net.state_dict()


def test_parts_make_the_update_of_the_whole_though_valid_pixels_differ():
    net = model().eval()  # batch statistics would differ
    whole = batch(2)
    one, together = stepped(copy.deepcopy(net), [whole])
    two, apart = stepped(copy.deepcopy(net), [part(whole, 0), part(whole, 1)])
    assert one.loss == pytest.approx(two.loss, rel=1e-5)
    for name, tensor in together.items():
        torch.testing.assert_close(tensor, apart[name], rtol=1e-4, atol=1e-6)


class TwoHeads:
    """A stand-in for a Segmenter with an auxiliary head."""

    def __init__(self):
        random = torch.Generator().manual_seed(0)
        self.main, self.aux = (torch.randn(2, 2, 64, 64, generator=random) for _ in range(2))

    def supervised(self, images):
        return [
            (self.main.requires_grad_(), Grid(1), 1.0),
            (self.aux.requires_grad_(), Grid(1), 0.4),
        ]


def test_an_auxiliary_head_adds_its_share_of_the_loss_and_no_pixels():
    net: Any = TwoHeads()
    total, valid = forward_backward(net, *batch(2)[:2], LOSS, "f32")
    masks = batch(2).masks.long()
    parts = [
        F.cross_entropy(logits.detach(), masks, ignore_index=255, reduction="sum")
        for logits in (net.main, net.aux)
    ]
    torch.testing.assert_close(total, parts[0] + 0.4 * parts[1])
    assert int(valid) == int((masks != 255).sum())
    alone = net.aux.detach().clone().requires_grad_()
    F.cross_entropy(alone, masks, ignore_index=255, reduction="sum").backward()
    torch.testing.assert_close(net.aux.grad, 0.4 * alone.grad)


def test_a_gradient_beyond_the_limit_is_cut_to_it():
    net = model()
    before = copy.deepcopy(net.state_dict())
    made, after = stepped(net, [batch(1)], clip=1e-3)
    moves = [(after[name] - before[name]).flatten() for name, _ in net.named_parameters()]
    moved = torch.cat(moves).double().norm()
    assert made.grad_norm > 1e-3
    assert float(moved) == pytest.approx(0.1 * 1e-3, rel=1e-2)


def test_an_infinite_gradient_leaves_the_weights_alone():
    net = model()
    last_of(net).register_hook(lambda gradient: gradient * float("inf"))
    before = {name: p.clone() for name, p in net.named_parameters()}
    made, after = stepped(net, [batch(1)])
    assert not made.made
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_loss_that_is_not_finite_names_the_pictures():
    net = model()
    with torch.no_grad():
        last_of(net).fill_(float("nan"))
    with pytest.raises(RunError, match=r"loss is nan on 0\.png"):
        stepped(net, [batch(1)])


def test_a_batch_of_nothing_but_void_changes_nothing():
    net = model()
    void = batch(1)
    void.masks.fill_(255)
    before = {name: p.clone() for name, p in net.named_parameters()}
    optimizer = build_optimizer(net, Train())  # whose decay would move the weights
    made = update(net, optimizer, [void], LOSS, precision="f32", clip=0.0)
    after = net.state_dict()
    assert made.loss == 0
    assert all(torch.equal(before[name], after[name]) for name in before)
