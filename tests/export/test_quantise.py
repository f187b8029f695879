"""Whole numbers answer nearly as floats do; what would hurt stays float; same bytes each time."""

import functools
import io
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.errors import RecipeError, WeightsError

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from atrous.export.quantise import quantised
from atrous.export.ranges import calibrate, session_of
from atrous.export.search import best_quantised, groups_of

K, WIDTH = 4, 16
KINDS = {"uint8": TensorProto.UINT8, "uint16": TensorProto.UINT16, "float32": TensorProto.FLOAT}
LARGEST = {"uint8": 255, "uint16": 65535, "float32": 1}


class Net:
    """A small segmenter, written operator by operator: weights and what reads what."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.values: dict[str, np.ndarray] = {}

    def add(self, operator: str, inputs: str, output: str, **options: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs.split(), [output], **options))
        return output

    def conv(self, name: str, given: str, channels: tuple[int, int], **options: Any) -> str:
        out, into = channels
        kernel = options.pop("kernel", 1)
        weights = self.random.normal(size=(out, into, kernel, kernel)) / (into**0.5 * kernel)
        self.values[f"{name}.weight"] = weights.astype(np.float32)
        inputs = f"{given} {name}.weight"
        if options.pop("bias", True):
            self.values[f"{name}.bias"] = self.random.normal(size=out).astype(np.float32) / 4
            inputs += f" {name}.bias"
        pads = [kernel // 2] * 4
        return self.add("Conv", inputs, f"{name}.out", name=f"{name}/Conv", pads=pads, **options)

    def model(self, *, dtype: str = "uint8", pooled: bool = False) -> ModelProto:
        kind = TensorProto.FLOAT
        inputs = [helper.make_tensor_value_info("images", KINDS[dtype], ["N", "H", "W", 3])]
        outputs = [helper.make_tensor_value_info("logits", kind, ["N", K, "h", "w"])]
        if pooled:
            inputs.append(helper.make_tensor_value_info("pooled", kind, [1, WIDTH, 1, 1]))
            outputs.append(helper.make_tensor_value_info("pooled_features", kind, None))
        values = [numpy_helper.from_array(v, name) for name, v in self.values.items()]
        body = helper.make_graph(self.nodes, "small", inputs, outputs, values)
        return helper.make_model(
            body, opset_imports=[helper.make_opsetid("", 18)], ir_version=9, producer_name="atrous"
        )


def column(*bands: float) -> np.ndarray:
    return np.array(bands, np.float32).reshape(1, -1, 1, 1)


def network(*, dtype: str = "uint8", pooled: bool = False) -> Net:
    """Stem, a separable block with a sum, two branches joined, a classifier."""
    net = Net()
    largest = LARGEST[dtype]
    net.values["mean"] = column(0.4, 0.5, 0.6) * largest
    net.values["std"] = column(0.2, 0.3, 0.25) * largest
    net.values["least"], net.values["most"] = np.array(0, np.float32), np.array(6, np.float32)
    net.add("Transpose", "images", "planes", perm=[0, 3, 1, 2])
    net.add("Cast", "planes", "floats", to=TensorProto.FLOAT)
    net.add("Sub", "floats mean", "centred")
    net.add("Div", "centred std", "pictures")
    net.conv("encoder.stem", "pictures", (WIDTH, 3), kernel=3, strides=[2, 2])
    net.add("Clip", "encoder.stem.out least most", "stem")
    net.conv("encoder.wide", "stem", (WIDTH, 1), kernel=3, group=WIDTH, bias=False)
    net.conv("encoder.deep", "encoder.wide.out", (WIDTH, WIDTH))
    net.add("Relu", "encoder.deep.out", "deep")
    net.add("Add", "deep stem", "features")
    net.conv("head.near", "features", (WIDTH, WIDTH))
    net.add("Relu", "head.near.out", "near")
    net.conv("head.far", "features", (WIDTH, WIDTH), kernel=3)
    net.add("Relu", "head.far.out", "far")
    joined = "near far"
    if pooled:
        net.values["pooled"] = np.full((1, WIDTH, 1, 1), np.nan, np.float32)
        net.values["axes"] = np.array([2, 3])
        net.add("ReduceMean", "features axes", "pooled_features", keepdims=1)
        net.add("IsNaN", "pooled", "absent")
        net.add("Where", "absent pooled_features pooled", "whole")
        net.conv("head.whole", "whole", (WIDTH, WIDTH))
        net.add("Shape", "near", "size")
        net.add("Expand", "head.whole.out size", "everywhere")
        joined += " everywhere"
    net.add("Concat", joined, "joined", axis=1)
    net.conv("head.classify", "joined", (K, WIDTH * len(joined.split())))
    net.nodes[-1].output[0] = "logits"
    return net


@functools.cache
def graph(dtype: str = "uint8", pooled: bool = False) -> bytes:
    return network(dtype=dtype, pooled=pooled).model(dtype=dtype, pooled=pooled).SerializeToString()


def pictures(*sizes: tuple[int, int], dtype: str = "uint8") -> list[np.ndarray]:
    """Smooth pictures of these sizes."""
    random = np.random.default_rng(1)
    found = []
    for height, width in sizes or [(24, 32)] * 4:
        coarse = random.random((-(-height // 4), -(-width // 4), 3))
        fine = coarse.repeat(4, 0).repeat(4, 1)[:height, :width] * LARGEST[dtype]
        found.append(fine.astype(dtype))
    return found


def error(ours: bytes, theirs: bytes, images: list[np.ndarray]) -> float:
    """Root mean square of the difference of logits, in parts of their spread."""
    runs = session_of(ours, threads=1), session_of(theirs, threads=1)
    pairs = [[run(image)["logits"] for run in runs] for image in images]
    return max(float(np.sqrt(np.mean((a - b) ** 2)) / np.std(b)) for a, b in pairs)


def weights_of(graph: bytes) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What the graph's convolutions see for weights, and the steps, by layer."""
    body = onnx.load_model_from_string(graph).graph
    values = {t.name: numpy_helper.to_array(t) for t in body.initializer}
    makers = {node.output[0]: node for node in body.node}
    found = {}
    for node in body.node:
        if node.op_type == "Conv" and node.input[1] in makers:
            whole, steps = (values[name] for name in makers[node.input[1]].input[:2])
            steps = steps.reshape(-1, 1, 1, 1)
            assert whole.dtype == np.int8 and abs(whole.astype(int)).max() <= 64
            found[node.name.removesuffix("/Conv")] = whole * steps, steps
    return found


