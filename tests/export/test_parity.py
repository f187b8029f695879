"""The exported graph gives the logits of the model, for every model of the lineage."""

import copy
import io
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from made import awake, made
from torch import nn

from atrous.classes import Classes
from atrous.errors import RecipeError
from atrous.export.facts import tiles_of
from atrous.export.graph import OPSET, graph_of
from atrous.export.network import pooled_channels
from atrous.export.quantise import quantised
from atrous.kernels.resize import argmax_at_pixels
from atrous.models.build import Segmenter
from atrous.models.origins import RULES
from atrous.predict.predictor import Prediction
from atrous.recipe import MODEL_TABLES
from atrous.types import Statistics
from atrous.verify.comparison import TIE, flipped

VGG = {"encoder": "vgg16", "fc_channels": 16}
RESNET = {"encoder": "resnet18", "pretrained": False, "aspp_channels": 16}
LITE = RESNET | {"encoder": "efficientnet_lite0"}
MODELS: dict[str, dict[str, Any]] = {  # each takes seconds: what differs is shared out
    "fcn32s": {"name": "fcn32s", "upsampling": "learned"} | VGG,
    "fcn8s": {"name": "fcn8s", "upsampling": "bilinear", "at_once": True} | VGG,
    "fcn8s elsewhere": {"name": "fcn8s", "encoder": "resnet18"},
    "fcn_dilated": {"name": "fcn_dilated", "encoder": "mobilenetv2_100"},
    "deeplabv1": {"name": "deeplabv1"} | VGG,
    "deeplabv2": {"name": "deeplabv2", "combine": "concatenate", "scales": [1.0]} | VGG,
    "deeplabv3": {"name": "deeplabv3", "aux_weight": 0.4} | RESNET,
    "deeplabv3plus": {"name": "deeplabv3plus"} | LITE,
    "no pooling": {"name": "deeplabv3plus", "decoder": False, "image_pooling": False}
    | RESNET
    | {"encoder": "mobilenetv3_small_100"},
    "xception": {"name": "deeplabv1", "encoder": "xception41", "fc_channels": 16},
    "fcn_basic": {"name": "fcn_basic"},
    "deeplab_basic": {"name": "deeplab_basic"},
    "torchvision": {"name": "deeplabv3", "refine": True, "origin": "torchvision"} | RESNET,
    "smp": {"name": "deeplabv3plus", "origin": "smp"} | RESNET,
    "pytorch-fcn": {"name": "fcn16s", "upsampling": "fixed", "origin": "pytorch-fcn"} | VGG,
    "deeplab-pytorch": {"name": "deeplabv2", "encoder": "resnet18", "origin": "deeplab-pytorch"}
    | {"scales": [1.0, 0.75]},
}
QUANTISED = {"fcn8s elsewhere": 0.15, "deeplabv3plus": 0.5}  # error in parts of the spread
SIZES = ((1, 33, 97), (1, 64, 64), (2, 5, 41))  # odd; whole; of one cell down, and two pictures


def pixels(*shape: int, dtype: str = "uint8") -> np.ndarray:
    noise = np.random.default_rng(shape[1]).random(shape)
    return (noise * {"uint8": 255, "uint16": 65535, "float32": 1}[dtype]).astype(dtype)


class Graph:
    """A model, the bytes of its graph, and what runs it; `content` may be another graph of it."""

    def __init__(self, model: Segmenter, content: bytes = b"", *, name: str = "") -> None:
        self.model, self.content, self.name = model, content or graph_of(model), name
        self.proto = onnx.load_from_string(self.content)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3  # a default of an input is worth a warning to it
        self.session: Any = onnxruntime.InferenceSession(self.content, options)

    @cached_property
    def in_openvino(self) -> Any:
        from atrous.predict.engines.openvino import shared_core

        config = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
        model = shared_core().read_model(io.BytesIO(self.content))
        return shared_core().compile_model(model, "CPU", config)

    def in_each_runtime(self, images: np.ndarray) -> Iterator[np.ndarray]:
        """Logits by ONNX Runtime, and by OpenVINO where it is installed."""
        yield self(images)["logits"]
        if find_spec("openvino"):
            yield self.in_openvino({"images": images})["logits"]

    def __call__(self, images: np.ndarray, **more: np.ndarray) -> dict[str, np.ndarray]:
        names = [output.name for output in self.session.get_outputs()]
        return dict(zip(names, self.session.run(names, {"images": images, **more}), strict=True))

    @torch.inference_mode()
    def eager(self, images: np.ndarray) -> np.ndarray:
        return self.model(torch.from_numpy(images)).numpy()

    @property
    def channels(self) -> int:
        """Of the input `pooled`; 0 without."""
        return pooled_channels(self.model)

    @property
    def operators(self) -> Counter[str]:
        return Counter(node.op_type for node in self.proto.graph.node)


@pytest.fixture(scope="module", params=MODELS)
def graph(request: pytest.FixtureRequest) -> Graph:
    """Each model in turn: all tests of one stand together, for exporting takes seconds."""
    return Graph(made(MODELS[request.param]), name=request.param)


