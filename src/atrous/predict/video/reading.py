"""A video file -> its frames, upright, one by one, with their times; and its sound as it is.

Files are opened by this program and handed over open, with the name of their demuxer: the video
library is never given a name to open, and whatever a file refers to is refused.
"""

import struct
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from jaxtyping import UInt8

from atrous.data.images import PIXEL_LIMIT
from atrous.errors import AtrousError, DataError
from atrous.predict.video.containers import NAMES, container_of, missing_bytes
from atrous.types import Size

INSTALL = "`pip install 'atrous[video]'` brings it."
_OPTIONS = {"mov": {"enable_drefs": "0", "use_absolute_path": "0"}}  # tracks in other files
_COVER = 0x400  # a stream's disposition
_UPRIGHT = (1, 0, 0, 1)
_MICROSECOND = Fraction(1, 1_000_000)


class Frame(NamedTuple):
    """A frame that is wanted. `number` counts all, `pts` is in `Clip.time_base`."""

    number: int
    pts: int
    length: int
    """How long it is shown, in the same unit; 0 = unknown."""
    pixels: UInt8[np.ndarray, "H W 3"]
    sound: tuple[Any, ...] = ()
    """Packets that were read since the frame before."""


@dataclass
class Clip:
    """An open video: its frames can be read once, in order."""

    path: Path
    container: Any
    stream: Any
    sounds: tuple[Any, ...]
    start: int
    """What its clock says at the beginning, in `time_base`: of a broadcast anything."""
    rest: list[Any] = field(default_factory=list)
    """Packets of sound after the last frame, once it was read."""

    @property
    def time_base(self) -> Fraction:
        """Seconds of the unit of `pts`."""
        return self.stream.time_base

    @property
    def rate(self) -> Fraction:
        """Frames a second, on average."""
        return Fraction(self.stream.average_rate or self.stream.guessed_rate or 25)

    @property
    def total(self) -> int:
        """Frames, as the header says, or about as many as fit into its duration; 0 = unknown."""
        if self.stream.frames:
            return self.stream.frames
        return int((self.container.duration or 0) * _MICROSECOND * self.rate)

    def seconds(self, pts: int) -> float:
        """The time of a frame since the beginning."""
        return float(pts * self.time_base)

    def frames(self, *, every: int = 1, between: bool = False) -> Generator[Frame, None, None]:
        """Each frame whose number is a multiple of `every`; with `between` the others too.

        Raises:
            DataError: it cannot be decoded to its end, or has no frame.
        """
        last, number = -1, 0
        size: Size | None = None
        sound: list[Any] = []
        for decoded in self._decoded(sound):
            size = self._checked_size(decoded, size, number)
            pts = _time(decoded, self) - self.start
            pts = last + 1 if decoded.pts is None or pts <= last else pts
            last = pts
            if between or number % every == 0:
                packets = tuple(sound)
                sound.clear()
                length = getattr(decoded, "duration", 0) or 0
                yield Frame(number, pts, length, _pixels(decoded), packets)
            number += 1
        self.rest.extend(sound)
        if not number:
            raise _unreadable(self.path, "holds no frame that can be decoded")

    def _decoded(self, sound: list[Any]) -> Iterator[Any]:
        """The decoded frames; packets of sound between them are put into `sound`."""
        streams = [self.stream, *self.sounds]
        begun = False
        with _errors_told(self.path):
            for packet in self.container.demux(streams):
                if packet.stream.index != self.stream.index:
                    sound.extend([packet] if packet.dts is not None else [])
                    continue
                for decoded in self._frames_of(packet, begun):
                    begun = True
                    yield decoded

    def _frames_of(self, packet: Any, begun: bool) -> list[Any]:
        """The frames of a packet, whole ones all.

        A stream may be cut out of a longer one, so what precedes its first whole frame is left out.
        """
        early = not begun and self.container.format.name == "mpegts"
        try:
            decoded = packet.decode()
        except _library().FFmpegError:
            if not early:
                raise
            return []
        damaged = [frame for frame in decoded if frame.is_corrupt]
        if (damaged or packet.is_corrupt) and not early:
            at = self.seconds((packet.pts or packet.dts or self.start) - self.start)
            raise _unreadable(self.path, f"is damaged or cut short at about {at:.2f} s")
        return [frame for frame in decoded if not frame.is_corrupt]

    def _checked_size(self, decoded: Any, size: Size | None, number: int) -> Size:
        now: Size = decoded.height, decoded.width
        if size and size != now:
            found = (
                f"is {size[0]} x {size[1]} pixels, and from frame {number} on {now[0]} x {now[1]}"
            )
            raise DataError(
                self.path,
                found=found,
                allowed="all frames of a video have one size",
                fix="Cut it where the size changes, or encode it again in one.",
            )
        return now


