"""Exported files small enough to be made in a test, and pictures for them."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from atrous.classes import Classes
from atrous.exported import Manifest, write_exported
from atrous.types import Grid

STRIDE = 4
CLASSES = Classes(("red", "green", "blue"))


def write_tiny(
    path: Path, *, weights: np.ndarray | None = None, classes: Classes = CLASSES
) -> Path:
    """A model that takes the mean colour of a cell, and `weights` of it (`K 3`) as logits."""
    weights = np.eye(3) if weights is None else weights
    cell: dict[str, Any] = {"kernel_shape": [STRIDE] * 2, "strides": [STRIDE] * 2}
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["bands"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["bands"], ["cells"], ceil_mode=1, **cell),
        helper.make_node("Conv", ["cells", "weights"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", len(weights), "h", "w"])],
        [numpy_helper.from_array(weights.astype(np.float32)[..., None, None], "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    manifest = Manifest(
        classes=classes,
        dtype="uint8",
        bands=3,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        placement=Grid(STRIDE),
        description="tiny weights",
    )
    write_exported(path, model.SerializeToString(), manifest)
    return path


def write_pictures(folder: Path, count: int, size: tuple[int, int] = (21, 30)) -> Path:
    """Blurred noise, a third of the pictures in folders below."""
    for i in range(count):
        random = np.random.default_rng(i)
        cells = random.integers(0, 256, (size[0] // 7 + 1, size[1] // 7 + 1, 3), np.uint8)
        picture = Image.fromarray(cells).resize((size[1], size[0]), Image.Resampling.BICUBIC)
        path = folder / ("", "a", "a/b")[i % 3] / f"{i:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, compress_level=1)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, hidden ones too."""
    files = (path for path in folder.rglob("*") if not path.is_dir())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
