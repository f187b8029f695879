"""What is derived of a model is what probing finds: by gradients, by NaN, by cutting tiles."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from atrous.errors import RecipeError
from atrous.models.build import Segmenter
from atrous.models.geometry import Geometry, described, geometry, macs, pixels_read, valid_taps
from atrous.types import Grid
from few_maps import few_maps


class Small(nn.Module):
    """A network over pixels, padded to `alignment` as a `Segmenter` does, in double precision."""

    def __init__(self, body: nn.Module, alignment: int) -> None:
        super().__init__()
        self.body, self.alignment = body.double(), alignment

    def forward(self, images: Tensor) -> Tensor:
        pictures = images.permute(0, 3, 1, 2).to(torch.float64) / 255
        down, across = (-side % self.alignment for side in pictures.shape[2:])
        return self.body(F.pad(pictures, (0, across, 0, down)))


class Call(nn.Module):
    """A function of features as a module, over modules that it is given."""

    def __init__(self, function: Callable[..., Tensor], *modules: nn.Module) -> None:
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(modules)

    def forward(self, features: Tensor) -> Tensor:
        return self.function(features, *self.parts)


def conv(kernel: int | tuple[int, int], channels: int = 4, **options) -> nn.Module:
    return nn.Conv2d(channels, 4, kernel, **options)


def stem(**options) -> nn.Module:
    return conv(3, channels=3, stride=2, padding=1, **options)


def up(features: Tensor, factor: float = 2, **options) -> Tensor:
    options = {"mode": "bilinear", "align_corners": False} | options
    return F.interpolate(features, scale_factor=factor, **options)


def scales(pictures: Tensor, body: nn.Module) -> Tensor:
    one, *others = [
        body(pictures if scale == 1 else up(pictures, scale)) for scale in (1, 0.75, 0.5)
    ]
    size = tuple(one.shape[2:])
    return torch.stack([one, *(F.interpolate(o, size, mode="bilinear") for o in others)]).amax(0)


def residual(x: Tensor, one: nn.Module, two: nn.Module, shortcut: nn.Module) -> Tensor:
    y = two(one(x).relu_())
    y += shortcut(x)
    return F.relu(y, inplace=True)


SMALL = {
    "one layer": lambda: Small(stem(), 2),
    "dilated": lambda: Small(nn.Sequential(stem(), conv(3, padding=2, dilation=2), conv(5)), 2),
    "same": lambda: Small(nn.Sequential(stem(), conv(4, padding="same", dilation=2)), 2),
    "oblong": lambda: Small(nn.Sequential(stem(), conv((5, 1), padding=(2, 0)), conv((1, 3))), 2),
    "residual": lambda: Small(
        nn.Sequential(
            stem(),
            nn.MaxPool2d(3, 2, 1),
            Call(residual, stem4(), conv(3, padding=1), conv(1, stride=2)),
        ),
        8,
    ),
    "ceil pool": lambda: Small(nn.Sequential(stem(), nn.MaxPool2d(3, 2, ceil_mode=True)), 4),
    "mean pool": lambda: Small(nn.Sequential(stem(), nn.AvgPool2d(2), nn.SiLU(), conv(3)), 4),
    "reflected": lambda: Small(
        nn.Sequential(nn.Conv2d(3, 4, 5, padding=2, padding_mode="reflect"), stem4()), 2
    ),
    "transposed": lambda: Small(
        nn.Sequential(
            stem(), stem4(), conv(3), nn.ConvTranspose2d(4, 4, 6, 2, 1, 1, dilation=2), conv(3)
        ),
        4,
    ),
    "nearest": lambda: Small(nn.Sequential(stem(), stem4(), nn.Upsample(scale_factor=2)), 4),
    "margin and crop": lambda: Small(
        nn.Sequential(
            conv(3, channels=3, padding=10),
            nn.MaxPool2d(2, 2, ceil_mode=True),
            conv(5),
            nn.ConvTranspose2d(4, 4, 4, 2),
            Call(lambda x: x[..., 3:-2, 3:-2]),
        ),
        2,
    ),
    "decoder": lambda: Small(
        Call(
            lambda x, low, deep, join: join(torch.cat([low(x), up(deep(low(x)))], 1)),
            stem(),
            nn.Sequential(stem4(), conv(3, padding=1), nn.ReLU()),
            nn.Conv2d(8, 2, 3, padding=1),
        ),
        4,
    ),
    "scales": lambda: Small(Call(scales, nn.Sequential(stem(), conv(3, padding=1))), 8),
    "shuffled": lambda: Small(
        Call(
            lambda x, stem: (
                torch.cat([h.transpose(2, 3).transpose(-1, -2) for h in stem(x).chunk(2, dim=1)], 1)
                .view(len(x), 2, 2, *stem(x).shape[2:])
                .transpose(1, 2)
                .sum(1)
            ),
            stem(),
        ),
        2,
    ),
}


def stem4() -> nn.Module:
    return conv(3, stride=2, padding=1)


def small(name: str) -> Small:
    torch.manual_seed(0)
    return SMALL[name]().eval()


def pixels(height: int, width: int, *, count: int = 1, bands: int = 3) -> Tensor:
    random = torch.Generator().manual_seed(1)
    return 255 * torch.rand(count, height, width, bands, generator=random, dtype=torch.float64)


def probed(model: nn.Module, images: Tensor, *, axis: int) -> list[tuple[int, int] | None]:
    """The first and last row (axis 0) or column of pixels with a gradient, for each of cells."""
    images.requires_grad_()
    logits = model(images).transpose(2 + axis, 0)
    spans = []
    for cells in logits:
        (gradient,) = torch.autograd.grad(cells.sum(), images, retain_graph=True)
        read = gradient.transpose(1 + axis, 0).flatten(1).any(1).nonzero().flatten().tolist()
        spans.append((read[0], read[-1]) if read else None)
    return spans


@pytest.mark.parametrize("name", SMALL)
def test_a_cell_reads_the_pixels_that_have_a_gradient(name):
    model, images = small(name), pixels(27, 34, count=24)
    for axis, spans in enumerate(pixels_read(model, (27, 34))):
        read = [(first, last) if first <= last else None for first, last in spans.tolist()]
        assert read == probed(model, images, axis=axis)


@pytest.mark.parametrize("name", SMALL)
def test_the_geometry_holds_for_each_cell_and_is_reached_by_some(name):
    model = small(name)
    found, ends = geometry(model), []
    for spans in pixels_read(model, (160, 192)):
        centres = np.arange(len(spans))[:, None] * found.stride + found.offset
        ends.append((spans - centres)[len(spans) // 3 : -len(spans) // 3])  # no border in sight
    reach = (found.receptive_field - 1) / 2
    assert (np.concatenate(ends).min(), np.concatenate(ends).max()) == (-reach, reach)
    assert model.alignment == found.alignment and found.halo % found.alignment == 0
    assert not found.inexact and not found.global_parts


@torch.no_grad()
def worst_of_tile(model: nn.Module, found: Geometry, halo: int, *, width: int) -> float:
    """The largest difference between tiles with a halo and the whole picture, inside the tiles.

    Tiles are as wide as the picture and as low as may be, and away from its borders.
    """
    worst, side, far = 0.0, found.alignment, found.halo + found.alignment
    images = pixels(2 * far + 2 * side, width).to(torch.float32)
    whole = model(images)
    for top in (far, far + side):
        tile = model(images[:, top - halo : top + side + halo])
        cells, begin = side // found.stride, halo // found.stride
        there = whole[:, :, top // found.stride :][:, :, :cells]
        here = tile[:, :, begin : begin + cells]
        same = here.shape == there.shape
        worst = max(worst, float((here - there).abs().max()) if same else torch.inf)
    return worst


@pytest.mark.parametrize("name", SMALL)
def test_a_tile_with_its_halo_equals_the_whole_and_with_less_it_does_not(name):
    model = small(name)
    found = geometry(model)
    width = 64 + -64 % found.alignment
    assert worst_of_tile(model, found, found.halo, width=width) < 1e-10
    if found.halo:
        assert worst_of_tile(model, found, found.halo - found.alignment, width=width) > 1e-10


# Models as they are built, with few maps.

BUILT = {
    "fcn_basic": {},
    "deeplab_basic": {},
    "fcn32s": {"upsampling": "learned"},
    "fcn16s": {"encoder": "resnet18"},
    "fcn8s": {},
    "fcn_dilated": {"encoder": "mobilenetv3_large_100", "output_stride": 16},
    "deeplabv1": {},
    "deeplabv2": {"encoder": "vgg16"},
    "deeplabv3": {"encoder": "mobilenetv2_050", "multi_grid": (1, 2)},
    "deeplabv3plus": {},
}


def built(name: str, **options) -> Segmenter:
    return few_maps(name, num_classes=2, **{**BUILT[name], **options})


@cache
def geometry_of(name: str) -> Geometry:
    return geometry(built(name))


def blind(model: nn.Module, parts: tuple[str, ...]) -> nn.Module:
    """With parts that see the whole picture taken out: gates let all pass, means are zero."""

    def instead(module: nn.Module, inputs: tuple[Tensor], out: Tensor) -> Tensor:
        is_gate = inputs[0].shape == out.shape
        return inputs[0] if is_gate else out.new_zeros(out.shape)

    for part in parts:
        model.get_submodule(part).register_forward_hook(instead)
    return model


@pytest.mark.parametrize("name", BUILT)
@torch.no_grad()
def test_a_built_model_reads_its_receptive_field_and_nothing_else(name):
    """A pixel that is NaN makes NaN of every cell that reads it, whatever the weights are."""
    model, found = built(name), geometry_of(name)
    assert isinstance(model.grid, Grid) and found.stride == model.grid.stride
    assert found.alignment == model.alignment and not found.inexact
    blind(model, found.global_parts)
    height = found.receptive_field + 4 * found.alignment
    images = pixels(height + -height % found.alignment, found.alignment).float()
    spans = pixels_read(model, (len(images[0]), found.alignment))[0]
    tile = len(images[0]) // 2 // found.alignment * found.alignment // found.stride
    cells = np.arange(tile, tile + found.alignment // found.stride)
    ends = spans[cells] - cells[:, None] * found.stride - found.offset
    reach = (found.receptive_field - 1) / 2
    assert (ends.min(), ends.max()) == (-reach, reach)
    for cell in {cells[ends[:, 0].argmin()], cells[ends[:, 1].argmax()]}:
        first, last = spans[cell]
        for torn, reads in (([first - 1, last + 1], False), ([first], True), ([last], True)):
            changed = images.clone()
            changed[:, torn] = torch.nan
            assert model(changed)[:, :, cell].isnan().any() == reads


@pytest.mark.parametrize("name", BUILT)
def test_tiles_of_a_built_model_equal_the_whole(name):
    model, found = built(name), geometry_of(name)
    blind(model, found.global_parts)
    assert worst_of_tile(model, found, found.halo, width=found.alignment) < 1e-5


@pytest.mark.parametrize("name", BUILT)
@torch.no_grad()
def test_a_halo_holds_what_the_cells_of_a_tile_read_and_one_step_less_does_not(name):
    """A pixel that is NaN makes NaN of every cell that reads it, whatever the weights are."""
    model, found = built(name), geometry_of(name)
    blind(model, found.global_parts)
    side, begin = found.alignment, found.halo + found.alignment
    images = pixels(2 * begin + side, side).float()
    cells = slice(begin // found.stride, (begin + side) // found.stride)
    for outside, reads in ((side, False), (2 * side, True)):
        torn = images.clone()
        torn[:, :outside] = torn[:, -outside:] = torch.nan
        assert model(torn)[:, :, cells].isnan().any() == reads


# Parts that see the whole picture.


class Gate(nn.Module):
    def __init__(self, pool: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.pool, self.fc = pool, nn.Conv2d(4, 4, 1)

    def forward(self, features: Tensor) -> Tensor:
        return features * self.fc(self.pool(features)).sigmoid()


GATES = {
    "mean": lambda x: x.mean((2, 3), keepdim=True),
    "maximum": lambda x: x.amax((-2, -1), keepdim=True),
    "adaptive": nn.AdaptiveAvgPool2d(1),
    "view": lambda x: x.mean((2, 3)).view(len(x), -1, 1, 1).expand_as(x),
}


@pytest.mark.parametrize("pool", GATES)
def test_a_part_that_sees_the_whole_picture_is_named(pool):
    torch.manual_seed(0)
    model = Small(nn.Sequential(stem(), Gate(GATES[pool]), conv(3)), 2).eval()
    assert geometry(model).global_parts == ("body.1",)
    if pool != "maximum":  # one pixel has all of its gradient
        assert probed(model, pixels(32, 32), axis=0) == [(0, 31)] * 14
    spans = pixels_read(model, (32, 32))[0].tolist()
    assert probed(blind(model, ("body.1",)), pixels(32, 32), axis=0) == [*map(tuple, spans)]


def test_image_pooling_and_gates_of_built_models_are_global_parts_and_all_of_them():
    assert geometry_of("deeplabv3plus").global_parts == ("head.aspp.branches.4",)
    assert geometry(built("deeplabv3plus", image_pooling=False)).global_parts == ()
    model = built("fcn_dilated")
    gates = {name for name, m in model.named_modules() if type(m).__name__ == "SqueezeExcite"}
    assert gates and set(geometry_of("fcn_dilated").global_parts) == gates


def test_a_norm_over_the_picture_is_a_global_part():
    model = Small(nn.Sequential(stem(), nn.GroupNorm(2, 4), nn.BatchNorm2d(4)), 2)
    assert geometry(model).global_parts == ("body.1",)


# What is not known is refused.

UNKNOWN = {
    "calls roll": lambda x: x.roll(1, 2),
    "calls cumsum": lambda x: x.cumsum(3),
    "writes into a part": lambda x: x[:, :, :1].zero_() if x.__setitem__(0, 0) else x,
    "along rows or columns": lambda x: x.mean(2, keepdim=True) + x,
    "works along rows": lambda x: x.softmax(2),
    "something else than rows": lambda x: F.max_pool2d(x.transpose(1, 2), 2),
    "other weights at each place": lambda x: F.conv2d(x, x[:, :, :3, :3]),
    "calls mean in a way": lambda x: x.mean(axis=1),
    "a border over a mean": lambda x: F.pad(x.mean((2, 3), True), (1, 1, 1, 1)),
    "a window or a border": lambda x: F.avg_pool2d(x.mean((2, 3), True).expand_as(x), 3, 1, 1),
    "made or changed unseen": lambda x: x * HIDDEN,
    "changed unseen": lambda x: [x, x[:, :2].mul_(2)][0] + 1,
    "repeats or reshapes": lambda x: x.reshape(1, 4, -1, x.shape[2] * 2),
    "takes one row": lambda x: x[:, :, 0],
    "antialias": lambda x: up(x, 0.5, antialias=True),
    "'bicubic'": lambda x: up(x, mode="bicubic"),
    "same logits for the whole": lambda x: x.mean((2, 3), keepdim=True),
    "more than": lambda x: F.avg_pool2d(x, (x.shape[2] - 1, 1)),
}
HIDDEN = torch.ones(1, 4, 1, 1, device="meta")


@pytest.mark.parametrize("found", UNKNOWN)
def test_what_is_not_known_is_refused(found):
    model = Small(nn.Sequential(stem(), Call(UNKNOWN[found])), 2)
    with pytest.raises(RecipeError, match=f"model.*{found}"):
        geometry(model)


def test_tables_of_places_and_resizes_by_size_are_said_to_make_tiles_differ():
    class Places(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.places = nn.Parameter(torch.ones(4, 1, 1))

        def forward(self, x: Tensor) -> Tensor:
            return x + F.pad(self.places, (0, x.shape[3] - 1, 0, x.shape[2] - 1))

    placed = geometry(Small(nn.Sequential(stem(), Places()), 2))
    assert placed.inexact == ("body.1 adds or multiplies by something else at each place",)
    corners = geometry(Small(nn.Sequential(stem(), Call(lambda x: up(x, align_corners=True))), 2))
    assert corners.inexact == ("body.1 resizes with align_corners",)
    assert geometry(Small(Call(sized, stem()), 2)).inexact == ()
    assert "no simple factor" in geometry(Small(Call(sized, stem()), 1)).inexact[0]


def sized(x: Tensor, body: nn.Module) -> Tensor:
    return F.interpolate(body(x), x.shape[2:], mode="bilinear")


@pytest.mark.parametrize("origin", ["torchvision", "smp"])
def test_imported_models_are_said_to_have_no_exact_tiles(origin):
    options = {"encoder": "resnet18", "origin": origin}
    found = geometry(built("deeplabv3" if origin == "torchvision" else "deeplabv3plus", **options))
    assert "stretched over the picture" in " ".join(found.inexact)


# MACs and taps.


@pytest.mark.parametrize("name", [*BUILT, "small"])
@torch.no_grad()
def test_macs_are_those_that_torch_counts(name):
    model = small("transposed") if name == "small" else built(name)
    with FlopCounterMode(display=False) as counter:
        model(pixels(70, 96).to(torch.uint8))
    assert 2 * macs(model, (70, 96)) == counter.get_total_flops()


def test_taps_at_a_training_crop():
    model = built("deeplabv3plus", aspp_rates=(12, 24, 36))
    first, second, third = valid_taps(model, (360, 480))
    assert {taps.cells for taps in (first, second, third)} == {(23, 30)}
    assert [taps.rate for taps in (first, second, third)] == [12, 24, 36]
    rows, columns = (23 + 2 * 11) / (3 * 23), (30 + 2 * 18) / (3 * 30)
    assert first.share == pytest.approx(rows * columns) and first.left == (3, 3)
    assert second.share == pytest.approx(1 / 3 * (30 + 2 * 6) / (3 * 30)) and second.left == (1, 3)
    assert third.share == pytest.approx(1 / 9) and third.left == (1, 1)


@given(st.integers(1, 30), st.integers(1, 30), st.sampled_from([3, 5, 7]), st.integers(2, 12))
def test_the_share_of_taps_is_that_of_ones_convolved_with_ones(height, width, kernel, rate):
    padding = rate * (kernel // 2)
    layer = conv(kernel, channels=3, padding=padding, dilation=rate)
    ones = torch.ones(1, 1, height, width)
    seen = F.conv2d(ones, torch.ones(1, 1, kernel, kernel), padding=padding, dilation=rate)
    (taps,) = valid_taps(Small(layer, 1), (height, width))
    assert taps.share == pytest.approx(float(seen.mean()) / kernel**2)
    assert (taps.left == (1, 1)) == (rate >= height and rate >= width)


def test_taps_are_those_of_the_head_at_each_scale():
    v2 = valid_taps(built("deeplabv2"), (320, 480))
    assert [taps.rate for taps in v2] == [6, 12, 18, 24] * 3
    assert [taps.cells for taps in v2[::4]] == [(40, 60), (30, 45), (20, 30)]
    assert [taps.rate for taps in valid_taps(built("deeplabv1"), (320, 480))] == [12]
    assert valid_taps(built("fcn8s"), (320, 480)) == []


# Said to people.


def test_what_is_said_of_a_model():
    model = built("deeplabv3plus", aspp_rates=(12, 24, 36))
    rows = described(model, (360, 480))
    facts = dict(rows)
    assert facts["output stride"] == "16 pixels a cell"
    assert facts["grid"].startswith(
        "a cell every 4 pixels; what a cell reads is centred 7.5 pixels"
    )
    wider = geometry_of("deeplabv3plus").receptive_field + 2 * (36 - 18) * 16
    assert facts["receptive field"].startswith(f"{wider} pixels across")
    assert facts["tiles"].startswith("cut at multiples of 16 pixels with a halo of ")
    assert facts["whole picture"] == "seen by head.aspp.branches.4"
    assert facts["MACs"] == f"{macs(model, (360, 480)) / 1e9:.2f} G at 360 x 480"
    assert [line.partition(": ")[2] for name, line in rows if name == "taps"] == [
        "rate 12 on 23 x 30 cells: 48 % of the 3x3's taps lie inside",
        "rate 24 on 23 x 30 cells: 16 % of the 3x3's taps lie inside: a 1x3 convolution",
        "rate 36 on 23 x 30 cells: 11 % of the 3x3's taps lie inside: a 1x1 convolution",
    ]


def test_what_is_not_known_is_said():
    model = Small(nn.Sequential(stem(), Call(lambda x: x.roll(1, 2))), 2)
    facts = dict(described(model, (64, 64)))
    assert facts["receptive field"].startswith("not known: model, body.1 calls roll")
    assert facts["MACs"] == "0.00 G at 64 x 64"


@pytest.mark.parametrize("crop", ["fcn32s", "fcn16s", "fcn8s"])
def test_the_grids_of_the_papers_lie_where_their_cells_look(crop):
    """The crops of 19, 27 and 31 pixels, found here by following the network."""
    model = built(crop, encoder="vgg16")
    found, grid = geometry(model), model.grid
    assert isinstance(grid, Grid)
    assert found.offset == (0.5 + grid.offset) * grid.stride - 0.5


@torch.no_grad()
def test_looking_leaves_the_model_as_it_was_and_gives_the_same_again():
    model = built("deeplabv3plus").train()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    assert geometry(model) == geometry(model)
    assert model.training and not any(m._forward_hooks for m in model.modules())
    after = model.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
