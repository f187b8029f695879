"""First test of the house: features at stride 8, subsampled, are those at stride 16."""

from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from atrous.data.images import read_image
from atrous.errors import RecipeError, WeightsError
from atrous.models.build import build
from atrous.models.encoders import (
    BATCH_NORM_EPS,
    PACKAGED,
    build_encoder,
    dilate,
    inflated,
    load_by_order,
    load_packaged,
    load_tensors,
)
from atrous.models.fcn import FcnHead, load_fc
from atrous.models.origins import IMAGENET_MEAN, IMAGENET_STD, Rules

# The encoders of the design that can change their stride; large ones have no other kinds of layers.
SWITCHABLE = [
    "vgg16",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "xception65",
    "mobilenetv2_100",
    "mobilenetv3_large_100",
    "mobilenetv3_small_100",
    "efficientnet_lite0",
    "efficientnet_lite1",
    "efficientnet_lite2",
]
# At stride 8 their features, subsampled, are not those at 16: gates and padding see otherwise.
NOT_SWITCHABLE = ["tf_efficientnet_lite0", "convnext_atto"]
REFUSE = ["vgg16_bn", "swin_tiny_patch4_window7_224"]
LIGHT = ["efficientnet_lite0", "mobilenetv2_050", "resnet18"]


def with_statistics(encoder):
    """Random BatchNorm: with zeros and ones much would agree by chance."""
    random = torch.Generator().manual_seed(0)
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.copy_(0.1 * torch.randn(module.num_features, generator=random))
            module.running_var.copy_(0.5 + torch.rand(module.num_features, generator=random))
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=random)
    return encoder.eval()


def with_gates_open(encoder):
    """Squeeze-excite looks at the whole map, whose mean depends on how finely it is sampled."""
    for module in encoder.modules():
        if "SqueezeExcite" in type(module).__name__:
            module.forward = lambda features: features
    return encoder


