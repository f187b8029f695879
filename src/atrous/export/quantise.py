"""Float graph -> the same graph in 8-bit whole numbers, by what it computes on some pictures.

Convolutions and what stands between them are put between QuantizeLinear and DequantizeLinear,
which ONNX Runtime and OpenVINO turn into kernels of whole numbers. ONNX Runtime's quantiser does
that; the ranges, what stays float and the correction of biases are ours.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from jaxtyping import Float32, Float64
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from atrous.errors import RecipeError
from atrous.export.ranges import (
    ACTIVATIONS,
    BETWEEN,
    OPERATORS,
    Calibration,
    calibrate,
    float_tensors,
    layers,
    prepared,
)
from atrous.types import Image

WITH_WEIGHTS = ("Conv", "ConvTranspose")
METHOD = (
    "QDQ by ONNX Runtime; weights int8 by output channel, of 7 bits; activations uint8, in the "
    "mean of the pictures' ranges; biases corrected for the rounding of weights; normalisation, "
    "image pooling and logits float"
)


def quantised(
    graph: bytes,
    images: Sequence[Image],
    *,
    float_layers: Collection[str] = (),
    threads: int = 0,
) -> bytes:
    """The graph in whole numbers, calibrated with `images`, pictures `H W C` of any sizes.

    The same graph, pictures and names give the same bytes. Layers are the convolutions, called
    as their weights are without `.weight`; `float_layers` stay float.

    Raises:
        RecipeError: there are no pictures, or a name that no layer has.
        WeightsError: the network gives NaN or infinite values.
    """
    return converted(graph, calibrate(graph, images, threads=threads), float_layers=float_layers)


def converted(
    graph: bytes, calibration: Calibration, *, float_layers: Collection[str] = ()
) -> bytes:
    """The graph in whole numbers by what was seen before; see `quantised`."""
    model = prepared(graph)
    chosen = _chosen(model, float_layers)
    if not chosen:
        return graph
    result = _quantise(model, chosen, calibration)
    _correct_biases(result.graph, model.graph, calibration.means)
    _free_outputs(result.graph)
    _guard_floats(result.graph)
    del result.graph.value_info[:]
    result.producer_name, result.producer_version = model.producer_name, model.producer_version
    return result.SerializeToString(deterministic=True)


def _chosen(model: ModelProto, float_layers: Collection[str]) -> list[str]:
    """Names of the nodes that become whole numbers."""
    named = list(layers(model.graph))
    if unknown := set(float_layers) - {name for name, _ in named}:
        raise RecipeError(
            "float_layers",
            found=f"names {min(unknown)!r}",
            allowed=f"the layers are {', '.join(dict.fromkeys(name for name, _ in named))}",
            fix="Name some of these.",
        )
    whole = {node.name for name, node in named if name not in float_layers}
    whole |= _between(model, whole)
    return [node.name for node in model.graph.node if node.name in whole]


def _between(model: ModelProto, whole: set[str]) -> set[str]:
    """Nodes that lie on a way from a layer in whole numbers to one, by way of their like.

    Elsewhere they would cost two changes of numbers and gain nothing. An activation goes with
    what stands in front of it.
    """
    floats, nodes = float_tensors(model), model.graph.node
    makers = {name: node.name for node in nodes for name in node.output}
    takers: dict[str, set[str]] = {}
    for node in nodes:
        for name in node.input:
            takers.setdefault(name, set()).add(node.name)
    found = {
        node.name
        for node in nodes
        if node.op_type in (*ACTIVATIONS, *BETWEEN) and node.output[0] in floats
    }
    alone = None
    while alone != set():
        there = whole | found
        alone = {
            node.name
            for node in nodes
            if node.name in found
            and not (
                there & {makers.get(name) for name in node.input}
                and (node.op_type in ACTIVATIONS or there & takers.get(node.output[0], set()))
            )
        }
        found -= alone
    return found


def _quantise(model: ModelProto, chosen: list[str], calibration: Calibration) -> ModelProto:
    from onnxruntime.quantization import QDQQuantizer, QuantType
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorsData

    ranges: dict[str, Any] = {
        name: (np.float32(low), np.float32(high))
        for name, (low, high) in calibration.ranges.items()
    }
    quantiser = QDQQuantizer(
        onnx.shape_inference.infer_shapes(model),
        per_channel=True,
        reduce_range=True,  # 7 bits: without VNNI, two products of 8 overflow 16
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, ranges),
        nodes_to_quantize=chosen,
        nodes_to_exclude=[],
        op_types_to_quantize=list(OPERATORS),
        extra_options={},
    )
    quantiser.quantize_model()
    quantiser.model.topological_sort()
    return quantiser.model.model


def _correct_biases(
    graph: GraphProto, original: GraphProto, means: Mapping[str, Float64[np.ndarray, "C"]]
) -> None:
    """Take from each bias what the rounding of weights adds to its channel on average.

    Nagel et al. 2019, sec. 4.2 (Data-Free Quantization), with the means that pictures have.
    """
    values = {tensor.name: tensor for tensor in graph.initializer}
    floats = {tensor.name: tensor for tensor in original.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    before = {node.name: node for node in original.node}
    for node in graph.node:
        source = makers.get(node.input[1]) if node.op_type == "Conv" else None
        if source is None or source.input[0] not in values:
            continue
        was = before[node.name]
        rounded, _ = _dequantised(source, values)
        added = _shift(rounded - numpy_helper.to_array(floats[was.input[1]]), means[was.input[0]])
        stored = makers[node.input[2]]
        bias, scale = _dequantised(stored, values)
        whole = np.round((bias - added) / scale).astype(np.int32)
        values[stored.input[0]].CopyFrom(numpy_helper.from_array(whole, stored.input[0]))


def _dequantised(node: NodeProto, values: Mapping[str, TensorProto]) -> tuple[Any, Any]:
    """What a DequantizeLinear makes of a constant, by channel, and the steps of its channels."""
    whole, scale = (numpy_helper.to_array(values[name]).astype(float) for name in node.input[:2])
    return whole * scale.reshape(-1, *[1] * (whole.ndim - 1)), scale


def _shift(
    added: Float32[np.ndarray, "K c y x"], mean: Float64[np.ndarray, "C"]
) -> Float64[np.ndarray, "K"]:
    """What more the weights give of a picture that has the mean of its channels everywhere."""
    taps = added.sum((2, 3))
    groups = len(mean) // taps.shape[1]
    by_group = taps.reshape(groups, -1, taps.shape[1]) @ mean.reshape(groups, -1, 1)
    return by_group.ravel()


def _free_outputs(graph: GraphProto) -> None:
    """Let the graph's outputs be float, and finer than 256 values."""
    makers = {name: node for node in graph.node for name in node.output}
    for output in graph.output:
        after = makers[output.name]
        if after.op_type == "DequantizeLinear":
            before = makers[after.input[0]]
            makers[before.input[0]].output[0] = output.name
            graph.node.remove(after)
            graph.node.remove(before)
            for tensor in [t for t in graph.initializer if t.name in after.input[1:]]:
                graph.initializer.remove(tensor)


