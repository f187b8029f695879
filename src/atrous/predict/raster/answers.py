"""What a model says of the regions of a raster: classes, and how sure it is, of known pixels."""

import json
import struct
import zlib
from collections.abc import Iterator
from math import lcm
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from atrous.classes import Classes
from atrous.data.images import fit_image
from atrous.data.rasters import Pixels, Raster
from atrous.errors import ImageError
from atrous.files import json_bytes, refusals_told, write_whole
from atrous.predict.engines import Means
from atrous.predict.predictor import Predictor
from atrous.predict.raster.plan import BLOCK, Region
from atrous.types import Image, Mask

_HEAD = struct.Struct("<4I4Q")  # rows and columns, pixels known; lengths of what follows
_MEANS = "means.json"  # of the plan that lies beside it
_LEVEL = 1  # of compression: a part is read once


class Answer(NamedTuple):
    """What is kept of a part of a region: whole blocks of what is written."""

    rows: slice
    columns: slice
    mask: Mask
    confidence: UInt8[np.ndarray, "H W"] | None
    """1-255, 255 where the model is sure; 0 where nothing is known."""
    known: int
    """Pixels of which something is known."""
    counts: Int64[np.ndarray, " K"]
    """Pixels of each class."""


class Answers:
    """`answers(region)`: what a model says of a raster, as bytes to keep; any thread may ask."""

    def __init__(self, predictor: Predictor, raster: Raster, *, confidence: bool) -> None:
        self.predictor, self.raster, self.confidence = predictor, raster, confidence
        self._classes, dtype = predictor.classes, predictor.engine.dtype
        mean = np.asarray(predictor.engine.mean, np.float64)  # which the network sees as 0
        self._fill = (mean if dtype == "float32" else np.rint(mean)).astype(dtype)
        self._fitted(
            Pixels(  # refused before any work is done
                np.zeros((1, 1, raster.bands), raster.dtype), np.ones((1, 1), bool)
            )
        )

    def look(self, parts: Path) -> None:
        """Show the network the whole raster, where it needs means over it, before it is asked.

        They are kept in the folder of parts, for who goes on there, or does another shard.

        Raises:
            ImageError: it cannot be decoded.
            RunError: they cannot be written.
        """
        kept = parts / _MEANS
        given = _means_in(kept)
        self._scene = self.predictor.scene(self.raster.size, self._read, self._known, given)
        if len(self._scene.means) > len(given):
            content = json_bytes([mean.tolist() for mean in self._scene.means])
            with refusals_told(kept):
                write_whole(kept, content, durable=True)

    def __call__(self, region: Region) -> bytes:
        """The bytes of a region; none where nothing of it is known.

        Raises:
            ImageError: it cannot be decoded, or is not for this model.
            WeightsError: the model gives no numbers.
        """
        if self.raster.is_absent(region.rows, region.columns):
            return b""
        known = self.raster.read(region.rows, region.columns).known
        if not known.any():
            return b""
        return b"".join(packed(self._answer(region, known, *part)) for part in self._parts(known))

    def _answer(
        self, region: Region, known: Bool[np.ndarray, "H W"], rows: slice, columns: slice
    ) -> Answer:
        """What is kept of a part of a region, whose rows and columns are those of `known`."""
        unknown = ~known[rows, columns]
        place = moved(rows, region.rows.start), moved(columns, region.columns.start)
        where = "{}, rows {r.start}-{r.stop}, columns {c.start}-{c.stop}".format(
            self.raster.source, r=place[0], c=place[1]
        )
        block = self.predictor.block(self._scene, place, where)
        mask = np.ascontiguousarray(block.mask)
        mask[unknown] = self._classes.ignore_index
        sure = None
        if self.confidence:
            sure = np.maximum(np.rint(block.confidence() * 255), 1).astype(np.uint8)
            sure[unknown] = 0
        counts = _counts(mask, self._classes)
        return Answer(*place, mask, sure, int(unknown.size - unknown.sum()), counts)

    def _parts(self, known: Bool[np.ndarray, "H W"]) -> list[tuple[slice, slice]]:
        """The parts of a region that the network is shown: those with known pixels."""
        cut, unit = self._scene.cut, self.predictor.engine.tiling.alignment
        if cut.mode != "exact":  # tiles that overlap are cheapest all at once
            return [(slice(0, known.shape[0]), slice(0, known.shape[1]))]
        return rectangles(known, lcm(BLOCK, unit), around=cut.halo + self._scene.reach)

    def _read(self, region: tuple[slice, slice]) -> Image:
        """The pixels of a part as the engine takes them; the mean where nothing is known."""
        pixels = self.raster.read(*region)
        image = self._fitted(pixels)
        if pixels.known.all():
            return image
        if np.shares_memory(image, pixels.image):
            image = image.copy()
        image[~pixels.known] = self._fill
        return image

    def _fitted(self, pixels: Pixels) -> Image:
        engine = self.predictor.engine
        try:
            return fit_image(pixels.image, bands=engine.bands, dtype=engine.dtype)
        except ImageError as error:
            told: dict[str, Any] = {"allowed": error.allowed, "fix": error.fix, "code": error.code}
            raise ImageError(self.raster.source, found=error.found, **told) from None

    def _known(self, region: tuple[slice, slice]) -> Bool[np.ndarray, "H W"] | None:
        """Which pixels of a part are known; None = all."""
        rows, columns = region
        if self.raster.is_absent(rows, columns):
            return np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.bool_)
        known = self.raster.read(rows, columns).known
        return None if known.all() else known


