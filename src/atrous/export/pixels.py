"""Plain pixels -> normalised, padded pictures, as the first operators of a graph."""

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from atrous.models.build import Segmenter
from atrous.predict.engines.torch import statistics_of
from atrous.types import PixelType

TYPES: dict[PixelType, int] = {
    "uint8": TensorProto.UINT8,
    "uint16": TensorProto.UINT16,
    "float32": TensorProto.FLOAT,
}


def take_pixels(model: ModelProto, segmenter: Segmenter) -> None:
    """Let a graph that takes `pictures` take `images` `N H W C` of the data's own type.

    As the model does, it normalises, and pads with the mean colour at the bottom and right.
    """
    graph, tensors = model.graph, _constants(segmenter)
    nodes = list(_operators(segmenter))
    nodes[-1].output[0] = "pictures"
    network = [*graph.node]
    del graph.node[:]
    graph.node.extend([*nodes, *network])
    graph.initializer.extend(
        numpy_helper.from_array(value, name)
        for name, value in tensors.items()
        if any(name in node.input for node in nodes)
    )
    others = [one for one in graph.input if one.name != "pictures"]
    del graph.input[:]
    shape = ["N", "H", "W", segmenter.bands]
    images = helper.make_tensor_value_info("images", TYPES[segmenter.dtype], shape)
    graph.input.extend([images, *others])


def _constants(segmenter: Segmenter) -> dict[str, np.ndarray]:
    mean, std = (
        np.array(values, np.float32).reshape(1, -1, 1, 1) for values in statistics_of(segmenter)
    )
    return {
        "pixels.mean": mean,
        "pixels.std": std,
        "pixels.alignment": np.array(segmenter.alignment, np.int64),
        "pixels.unpadded": np.zeros(6, np.int64),  # all sides of `N C H W` but bottom and right
    }


def _operators(segmenter: Segmenter) -> list[NodeProto]:
    nodes = [helper.make_node("Transpose", ["images"], ["pixels.planes"], perm=[0, 3, 1, 2])]
    if segmenter.dtype != "float32":
        nodes.append(
            helper.make_node("Cast", ["pixels.planes"], ["pixels.floats"], to=TensorProto.FLOAT)
        )
    mean, std = statistics_of(segmenter)
    if any(mean):
        nodes.append(_step("Sub", nodes[-1], "pixels.mean", "pixels.centred"))
    if any(value != 1 for value in std):
        nodes.append(_step("Div", nodes[-1], "pixels.std", "pixels.normalised"))
    if segmenter.alignment > 1:
        nodes += [
            helper.make_node("Shape", ["images"], ["pixels.size"], start=1, end=3),
            helper.make_node("Neg", ["pixels.size"], ["pixels.less"]),
            helper.make_node("Mod", ["pixels.less", "pixels.alignment"], ["pixels.missing"]),
            helper.make_node(
                "Concat", ["pixels.unpadded", "pixels.missing"], ["pixels.padding"], axis=0
            ),
            _step("Pad", nodes[-1], "pixels.padding", "pixels.padded"),
        ]
    for node in nodes:
        node.name = f"pixels/{node.op_type}"
    return nodes


def _step(operator: str, before: NodeProto, other: str, output: str) -> NodeProto:
    return helper.make_node(operator, [before.output[0], other], [output])
