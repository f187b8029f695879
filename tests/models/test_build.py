import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from atrous.errors import RecipeError
from atrous.losses import at_pixels
from atrous.models.build import Segmenter, at_stride, build, build_model
from atrous.models.deeplab import DeepLabV2Head, atrous_rates
from atrous.models.fcn import FcnHead
from atrous.models.layers import bilinear_kernel, transposed
from atrous.recipe import MODEL_TABLES, Loss, make_recipe
from atrous.train.probe import bf16_verdict, wake
from atrous.train.step import Objective, forward_backward
from atrous.types import Grid

OBJECTIVE = Objective(Loss(), "multiclass", 255)
LIGHT = {"encoder": "efficientnet_lite0", "pretrained": False}
VGG = {"encoder": "vgg16", "fc_channels": 32}
# Every name on a light encoder and, where that changes its layers, on the paper's.
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "fcn32s": ("fcn32s", LIGHT),
    "fcn16s": ("fcn16s", LIGHT),
    "fcn8s": ("fcn8s", LIGHT),
    "fcn32s vgg16": ("fcn32s", VGG),
    "fcn16s vgg16": ("fcn16s", VGG),
    "fcn8s vgg16": ("fcn8s", VGG),
    "fcn8s vgg16 same": ("fcn8s", VGG | {"padding": "same"}),
    "fcn8s vgg16 learned": ("fcn8s", VGG | {"upsampling": "learned", "at_once": True}),
    "fcn8s bilinear": ("fcn8s", LIGHT | {"upsampling": "bilinear"}),
    "fcn_dilated": ("fcn_dilated", LIGHT),
    "deeplabv1": ("deeplabv1", LIGHT | {"fc_channels": 32}),
    "deeplabv1 vgg16": ("deeplabv1", VGG),
    "deeplabv2": ("deeplabv2", LIGHT),
    "deeplabv2 vgg16": ("deeplabv2", VGG | {"aspp": "S", "scales": [1.0]}),
    "deeplabv2 equal rates": ("deeplabv2", LIGHT | {"aspp": "S", "output_stride": 32}),
    "deeplabv2 concatenated": ("deeplabv2", LIGHT | {"combine": "concatenate", "fc_channels": 16}),
    "deeplabv3": ("deeplabv3", LIGHT | {"aspp_channels": 16, "aux_weight": 0.4}),
    "deeplabv3 resnet18": ("deeplabv3", {"encoder": "resnet18", "aspp_channels": 16}),
    "deeplabv3plus": ("deeplabv3plus", LIGHT),
    "deeplabv3plus no decoder": ("deeplabv3plus", LIGHT | {"decoder": False}),
    "fcn_basic": ("fcn_basic", {}),
    "deeplab_basic": ("deeplab_basic", {}),
}


def picture(*size, bands=3, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (1, *size, bands), dtype=torch.uint8, generator=random)


def awake(model):
    """Zero-initialised scores and residual branches would make many a law true."""
    random = torch.Generator().manual_seed(3)
    for parameter in model.head.parameters():
        nn.init.normal_(parameter, std=0.1, generator=random)
    return model.eval()


def made(label, **more) -> Segmenter:
    name, options = MODELS[label]
    return build(name, num_classes=3, **(options | more))


def fcn_head(model: Segmenter) -> FcnHead:
    assert isinstance(model.head, FcnHead)
    return model.head


def pixels(model, image):
    return at_pixels(model(image), grid=model.grid, size=tuple(image.shape[1:3]))


def test_every_name_of_the_design_is_tested():
    assert {name for name, _ in MODELS.values()} == set(MODEL_TABLES)


