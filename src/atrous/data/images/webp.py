"""WebP by Pillow (libwebp); only the child imports this."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image as pil
from PIL.WebPImagePlugin import WebPImageFile

from atrous.data.images.limits import Limits
from atrous.types import Size


@contextmanager
def opened(path: Path, limits: Limits) -> Iterator[pil.Image]:
    """The picture of a WebP file, or of its first frame; not decoded yet."""
    with path.open("rb") as file:
        height, width = size(file.read(30))
        limits.admit(path, width, height)  # before libwebp makes room for it
        file.seek(0)
        yield WebPImageFile(file, str(path))


def size(beginning: bytes) -> Size:
    """Height and width that a WebP file claims in its first 30 bytes; 0 x 0 if in none.

    Extended files (VP8X) keep them in 24 bits each, lossy (VP8) and lossless ones (VP8L) in 14.
    """
    match beginning[12:16]:
        case b"VP8X":
            width, height = (_little(beginning[i : i + 3]) + 1 for i in (24, 27))
        case b"VP8 ":
            width, height = (_little(beginning[i : i + 2]) & 0x3FFF for i in (26, 28))
        case b"VP8L":
            bits = _little(beginning[21:25])
            width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case _:
            width, height = 0, 0
    return height, width


def is_cut(path: Path) -> bool:
    """Whether the file is shorter than its own header says."""
    with path.open("rb") as file:
        return _little(file.read(8)[4:]) + 8 > path.stat().st_size


def _little(content: bytes) -> int:
    return int.from_bytes(content, "little")
