"""Whether the pixels of a picture file were compressed with loss, told by its header alone."""

from pathlib import Path
from typing import IO, Literal

from PIL.TiffImagePlugin import COMPRESSION_INFO, TiffImageFile

from atrous.data.images import Format

_JPEGS = {name for name in COMPRESSION_INFO.values() if "jpeg" in name}  # in a TIFF
_CHUNKS = 100  # of a WebP to look at; few come before the picture
_FRAME = 24  # bytes from the beginning of a WebP's frame to the picture in it, chunk in chunk


def lossy_form(path: Path, kind: Format | Literal[""]) -> str | None:
    """What a file of this format is if it has lost something, in words; None if it has not."""
    match kind:
        case "JPEG":
            return "a JPEG"
        case "WebP":
            return "a lossy WebP" if _is_lossy_webp(path) else None
        case "TIFF":
            return "a TIFF compressed as JPEG" if _is_jpeg_tiff(path) else None
        case _:
            return None


def _is_lossy_webp(path: Path) -> bool:
    """Whether the first picture chunk is VP8, not VP8L; others may come before it."""
    with path.open("rb") as file:
        file.seek(12)  # RIFF, the length, WEBP
        for _ in range(_CHUNKS):
            kind, length = file.read(4), int.from_bytes(file.read(4), "little")
            if kind in (b"VP8 ", b"VP8L"):
                return kind == b"VP8 "
            file.seek(_FRAME - 8 if kind == b"ANMF" else length + length % 2, 1)
    return False


def _is_jpeg_tiff(path: Path) -> bool:
    with path.open("rb") as file:
        return _compression(file) in _JPEGS


def _compression(file: IO[bytes]) -> object:
    try:
        return TiffImageFile(file).info.get("compression")
    except Exception:  # a header that Pillow does not understand; the decoder says what is wrong
        return None
