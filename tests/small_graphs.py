"""ONNX graphs of a few operators, what they compute in NumPy, and their manifests."""

from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from atrous.classes import Classes
from atrous.exported import Manifest
from atrous.types import Grid

STRIDE, K = 2, 3
MEAN, STD = (100.0, 110.0, 120.0), (50.0, 60.0, 70.0)
WEIGHTS = np.random.default_rng(0).normal(size=(K, 3, STRIDE, STRIDE)).astype(np.float32)
SCALE = np.array(0.05, np.float32)  # of the whole numbers in the int8 graph


def graph(
    *, plain: bool = True, last: str = "Identity", int8: bool = False, axes: str = "NCHW"
) -> ModelProto:
    """Logits of each cell of 2 x 2 pixels.

    `plain` takes `N H W C` of uint8 and normalises it, as ours do; else it takes float32 in the
    order of `axes`, and gives it. `last` is an operator on the logits.
    """
    nodes, values = [], [numpy_helper.from_array(WEIGHTS, "weights")]
    given, weights, moved = "images", "weights", plain or axes == "NHWC"
    if plain:
        for name, numbers in (("mean", MEAN), ("std", STD)):
            values.append(numpy_helper.from_array(np.array(numbers, np.float32), name))
        nodes.append(helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Sub", ["floats", "mean"], ["centred"]))
        nodes.append(helper.make_node("Div", ["centred", "std"], ["normal"]))
        given = "normal"
    if moved:
        nodes.append(helper.make_node("Transpose", [given], ["bands"], perm=[0, 3, 1, 2]))
        given = "bands"
    if int8:
        given, weights = _rounded(given, nodes, values), _rounded(weights, nodes, values)
    nodes.append(helper.make_node("Conv", [given, weights], ["cells"], strides=[STRIDE] * 2))
    end = helper.make_node(last, ["cells"], ["last"])
    if last == "Softmax":
        end.attribute.append(helper.make_attribute("axis", 1))
    perm = [0, 2, 3, 1] if moved and not plain else [0, 1, 2, 3]
    nodes += [end, helper.make_node("Transpose", ["last"], ["logits"], perm=perm)]
    return model_of(nodes, values, channels_last=moved, plain=plain)


def _rounded(name: str, nodes: list[Any], values: list[Any]) -> str:
    """`name` as whole numbers times a scale."""
    values += [
        numpy_helper.from_array(SCALE, f"{name}_scale"),
        numpy_helper.from_array(np.zeros((), np.int8), f"{name}_zero"),
    ]
    how = [f"{name}_scale", f"{name}_zero"]
    nodes += [
        helper.make_node("QuantizeLinear", [name, *how], [f"{name}_whole"]),
        helper.make_node("DequantizeLinear", [f"{name}_whole", *how], [f"{name}_rounded"]),
    ]
    return f"{name}_rounded"


def model_of(
    nodes: list[Any], values: list[Any], *, channels_last: bool = True, plain: bool = True
) -> ModelProto:
    """A model of one input, `images`, and one output, `logits`."""
    shape = ["N", "H", "W", 3] if channels_last else ["N", 3, "H", "W"]
    kind = TensorProto.UINT8 if plain else TensorProto.FLOAT
    body = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("images", kind, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        values,
    )
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def with_pooled(model: ModelProto) -> ModelProto:
    """With the input `pooled`, NaN where it is not given, and the output `pooled_features`."""
    body = model.graph
    del body.node[-2:]
    body.node.extend(
        [
            helper.make_node("GlobalAveragePool", ["cells"], ["pooled_features"]),
            helper.make_node("IsNaN", ["pooled"], ["absent"]),
            helper.make_node("Where", ["absent", "pooled_features", "pooled"], ["seen"]),
            helper.make_node("Add", ["cells", "seen"], ["logits"]),
        ]
    )
    body.initializer.append(
        numpy_helper.from_array(np.full((1, K, 1, 1), np.nan, np.float32), "pooled")
    )
    body.input.append(helper.make_tensor_value_info("pooled", TensorProto.FLOAT, [1, K, 1, 1]))
    body.output.append(helper.make_tensor_value_info("pooled_features", TensorProto.FLOAT, None))
    return model


def logits_of(images: np.ndarray) -> np.ndarray:
    """What the plain graph computes, `B K h w`."""
    mean, std = np.array([MEAN, STD], np.float32)
    normal = (images - mean) / std
    count, height, width, bands = normal.shape
    h, w = height // STRIDE, width // STRIDE
    cells = normal[:, : h * STRIDE, : w * STRIDE].reshape(count, h, STRIDE, w, STRIDE, bands)
    return np.einsum("nhywxc,kcyx->nkhw", cells, WEIGHTS, optimize=True)


def manifest_of(**changed: Any) -> Manifest:
    """The manifest of the plain graph."""
    facts = {
        "classes": Classes(("sky", "road", "tree"), remap={7: "ignore", 300: 1}),
        "dtype": "uint8",
        "bands": 3,
        "mean": MEAN,
        "std": STD,
        "placement": Grid(STRIDE, 0.5),
        "model": {"name": "small", "parameters": WEIGHTS.size},
        "description": "small weights",
        "opset": 18,
    }
    return Manifest(**facts | changed)


def pictures(count: int, height: int, width: int, *, seed: int = 0) -> np.ndarray:
    """Noise, uint8 `N H W 3`."""
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), np.uint8)
