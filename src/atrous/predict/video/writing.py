"""Frames under their masks -> an MP4, with the times and the sound of the video they are from."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from atrous.errors import AtrousError, RunError
from atrous.predict.video.reading import Clip
from atrous.types import Tell

# The first that is there; MPEG-4 of 1999 always is, and few browsers show it.
ENCODERS: tuple[tuple[str, dict[str, str]], ...] = (
    ("libx264", {"preset": "superfast", "crf": "23"}),
    ("mpeg4", {"qmin": "2", "qmax": "5"}),
)
_COLOURS = {1: "ITU709", 4: "FCC", 5: "ITU601", 6: "ITU601", 7: "SMPTE240M", 9: "BT2020"}
_COARSER = Fraction(1, 60_000)  # frames of most rates are so many whole parts of a second
_LIMITED = 1  # the range of colours that every player takes


class Overlay:
    """An overlay that is being written; frames come in their order."""

    def __init__(self, path: Path, container: Any, clip: Clip, tell: Tell) -> None:
        self.path, self._container, self._clip, self._tell = path, container, clip, tell
        self._video: Any = None
        self._tracks: dict[int, Any] = {}

    def write(
        self,
        pixels: UInt8[np.ndarray, "H W 3"],
        *,
        pts: int,
        length: int = 0,
        sound: Iterable[Any] = (),
    ) -> None:
        """Add a frame, and packets of sound that come before it.

        Raises:
            RunError: it cannot be written.
        """
        import av

        pixels, clip = evened(pixels), self._clip
        with _errors_told(self.path):
            if self._video is None:  # tracks must all be there before the first packet
                self._video = _picture_track(self._container, clip, *pixels.shape[:2])
                self._tracks = _sound_tracks(self._container, clip, self._tell)
            self._mux(sound)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
                format="yuv420p", dst_colorspace=_COLOURS.get(clip.stream.codec_context.colorspace)
            )
            frame.pts, frame.time_base = pts, clip.time_base
            if length and hasattr(frame, "duration"):  # PyAV 14.2 has none
                frame.duration = length
            self._container.mux(self._video.encode(frame))

    def finish(self, sound: Iterable[Any] = ()) -> None:
        """Write what the encoder still holds, and the last packets of sound.

        Raises:
            RunError: it cannot be written.
        """
        with _errors_told(self.path):
            self._mux(sound)
            self._container.mux(self._video.encode(None))
            self._container.close()

    def _mux(self, sound: Iterable[Any]) -> None:
        for packet in sound:
            if (track := self._tracks.get(packet.stream.index)) is None:
                continue
            shift = round(self._clip.start * self._clip.time_base / packet.time_base)
            if packet.pts is not None:
                packet.pts -= shift
            packet.dts -= shift
            packet.stream = track
            self._container.mux(packet)


@contextmanager
def open_overlay(path: Path, clip: Clip, *, tell: Tell = lambda _: None) -> Iterator[Overlay]:
    """An MP4 to write frames to; whole once `finish` was called.

    Sound that MP4 cannot hold is left out, and told.

    Raises:
        RunError: it cannot be written.
    """
    import av

    with ExitStack() as held:
        with _errors_told(path):
            file = held.enter_context(path.open("wb"))
            container = av.open(file, "w", format="mp4")
        held.callback(_abandon, container)
        yield Overlay(path, container, clip, tell)


def _abandon(container: Any) -> None:
    with suppress(Exception):  # nothing where it was finished
        container.close()


def _picture_track(container: Any, clip: Clip, height: int, width: int) -> Any:
    name, options = encoder()
    track = container.add_stream(name, rate=clip.rate, options=dict(options))
    track.width, track.height, track.pix_fmt = width, height, "yuv420p"
    context, of = track.codec_context, clip.stream.codec_context
    too_fine = name == "mpeg4" and clip.time_base.denominator >= 1 << 16
    context.time_base = _COARSER if too_fine else clip.time_base
    if of.colorspace in _COLOURS:
        for tag in ("colorspace", "color_primaries", "color_trc"):
            setattr(context, tag, getattr(of, tag))
    context.color_range = _LIMITED
    shape = of.sample_aspect_ratio  # of a pixel
    if shape and shape != 1:
        turned = (height > width) != (of.height > of.width)
        context.sample_aspect_ratio = 1 / shape if turned else shape
    return track


def _sound_tracks(container: Any, clip: Clip, tell: Tell) -> dict[int, Any]:
    """A track for each one of sound that MP4 can hold, by the index of the clip's."""
    tracks = {}
    held = container.supported_codecs if clip.sounds else ()
    for sound in clip.sounds:
        name = sound.codec_context.name
        if name in held:
            tracks[sound.index] = container.add_stream_from_template(sound)
        else:
            tell(f"{clip.path}: its sound ({name}) is left out of the overlay: MP4 cannot hold it")
    return tracks


def encoder() -> tuple[str, dict[str, str]]:
    """The encoder of overlays, the best that this PyAV has, and its options."""
    from av.codec import codecs_available

    return next((name, how) for name, how in ENCODERS if name in codecs_available)


def evened(pixels: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Pixels with even sides, as H.264 needs them: a last odd row or column is doubled.

    Example:
        >>> evened(np.zeros((3, 4, 3), np.uint8)).shape
        (4, 4, 3)
    """
    height, width, _ = pixels.shape
    if height % 2 == width % 2 == 0:
        return pixels
    return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


@contextmanager
def _errors_told(path: Path) -> Iterator[None]:
    try:
        yield
    except AtrousError:
        raise
    except (OSError, ValueError) as error:  # the library's are of these kinds
        reason = " ".join((getattr(error, "strerror", None) or str(error)).split())
        raise RunError(
            path,
            found=f"cannot be written ({reason})",
            allowed="an overlay is an MP4 file on a disk with room for it",
            fix="Make room, or leave out --overlay.",
        ) from error