@contextmanager
def open_clip(path: Path, *, sound: bool = False) -> Iterator[Clip]:
    """A video, of which frames and, if asked for, sound can be read.

    Raises:
        DataError: PyAV is not installed; the file is no video of a known container, is cut
            short, or has no pictures.
    """
    av = _library(path)
    with ExitStack() as held:
        with _errors_told(path):
            kind = container_of(path)
            file = held.enter_context(path.open("rb"))
            if not kind:
                raise _no_video(path, file.read(8))
            if missing := missing_bytes(file, kind):
                raise _unreadable(path, f"is cut short: {missing:,} bytes of it are missing")
            how = {"format": kind, "options": _OPTIONS.get(kind, {}), "io_open": _refuse}
            container = held.enter_context(av.open(file, "r", metadata_errors="replace", **how))
            clip = _clip(path, container, sound)
        yield clip


def count_packets(path: Path) -> int:
    """How many frames there may be in a video that does not say it, without decoding them."""
    with open_clip(path) as clip, _errors_told(path):
        return sum(packet.size > 0 for packet in clip.container.demux(clip.stream))


def _clip(path: Path, container: Any, sound: bool) -> Clip:
    stream = next((s for s in container.streams.video if not _is_cover(s)), None)
    if stream is None:
        raise _unreadable(path, "holds no moving pictures")
    height, width = stream.codec_context.height, stream.codec_context.width
    if height * width > PIXEL_LIMIT:
        raise _unreadable(path, f"claims frames of {height} x {width} pixels")
    stream.thread_type = "AUTO"
    start = 0
    if container.format.name == "mpegts":
        start = round((container.start_time or 0) * _MICROSECOND / stream.time_base)
    sounds = tuple(s for s in container.streams.audio if s.codec_context) if sound else ()
    return Clip(path, container, stream, sounds, start)


def _is_cover(stream: Any) -> bool:
    """Whether it is one picture that a player shows with music."""
    disposition = stream.disposition  # a number, of some versions of PyAV a set of flags
    return bool(getattr(disposition, "value", disposition) & _COVER)


def _time(decoded: Any, clip: Clip) -> int:
    if decoded.pts is None:
        return 0
    if decoded.time_base in (None, clip.time_base):
        return decoded.pts
    return round(decoded.pts * decoded.time_base / clip.time_base)


def _pixels(decoded: Any) -> UInt8[np.ndarray, "H W 3"]:
    matrix = _UPRIGHT
    for data in decoded.side_data:
        if data.type.name == "DISPLAYMATRIX":
            a, b, _, c, d = struct.unpack_from("=5i", bytes(data))
            matrix = (a, b, c, d)
    return upright(decoded.to_ndarray(format="rgb24"), matrix)


def upright(
    pixels: UInt8[np.ndarray, "H W 3"], matrix: tuple[int, int, int, int]
) -> UInt8[np.ndarray, "h w 3"]:
    """Pixels turned and mirrored by a matrix of quarter turns.

    What is at `x, y` is shown at `a x + c y, b x + d y`.

    Example:
        >>> a_row = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
        >>> upright(a_row, (0, 1, -1, 0))[..., 0]  # a quarter turn clockwise
        array([[0],
               [3]], dtype=uint8)
    """
    a, b, c, d = matrix
    if abs(a) + abs(d) < abs(b) + abs(c):
        pixels = pixels.transpose(1, 0, 2)
        a, d = c, b
    pixels = pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return np.ascontiguousarray(pixels)


def _library(path: Path | None = None) -> Any:
    try:
        import av
    except ImportError:
        raise DataError(
            path or "videos",
            found="is a video, and PyAV is not installed",
            allowed="it decodes them",
            fix=INSTALL,
        ) from None
    return av


def _refuse(url: str, *_: object) -> NoReturn:
    raise PermissionError(f"it refers to {url!r}, and no other file is opened")


@contextmanager
def _errors_told(path: Path) -> Iterator[None]:
    """What a decoder raises becomes a `DataError` that names the file."""
    try:
        yield
    except (AtrousError, GeneratorExit):
        raise
    except FileNotFoundError:
        raise _unreadable(path, "is not there") from None
    except IsADirectoryError:
        raise _unreadable(path, "is a folder") from None
    except MemoryError as error:
        raise _unreadable(path, "does not fit into memory") from error
    except EOFError as error:
        raise _unreadable(path, "ends where frames should be") from error
    except (_library().FFmpegError, OSError, ValueError, ArithmeticError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise _unreadable(path, f"cannot be decoded ({' '.join(reason.split())})") from error


def _no_video(path: Path, prefix: bytes) -> DataError:
    begins = f"is no video (it begins with {prefix!r})" if prefix else "is empty (0 bytes)"
    return _unreadable(path, begins)


def _unreadable(path: Path, found: str) -> DataError:
    return DataError(
        path,
        found=found,
        allowed=f"a whole {NAMES} file with moving pictures is needed",
        fix="Get it again, copy it with a video program, which mends what can be, or leave it out.",
    )
