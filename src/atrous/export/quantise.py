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
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

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
    del result.graph.value_info[:]
    result.producer_name, result.producer_version = model.producer_name, model.producer_version
    return result.SerializeToString(deterministic=True)


def _chosen(model: ModelProto, float_layers: Collection[str]) -> list[str]:
    """Names of the nodes that become whole numbers.

    What stands between layers does only where it comes from one and goes to one, by way of its
    like: alone it would cost two changes of numbers and gain nothing.
    """
    named = list(layers(model.graph))
    if unknown := set(float_layers) - {name for name, _ in named}:
        raise RecipeError(
            "float_layers",
            found=f"names {min(unknown)!r}",
            allowed=f"the layers are {', '.join(dict.fromkeys(name for name, _ in named))}",
            fix="Name some of these.",
        )
    floats = float_tensors(model)
    chosen = {node.name for name, node in named if name not in float_layers}
    chosen |= {
        node.name
        for node in model.graph.node
        if node.op_type in (*ACTIVATIONS, *BETWEEN) and node.output[0] in floats
    }
    makers = {name: node for node in model.graph.node for name in node.output}
    takers: dict[str, list[NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            takers.setdefault(name, []).append(node)
    before = None
    while before != chosen:
        before = set(chosen)
        for node in model.graph.node:
            if node.op_type == "Conv" or node.name not in chosen:
                continue
            fed = any(name in makers and makers[name].name in chosen for name in node.input)
            read = any(taker.name in chosen for taker in takers.get(node.output[0], ()))
            if not fed or not (read or node.op_type in ACTIVATIONS):
                chosen.remove(node.name)
    return [node.name for node in model.graph.node if node.name in chosen]


def _quantise(model: ModelProto, chosen: list[str], calibration: Calibration) -> ModelProto:
    from onnxruntime.quantization import QDQQuantizer, QuantType
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorsData

    ranges = {
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
        if node.op_type != "Conv" or node.input[1] not in makers:
            continue
        was = before[node.name]
        rounded, _ = _dequantised(makers[node.input[1]], values)
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