def _guard_floats(graph: GraphProto) -> None:
    """Keep ONNX Runtime from rounding the weights of layers that are to stay float.

    It does so by itself, coarsely, one step for all channels, where numbers that had one step
    come in and whole numbers go out (its WeightBiasQuantization). So such a layer reads numbers
    with a step for each channel, all equal.
    """
    makers = {name: node for node in graph.node for name in node.output}
    values = {tensor.name: tensor for tensor in graph.initializer}
    for index, node in reversed([*enumerate(graph.node)]):
        source = makers.get(node.input[0]) if node.op_type in WITH_WEIGHTS else None
        if source is None or source.op_type != "DequantizeLinear" or node.input[1] not in values:
            continue
        groups = next((a.i for a in node.attribute if a.name == "group"), 1)
        shape = values[node.input[1]].dims
        channels = shape[1] * groups if node.op_type == "Conv" else shape[0]
        names = [f"{node.name}.{part}" for part in ("input", "scale", "zero_point")]
        for name, single in zip(names[1:], source.input[1:], strict=True):
            value = numpy_helper.to_array(values[single])
            graph.initializer.append(numpy_helper.from_array(np.full(channels, value), name))
        read = [source.input[0], *names[1:]]
        own = helper.make_node("DequantizeLinear", read, names[:1], name=names[0], axis=1)
        node.input[0] = names[0]
        graph.node.insert(index, own)
