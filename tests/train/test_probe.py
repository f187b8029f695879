import numpy as np
import pytest
import torch

from atrous.models.build import build
from atrous.models.deeplab import DeepLabV3PlusHead
from atrous.models.fcn import FcnHead
from atrous.recipe import Loss
from atrous.train.probe import bf16_verdict, choose_precision, seconds_per_step, wrong_gradient
from atrous.train.step import Objective

LOSS = Objective(Loss(), "multiclass", 255)


class GarbageInBf16(torch.autograd.Function):
    """The identity, whose gradient is garbage where it was computed in bf16."""

    @staticmethod
    def forward(ctx, x):
        ctx.bf16 = x.dtype == torch.bfloat16
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):  # pyright: ignore[reportIncompatibleMethodOverride]
        return torch.randn_like(gradient) * gradient.abs().mean() * 10 if ctx.bf16 else gradient


class Planted(torch.nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return GarbageInBf16.apply(self.layer(x))


def case(crop=64):
    """Pictures as smooth as real ones: on noise, gradients cancel and every rounding shows."""
    y, x = np.mgrid[:crop, :crop] / crop
    waves = [np.sin(7 * y + 5 * x * k) + y * k for k in range(6)]
    images = 127 + 60 * np.stack(waves, -1).reshape(crop, crop, 3, 2).transpose(3, 0, 1, 2)
    masks = (images[..., 0] > 127).astype(np.uint8)
    return torch.from_numpy(images.clip(0, 255).astype(np.uint8)), torch.from_numpy(masks)


def model():
    return build("deeplabv3plus", num_classes=2, pretrained=False).to(
        memory_format=torch.channels_last
    )


def test_a_planted_garbage_gradient_is_refused():
    net = model()
    assert isinstance(net.head, DeepLabV3PlusHead)
    net.head.refine[0] = Planted(net.head.refine[0])
    verdict = bf16_verdict(net, *case(), LOSS)
    assert not verdict.passed
    assert "gradient of head" in verdict.reason or "gradient of encoder" in verdict.reason


def dilated_depthwise_error(width):
    """How far the bf16 weight gradient of a dilated depthwise layer is from the f32 one."""
    gradients = []
    for bf16 in (False, True):
        torch.manual_seed(0)
        layer = torch.nn.Conv2d(32, 32, 3, padding=2, dilation=2, groups=32, bias=False)
        layer = layer.to(memory_format=torch.channels_last)
        x = torch.randn(2, 32, width, width).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            y = layer(x)
        (y.float() * torch.randn(y.shape)).sum().backward()
        assert layer.weight.grad is not None
        gradients.append(layer.weight.grad)
    return float((gradients[1] - gradients[0]).norm() / gradients[0].norm())


def test_a_model_with_the_layer_that_torch_gets_wrong_is_refused():
    if dilated_depthwise_error(30) < 0.5:
        pytest.skip(f"torch {torch.__version__} gets dilated depthwise gradients right here")
    net = build("deeplabv3plus", num_classes=2, pretrained=False, output_stride=8)
    net = net.to(memory_format=torch.channels_last)
    verdict = bf16_verdict(net, *case(crop=240), LOSS)  # feature maps 30 wide
    assert not verdict.passed
    assert "self-test" in verdict.reason


def test_a_model_whose_gradients_are_right_fails_for_speed_alone():
    net = build("fcn8s", num_classes=2, encoder="resnet18")  # nothing dilated, few roundings
    verdict = bf16_verdict(net.to(memory_format=torch.channels_last), *case(), LOSS)
    assert verdict.passed or "x as long" in verdict.reason


def test_zero_initialised_scores_hide_no_gradient():
    net = build("fcn8s", num_classes=2, pretrained=False).to(memory_format=torch.channels_last)
    assert isinstance(net.head, FcnHead)
    net.head.add_module("fc", Planted(net.head.fc))
    assert "self-test" in bf16_verdict(net, *case(), LOSS).reason


def test_gradients_that_round_as_bf16_does_pass():
    right = {"a": torch.randn(100)}
    assert wrong_gradient(right, {"a": right["a"].bfloat16().float()}) is None


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), -1.0, 1.6])
def test_gradients_that_are_not_finite_or_far_off_are_named(factor):
    right = {"fine": torch.ones(3), "head.weight": torch.ones(5)}
    tested = {"fine": torch.ones(3), "head.weight": torch.ones(5) * factor}
    reason = wrong_gradient(right, tested)
    assert reason is not None and "head.weight" in reason


def test_the_probe_leaves_the_model_as_it_was():
    net = model().train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    assert seconds_per_step(net, *case(), LOSS, "f32") > 0
    bf16_verdict(net, *case(), LOSS)
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())
    assert net.training


def test_f32_is_not_questioned():
    assert choose_precision("f32", model(), *case(), LOSS) == ("f32", "")