def largest_difference(name, fine_stride, coarse_stride):
    fine, coarse = (build_encoder(name, output_stride=s) for s in (fine_stride, coarse_stride))
    with_gates_open(with_statistics(fine))
    coarse.load_state_dict(fine.state_dict())
    with_gates_open(coarse.eval())
    pictures = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    largest = 0.0
    for a, b, s, t in zip(
        fine(pictures), coarse(pictures), fine.strides, coarse.strides, strict=True
    ):
        scale = float(b.abs().max())
        largest = max(largest, float((a[..., :: t // s, :: t // s] - b).abs().max()) / scale)
    assert fine.strides[-1] == fine_stride and coarse.strides[-1] == coarse_stride
    return largest


@pytest.mark.parametrize("name", SWITCHABLE)
@torch.inference_mode()
def test_the_stride_law(name):
    assert largest_difference(name, 8, 16) < 1e-4
    if name in LIGHT or name == "vgg16":
        assert largest_difference(name, 16, 32) < 1e-4


@torch.inference_mode()
def test_the_stride_law_holds_for_the_2x2_pools_of_fcn():
    fine = build_encoder("vgg16", output_stride=16, pool=2).eval()
    coarse = build_encoder("vgg16", output_stride=32, pool=2).eval()
    coarse.load_state_dict(fine.state_dict())
    pictures = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    a, b = fine(pictures)[-1], coarse(pictures)[-1]
    torch.testing.assert_close(a[..., ::2, ::2], b)


@pytest.mark.parametrize("name", NOT_SWITCHABLE)
@torch.inference_mode()
def test_what_breaks_the_stride_law_is_seen(name):
    assert largest_difference(name, 8, 16) > 1e-3


@pytest.mark.parametrize("name", REFUSE)
def test_an_encoder_that_refuses_the_stride_is_named(name):
    with pytest.raises(RecipeError, match=rf"{name} refuses output stride 16"):
        build_encoder(name, output_stride=16)


@pytest.mark.parametrize("name", SWITCHABLE)
@torch.inference_mode()
def test_channels_and_strides_are_those_of_the_features(name):
    with torch.device("meta"):
        encoder = build_encoder(name, output_stride=16).eval()
        features = encoder(torch.zeros(1, 3, 64, 96))
    assert [f.shape[1] for f in features] == list(encoder.channels)
    assert [(64 // f.shape[2], 96 // f.shape[3]) for f in features] == [
        (s, s) for s in encoder.strides
    ]


@torch.inference_mode()
def test_a_multi_grid_multiplies_the_dilation_of_the_last_blocks():
    """DeepLabv3, sec. 3.2.1, but for the unit that lost its stride: the paper has 2, 4, 8."""
    body = build_encoder("resnet50", output_stride=16).body
    before = [body.get_submodule(f"layer4.{i}.conv2") for i in range(3)]
    assert [c.dilation for c in before] == [(1, 1), (2, 2), (2, 2)]
    dilate(body, (1, 2, 4))
    assert [c.dilation for c in before] == [(1, 1), (4, 4), (8, 8)]
    assert [c.padding for c in before] == [(1, 1), (4, 4), (8, 8)]


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0", "vgg16", "xception65"])
@torch.inference_mode()
def test_a_multi_grid_keeps_the_stride_law(name):
    fine, coarse = (build_encoder(name, output_stride=s) for s in (8, 16))
    with_statistics(fine)
    for encoder in (fine, coarse):
        dilate(encoder.body, (1, 2, 4))
    coarse.load_state_dict(fine.state_dict())
    pictures = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    a, b = fine(pictures)[-1][..., ::2, ::2], coarse.eval()(pictures)[-1]
    assert float((a - b).abs().max() / b.abs().max()) < 1e-4
    plain = build_encoder(name, output_stride=16)
    plain.load_state_dict(fine.state_dict())
    assert not torch.allclose(plain.eval()(pictures)[-1], b, rtol=1e-2, atol=1e-3)


def test_a_multi_grid_of_ones_changes_nothing():
    one, other = (build_encoder("resnet18", output_stride=16).eval() for _ in range(2))
    dilate(other.body, (1, 1, 1))
    other.load_state_dict(one.state_dict())
    pictures = torch.randn(1, 3, 64, 64)
    assert torch.equal(one(pictures)[-1], other(pictures)[-1])


def test_more_factors_than_blocks_are_refused():
    with pytest.raises(RecipeError, match=r"has 99 factors, but the encoder has \d+ blocks"):
        dilate(build_encoder("resnet18", output_stride=16).body, (1,) * 99)


@pytest.mark.parametrize("bands", [1, 2, 4, 5, 13])
def test_inflated_weights_give_a_grey_picture_what_it_gave(bands):
    weight = torch.randn(8, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    wide = inflated(weight, torch.empty(8, bands, 3, 3))
    grey = torch.randn(1, 1, 9, 9, generator=torch.Generator().manual_seed(1))
    a = nn.functional.conv2d(grey.expand(-1, 3, -1, -1), weight)
    b = nn.functional.conv2d(grey.expand(-1, bands, -1, -1), wide)
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bands", [1, 5])
def test_packaged_weights_are_spread_over_the_bands(bands):
    encoder = build_encoder("efficientnet_lite0", output_stride=16, bands=bands).eval()
    load_packaged(encoder, "efficientnet_lite0")
    three = build_encoder("efficientnet_lite0", output_stride=16).eval()
    load_packaged(three, "efficientnet_lite0")
    grey = torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        encoder(grey.expand(-1, bands, -1, -1))[-1],
        three(grey.expand(-1, 3, -1, -1))[-1],
        rtol=1e-3,
        atol=1e-3,
    )


@pytest.mark.parametrize("name", PACKAGED)
@torch.inference_mode()
def test_the_packaged_weights_see_a_bus(shared_data, name):
    """Loading by order is checked by what the network says of a photograph."""
    network = timm.create_model(f"tf_{name}", bn_eps=BATCH_NORM_EPS[name])
    load_by_order(network, name)
    folder = shared_data / "labelme_examples/semantic_segmentation/data_dataset_voc/JPEGImages"
    image = read_image(folder / "2011_000025.jpg")  # a street with a bus and a car
    pixels = (torch.from_numpy(image.astype(np.float32)) - 127.5) / 127.5
    pictures = pixels.permute(2, 0, 1)[None]
    pictures = torch.nn.functional.interpolate(
        pictures, size=(320, 320), mode="bilinear", antialias=True
    )
    top = network.eval()(pictures)[0].softmax(0).topk(5)
    vehicles = {654, 779, 874, 705, 829, 867, 675}  # minibus, school bus, trolleybus, tram, ...
    assert int(top.indices[0]) in vehicles


@pytest.mark.parametrize("name", PACKAGED)
@torch.inference_mode()
def test_packaged_weights_are_those_of_the_tensorflow_twin_moved(name):
    """Symmetric padding moves the function by some pixels: inside, features agree."""
    twin = timm.create_model(
        f"tf_{name}", features_only=True, output_stride=16, bn_eps=BATCH_NORM_EPS[name]
    ).eval()
    load_by_order(twin, name)
    encoder = build_encoder(name, output_stride=16).eval()
    load_packaged(encoder, name)
    pictures = torch.randn(1, 3, 97, 97, generator=torch.Generator().manual_seed(2))
    ours = encoder(pictures)[0]
    theirs = [
        twin(torch.nn.functional.pad(pictures, (s, 0, s, 0))[..., :97, :97])[0] for s in (0, 1)
    ]
    size = slice(8, -8)
    errors = [float((ours - t)[..., size, size].abs().max()) for t in theirs]
    assert min(errors) < 1e-3 * float(ours.abs().max())


@torch.inference_mode()
def test_packaged_weights_give_the_same_features_by_the_rules_of_another_project():
    """Those of smp; its stem here sees nothing beyond the picture, whose colour is another."""
    ours, theirs = (
        build("deeplabv3plus", num_classes=2, encoder="efficientnet_lite0", origin=origin).eval()
        for origin in ("atrous", "smp")
    )
    images = torch.randint(256, (1, 64, 96, 3), generator=torch.Generator().manual_seed(0))
    features = []
    for model in (ours, theirs):
        stem: Any = model.get_submodule("encoder.body.conv_stem")
        stem.padding = (0, 0)
        features.append(model.encoder(model.pictures(images.to(torch.uint8))))
    for own, other in zip(*features, strict=True):
        assert float((own - other).abs().max()) < 1e-4 * float(own.abs().max())


def test_the_origin_of_the_weights_is_said(tmp_path):
    light = {"num_classes": 2, "encoder": "efficientnet_lite0"}
    assert "ImageNet" in build("fcn8s", **light).encoder.origin
    random = build("fcn8s", num_classes=2, encoder="resnet18").encoder
    assert random.origin == "random weights: no package has any" and not random.trained
    file = tmp_path / "resnet18.safetensors"
    save_file(build_encoder("resnet18", output_stride=32).body.state_dict(), file)
    filed = build("fcn8s", num_classes=2, encoder="resnet18", encoder_file=str(file)).encoder
    assert filed.origin == "weights of resnet18.safetensors" and filed.trained


@pytest.mark.parametrize("name", ["resnet18", "vgg16"])
@torch.inference_mode()
def test_weights_of_a_file_see_the_pixels_they_were_trained_on(tmp_path, name):
    """ImageNet's mean and deviation there, -1 to 1 here: inside the picture nothing differs."""
    body = with_statistics(build_encoder(name, output_stride=32, pool=2)).body
    torch.save(body.state_dict(), tmp_path / "encoder.pth")
    model = build(
        "fcn8s", num_classes=2, encoder=name, encoder_file=str(tmp_path / "encoder.pth"),
        padding="same", fc_channels=8,
    ).eval()  # fmt: skip
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    mean, std = (torch.tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    theirs = body((pixels - mean) / std)[0][..., 4:-4, 4:-4]
    ours = model.encoder((pixels - 0.5) / 0.5)[0][..., 4:-4, 4:-4]
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_encoder_weights_of_a_file_are_taken_by_name_or_refused(tmp_path):
    source = build_encoder("resnet18", output_stride=32).body.state_dict()
    encoder, same = build_encoder("resnet18", output_stride=16), (Rules(), Rules())
    more = source | {"fc.weight": torch.zeros(3, 512)}
    load_tensors(encoder, more, tmp_path / "encoder.pth", pixels=same)
    assert all(torch.equal(t, source[name]) for name, t in encoder.body.state_dict().items())
    for wrong in (None, torch.zeros(3), source["layer3.0.conv1.weight"].to(torch.int8)):
        broken = {k: t for k, t in source.items() if k != "layer3.0.conv1.weight"}
        if wrong is not None:
            broken["layer3.0.conv1.weight"] = wrong
        with pytest.raises(WeightsError, match=r"for layer3\.0\.conv1\.weight"):
            load_tensors(encoder, broken, tmp_path / "encoder.pth", pixels=same)


def test_fc6_and_fc7_begin_with_vgg16s_classifier(tmp_path):
    """FCN, sec. 4.1; here with 16 maps in the place of 4096."""
    head = build("fcn8s", num_classes=2, encoder="vgg16", fc_channels=16).head
    assert isinstance(head, FcnHead)
    random = torch.Generator().manual_seed(0)
    tensors = {
        "classifier.0.weight": torch.randn(16, 512 * 7 * 7, generator=random),
        "classifier.0.bias": torch.randn(16, generator=random),
        "classifier.3.weight": torch.randn(16, 16, generator=random),
        "classifier.3.bias": torch.randn(16, generator=random),
    }
    assert load_fc(head, tensors)
    features = torch.rand(1, 512, 7, 7, generator=random)
    with torch.inference_mode():
        flat = nn.functional.linear(features.flatten(1), *list(tensors.values())[:2]).relu()
        theirs = nn.functional.linear(flat, *list(tensors.values())[2:]).relu()
        torch.testing.assert_close(
            head.eval().fc(features).flatten(1), theirs, rtol=1e-4, atol=1e-4
        )
    del tensors["classifier.3.bias"]
    assert not load_fc(head, tensors)


def test_an_unknown_encoder_is_named_with_the_nearest():
    with pytest.raises(RecipeError, match=r"'resnet51'.*Did you mean resnet\d+"):
        build_encoder("resnet51", output_stride=16)
