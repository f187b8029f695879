"""Pixels of any bands and range: the network normalises by what was measured of the data."""

import numpy as np
import pytest
import torch

from atrous.errors import RecipeError
from atrous.models.build import build_model
from atrous.recipe import make_recipe
from atrous.types import Statistics

SMALL = {"model.pretrained": False, "model.aspp_channels": 8, "model.decoder_channels": 8}
MODELS = [{"model.name": "deeplabv3plus", **SMALL}, {"model.name": "fcn_basic"}]


def made(flags: dict, **facts):
    return build_model(make_recipe(flags=flags).model, num_classes=3, **facts).eval()


@pytest.mark.parametrize("flags", MODELS)
@torch.inference_mode()
def test_pictures_in_other_units_have_the_same_logits(flags: dict):
    random = np.random.default_rng(0)
    image = torch.from_numpy(random.normal(size=(1, 48, 64, 5)).astype(np.float32))
    units, zero = torch.tensor([1.0, 10, 0.01, 3000, 7]), torch.tensor([0.0, -50, 2, 9000, 1])
    one = made(flags, bands=5, dtype="float32", statistics=Statistics((0.0,) * 5, (1.0,) * 5))
    measured = Statistics(tuple(zero.tolist()), tuple(units.tolist()))
    other = made(flags, bands=5, dtype="float32", statistics=measured)
    torch.testing.assert_close(one(image), other(image * units + zero), rtol=1e-3, atol=1e-3)
    assert not torch.allclose(one(image), one(image * units + zero), atol=1e-2)


@pytest.mark.parametrize("flags", MODELS)
@torch.inference_mode()
def test_weights_carry_what_was_measured(flags: dict):
    image = torch.rand((1, 40, 40, 2)) * 500
    trained = made(flags, bands=2, dtype="float32", statistics=Statistics((9.5, 80), (3, 40)))
    blank = made(flags, bands=2, dtype="float32", statistics=Statistics((0, 0), (1, 1)))
    blank.load_state_dict(trained.state_dict())
    assert torch.equal(trained(image), blank(image))


def test_without_statistics_nothing_is_added_to_the_weights():
    names = made(MODELS[0]).state_dict().keys()
    measured = made(MODELS[0], statistics=Statistics((1, 2, 3), (1, 2, 3)))
    assert measured.state_dict().keys() - names == {"mean", "std"}


@torch.inference_mode()
def test_a_constant_band_does_not_become_infinite():
    measured = Statistics((5.0, 0.0), (0.0, 1.0))
    model = made(MODELS[1], bands=2, dtype="float32", statistics=measured)
    assert model(torch.full((1, 32, 32, 2), 5.0)).isfinite().all()


def test_statistics_of_other_bands_are_refused():
    with pytest.raises(RecipeError, match=r"has 3 means and 2 deviations.*have 3 bands"):
        made(MODELS[1], statistics=Statistics((1, 2, 3), (1, 2)))