@pytest.mark.parametrize("label", MODELS)
class TestEveryModel:
    @pytest.mark.parametrize("size", [(33, 97), (64, 64), (95, 41)])
    @torch.inference_mode()
    def test_pictures_of_any_size_have_logits_at_each_pixel(self, label, size):
        model = made(label).eval()
        logits = model(picture(*size))
        padded = [side + -side % model.alignment for side in size]
        assert isinstance(model.grid, Grid)
        if model.grid.offset == 0:
            assert logits.shape == (1, 3, *(side // model.grid.stride for side in padded))
        assert pixels(model, picture(*size)).shape == (1, 3, *size)

    @pytest.mark.parametrize("bands", [1, 5])
    @torch.inference_mode()
    def test_pictures_may_have_other_bands(self, label, bands):
        model = awake(made(label, bands=bands))
        assert model.bands == bands
        one, other = (picture(48, 40, bands=bands, seed=seed) for seed in (1, 2))
        assert model(one).shape[1] == 3
        other[..., :-1] = one[..., :-1]  # the last band counts
        assert not torch.equal(model(one), model(other))

    def test_it_trains_at_batch_one(self, label):
        model = made(label).train()
        wake(model)
        masks = torch.zeros((1, 48, 40), dtype=torch.uint8)
        total, valid = forward_backward(model, picture(48, 40), masks, OBJECTIVE, "f32")
        assert total.isfinite() and int(valid) == 48 * 40
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                assert parameter.grad is not None, name
                assert parameter.grad.isfinite().all(), name

    @torch.inference_mode()
    def test_padding_is_once_for_the_whole_picture_and_with_the_mean_colour(self, label):
        model = awake(made(label))
        model.rules = model.rules._replace(mean=(128 / 255,))  # a whole number of the mean colour
        size = [side + -side % model.alignment for side in (40, 70)]
        padded = torch.full((1, *size, 3), 128, dtype=torch.uint8)
        padded[:, :40, :70] = picture(40, 70)
        torch.testing.assert_close(model(picture(40, 70)), model(padded), rtol=1e-4, atol=1e-4)

    def test_new_weights_follow_from_the_seed_alone(self, label):
        torch.manual_seed(1)
        one = made(label, pretrained=False) if "encoder" in MODELS[label][1] else made(label)
        torch.manual_seed(2)
        two = made(label, pretrained=False) if "encoder" in MODELS[label][1] else made(label)
        assert all(torch.equal(a, two.state_dict()[key]) for key, a in one.state_dict().items())

    @torch.inference_mode()
    def test_16_bit_pixels_are_the_same_picture(self, label):
        name, options = MODELS[label]
        recipe = make_recipe(flags={f"model.{k}": v for k, v in {"name": name, **options}.items()})
        eight = awake(build_model(recipe.model, num_classes=3))
        sixteen = awake(build_model(recipe.model, num_classes=3, dtype="uint16"))
        image = picture(40, 48)
        wide = (image.to(torch.int32) * 257).to(torch.uint16)
        torch.testing.assert_close(eight(image), sixteen(wide), rtol=1e-3, atol=1e-3)

    @torch.inference_mode()
    def test_weights_saved_and_loaded_give_the_same_logits(self, label):
        one = awake(made(label))
        other = made(label, **({"pretrained": False} if "encoder" in MODELS[label][1] else {}))
        other.load_state_dict(one.state_dict())
        assert torch.equal(one(picture(33, 41)), other.eval()(picture(33, 41)))

    def test_bf16_is_near_f32_where_its_self_test_passes(self, label):
        model = awake(made(label))
        masks = torch.zeros((1, 48, 48), dtype=torch.uint8)
        verdict = bf16_verdict(model, picture(48, 48), masks, OBJECTIVE)
        if "fails its self-test" in verdict.reason:
            pytest.skip(verdict.reason)
        with torch.inference_mode():
            right = model(picture(48, 48))
            with torch.autocast("cpu", torch.bfloat16):
                tested = model(picture(48, 48)).float()
        assert float((tested - right).abs().max()) < 0.1 * float(right.abs().max())


@pytest.mark.parametrize("label", [name for name in MODELS if "fcn" in name or "v2" in name])
class TestSums:
    @torch.inference_mode()
    def test_the_logits_are_the_sum_of_the_branches_at_every_cell(self, label):
        model = awake(made(label))
        if not isinstance(model.head, FcnHead | DeepLabV2Head):
            with pytest.raises(RecipeError, match="are sums"):
                model.branches(picture(40, 40))
            return
        parts = model.branches(picture(41, 70))
        whole = model(picture(41, 70))
        scale = float(whole.abs().max())
        torch.testing.assert_close(
            sum(parts.values()), whole, rtol=1e-4, atol=1e-4 * max(scale, 1.0)
        )
        assert len(parts) == 1 or all(part.abs().sum() > 0 for part in parts.values())


@pytest.mark.parametrize("label", ["deeplabv3plus", "deeplabv3 resnet18", "deeplabv2"])
@torch.inference_mode()
def test_one_set_of_weights_serves_every_output_stride(label):
    """The pyramid sees the same pixels at any stride; only the sampling is finer."""
    models = [awake(made(label, output_stride=stride)) for stride in (8, 16, 32)]
    for model in models[1:]:
        model.load_state_dict(models[0].state_dict())
    fine, *coarse = (pixels(model, picture(192, 192)) for model in models)
    for logits in coarse:
        assert torch.corrcoef(torch.stack([fine.flatten(), logits.flatten()]))[0, 1] > 0.7


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("deeplabv1", {"fc_channels": 16}),
        ("deeplabv2", {"scales": [1.0]}),
        ("deeplabv3", {"image_pooling": False, "aspp_channels": 16, "multi_grid": [1, 2, 4]}),
    ],
)
@torch.inference_mode()
def test_without_pooling_logits_at_stride_8_are_those_at_16_cell_for_cell(name, options):
    fine, coarse = (
        awake(build(name, num_classes=3, **LIGHT, **options, output_stride=stride))
        for stride in (8, 16)
    )
    coarse.load_state_dict(fine.state_dict())
    a, b = fine(picture(96, 96))[..., ::2, ::2], coarse(picture(96, 96))
    torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * float(b.abs().max()))


