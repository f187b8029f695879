"""Label Studio's brush: the red, green, blue and alpha of each pixel, packed as runs.

The stream begins with the number of values (32 bits), the bits of a value less one (5) and the
bits of four kinds of lengths less one (4 each); the records of `kernels/brush` follow.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from atrous.kernels.brush import unpack
from atrous.types import Size

_HEAD = 32 + 5 + 4 * 4  # bits before the first record
_WORD = 8
_SIZES = (3, 4, 8, 16)  # bits of lengths, those that Label Studio's converter writes
_LONGEST = 1 << 16  # values in one record


def label_studio_decode(numbers: Sequence[int], size: Size) -> Bool[np.ndarray, "H W"]:
    """Where the brush has been: the pixels whose alpha is not 0.

    Raises:
        ValueError: the numbers are no such stream, or not one of a picture of `size`.
    """
    stream = np.array(numbers, np.int64)
    if stream.ndim != 1 or stream.size * 8 < _HEAD or ((stream < 0) | (stream > 255)).any():
        raise ValueError("these are not the bytes of a brush")
    head = int.from_bytes(stream[:8].astype(np.uint8).tobytes().ljust(8, b"\0"), "big")
    count, word = head >> 32, (head >> 27 & 31) + 1
    sizes = tuple((head >> shift & 15) + 1 for shift in (23, 19, 15, 11))
    if count != size[0] * size[1] * 4:
        pixels = f"{size[0]} x {size[1]} pixels (height x width)"
        raise ValueError(f"the brush holds {count} values, not the four of each of {pixels}")
    values = unpack(stream.astype(np.uint8), _HEAD, word=word, sizes=sizes, count=count)
    if values is None:
        raise ValueError("the brush ends before its last pixel")
    return values.reshape(*size, 4)[..., 3] != 0


def label_studio_encode(mask: Bool[np.ndarray, "H W"]) -> list[int]:
    """The bytes of a brush that is white where the mask is true, and nowhere else.

    Example:
        >>> label_studio_encode(np.array([[True]]))
        [0, 0, 0, 4, 57, 27, 252, 127, 224]
    """
    flat = mask.ravel()
    begins = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))
    lengths = np.diff(begins, append=flat.size) * 4
    bits = [f"{flat.size * 4:032b}{_WORD - 1:05b}", *(f"{size - 1:04b}" for size in _SIZES)]
    for on, length in zip(flat[begins].tolist(), lengths.tolist(), strict=True):
        whole, rest = divmod(length, _LONGEST)
        bits += [_record(on, _LONGEST)] * whole + [_record(on, rest)] * (rest > 0)
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))


def _record(on: bool, length: int) -> str:
    kind = next(kind for kind, size in enumerate(_SIZES) if length <= 1 << size)
    return f"1{kind:02b}{length - 1:0{_SIZES[kind]}b}{255 * on:08b}"
