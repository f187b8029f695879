from itertools import pairwise
from typing import Any

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


def rates(schedule, steps=100, **options):
    chosen = Train(schedule=schedule, steps=steps, lr=1.0, **{"warmup": 0, **options})
    return [learning_rate(step, chosen) for step in range(steps)]


def test_the_rate_falls_as_half_a_cosine():
    cosine = rates("cosine")
    assert cosine[0] == 1 and cosine[50] == pytest.approx(0.5) and 0 < cosine[99] < 0.001
    assert cosine[25] == pytest.approx(0.5 + 0.5**1.5)
    assert all(a > b for a, b in pairwise(cosine))


def test_a_constant_rate_is_constant_after_the_warm_up():
    assert rates("constant", steps=8, warmup=4) == [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("steps", [4, 10, 100, 333])
def test_one_cycle_is_that_of_torch_and_has_no_other_warm_up(steps):
    sgd = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(sgd, 1.0, steps, cycle_momentum=False)
    expected = []
    for _ in range(steps):
        expected += theirs.get_last_lr()
        sgd.step()
        if len(expected) < steps:
            theirs.step()
    assert rates("one_cycle", steps, warmup=50) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("schedule", ["poly", "cosine", "one_cycle", "constant"])
@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_the_shortest_runs_learn(schedule, steps):
    every = rates(schedule, steps)
    assert 0.9 < max(every) <= 1 and min(every) > 0


OPTIMIZERS = ["adamw", "adam", "sgd", "rmsprop"]


def network(*, trained=True, aux=True):
    """A stand-in for a Segmenter: an encoder, a head with a fixed layer, an auxiliary head."""
    net: Any = torch.nn.Module()
    encoder: Any = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2))
    net.encoder, encoder.trained = encoder, trained
    fixed = torch.nn.Conv2d(2, 2, 1).requires_grad_(False)
    net.head = torch.nn.Sequential(torch.nn.Conv2d(2, 2, 1), fixed)
    net.aux_head = torch.nn.Conv2d(2, 1, 1) if aux else None
    return net


def group_of(optimizer):
    return {p: group for group in optimizer.param_groups for p in group["params"]}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_parameter_that_learns_stands_in_one_group(name):
    net = network()
    optimizer = build_optimizer(net, Train(optimizer=name, encoder_lr=0.25))
    assert type(optimizer).__name__.lower() == name
    groups = group_of(optimizer)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(groups)
    assert set(groups) == {p for p in net.parameters() if p.requires_grad}
    assert all((group["weight_decay"] > 0) == (p.ndim > 1) for p, group in groups.items())


@pytest.mark.parametrize("aux", [True, False])
def test_an_encoder_learns_slower_if_it_has_trained_weights(aux):
    for trained, share in ((True, 0.25), (False, 1.0)):
        net = network(trained=trained, aux=aux)
        optimizer = build_optimizer(net, Train(encoder_lr=0.25))
        set_rate(optimizer, 2.0)
        inside = set(net.encoder.parameters())
        for parameter, group in group_of(optimizer).items():
            assert group["lr"] == 2.0 * (share if parameter in inside else 1.0)


def test_the_models_have_what_their_groups_are_made_of():
    net = build("fcn8s", num_classes=2, pretrained=False, encoder="resnet18")
    groups = group_of(build_optimizer(net, Train()))
    assert set(groups) == {p for p in net.parameters() if p.requires_grad}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_first_step_is_that_of_the_papers(name):
    """From weight 2 with gradient 3, rate 0.1 and decay 0.5."""
    net = network()
    (weight := net.encoder[0].weight).data.fill_(2.0)
    optimizer = build_optimizer(net, Train(optimizer=name, momentum=0.9, weight_decay=0.5))
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    weight.grad = torch.full_like(weight, 3.0)
    optimizer.step()
    decayed = 3 + 0.5 * 2
    expected = {
        "adamw": 2 * (1 - 0.1 * 0.5) - 0.1,  # the sign of the gradient
        "adam": 2 - 0.1,
        "sgd": 2 - 0.1 * decayed,
        "rmsprop": 2 - 0.1 * decayed / (0.01**0.5 * decayed),
    }
    assert weight.flatten().tolist() == pytest.approx([expected[name]] * 2, rel=1e-5)


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
