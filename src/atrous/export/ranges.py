"""What a graph computes on some pictures: all that its whole numbers will follow from."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import numpy as np
import onnx
from jaxtyping import Float64
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from atrous.errors import RecipeError, WeightsError
from atrous.machine import cores
from atrous.types import Image, Track

ACTIVATIONS = ("Clip", "Relu")  # part of what stands in front, which then ends in their range
BETWEEN = ("Add", "Concat", "MaxPool", "Resize")  # run in whole numbers between convolutions
OPERATORS = ("Conv", *ACTIVATIONS, *BETWEEN)


Run = Callable[[Image], dict[str, np.ndarray]]


class Told(NamedTuple):
    """What an output of a watched graph tells of a tensor: an operator's result on it."""

    how: str
    tensor: str


@dataclass(frozen=True)
class Calibration:
    """What a graph computes on pictures."""

    ranges: dict[str, tuple[float, float]]  # of each tensor that may become whole numbers
    means: dict[str, Float64[np.ndarray, "C"]]  # by channel, of what convolutions read
    macs: dict[str, float]  # of each layer, for a picture
    pictures: int


def calibrate(
    graph: bytes, images: Sequence[Image], *, threads: int = 0, track: Track = iter
) -> Calibration:
    """What the graph computes on `images`, pictures `H W C`; `track` wraps them.

    A range is the mean over pictures of the least and the largest value in each: one picture
    with an odd value does not make the others coarse.

    Raises:
        RecipeError: there are no pictures.
        WeightsError: the network gives NaN or infinite values.
    """
    if not len(images):
        raise RecipeError(
            "int8",
            found="has no pictures to calibrate with",
            allowed="ranges of values come from pictures that the model is for",
            fix="Give a data set with pictures in its train split.",
        )
    model = prepared(graph)
    watched, told = _watched(model)
    run = session_of(watched.SerializeToString(), threads=threads)
    sums: dict[Told, np.ndarray] = {}
    for image in track(images):
        values = run(image)
        for output, what in told.items():
            if not np.isfinite(values[output]).all():
                raise _not_finite(what.tensor)
            sums[what] = sums.get(what, 0) + values[output].astype(np.float64)
    means = {what: value / len(images) for what, value in sums.items()}
    return _calibration(model.graph, means, len(images))


def layers(graph: GraphProto) -> Iterator[tuple[str, NodeProto]]:
    """Each convolution with known weights, after its name: that of the weights.

    One that sees a picture in several scales has several nodes.
    """
    known = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Conv" and node.input[1] in known:
            yield node.input[1].removesuffix(".weight"), node


def prepared(graph: bytes) -> ModelProto:
    """The model with a name for each node, a bias for each layer, one step that normalises."""
    model = onnx.load_model_from_string(graph)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{number}"
    for _, node in layers(model.graph):
        if len(node.input) == 2:  # there must be one to correct
            node.input.append(f"{node.name}.bias")
            zeros = np.zeros(weights[node.input[1]].dims[0], np.float32)
            model.graph.initializer.append(numpy_helper.from_array(zeros, node.input[2]))
    _join_normalisation(model.graph)
    return model


def session_of(graph: bytes, *, threads: int = 0) -> Run:
    """Runs a graph in ONNX Runtime: a picture `H W C` -> its outputs by name."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or cores()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(image: Image) -> dict[str, np.ndarray]:
        values = session.run(names, {"images": np.ascontiguousarray(image[None])})
        return {name: np.asarray(value) for name, value in zip(names, values, strict=True)}

    return run


def float_tensors(model: ModelProto) -> set[str]:
    """Names of the float32 tensors that are computed."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    given = {tensor.name for tensor in graph.initializer}
    return {
        value.name
        for value in (*graph.input, *graph.value_info, *graph.output)
        if value.type.tensor_type.elem_type == TensorProto.FLOAT
    } - given