def _means_in(file: Path) -> Means:
    """The means that a file holds, bit by bit; none where there is no such file."""
    try:
        return [np.array(mean, np.float64) for mean in json.loads(file.read_bytes())]
    except (OSError, ValueError):
        return []


def rectangles(
    known: Bool[np.ndarray, "H W"], block: int, *, around: int
) -> list[tuple[slice, slice]]:
    """Rectangles that hold all blocks with a known pixel: one, or several if they cost less.

    The cost is that of their pixels and of those `around` each, which are read too.

    Example:
        >>> known = np.zeros((4, 6), bool)
        >>> known[:, 0] = known[0, 5] = True
        >>> rectangles(known, 2, around=0)
        [(slice(0, 2, None), slice(4, 6, None)), (slice(0, 4, None), slice(0, 2, None))]
    """
    height, width = known.shape
    blocks = np.array(
        [
            [known[y : y + block, x : x + block].any() for x in range(0, width, block)]
            for y in range(0, height, block)
        ]
    )
    found: dict[tuple[int, int], list[int]] = {}  # by its columns, the rows of one that grows
    done = []
    for row, line in enumerate(blocks):
        edges = np.flatnonzero(np.diff(line.astype(np.int8), prepend=0, append=0)).tolist()
        runs = {*zip(edges[::2], edges[1::2], strict=True)}
        done += [(*found.pop(run), *run) for run in [*found] if run not in runs]
        for run in sorted(runs):
            found.setdefault(run, [row, row])[1] = row + 1
    done += [(*rows, *run) for run, rows in found.items()]
    if not done:
        return []
    tops, ends, lefts, rights = zip(*done, strict=True)
    box = min(tops), max(ends), min(lefts), max(rights)
    parts = sorted(done) if _cost(done, block, around) < _cost([box], block, around) else [box]
    return [
        (
            slice(top * block, min(end * block, height)),
            slice(left * block, min(right * block, width)),
        )
        for top, end, left, right in parts
    ]


def _cost(boxes: list[tuple[int, ...]], block: int, around: int) -> int:
    sides = (((b - a) * block + 2 * around, (d - c) * block + 2 * around) for a, b, c, d in boxes)
    return sum(height * width for height, width in sides)


def moved(span: slice, by: int) -> slice:
    """A span that begins so many pixels later."""
    return slice(span.start + by, span.stop + by)


def packed(answer: Answer) -> bytes:
    """An answer as bytes; `unpacked` gives it back."""
    mask = zlib.compress(answer.mask.tobytes(), _LEVEL)
    sure = b"" if answer.confidence is None else zlib.compress(answer.confidence.tobytes(), _LEVEL)
    counts = answer.counts.astype("<i8").tobytes()
    spans = (n for span in (answer.rows, answer.columns) for n in (span.start, span.stop))
    head = _HEAD.pack(*spans, answer.known, len(counts), len(mask), len(sure))
    return head + counts + mask + sure


def unpacked(content: bytes, dtype: type) -> Iterator[Answer]:
    """The answers that `packed` made bytes of, one after the other."""
    begin = 0
    while begin < len(content):
        top, end, left, right, known, *lengths = _HEAD.unpack_from(content, begin)
        begin += _HEAD.size
        parts = []
        for length in lengths:
            parts.append(content[begin : begin + length])
            begin += length
        size = end - top, right - left
        mask = np.frombuffer(zlib.decompress(parts[1]), dtype).reshape(size)
        sure = None
        if parts[2]:
            sure = np.frombuffer(zlib.decompress(parts[2]), np.uint8).reshape(size)
        place = slice(top, end), slice(left, right)
        yield Answer(*place, mask, sure, known, np.frombuffer(parts[0], "<i8"))


def _counts(mask: Mask, classes: Classes) -> Int64[np.ndarray, " K"]:
    """The pixels of each class; of multilabel they overlap."""
    k = len(classes)
    if classes.task != "multilabel":
        return np.bincount(mask.ravel(), minlength=k)[:k]
    known = mask[mask != classes.ignore_index]
    return np.array([np.count_nonzero(known & (1 << i)) for i in range(k)])
