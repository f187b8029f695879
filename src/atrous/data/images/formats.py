"""Which format a picture file is in: its first bytes decide, its suffix only tells people."""

from pathlib import Path
from typing import Literal

Format = Literal["PNG", "JPEG", "TIFF", "BMP", "WebP", "GIF", "PNM"]
SUFFIXES: dict[str, Format] = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".mpo": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".webp": "WebP",
    ".gif": "GIF",
    ".ppm": "PNM",
    ".pgm": "PNM",
    ".pbm": "PNM",
    ".pnm": "PNM",
}
FORMATS = "PNG, JPEG, TIFF, BMP, WebP, GIF or PNM"
PREFIX = 16  # bytes that tell the format
_BEGINNINGS: tuple[tuple[bytes, Format], ...] = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),  # of more than 4 GB
    (b"MM\0+", "TIFF"),
    (b"BM", "BMP"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    *((b"P" + kind, "PNM") for kind in (b"1", b"2", b"3", b"4", b"5", b"6")),
)
# A PNG begins with 89 P N G CR LF 1A LF so that line-ending conversion shows.
_PNG_CONVERTED = (b"\x89PNG\n\x1a\n", b"\x89PNG\r\r\n", b"\x89PNG\r\n\x1a\r\n")


def is_image(path: Path) -> bool:
    """Whether the suffix is that of a picture, in any case; hidden files are none.

    Example:
        >>> is_image(Path("a.JPG")), is_image(Path("._a.jpg")), is_image(Path("a.txt"))
        (True, False, False)
    """
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def format_of(prefix: bytes) -> Format | Literal[""]:
    """The format of a file that begins with `prefix`; "" where it is no picture.

    Example:
        >>> format_of(b"GIF89a..."), format_of(b"%PDF-1.7")
        ('GIF', '')
    """
    if prefix[:4] == b"RIFF" and prefix[8:12] == b"WEBP":
        return "WebP"
    for start, name in _BEGINNINGS:
        if prefix.startswith(start):
            return name
    return ""


def is_converted(prefix: bytes) -> bool:
    """Whether these are a PNG's first bytes after its line endings were converted."""
    return prefix.startswith(_PNG_CONVERTED)
