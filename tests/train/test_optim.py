from itertools import pairwise

import pytest
import torch

from atrous.models.build import build
from atrous.recipe import Train
from atrous.train.optim import average, build_optimizer, ema_decay, learning_rate, set_rate

OPTIONS = Train(steps=100, warmup=10, lr=1.0)


def test_the_rate_rises_in_the_warm_up_and_falls_to_almost_nothing():
    rates = [learning_rate(step, OPTIONS) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] and 0.9 < rates[9] <= 1
    assert all(a > b for a, b in pairwise(rates[9:]))
    assert rates[-1] == pytest.approx(0.01**0.9)


def test_a_short_run_warms_up_for_half_of_it_at_most():
    assert learning_rate(1, Train(steps=4, warmup=50, lr=1.0, poly_power=1)) == pytest.approx(0.75)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_every_parameter_stands_in_one_group_and_the_encoder_learns_slower(name):
    model = build("fcn8s", num_classes=2, pretrained=False)
    optimizer = build_optimizer(model, Train(optimizer=name, encoder_lr=0.25))
    set_rate(optimizer, 2.0)
    rates = {p: group["lr"] for group in optimizer.param_groups for p in group["params"]}
    decays = {p: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert set(rates) == set(model.parameters())
    assert all(rates[p] == 0.5 for p in model.encoder.parameters())
    assert all(rates[p] == 2.0 for p in model.head.parameters())
    assert all((decays[p] > 0) == (p.ndim > 1) for p in model.parameters())


def test_the_average_without_decay_is_the_model_and_counts_are_copied():
    a, b = torch.nn.BatchNorm2d(3), torch.nn.BatchNorm2d(3)
    b(torch.randn(2, 3, 4, 4))
    average(a, b, 0.0)
    assert all(
        torch.equal(x, y)
        for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )
    assert ema_decay(50, Train(ema=0.0)) == 0.0


def test_the_average_moves_by_one_minus_decay():
    a, b = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    torch.nn.init.zeros_(a.weight)
    torch.nn.init.ones_(b.weight)
    average(a, b, 0.75)
    assert a.weight.item() == pytest.approx(0.25)
