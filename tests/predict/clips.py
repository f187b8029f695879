"""Videos small enough to be made in a test."""

import struct
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

av: Any = pytest.importorskip("av", reason="PyAV, of the extra `video`, is not installed")

TIME_BASE = Fraction(1, 1000)
SIZE = (48, 64)
RATE = 32000  # of sound
QUARTER = (0, 1, -1, 0)  # what phones held upright write: turn it clockwise to see it


def pictures(count: int, size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    """Fields of one colour each, which move; no two pictures are the same."""
    height, width = size
    made = []
    for i in range(count):
        picture = np.zeros((height, width, 3), np.uint8)
        picture[:, : width // 2, i % 3] = 230
        picture[: height // 2, :, (i + 1) % 3] = 210 - i % 40
        picture[(7 * i) % height :, width * 3 // 4 :] = (20, 40, 60 + 5 * (i % 30))
        made.append(picture)
    return made


def write_clip(
    path: Path,
    frames: Iterable[np.ndarray],
    *,
    times: Sequence[int] = (),
    codec: str = "libx264",
    container: str = "",
    sound: str = "",
) -> Path:
    """A video of these frames at these times in milliseconds, else 40 apart, with noise if asked.

    Its picture is coded with B-frames, so that packets are not in the order of frames.
    """
    with av.open(str(path), "w", format=container or None) as out:
        options = {"crf": "8", "bf": "2"} if codec == "libx264" else {"qmin": "1", "qmax": "2"}
        video = out.add_stream(codec, rate=25, options=options)
        video.pix_fmt, video.codec_context.time_base = "yuv420p", TIME_BASE
        noise = out.add_stream(sound, rate=RATE) if sound else None
        for number, pixels in enumerate(frames):
            if number == 0:
                video.height, video.width = pixels.shape[:2]
                if noise:
                    noise.layout = "mono"
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = times[number] if times else 40 * number, TIME_BASE
            out.mux(video.encode(frame))
            if noise:
                _add_noise(out, noise, number)
        out.mux(video.encode(None))
        if noise:
            out.mux(noise.encode(None))
    return path


def _add_noise(out: Any, track: Any, number: int) -> None:
    random = np.random.default_rng(number)
    kind = track.codec_context.format.name
    values = random.normal(0, 0.1, (1, 1024)).astype(np.float32)
    if not kind.startswith("flt"):
        values = (values * 9999).astype(np.int32 if kind.startswith("s32") else np.int16)
    frame = av.AudioFrame.from_ndarray(values, format=kind, layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = RATE, 1024 * number, Fraction(1, RATE)
    out.mux(track.encode(frame))


def turned(path: Path, matrix: tuple[int, int, int, int] = QUARTER) -> Path:
    """The MP4 with another display matrix, which stands in the header of its picture's track."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 44
    a, b, c, d = (value << 16 for value in matrix)
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def decoded(path: Path) -> tuple[list[np.ndarray], list[Fraction]]:
    """The frames of a video and their times in seconds, by PyAV alone."""
    with av.open(str(path)) as container:
        frames = [*container.decode(video=0)]
        times = [frame.pts * frame.time_base for frame in frames]
        return [frame.to_ndarray(format="rgb24") for frame in frames], times


def sound_of(path: Path) -> list[bytes]:
    """The packets of sound of a video."""
    with av.open(str(path)) as container:
        return [bytes(p) for p in container.demux(audio=0) if p.dts is not None]
