"""Names and shapes of the arrays that walk down the stair.

Letters: `B` batch, `K` classes, `C` bands, `H W` picture, `h w` grid. Of the grid logits of a
binary model `K` is 1, though its classes are two.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float32, Int64, Shaped, UInt8, UInt16

Image = UInt8[np.ndarray, "H W C"] | UInt16[np.ndarray, "H W C"] | Float32[np.ndarray, "H W C"]
Images = (
    UInt8[np.ndarray, "B H W C"] | UInt16[np.ndarray, "B H W C"] | Float32[np.ndarray, "B H W C"]
)
RawMask = Shaped[np.ndarray, "H W"]  # label values as they lie on disk
# Class indices and ignore; of a multilabel label space bits, bit k for class k, and ignore.
Mask = UInt8[np.ndarray, "H W"] | UInt16[np.ndarray, "H W"] | Int64[np.ndarray, "H W"]
GridLogits = Float32[np.ndarray, "K h w"]
Confusion = Int64[np.ndarray, "K K"]  # row: true class, column: predicted class
# Of multilabel, for each class [[TN, FP], [FN, TP]]; row: truly there, column: predicted there.
MultilabelConfusion = Int64[np.ndarray, "K 2 2"]
Task = Literal["multiclass", "binary", "multilabel"]  # one class a pixel; one of two; any of K
PixelType = Literal["uint8", "uint16", "float32"]  # of a data set's pictures, and so of its models
EngineName = Literal["torch", "onnxruntime", "openvino"]
Precision = Literal["f32", "bf16", "int8"]  # of a model's numbers where it answers
LayoutName = Literal[
    "camvid",
    "cityscapes",
    "ade20k",
    "coco",
    "labelme",
    "yolo",
    "cvat",
    "label_studio",
    "nnunet",
    "voc",
    "csv",
    "folder",
]
Size = tuple[int, int]  # (height, width) in pixels
Colour = tuple[int, int, int]  # red, green, blue, 0-255
Track = Callable[[Sequence[Any]], Iterable[Any]]  # shows how far a sequence has got
Tell = Callable[[str], Any]  # hears what is being done, in words


class Grid(NamedTuple):
    """Where grid logits lie in the picture.

    Pixel row Y reads grid row `(Y + 0.5) / stride - 0.5 - offset`, bilinearly, edges
    held; columns likewise. `stride` is in pixels, `offset` in grid cells.
    """

    stride: int
    offset: float = 0.0


class Spread(NamedTuple):
    """Where grid logits lie that are stretched over the whole picture: the rule of other projects.

    The picture is first padded, at the bottom and right, to a `multiple`. Of n padded rows and
    m cells, row Y reads cell `(Y + 0.5) * m / n - 0.5`, or `Y * (m - 1) / (n - 1)` where
    corners are aligned; edges held, columns likewise. The ratio depends on the picture's size.
    """

    align_corners: bool = False
    multiple: int = 1


Placement = Grid | Spread


class Tiling(NamedTuple):
    """How a picture can be cut so that the logits of its tiles are those of the whole."""

    alignment: int = 1
    """Pixels: tiles begin at multiples of it, and pictures are padded to one."""
    halo: int = 0
    """Pixels around a tile that its cells need."""
    means: int = 0
    """Means over the whole picture that must be known before, by a pass over it each."""
    inexact: str = ""
    """Why tiles differ even so, in words; empty where they do not."""
    room: int = 0
    """Bytes of memory a pixel, about, while the network answers; 0 = not known."""


class Statistics(NamedTuple):
    """Mean and standard deviation of each band of a data set's pictures, in pixel values."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


class Sample(NamedTuple):
    """A picture, its mask of the same height and width, and a name for messages."""

    image: Image
    mask: Mask
    name: str
