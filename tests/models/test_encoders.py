"""First test of the house: features at stride 8, subsampled, are those at stride 16."""

import numpy as np
import pytest
import timm
import torch

from atrous.data.images import read_image
from atrous.errors import RecipeError
from atrous.models.encoders import BATCH_NORM_EPS, build_encoder, load_embedded

LIGHT = ["efficientnet_lite0", "mobilenetv2_050", "resnet18"]


def with_statistics(encoder):
    """Random BatchNorm statistics: with zeros and ones much would agree by chance."""
    random = torch.Generator().manual_seed(0)
    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.copy_(0.1 * torch.randn(module.num_features, generator=random))
            module.running_var.copy_(0.5 + torch.rand(module.num_features, generator=random))
    return encoder.eval()


@pytest.mark.parametrize("name", LIGHT)
@torch.inference_mode()
def test_the_stride_law(name):
    strides = (8, 16, 32)
    encoders = [build_encoder(name, output_stride=s, pretrained=True) for s in strides]
    with_statistics(encoders[0])
    for encoder in encoders[1:]:
        encoder.load_state_dict(encoders[0].state_dict())
        encoder.eval()
    pictures = torch.randn(1, 3, 96, 128, generator=torch.Generator().manual_seed(1))
    fine, *coarse = [encoder(pictures) for encoder in encoders]
    for encoder, features in zip(encoders[1:], coarse, strict=True):
        for a, b, s, t in zip(fine, features, encoders[0].strides, encoder.strides, strict=True):
            torch.testing.assert_close(a[..., :: t // s, :: t // s], b, rtol=1e-4, atol=1e-4)
    assert fine[-1].shape[-1] == 4 * coarse[-1][-1].shape[-1]


@torch.inference_mode()
def test_tensorflow_padding_breaks_the_stride_law_and_the_test_sees_it():
    fine = timm.create_model("tf_efficientnet_lite0", features_only=True, output_stride=8).eval()
    coarse = timm.create_model("tf_efficientnet_lite0", features_only=True, output_stride=16).eval()
    coarse.load_state_dict(fine.state_dict())
    pictures = torch.randn(1, 3, 96, 128, generator=torch.Generator().manual_seed(1))
    a, b = fine(pictures)[-1], coarse(pictures)[-1]
    assert not torch.allclose(a[..., ::2, ::2], b, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", LIGHT)
def test_channels_and_strides_are_those_of_the_features(name):
    encoder = build_encoder(name, output_stride=16, pretrained=False).eval()
    features = encoder(torch.zeros(1, 3, 64, 96))
    assert [f.shape[1] for f in features] == list(encoder.channels)
    assert [(64 // f.shape[2], 96 // f.shape[3]) for f in features] == [
        (s, s) for s in encoder.strides
    ]


@torch.inference_mode()
def test_the_packaged_weights_see_a_bus(shared_data):
    """Loading by order is checked by what the network says of a photograph."""
    network = timm.create_model(
        "tf_efficientnet_lite0", bn_eps=BATCH_NORM_EPS["efficientnet_lite0"]
    )
    load_embedded(network, "efficientnet_lite0")
    folder = shared_data / "labelme_examples/semantic_segmentation/data_dataset_voc/JPEGImages"
    image = read_image(folder / "2011_000025.jpg")  # a street with a bus and a car
    pixels = (torch.from_numpy(image.astype(np.float32)) - 127.5) / 127.5
    pictures = pixels.permute(2, 0, 1)[None]
    pictures = torch.nn.functional.interpolate(
        pictures, size=(320, 320), mode="bilinear", antialias=True
    )
    top = network.eval()(pictures)[0].softmax(0).topk(5)
    vehicles = {
        654,
        779,
        874,
        705,
        829,
        867,
        675,
    }  # minibus, school bus, trolleybus, coach, tram, ...
    assert set(top.indices.tolist()) & vehicles
    assert int(top.indices[0]) in vehicles


def test_the_origin_of_the_weights_is_said():
    assert (
        "ImageNet" in build_encoder("efficientnet_lite0", output_stride=16, pretrained=True).origin
    )
    assert build_encoder("resnet18", output_stride=16, pretrained=True).origin == "random weights"


def test_an_unknown_encoder_is_named_with_the_nearest():
    with pytest.raises(RecipeError, match=r"'resnet51'.*Did you mean resnet\d+"):
        build_encoder("resnet51", output_stride=16, pretrained=False)


def test_an_encoder_that_refuses_the_stride_is_named():
    with pytest.raises(RecipeError, match=r"vgg16 refuses output stride 16"):
        build_encoder("vgg16", output_stride=16, pretrained=False)