LAYERS = [name.removesuffix(".weight") for name in network().values if name.endswith(".weight")]


def test_weights_lie_within_half_a_step_of_what_they_were():
    net, found = network(), weights_of(quantised(graph(), pictures()))
    assert set(found) == set(LAYERS)
    for name, (weights, steps) in found.items():
        off = abs(weights - net.values[f"{name}.weight"]) / steps
        assert off.max() <= 0.5 + 1e-3


@pytest.mark.parametrize("dtype", KINDS)
def test_logits_are_near_those_in_float(dtype):
    images = pictures((24, 32), (17, 45), dtype=dtype)
    ours = quantised(graph(dtype), images)
    assert 0 < error(ours, graph(dtype), images) < 0.05
    onnx.checker.check_model(onnx.load_model_from_string(ours), full_check=True)


def test_openvino_gives_the_same_logits():
    pytest.importorskip("openvino")
    from atrous.predict.engines.openvino import shared_core

    images = pictures()
    ours = quantised(graph(), images)
    core = shared_core()
    model = core.read_model(io.BytesIO(ours))
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    theirs = compiled(images[0][None])["logits"]
    logits = session_of(ours, threads=1)(images[0])["logits"]
    assert np.sqrt(np.mean((theirs - logits) ** 2)) < 0.02 * np.std(logits)


@given(st.sets(st.sampled_from(LAYERS)))
def test_the_layers_named_stay_float_and_no_others(names):
    found = weights_of(quantised(graph(), pictures((24, 32)), float_layers=names))
    assert set(found) == set(LAYERS) - names


def test_onnx_runtime_does_not_round_the_layers_that_stay_float(tmp_path):
    import onnxruntime

    ours = quantised(graph(), pictures(), float_layers=["head.near"])
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "seen.onnx")
    options.log_severity_level = 3  # it warns that the file is for this machine
    onnxruntime.InferenceSession(ours, options)
    body = onnx.load(tmp_path / "seen.onnx").graph
    whole = [node.name for node in body.node if node.op_type == "QLinearConv"]
    assert len(whole) == len(LAYERS) - 2  # the last gives float, so ONNX Runtime runs it in float
    assert not any(name.startswith("head.near") for name in whole)


def test_with_all_layers_in_float_the_graph_is_as_it_was():
    assert quantised(graph(), pictures(), float_layers=LAYERS) == graph()


def test_what_stands_between_float_layers_is_float():
    names = {"encoder.stem", "encoder.wide", "encoder.deep", "head.near", "head.far"}
    body = onnx.load_model_from_string(quantised(graph(), pictures(), float_layers=names)).graph
    makers = {node.output[0]: node.op_type for node in body.node}
    inputs = {
        node.op_type: [makers[name] for name in node.input if name in makers] for node in body.node
    }
    assert inputs["Add"] == ["Relu", "Clip"] and inputs["Concat"] == ["Relu", "Relu"]


def test_logits_are_not_confined_to_256_values():
    logits = session_of(quantised(graph(), pictures()))(pictures((64, 96))[0])["logits"]
    assert len(np.unique(logits)) > 1000


def test_the_same_input_gives_the_same_bytes():
    made = {quantised(graph(pooled=True), pictures(), threads=threads) for threads in (1, 1, 2)}
    assert len(made) == 1


