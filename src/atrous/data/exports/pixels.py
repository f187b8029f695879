"""Pictures that must be written anew: as PNG where a format wants it, as TIFF where bands do."""

import io
import struct
import zlib

import numpy as np
from PIL import Image as pil

from atrous.errors import DataError
from atrous.types import Image

_SIGN = b"\x89PNG\r\n\x1a\n"


def check_png(bands: int, dtype: str, where: object) -> None:
    """A PNG holds one or three bands of 8 or 16 bits.

    Raises:
        DataError: the picture is of others.
    """
    if bands in (1, 3) and dtype in ("uint8", "uint16"):
        return
    what = f"{bands} band" + "s" * (bands > 1)
    raise DataError(
        where,
        found=f"has {what} of {dtype}",
        allowed="the pictures of this format are PNGs: grey or RGB, of 8 or 16 bits",
        fix="Export to another format, such as folder, which keeps the files as they are.",
    )


def png(image: Image) -> bytes:
    """A picture of one or three bands as a PNG, without loss."""
    if image.dtype == np.uint16 and image.shape[2] == 3:
        return _deep_png(image)
    content = io.BytesIO()
    pixels = np.ascontiguousarray(image[..., 0] if image.shape[2] == 1 else image)
    pil.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def tiff(image: Image) -> bytes:
    """A picture of any number of bands as a TIFF, without loss."""
    from tifffile import imwrite

    content = io.BytesIO()
    image = image[..., 0] if image.shape[2] == 1 else image
    imwrite(content, image, photometric="minisblack", planarconfig="contig", compression="zlib")
    return content.getvalue()


def _deep_png(image: Image) -> bytes:
    """RGB of 16 bits, which Pillow does not write: each row less the one above it (filter 2)."""
    height, width, bands = image.shape
    rows = image.astype(">u2").view(np.uint8).reshape(height, width * bands * 2)
    lines = np.full((height, rows.shape[1] + 1), 2, np.uint8)
    lines[:, 1:] = np.diff(rows, axis=0, prepend=np.uint8(0))
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    chunks = (b"IHDR", head), (b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b"")
    return _SIGN + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