@pytest.mark.parametrize(
    ("sets", "stride", "said"),
    [
        (["model.name=fcn32s"], 16, "padding of 100 pixels goes with stride 32"),
        (["model.name=deeplabv3", "model.origin=smp"], 8, "smp dilates blocks"),
        (["model.name=deeplabv3", "model.aspp_rates=[1, 3, 5]"], 32, "no whole numbers of cells"),
        (["model.name=deeplabv1", "model.fc_rate=5"], 16, "no whole numbers of cells"),
        (["model.name=deeplabv2", "model.aspp=S"], 32, "no whole numbers of cells"),
    ],
)
def test_a_stride_at_which_it_would_be_another_network_is_refused(sets, stride, said):
    recipe = make_recipe(sets=sets)
    with pytest.raises(RecipeError, match=said):
        at_stride(recipe, stride)
    trained_at = recipe.model.model_dump()["output_stride"]
    assert at_stride(recipe, trained_at).model == recipe.model


def test_rates_follow_from_the_output_stride():
    assert atrous_rates(16) == (6, 12, 18)
    assert atrous_rates(8) == (12, 24, 36)


class TestScales:
    """DeepLab v2, sec. 4.1: the picture is seen in each scale, and the largest logit counts."""

    @torch.inference_mode()
    def test_the_largest_of_the_single_scales_is_taken(self):
        model = awake(build("deeplabv2", num_classes=3, **LIGHT))
        pictures = model.pictures(picture(64, 96))
        seen = []
        for scale in (1, 0.75, 0.5):
            small = F.interpolate(pictures, scale_factor=scale, mode="bilinear")
            logits = model.head(model.encoder(small))
            seen.append(F.interpolate(logits, size=(8, 12), mode="bilinear"))
        torch.testing.assert_close(model(picture(64, 96)), torch.stack(seen).amax(0))
        assert not torch.allclose(model(picture(64, 96)), seen[0])

    @torch.inference_mode()
    def test_scale_one_alone_changes_nothing(self):
        many = awake(build("deeplabv2", num_classes=3, **LIGHT))
        one = awake(build("deeplabv2", num_classes=3, **LIGHT, scales=[1.0]))
        many.scales = (1.0,)
        assert many.alignment == 32 and one.alignment == 8
        torch.testing.assert_close(many(picture(64, 96)), one(picture(64, 96)))

    @pytest.mark.parametrize(
        ("scales", "said"), [([0.5], "scales must hold 1"), ([1.0, 0.58], "multiples of 0.125")]
    )
    def test_scales_without_one_or_of_broken_pixels_are_refused(self, scales, said):
        with pytest.raises(RecipeError, match=said):
            build("deeplabv2", num_classes=3, **LIGHT, scales=scales)


