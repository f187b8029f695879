"""What a training takes is guessed from a step, and never stands in the way."""

from dataclasses import replace

import pytest
import torch

from atrous.data.dataset import open_dataset
from atrous.data.loading import Samples, first_batch
from atrous.recipe import make_recipe
from atrous.train.estimate import Estimate, _bytes_kept, estimate
from atrous.train.start import new_facts, new_training
from atrous.train.step import Objective


def recipe(small, *more):
    return make_recipe(sets=[*small, *more])


@pytest.fixture(scope="module")
def data(shapes):
    return open_dataset(shapes)


def tried(data, options) -> Estimate:
    made = estimate(data, options)
    assert made is not None
    return made


def test_time_grows_with_the_steps_and_memory_with_the_batch(data, small):
    many = tried(data, recipe(small, "train.batch=96", "train.steps=4000"))
    few = tried(data, recipe(small, "train.batch=2", "train.steps=40"))
    assert many.seconds > 40 * few.seconds > 0
    assert many.seconds_per_step > 4 * few.seconds_per_step > 0
    assert many.model == few.model == "deeplabv3plus on efficientnet_lite0"
    if many.bytes is not None and few.bytes is not None:
        assert many.bytes > few.bytes + 100e6


def test_all_steps_and_validations_are_in_the_time(data, small, monkeypatch):
    monkeypatch.setattr("atrous.train.estimate.seconds_per_step", lambda *_: 2.0)
    monkeypatch.setattr("atrous.train.estimate.seconds_per_validation", lambda *_: 100.0)
    options = ("train.steps=12", "train.validate_every=5", "train.batch=4", "train.accumulate=3")
    made = tried(data, recipe(small, *options))
    a_step = made.seconds_per_step  # two pictures are tried; reading them takes a moment too
    assert 2.0 * 2 * 3 <= a_step < 2.0 * 2 * 3 + 3
    assert made.seconds == pytest.approx(12 * a_step + 3 * 100)  # after 5, 10 and 12 steps


def test_what_a_step_keeps_doubles_with_the_pictures(data, small):
    now = new_training(new_facts(recipe(small), data), data, resumed=True)
    loss = Objective(recipe(small).loss, data.classes.task, data.classes.ignore_index)
    kept = []
    for batch in (3, 6):
        options = recipe(small, f"train.batch={batch}")
        images, masks, _ = first_batch(Samples(data, "train"), options, step=0)
        kept.append(_bytes_kept(now, images, masks, loss))
    assert kept[1] == pytest.approx(2 * kept[0], rel=0.1)


def test_odd_data_have_no_estimate_and_raise_nothing(data, small, tmp_path):
    lost = tuple(pair._replace(image=tmp_path / "gone.png") for pair in data.split("train"))
    assert estimate(replace(data, splits={**data.splits, "train": lost}), recipe(small)) is None
    assert estimate(replace(data, splits={"val": data.split("val")}), recipe(small)) is None


def test_a_set_without_val_is_estimated_too(data, small):
    assert estimate(replace(data, splits={"train": data.split("train")}), recipe(small))


def test_the_threads_of_torch_stay_as_they_were(data, small):
    torch.set_num_threads(2)
    try:
        estimate(data, recipe(small))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
