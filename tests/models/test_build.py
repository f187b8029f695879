import pytest
import torch

from atrous.losses import cross_entropy
from atrous.models.build import build
from atrous.models.deeplab import atrous_rates
from atrous.models.fcn import FcnHead

NAMES = ["deeplabv3plus", "fcn32s", "fcn16s", "fcn8s"]
STRIDE = {"deeplabv3plus": 4, "fcn32s": 32, "fcn16s": 16, "fcn8s": 8}


def picture(*size, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (1, *size, 3), dtype=torch.uint8, generator=random)


def awake(model):
    """Zero-initialised scores would make every law true."""
    for parameter in model.head.parameters():
        torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(3))
    return model.eval()


@pytest.mark.parametrize("name", NAMES)
class TestEveryModel:
    @pytest.mark.parametrize("size", [(33, 97), (64, 64), (95, 41)])
    def test_the_grid_covers_the_padded_picture(self, name, size):
        model = build(name, num_classes=3).eval()
        logits = model(picture(*size))
        padded = [side + -side % model.alignment for side in size]
        assert logits.shape == (1, 3, *(side // STRIDE[name] for side in padded))
        assert model.grid == (STRIDE[name], 0.0)

    def test_it_trains_at_batch_one(self, name):
        model = build(name, num_classes=3).train()
        masks = torch.zeros((1, 64, 64), dtype=torch.uint8)
        for _ in range(2):  # scores begin at zero: the encoder moves from the second step on
            total, valid = cross_entropy(
                model(picture(64, 64)), masks, grid=model.grid, ignore_index=255
            )
            (total / valid).backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    if parameter.grad is not None:
                        parameter -= 0.1 * parameter.grad
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())

    @torch.inference_mode()
    def test_padding_is_once_for_the_whole_picture_and_with_the_mean_colour(self, name):
        model = awake(build(name, num_classes=3))
        model.middle = 128.0  # so that the mean colour is a whole number
        odd = picture(40, 70)
        size = [side + -side % model.alignment for side in (40, 70)]
        padded = torch.full((1, *size, 3), 128, dtype=torch.uint8)
        padded[:, :40, :70] = odd
        torch.testing.assert_close(model(odd), model(padded), rtol=1e-4, atol=1e-4)

    def test_new_weights_follow_from_the_seed_alone(self, name):
        torch.manual_seed(1)
        one = build(name, num_classes=3, pretrained=False).state_dict()
        torch.manual_seed(2)
        two = build(name, num_classes=3, pretrained=False).state_dict()
        assert all(torch.equal(one[key], two[key]) for key in one)

    @torch.inference_mode()
    def test_16_bit_pixels_are_the_same_picture(self, name):
        from atrous.models.build import build_model
        from atrous.recipe import make_recipe

        options = make_recipe(flags={"model.name": name}).model
        eight = awake(build_model(options, num_classes=3))
        sixteen = awake(build_model(options, num_classes=3, dtype="uint16"))
        image = picture(64, 64)
        wide = (image.to(torch.int32) * 257).to(torch.uint16)
        torch.testing.assert_close(eight(image), sixteen(wide), rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_one_set_of_weights_serves_both_output_strides():
    fine, coarse = (awake(build("deeplabv3plus", num_classes=3, output_stride=s)) for s in (8, 16))
    coarse.load_state_dict(fine.state_dict())
    assert fine.alignment == 8 and coarse.alignment == 16
    x = picture(96, 96)
    a, b = fine(x), coarse(x)
    assert a.shape == b.shape
    # The pyramid sees the same pixels at either stride; only the sampling is finer.
    assert torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1] > 0.9


def test_rates_follow_from_the_output_stride():
    assert atrous_rates(16) == (6, 12, 18)
    assert atrous_rates(8) == (12, 24, 36)


@torch.inference_mode()
def test_fcn8s_is_the_sum_of_its_enlarged_scores():
    from torch.nn import functional as F

    model = awake(build("fcn8s", num_classes=3))
    image = picture(64, 64)
    features = model.encoder((image.permute(0, 3, 1, 2) - 127.5) / 127.5)
    head = model.head
    assert isinstance(head, FcnHead)
    scores = [
        head.scores[0](features[-3]),
        head.scores[1](features[-2]),
        head.scores[2](head.fc(features[-1])),
    ]

    def up(x):
        return F.interpolate(x, scale_factor=2, mode="bilinear")

    torch.testing.assert_close(
        model(image), scores[0] + up(scores[1]) + up(up(scores[2])), rtol=1e-4, atol=1e-4
    )