class TestFcn:
    @pytest.mark.parametrize(("name", "crop"), [("fcn32s", 19), ("fcn16s", 27), ("fcn8s", 31)])
    @torch.inference_mode()
    def test_the_fixed_last_enlarging_is_a_grid_with_the_published_crop(self, name, crop):
        """A fixed transposed convolution, cropped by 19, 27, 31, equals the grid's resize."""
        model = awake(build(name, num_classes=2, **VGG))
        assert isinstance(model.grid, Grid)
        stride = model.grid.stride
        logits = model(picture(64, 96))
        layer = transposed(2, stride, same=False, learned=False)
        theirs = layer(logits)[..., crop : crop + 64, crop : crop + 96]
        ours = pixels(model, picture(64, 96))
        inside = (..., slice(16, None), slice(16, None))  # 32s: before, theirs fades to zero
        torch.testing.assert_close(ours[inside], theirs[inside], rtol=1e-4, atol=1e-5)

    @torch.inference_mode()
    def test_learned_up_sampling_begins_as_fixed(self):
        images = picture(64, 96)
        models = [
            awake(build("fcn8s", num_classes=2, **VGG, upsampling=kind)).head.state_dict()
            for kind in ("fixed", "skips", "learned")
        ]
        assert "up_last.weight" in models[2] and "up_last.weight" not in models[1]
        built = [build("fcn8s", num_classes=2, **VGG, upsampling=k) for k in ("fixed", "learned")]
        for model in built:
            for score in (fcn_head(model).score_fr, *fcn_head(model).scores):
                nn.init.normal_(
                    score.get_parameter("weight"), generator=torch.Generator().manual_seed(1)
                )
        torch.testing.assert_close(
            pixels(built[0].eval(), images), pixels(built[1].eval(), images), rtol=1e-4, atol=1e-5
        )

    @torch.inference_mode()
    def test_resizing_lies_where_the_transposed_convolution_lies(self):
        fixed = awake(build("fcn8s", num_classes=2, **VGG, upsampling="fixed"))
        bilinear = build("fcn8s", num_classes=2, **VGG, upsampling="bilinear").eval()
        bilinear.load_state_dict(
            {k: v for k, v in fixed.state_dict().items() if not k.startswith("head.up")}
        )
        for skip, layer in enumerate(fcn_head(fixed).up):
            layer.get_parameter("weight").copy_(transposed(2, 2, same=False, learned=False).weight)
            assert fcn_head(bilinear).up[skip](torch.zeros(1, 2, 5, 5)).shape[2:] == (12, 12)
        a, b = (pixels(model, picture(96, 96)) for model in (fixed, bilinear))
        inside = (..., slice(32, 64), slice(32, 64))  # farther from where borders fade
        torch.testing.assert_close(a[inside], b[inside], rtol=1e-3, atol=1e-4)

    def test_what_is_learned_is_what_was_asked_for(self):
        def learned(kind):
            model = build("fcn8s", num_classes=2, **VGG, upsampling=kind)
            return [p.requires_grad for n, p in model.named_parameters() if n.startswith("head.up")]

        assert learned("bilinear") == []
        assert learned("fixed") == [False, False]
        assert learned("skips") == [True, True]
        assert learned("learned") == [True, True, True]

    @torch.inference_mode()
    def test_at_once_scales_pool4_and_pool3(self):
        plain = awake(build("fcn8s", num_classes=2, **VGG))
        at_once = build("fcn8s", num_classes=2, **VGG, at_once=True).eval()
        at_once.load_state_dict(plain.state_dict())
        for score in (*fcn_head(plain).scores, *fcn_head(at_once).scores):
            nn.init.zeros_(score.get_parameter("bias"))
        a, b = plain.branches(picture(40, 40)), at_once.branches(picture(40, 40))
        torch.testing.assert_close(a["deepest"], b["deepest"])
        torch.testing.assert_close(a["pool4"] * 0.01, b["pool4"], rtol=1e-3, atol=1e-6)
        torch.testing.assert_close(a["pool3"] * 0.0001, b["pool3"], rtol=1e-3, atol=1e-6)

    def test_new_skips_are_zero_so_that_a_stage_begins_as_the_one_before(self):
        coarse = build("fcn16s", num_classes=2, **VGG)
        nn.init.normal_(fcn_head(coarse).score_fr.weight)
        fine = build("fcn8s", num_classes=2, **VGG)
        missing = fine.load_state_dict(coarse.state_dict(), strict=False)
        assert set(missing.missing_keys) == {
            "head.scores.1.weight",
            "head.scores.1.bias",
            "head.up.1.weight",
        }
        with torch.inference_mode():
            a, b = (pixels(m.eval(), picture(64, 64)) for m in (coarse, fine))
        # Enlarged twice by 2 and once by 8, or once by 16: the same but for interpolation.
        assert torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1] > 0.98

    def test_the_padding_of_the_paper_is_refused_elsewhere(self):
        with pytest.raises(RecipeError, match="encoder vgg16 and output_stride 32 alone"):
            build("fcn8s", num_classes=2, **LIGHT, padding="paper")

    def test_a_transposed_convolution_begins_as_bilinear(self):
        layer = transposed(2, 4, same=True, learned=True)
        scores = torch.randn(1, 2, 6, 7, generator=torch.Generator().manual_seed(0))
        resized = F.interpolate(scores, scale_factor=4, mode="bilinear", align_corners=False)
        inside = (..., slice(2, -2), slice(2, -2))  # at the borders there are zeros beyond
        torch.testing.assert_close(layer(scores)[inside], resized[inside])
        assert float(bilinear_kernel(8).sum()) == pytest.approx(16.0)