def test_biases_make_up_for_what_rounding_adds_on_average():
    images = pictures(*[(48, 64)] * 6)
    logits = [
        np.stack([session_of(g, threads=1)(image)["logits"] for image in images])
        for g in (quantised(graph(), images), graph())
    ]
    shift = abs((logits[0] - logits[1]).mean((0, 1, 3, 4)))
    spread = (logits[0] - logits[1]).std((0, 1, 3, 4))
    assert (shift < 0.35 * spread).all()


def test_pooled_stays_an_input_that_may_be_left_out():
    images = pictures()
    ours = quantised(graph(pooled=True), images)
    body = onnx.load_model_from_string(ours).graph
    assert [value.name for value in body.input] == ["images", "pooled"]
    assert [value.name for value in body.output] == ["logits", "pooled_features"]
    logits, own = answers(ours, images[0])
    assert np.array_equal(answers(ours, images[0], pooled=own)[0], logits)
    other, same = answers(ours, images[0], pooled=own + 1)
    assert not np.allclose(other, logits) and np.array_equal(same, own)


def answers(graph: bytes, image: np.ndarray, **more: np.ndarray) -> list[np.ndarray]:
    """All outputs."""
    import onnxruntime

    session = onnxruntime.InferenceSession(graph)
    return [np.asarray(value) for value in session.run(None, {"images": image[None], **more})]


def with_lost_weights() -> ModelProto:
    """`head.near` has large weights for a channel that is always 0: its others round to 0."""
    net = network()
    net.values["encoder.stem.weight"][0] = 0
    net.values["encoder.stem.bias"][0] = -1
    net.values["encoder.deep.weight"][0] = 0
    net.values["encoder.deep.bias"][0] = -1
    net.values["head.near.weight"][:, 0] = 500
    return net.model()


def with_wide_range() -> ModelProto:
    """What `encoder.wide` gives has a channel 1000 times as large, which the next one ignores."""
    net = network()
    net.values["encoder.wide.weight"][3] *= 1000
    net.values["encoder.deep.weight"][:, 3] /= 1000
    return net.model()


def test_the_search_keeps_a_layer_whose_weights_would_be_lost():
    made, steps = with_lost_weights().SerializeToString(), []
    found = best_quantised(made, pictures(), target=0.02, say=steps.append)
    assert found.record["float_layers"] == ["head.near"]
    assert found.record["disagreement"] <= 0.02 < found.record["disagreement_before"]
    assert [step._asdict() for step in steps] == found.record["steps"]
    assert "head.near" not in weights_of(found.graph)


def test_the_search_keeps_both_layers_around_a_wide_range():
    made = with_wide_range().SerializeToString()
    found = best_quantised(made, pictures(), target=0.02)
    assert {"encoder.wide", "encoder.deep"} <= set(found.record["float_layers"])
    assert found.record["disagreement"] < found.record["disagreement_before"] / 2


def test_the_search_leaves_nothing_in_float_without_need():
    found = best_quantised(graph(), pictures(), target=1)
    assert found.record["float_layers"] == [] and len(found.record["steps"]) == 1
    assert found.graph == quantised(graph(), pictures())


@pytest.mark.parametrize("task", ["binary", "multilabel"])
def test_other_tasks_are_compared_by_their_threshold(task):
    found = best_quantised(with_lost_weights().SerializeToString(), pictures(), task=task)
    assert found.record["disagreement"] < found.record["disagreement_before"]


def test_progress_covers_pictures_then_groups():
    seen: list[list[Any]] = []

    def track(items: Any) -> Any:
        seen.append(list(items))
        return items

    best_quantised(graph(), pictures(), target=0, track=track)
    assert len(seen[0]) == 4 and "encoder" in seen[1] and "head.near" in seen[1]


@given(
    st.dictionaries(
        st.from_regex(r"[ab](\.[ab]){0,4}", fullmatch=True), st.floats(1, 9), min_size=1
    ),
    st.integers(1, 12),
)
def test_groups_nest_or_are_apart_and_are_no_more_than_asked(macs, most):
    groups = groups_of(macs, most=most)
    assert len(groups) <= most and all(group <= set(macs) for group in groups.values())
    assert len(set(groups.values())) == len(groups)
    for a, b in pairwise(sorted(groups.values(), key=len)):
        assert a <= b or not a & b


def test_no_pictures_is_an_error():
    with pytest.raises(RecipeError, match="no pictures"):
        quantised(graph(), [])


def test_an_unknown_layer_is_an_error_that_names_it():
    with pytest.raises(RecipeError, match=r"'head\.mear'.*head\.near"):
        quantised(graph(), pictures(), float_layers=["head.mear"])


def test_a_network_that_gives_nan_is_an_error():
    net = network()
    net.values["head.near.bias"][0] = np.nan
    with pytest.raises(WeightsError, match="near"):
        calibrate(net.model().SerializeToString(), pictures())
