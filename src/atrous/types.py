"""Names and shapes of the arrays that walk down the stair.

Letters: `B` batch, `K` classes, `C` bands, `H W` picture, `h w` grid.
"""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float32, Int64, Shaped, UInt8, UInt16

Image = UInt8[np.ndarray, "H W C"] | UInt16[np.ndarray, "H W C"]
Images = UInt8[np.ndarray, "B H W C"] | UInt16[np.ndarray, "B H W C"]
RawMask = Shaped[np.ndarray, "H W"]  # label values as they lie on disk
Mask = UInt8[np.ndarray, "H W"] | UInt16[np.ndarray, "H W"]  # class indices and ignore
GridLogits = Float32[np.ndarray, "K h w"]
Confusion = Int64[np.ndarray, "K K"]  # row: true class, column: predicted class
PixelType = Literal["uint8", "uint16"]  # of a data set's pictures, and so of its models
Size = tuple[int, int]  # (height, width) in pixels
Colour = tuple[int, int, int]  # red, green, blue, 0-255


class Grid(NamedTuple):
    """Where grid logits lie in the picture.

    Pixel row Y reads grid row `(Y + 0.5) / stride - 0.5 - offset`, bilinearly, edges
    held; columns likewise. `stride` is in pixels, `offset` in grid cells.
    """

    stride: int
    offset: float = 0.0


class Sample(NamedTuple):
    """A picture, its mask of the same height and width, and a name for messages."""

    image: Image
    mask: Mask
    name: str