def _join_normalisation(graph: GraphProto) -> None:
    """Subtraction of the means and division by the deviations, as one operator.

    ONNX Runtime moves them behind the change of layout that its convolutions of whole numbers
    want, where three numbers for each pixel are slow: 8 % of a DeepLab v3+ on EfficientNet-Lite0.
    It does not move a batch norm.
    """
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    read = Counter(name for node in graph.node for name in node.input)
    makers = {name: node for node in graph.node for name in node.output}
    for divide in [node for node in graph.node if node.op_type == "Div"]:
        subtract = makers.get(divide.input[0])
        if subtract is None or subtract.op_type != "Sub" or read[divide.input[0]] > 1:
            continue
        pair = [constants.get(node.input[1]) for node in (subtract, divide)]
        if any(p is None or p.ndim not in (3, 4) or p.size != p.shape[-3] for p in pair):
            continue
        mean, std = (np.ravel(p) for p in pair if p is not None)
        values = [1 / std, np.zeros_like(mean), mean, np.ones_like(mean)]
        names = [f"{divide.name}.{part}" for part in ("scale", "bias", "mean", "var")]
        graph.initializer.extend(map(numpy_helper.from_array, values, names))
        joined = [subtract.input[0], *names]
        divide.CopyFrom(
            helper.make_node(
                "BatchNormalization", joined, divide.output, name=divide.name, epsilon=0.0
            )
        )
        graph.node.remove(subtract)


def _watched(model: ModelProto) -> tuple[ModelProto, dict[str, Told]]:
    """The model with outputs that tell what is in its tensors, and what each of them tells."""
    floats, inner = float_tensors(model), _hidden(model.graph)
    watched = ModelProto()
    watched.CopyFrom(model)
    graph = watched.graph
    wanted = [
        Told(how, name)
        for node in graph.node
        if node.op_type in OPERATORS
        for name in (*node.input, *node.output)
        if name in floats - inner.keys()
        for how in ("ReduceMin", "ReduceMax")
    ]
    for _, node in layers(graph):
        wanted.append(Told("ReduceMean", node.input[0]))
        wanted.append(Told("Size", inner.get(node.output[0], node.output[0])))
    graph.initializer.append(numpy_helper.from_array(np.array([0, 2, 3]), "watch.positions"))
    outputs = {f"watch.{what.how}.{what.tensor}": what for what in dict.fromkeys(wanted)}
    for output, (how, name) in outputs.items():
        axes = ["watch.positions"] if how == "ReduceMean" else []
        node = helper.make_node(how, [name, *axes], [output])
        kind = TensorProto.INT64
        if how != "Size":
            node.attribute.append(helper.make_attribute("keepdims", 0))
            kind = TensorProto.FLOAT
        graph.node.append(node)
        graph.output.append(helper.make_tensor_value_info(output, kind, None))
    return watched, outputs


def _calibration(graph: GraphProto, means: dict[Told, np.ndarray], count: int) -> Calibration:
    ranges = {
        name: (float(means[Told("ReduceMin", name)]), float(means[Told("ReduceMax", name)]))
        for how, name in means
        if how == "ReduceMin"
    }
    inner = _hidden(graph)
    ranges |= {name: ranges[after] for name, after in inner.items() if after in ranges}
    shapes = {tensor.name: tensor.dims for tensor in graph.initializer}
    macs: dict[str, float] = {}
    for layer, node in layers(graph):
        output = inner.get(node.output[0], node.output[0])
        taps = prod(shapes[node.input[1]][1:])
        macs[layer] = macs.get(layer, 0.0) + float(means[Told("Size", output)]) * taps
    channels = {name: mean for (how, name), mean in means.items() if how == "ReduceMean"}
    return Calibration(ranges, channels, macs, count)


def _hidden(graph: GraphProto) -> dict[str, str]:
    """Tensors that only an activation reads, and what it makes of them: nobody sees the first."""
    read = Counter(name for node in graph.node for name in node.input)
    read.update(output.name for output in graph.output)
    return {
        node.input[0]: node.output[0]
        for node in graph.node
        if node.op_type in ACTIVATIONS and read[node.input[0]] == 1
    }


def _not_finite(tensor: str) -> WeightsError:
    return WeightsError(
        "int8",
        found=f"{tensor} is NaN or infinite on a picture",
        allowed="whole numbers stand for finite values",
        fix="Look at the run's training for what went wrong; f32 would give such logits too.",
    )
