"""Segmenter -> the bytes of an ONNX graph: plain pixels in, grid logits out, any size.

torch's exporter makes the network of it; what stands before that, from pixels to normalised and
padded pictures, is a few operators written here.
"""

import ast
import contextlib
import logging
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import onnx
import torch
from onnx import GraphProto, ModelProto, TensorShapeProto, ValueInfoProto, numpy_helper
from torch import nn

from atrous.errors import RecipeError
from atrous.export.network import exportable, pooled_channels
from atrous.export.pixels import take_pixels
from atrous.models.build import Segmenter

OPSET = 18  # of the first Resize and Pad that are today's; all runtimes have it
CELLS = (3, 5)  # sides of the example, in coarsest cells; one cell would be taken for a constant
SCOPES = "pkg.torch.onnx.name_scopes"  # the exporter's record of the modules around a node
NETWORK = "segmenter."  # the module that holds ours


def graph_of(segmenter: Segmenter) -> bytes:
    """The ONNX graph of a model, in evaluation: `images` `N H W C` -> `logits` `N K h w`.

    One with image pooling also takes `pooled` `1 C 1 1`, which stands for the mean over the
    picture where it is no NaN, its default; and gives its own mean, `pooled_features` `N C 1 1`,
    over the cells that `counted` `N 1 h w` weighs, 1 each by default.

    Raises:
        RecipeError: the network does what has no operator, or works at one size alone.
    """
    unit = max(segmenter.alignment, *segmenter.encoder.strides)
    odd = segmenter.alignment == 1
    down, across = (cells * unit + odd for cells in CELLS)
    network = exportable(segmenter, (down, across))
    example = {"pictures": torch.zeros(2, segmenter.bands, down, across)}
    channels = pooled_channels(segmenter)
    if channels:
        cells = (-(-side // segmenter.encoder.strides[-1]) for side in (down, across))
        example["pooled"] = torch.full((1, channels, 1, 1), torch.nan)
        example["counted"] = torch.ones(2, 1, *cells)
    model = _converted(network, example)
    _tidy(model)
    take_pixels(model, segmenter)
    if channels:  # the default of an input is a constant of its name
        unknown = np.full((1, channels, 1, 1), np.nan, np.float32)
        model.graph.initializer.append(numpy_helper.from_array(unknown, "pooled"))
        every = np.ones((1, 1, 1, 1), np.float32)  # each is as each other is
        model.graph.initializer.append(numpy_helper.from_array(every, "counted"))
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def _converted(network: nn.Module, example: dict[str, torch.Tensor]) -> ModelProto:
    """The network by torch's exporter, for pictures of any number and size."""
    free = dict.fromkeys((0, 2, 3), torch.export.Dim.AUTO)
    shapes = {name: None if name == "pooled" else free for name in example}
    try:
        with _quiet(), torch.no_grad():
            program = torch.export.export(network, (), example, dynamic_shapes=shapes, strict=False)
            converted = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=OPSET,
                output_names=["logits", "pooled_features"][: 1 + (len(example) > 1)],
                verbose=False,
            )
    except Exception as error:  # of many kinds, for what it does not know
        raise _refused(_reason(error)) from error
    assert converted is not None
    model = converted.model_proto
    sides = _sides(model.graph.input[0])
    names = [sides[axis].dim_param or str(sides[axis].dim_value) for axis in free]
    if any(name.isdecimal() for name in names):
        raise _refused(f"its graph is for one size alone, {' x '.join(names)}")
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter tells of its insides in warnings and logs; what goes wrong it raises."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _reason(error: BaseException) -> str:
    """The first line of what went wrong at the bottom of it."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__


def _refused(found: str) -> RecipeError:
    return RecipeError(
        "model",
        found=f"cannot be exported ({found})",
        allowed="a graph has operators of ONNX, for pictures of any size",
        fix="Choose another encoder; the run itself still predicts, with torch.",
    )


def _tidy(model: ModelProto) -> None:
    """Leave what is needed, by our names: nodes by their module, no traces of this machine."""
    graph = model.graph
    model.producer_name, model.producer_version, graph.name = "atrous", "", "atrous"
    _name_nodes(graph)
    _name_sides(graph)
    names = {tensor.name: tensor.name.removeprefix(NETWORK) for tensor in graph.initializer}
    for tensor in graph.initializer:
        tensor.name = names[tensor.name]
    for value in [value for value in graph.value_info if value.name in names]:
        graph.value_info.remove(value)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
    values = (*graph.input, *graph.output, *graph.value_info)
    for message in (model, graph, *graph.node, *graph.initializer, *values):
        message.doc_string = ""
        del message.metadata_props[:]


def _name_nodes(graph: GraphProto) -> None:
    """`head.aspp.project.0/Conv`: the module and the operator, with a number from the second on."""
    seen = Counter[str]()
    for node in graph.node:
        told = {entry.key: entry.value for entry in node.metadata_props}
        *modules, _ = ast.literal_eval(told.get(SCOPES, "['']"))  # from outside in, and the call
        module = modules[-1].removeprefix(NETWORK) if modules else ""
        name = f"{module or 'network'}/{node.op_type}"
        seen[name] += 1
        node.name = name if seen[name] == 1 else f"{name}.{seen[name]}"


def _name_sides(graph: GraphProto) -> None:
    """Short names for sides that are not known; runtimes see by equal names that they are equal."""
    pictures, logits = graph.input[0], graph.output[0]
    known = zip("Nhw", (_sides(pictures)[0], *_sides(logits)[2:]), strict=True)
    short = {side.dim_param: name for name, side in known}
    for value in (*graph.input, *graph.output, *graph.value_info):
        for side in _sides(value):
            if side.dim_param:
                side.dim_param = short.setdefault(side.dim_param, f"side{len(short)}")


def _sides(value: ValueInfoProto) -> Sequence[TensorShapeProto.Dimension]:
    return value.type.tensor_type.shape.dim