class TestBatchNorm:
    def test_frozen_keeps_statistics_and_scales(self):
        model = build("deeplabv3", num_classes=2, **LIGHT, batch_norm="frozen").train()
        before = copy.deepcopy(model.state_dict())
        for logits, _, _ in model.supervised(picture(64, 64)):
            logits.sum().backward()
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.grad is not None], lr=0.1)
        optimizer.step()
        changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
        norms = {
            f"{name}.{key}"
            for name, module in model.named_modules()
            if isinstance(module, nn.BatchNorm2d)
            for key in module.state_dict()
        }
        inside = {name for name in norms if name.startswith("encoder.")}
        assert inside and not changed & inside
        assert changed & (norms - inside)  # the head is new, and must find its statistics

    def test_trained_moves_them(self):
        model = build("deeplabv3", num_classes=2, **LIGHT).train()
        before = copy.deepcopy(model.state_dict())
        model(picture(64, 64))
        assert any(
            not torch.equal(v, before[k])
            for k, v in model.state_dict().items()
            if k.endswith("running_mean")
        )


def test_an_auxiliary_head_is_trained_and_not_asked_for_the_mask():
    model = build("fcn_dilated", num_classes=3, **LIGHT).train()
    main, aux = model.supervised(picture(64, 64))
    assert (main.weight, aux.weight) == (1.0, 0.5)
    assert main.logits.shape == (1, 3, 8, 8) and aux.grid == Grid(8)
    without = build("fcn_dilated", num_classes=3, **LIGHT, aux_weight=0.0)
    assert without.aux_head is None
    assert set(without.state_dict()) < set(model.state_dict())


def test_deeplabs_low_level_maps_are_an_option():
    model = build("deeplabv3plus", num_classes=3, **LIGHT, low_level_channels=7)
    assert model.get_parameter("head.reduce.0.weight").shape[0] == 7


@pytest.mark.parametrize(("num_classes", "bands"), [(0, 3), (2, 0)])
def test_no_classes_and_no_bands_are_refused(num_classes, bands):
    with pytest.raises(RecipeError, match="is 0, but a model tells one class or more"):
        build("fcn_basic", num_classes=num_classes, bands=bands)


@torch.inference_mode()
def test_taps_that_no_crop_reaches_say_nothing_in_larger_pictures():
    """At 128 px rate 32 of `deeplab_basic` has no outer tap inside: they begin, and stay, at 0."""
    model = build("deeplab_basic", num_classes=2)
    outer = [
        layer.weight.flatten(2)[..., [0, 1, 2, 3, 5, 6, 7, 8]]
        for layer in model.head.modules()
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3)
    ]
    assert len(outer) == 6 and not any(taps.any() for taps in outer)
