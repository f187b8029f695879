"""Which container a video file is, by its first bytes, and whether its end is there.

Nothing here is told to a video library: it is given one demuxer by name, never asked to guess,
so that playlists, which name other files and addresses, are never opened as videos.
"""

import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import IO

from atrous.data.images import content_format

NAMES = "MP4, QuickTime, Matroska, WebM, AVI or MPEG-TS"
# TypeScript has the suffix .ts too, so a file of that name is a video only by its content.
SUFFIXES = frozenset(".mp4 .m4v .mov .3gp .mkv .webm .avi .mts .m2ts".split())
PREFIX = 600  # bytes: three packets of a transport stream

_PICTURES = (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1")  # the container is MP4's
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")  # that begin a QuickTime file
_MOST_BOXES = 1_000_000
_SEGMENT = 0x18538067  # of Matroska: all but its header


def container_of(path: Path) -> str:
    """The demuxer of a video file; "" where it is none, or cannot be read."""
    if not path.is_file():  # opening a pipe would wait for who writes to it
        return ""
    try:
        with path.open("rb") as file:
            return _container(file.read(PREFIX))
    except OSError:
        return ""


def is_video(path: Path, *, given: bool = True) -> bool:
    """Whether a file is to be read as a video: by its content, or by its name and no picture.

    What was not `given` but found in a folder must have a video's name, and is not hidden.
    """
    named = path.suffix.lower() in SUFFIXES
    if not given and (path.name.startswith(".") or not (named or path.suffix.lower() == ".ts")):
        return False
    return bool(container_of(path)) or (named and path.is_file() and not _is_picture(path))


def _is_picture(path: Path) -> bool:
    with suppress(Exception):
        return bool(content_format(path))
    return False


def _container(prefix: bytes) -> str:
    """The demuxer that reads a file with this beginning.

    Example:
        >>> _container(b"RIFF\\x10\\0\\0\\0AVI LIST"), _container(b"#EXTM3U")
        ('avi', '')
    """
    if prefix[4:8] in _BOXES and prefix[8:12] not in _PICTURES:
        return "mov"
    if prefix[:4] == b"\x1a\x45\xdf\xa3":
        return "matroska"
    if prefix[:4] == b"RIFF" and prefix[8:12] == b"AVI ":
        return "avi"
    for packet, first in ((188, 0), (192, 4)):  # 192: with a clock before each, as cameras write
        if prefix[first::packet][:3] == b"GGG":
            return "mpegts"
    return ""


def missing_bytes(file: IO[bytes], container: str) -> int:
    """How many bytes more a file says it has than are there; a stream cannot say it.

    The file is left at its beginning.
    """
    size = os.fstat(file.fileno()).st_size
    ends = {"mov": _end_of_boxes, "avi": _end_of_chunks, "matroska": _end_of_segment}
    end = ends[container](file, size) if container in ends else size
    file.seek(0)
    return max(0, end - size)


def _end_of_boxes(file: IO[bytes], size: int) -> int:
    at = 0
    for _ in range(_MOST_BOXES):
        if at + 8 > size:
            break
        file.seek(at)
        head = file.read(16)
        length = struct.unpack(">I", head[:4])[0]
        if length == 1 and len(head) == 16:
            length = struct.unpack(">Q", head[8:])[0]
        if length < 8:  # 0: to the end
            return size
        at += length
    return at


def _end_of_chunks(file: IO[bytes], size: int) -> int:
    at = 0
    while at + 8 <= size:
        file.seek(at)
        kind, length = struct.unpack("<4sI", file.read(8))
        if kind != b"RIFF" or not length:  # never finished, or another's bytes
            return size
        at += 8 + length + length % 2
    return at


def _end_of_segment(file: IO[bytes], size: int) -> int:
    file.seek(4)
    _, header = _number(file)
    file.seek(header, os.SEEK_CUR)
    if int.from_bytes(file.read(4), "big") != _SEGMENT:
        return size
    width, length = _number(file)
    unknown = (1 << 7 * width) - 1  # of what was written while it was made
    return size if not width or length == unknown else file.tell() + length


def _number(file: IO[bytes]) -> tuple[int, int]:
    """How many bytes a number of Matroska's has, which its first byte says, and the number."""
    first = (file.read(1) or b"\0")[0]
    width = 9 - first.bit_length() if first else 0
    rest = file.read(max(0, width - 1))
    mask = (1 << max(0, 8 - width)) - 1
    return width, int.from_bytes(bytes([first & mask]) + rest, "big")