def assert_same_masks(
    ours: np.ndarray, theirs: np.ndarray, images: np.ndarray, model: Segmenter
) -> None:
    """But for ties."""
    for other, logits, image in zip(ours, theirs, images, strict=True):
        mask, right = (
            argmax_at_pixels(one, grid=model.grid, size=image.shape[:2]) for one in (other, logits)
        )
        reference = Prediction(right, Classes(("a", "b", "c")), image, logits, model.grid)
        assert flipped(reference, mask, least=TIE * np.abs(logits).max()) == 0


def assert_same(ours: np.ndarray, theirs: np.ndarray) -> None:
    """To 1e-4 of logits whose largest is 2."""
    scale = np.abs(theirs).max()
    assert ours.shape == theirs.shape and ours.dtype == np.float32
    assert theirs.std((2, 3)).max() > 1e-3 * scale  # flat maps would prove little
    np.testing.assert_allclose(2 * ours / scale, 2 * theirs / scale, rtol=0, atol=1e-4)


def test_every_name_of_the_lineage_is_exported():
    assert {*(options["name"] for options in MODELS.values()), "fcn16s"} == {*MODEL_TABLES}
    assert {*(o["origin"] for o in MODELS.values() if "origin" in o), "atrous"} == {*RULES}


class TestEveryModel:
    @pytest.mark.parametrize("shape", SIZES)
    def test_logits_and_masks_are_those_of_the_model_at_any_size_and_batch(self, graph, shape):
        images = pixels(*shape, 3)
        theirs = graph.eager(images)
        for ours in graph.in_each_runtime(images):
            assert_same(ours, theirs)
            assert_same_masks(ours, theirs, images, graph.model)

    def test_nothing_is_there_that_only_training_needs(self, graph):
        assert not {"BatchNormalization", "Dropout", "Identity"} & {*graph.operators}
        layers = [m for name, m in graph.model.named_modules() if not name.startswith("aux_head")]
        convolutions = sum(isinstance(module, nn.Conv2d) for module in layers)
        more = 1 if graph.channels else 0  # the 1x1 that joins, in two parts
        assert graph.operators["Conv"] <= len(graph.model.scales) * convolutions + more

    def test_nodes_are_called_after_modules_and_nothing_tells_of_this_machine(self, graph):
        names = [node.name for node in graph.proto.graph.node]
        assert len({*names}) == len(names)
        modules = {name for name, _ in graph.model.named_modules()}
        ours = {"head.aspp.project", "head.aspp.project_pooled", "head.aspp.pooling.project.0"}
        assert {n.removesuffix("/Conv") for n in names if n.endswith("/Conv")} <= modules | ours
        for trace in (str(Path(__file__).parents[2]), "site-packages", "torch"):
            assert trace.encode() not in graph.content

    def test_the_interface_is_as_the_design_says(self, graph):
        opsets = [(opset.domain, opset.version) for opset in graph.proto.opset_import]
        assert opsets == [("", OPSET)]
        inputs = {value.name: _shape(value) for value in graph.proto.graph.input}
        outputs = {value.name: _shape(value) for value in graph.proto.graph.output}
        assert inputs.pop("images") == ["N", "H", "W", 3]
        assert outputs.pop("logits") == ["N", 3, "h", "w"]
        pooled = [graph.channels, 1, 1]
        assert inputs.pop("counted", [0, 1])[:2] == (["N", 1] if graph.channels else [0, 1])
        assert inputs == ({"pooled": [1, *pooled]} if graph.channels else {})
        assert outputs == ({"pooled_features": ["N", *pooled]} if graph.channels else {})

    def test_the_mean_that_pooling_sees_may_be_left_out_or_unknown_or_given(self, graph):
        if not graph.channels:
            return
        images = pixels(1, 70, 90, 3)
        logits, mean = graph(images).values()
        for pooled in (np.full_like(mean, np.nan), mean):
            assert np.array_equal(graph(images, pooled=pooled)["logits"], logits)
        other = graph(images, pooled=mean + 1)
        assert np.abs(other["logits"] - logits).max() > 1e-2 * np.abs(logits).max()
        assert np.array_equal(other["pooled_features"], mean)

    def test_that_mean_is_of_the_deepest_features_of_each_picture(self, graph):
        if not graph.channels:
            return
        images = pixels(2, 50, 60, 3)
        with torch.inference_mode():
            features = graph.model.encoder(graph.model.pictures(torch.from_numpy(images)))[-1]
        mean = features.mean((2, 3), keepdim=True).numpy()
        found = graph(images)["pooled_features"]
        np.testing.assert_allclose(found, mean, rtol=1e-3, atol=1e-4 * np.abs(mean).max())

    def test_cells_that_do_not_count_are_not_in_the_mean(self, graph):
        if not graph.channels:
            return
        images, stride = pixels(1, 96, 64, 3), graph.model.encoder.strides[-1]
        counted = np.zeros((1, 1, 96 // stride, 64 // stride), np.float32)
        counted[:, :, 1:, :2] = 1
        with torch.inference_mode():
            features = graph.model.encoder(graph.model.pictures(torch.from_numpy(images)))[-1]
        mean = features[:, :, 1:, :2].mean((2, 3), keepdim=True).numpy()
        found = graph(images, counted=counted)["pooled_features"]
        np.testing.assert_allclose(found, mean, rtol=1e-3, atol=1e-4 * np.abs(mean).max())

    def test_whole_numbers_answer_nearly_as_floats_in_both_runtimes(self, graph):
        """Random weights have wider ranges than trained ones; alien logits would be off by 1.4."""
        if graph.name not in QUANTISED:
            return
        images = [pixels(*size, 3) for size in ((64, 96), (96, 64), (97, 131))]
        whole = Graph(graph.model, quantised(graph.content, images, threads=1))
        assert whole.operators["QuantizeLinear"] > 10
        another = pixels(80, 112, 3)[None]
        logits = graph(another)["logits"]
        for ours in whole.in_each_runtime(another):
            error = np.sqrt(np.mean((ours - logits) ** 2)) / np.std(logits)
            assert 0 < error < QUANTISED[graph.name]

    def test_a_tile_gives_the_logits_of_the_whole_as_the_manifest_says(self, graph):
        tiles = tiles_of(graph.model)
        if tiles.tiling == "blend":
            return
        side = tiles.alignment + tiles.halo
        whole = pixels(1, 32, 2 * side, 3)
        logits = graph(whole)
        pooled = {"pooled": logits["pooled_features"]} if tiles.tiling == "two-pass" else {}
        tile = graph(whole[:, :, :side], **pooled)["logits"]
        cells = tiles.alignment // graph.model.grid.stride
        assert_same(tile[..., :cells], logits["logits"][..., :cells])


def _shape(value: onnx.ValueInfoProto) -> list[int | str]:
    return [side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim]


def tiny(layer: nn.Module | None = None, **pixels: Any) -> Segmenter:
    """A model that is exported in no time: one convolution as its encoder, and maybe a layer."""
    model = made(MODELS["fcn_basic"], **pixels)
    convolution = nn.Conv2d(model.bands, 256, 8, stride=8)
    model.encoder.set_submodule("layers", nn.Sequential(convolution, layer or nn.ReLU()))
    return awake(model)


@pytest.mark.parametrize(
    ("bands", "dtype", "statistics"),
    [
        (1, "uint8", None),
        (3, "uint16", None),
        (3, "float32", None),
        (5, "uint16", Statistics((900.0, 400.0, 0.0, 7000.0, 1.0), (300.0, 9.0, 1.0, 2e3, 0.0))),
        (2, "float32", Statistics((-3.0, 0.5), (8.0, 0.1))),
    ],
)
def test_pixels_of_other_types_and_bands_are_normalised_in_the_graph(bands, dtype, statistics):
    model = tiny(bands=bands, dtype=dtype, statistics=statistics)
    graph, images = Graph(model), pixels(1, 37, 52, bands, dtype=dtype)
    assert_same(graph(images)["logits"], graph.eager(images))


def test_the_same_weights_give_the_same_bytes():
    torch.manual_seed(0)
    model = tiny()
    assert graph_of(model) == graph_of(copy.deepcopy(model))


def test_the_model_itself_is_left_as_it_was():
    model = tiny(nn.Sequential(nn.BatchNorm2d(256), nn.ReLU6(inplace=True), nn.Dropout(0.5)))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.train()
    graph_of(model)
    assert model.training and "BatchNorm2d" in str(model) and "inplace=True" in str(model)
    assert {*before} == {*model.state_dict()}
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


class Shared(nn.Module):
    """A convolution whose output is read by a batch norm and by another layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(256, 256, 1), nn.BatchNorm2d(256)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        features = self.conv(features)
        return features + self.norm(features)


def test_a_batch_norm_stays_where_others_read_what_it_reads():
    graph = Graph(tiny(Shared()))
    assert graph.operators["BatchNormalization"] == 1
    images = pixels(1, 40, 48, 3)
    assert_same(graph(images)["logits"], graph.eager(images))


class Fixed(nn.Module):
    """Weighs each column of the map by a number of its own."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features * features.new_tensor([1.0] * features.shape[3])


class Unknown(nn.Module):
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.special.bessel_j1(features)


@pytest.mark.parametrize(
    ("layer", "reason"), [(Fixed(), "one size alone"), (Unknown(), "bessel_j1")]
)
def test_what_cannot_be_exported_says_why(layer, reason):
    model = tiny()
    layers = model.encoder.get_submodule("layers")
    model.encoder.set_submodule("layers", nn.Sequential(layer, layers))
    with pytest.raises(RecipeError, match=reason) as caught:
        graph_of(model)
    assert all((caught.value.where, caught.value.found, caught.value.allowed, caught.value.fix))
