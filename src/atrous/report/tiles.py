"""Findings -> small pictures of them: what is there, under its mask, with a ring at the pixel.

A file that cannot be read has a tile that says why; nothing here stops the page.
"""

import base64
import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image as pil

from atrous.classes import Classes, distinct_colours, label_colour, label_values
from atrous.data.colours import BINARY
from atrous.data.images import as_shown, read_image
from atrous.data.layouts import Pair
from atrous.data.layouts.pairs import relative
from atrous.data.masks import is_mask, read_lossy_mask, read_mask, read_planes
from atrous.data.survey import read_bits, read_picture, read_raw
from atrous.doctor import Diagnosis, Finding
from atrous.errors import AtrousError, MaskError
from atrous.report.pictures import nearest, tinted
from atrous.types import Colour, RawMask, Size

SIDE = 300  # pixels of a tile's longer side
CLOSE = 12  # pixels around the one of a finding that a close-up shows
OPACITY = 0.5
WRONG: Colour = (255, 61, 113)  # of labels that are no class, as of wrong pixels in the report
# Findings of two pictures, which are shown side by side; the files are `where` and the next.
OF_TWO = frozenset(("S104", "D601", "D602", "D603", "D604", "D605", "D606", "D607"))

Painted = UInt8[np.ndarray, "H W 4"]


class View(NamedTuple):
    """A picture as a data URI and its `(width, height)`; `ring` is (x, y) of a pixel in it.

    A picture that is not there has no URI; `words` say what it is, or why it is not.
    """

    words: str
    uri: str = ""
    size: tuple[int, int] = (SIDE, SIDE * 3 // 4)
    ring: tuple[float, float] | None = None
    close: bool = False


class Tile(NamedTuple):
    """A file of a finding, and what it looks like."""

    name: str
    finding: Finding
    views: tuple[View, ...]

    @property
    def weight(self) -> int:
        """Bytes of its pictures."""
        return sum(len(view.uri) for view in self.views)


@dataclass(frozen=True)
class _Subject:
    """The files that a tile shows."""

    name: str
    finding: Finding
    names: tuple[str, ...]


class Tiles:
    """Makes the tiles of a diagnosis."""

    def __init__(self, diagnosis: Diagnosis) -> None:
        self.root, self.layout = diagnosis.root, diagnosis.layout
        self.classes = diagnosis.data.classes if diagnosis.data else None
        self.pairs: dict[str, list[Pair]] = defaultdict(list)
        splits = diagnosis.layout.splits.values() if diagnosis.layout else ()
        for pair in (pair for pairs in splits for pair in pairs):
            for path in (pair.image, *pair.bands, pair.mask):
                self.pairs[relative(path, self.root)].append(pair)

    def of(self, findings: Sequence[Finding], *, most: int, room: int) -> list[Tile]:
        """The first tiles of findings of one kind: at most so many, of about `room` bytes."""
        tiles: list[Tile] = []
        for finding in findings:
            for subject in filter(self._can_be_shown, _subjects(finding)):
                if len(tiles) == most or sum(tile.weight for tile in tiles) > room:
                    return tiles
                tiles.append(Tile(subject.name, finding, tuple(self._views(subject))))
        return tiles

    def _can_be_shown(self, subject: _Subject) -> bool:
        """A line of a list, or a file of annotations on many pictures, is nothing to look at."""
        names = (subject.name, *subject.names)
        return is_mask(Path(subject.name)) or any(len(self.pairs.get(n, ())) == 1 for n in names)

    def _views(self, subject: _Subject) -> Iterator[View]:
        finding = subject.finding
        if finding.code in OF_TWO:
            for name in (subject.name, *subject.names[:1]):
                yield from self._shown((name,), finding)
        else:
            yield from self._shown((subject.name, *subject.names), finding)

    def _shown(self, names: Sequence[str], finding: Finding) -> Iterator[View]:
        pair = next((self.pairs[n][0] for n in names if len(self.pairs.get(n, ())) == 1), None)
        path, is_truth = self.root / names[0], finding.code == "S102"
        try:
            yield from self._pair(pair, finding.pixel) if pair else self._file(path, is_truth)
        except AtrousError as error:
            yield View(error.found)
        except Exception as error:  # a page must come out whatever the files hold
            yield View(f"cannot be shown ({type(error).__name__})")

    def _pair(self, pair: Pair, pixel: tuple[int, int] | None) -> Iterator[View]:
        photo = as_shown(read_picture(pair))
        size = photo.shape[:2]
        try:
            over, apart = self._painted(pair, size)
        except (AtrousError, OSError) as error:
            alone = _view(photo, None, pair.image.name, None)
            yield alone
            yield View(getattr(error, "found", "its mask cannot be read"), size=alone.size)
            return
        if apart:
            yield _view(photo, None, pair.image.name, None)
            yield _view(over[..., :3], None, f"mask {pair.mask.name}", pixel)
            return
        yield _view(photo, over, pair.image.name, pixel)
        if pixel:
            yield _close(photo, over, pixel)

    def _painted(self, pair: Pair, size: Size) -> tuple[Painted, bool]:
        """The mask in colours, and whether it is of another size than its picture."""
        layout, classes = self.layout, self.classes
        if layout and layout.drawings and layout.planes is not None and classes:
            return tinted(read_bits(pair, size, layout.drawings, classes), classes), False
        if pair.mask.is_dir() and classes:
            mask = read_planes(pair.mask, classes)
            return tinted(mask, classes), mask.shape != size
        if layout and layout.drawings:
            return painted(read_raw(pair, size, layout.drawings), classes), False
        over, exact = _truth(pair.mask, classes)
        return over, not exact or over.shape[:2] != size

    def _file(self, path: Path, is_truth: bool) -> Iterator[View]:
        """A picture that is in no pair, or a mask."""
        photo = _truth(path, self.classes)[0][..., :3] if is_truth else as_shown(read_image(path))
        yield _view(photo, None, path.name, None)


def painted(raw: RawMask, classes: Classes | None) -> Painted:
    """A raw mask in the classes' colours, labels of no class red.

    Ignored pixels and the background are transparent. Without classes each label has a colour
    of its own: that which it is, or one of a sequence.

    Example:
        >>> painted(np.uint8([[0, 9]]), Classes(("sky", "road"))).tolist()
        [[[63, 144, 218, 255], [255, 61, 113, 255]]]
    """
    values = label_values(raw)
    some = distinct_colours(len(values))
    table = np.zeros((len(values), 4), np.uint8)
    for place, value in enumerate(values):
        if classes is None:
            table[place] = (*(label_colour(value) or some[place]), 255)
            continue
        index = classes.index_of(value)
        if index is None:
            table[place] = (*WRONG, 255)
        elif index < len(classes) and classes.names[index] != BINARY[0]:
            table[place] = (*classes.colours[index], 255)
    return table[np.searchsorted(values, raw)]


def _subjects(finding: Finding) -> Iterator[_Subject]:
    """The files of a finding that are worth a tile each."""
    if finding.code in OF_TWO or finding.code.startswith("A"):
        yield _Subject(finding.where, finding, finding.others)
        return
    for name in (finding.where, *finding.others):
        if name:
            yield _Subject(name, finding, ())


def _truth(path: Path, classes: Classes | None) -> tuple[Painted, bool]:
    """A mask file in colours, and whether its labels are exact: those of a JPEG are not."""
    try:
        return painted(read_mask(path), classes), True
    except MaskError as error:
        if error.code != "M406":
            raise
    pixels = read_lossy_mask(path)
    pixels = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, 2)
    return np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)]), False


def _view(
    photo: UInt8[np.ndarray, "H W 3"],
    over: Painted | None,
    words: str,
    pixel: tuple[int, int] | None,
) -> View:
    photo = np.ascontiguousarray(photo)
    height, width = photo.shape[:2]
    factor = min(1.0, SIDE / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    small = np.asarray(pil.fromarray(photo).resize(size, pil.Resampling.LANCZOS))
    if over is not None:
        small = _blended(small, nearest(over, size))
    ring = ((pixel[1] + 0.5) * factor, (pixel[0] + 0.5) * factor) if pixel else None
    return View(words, _uri(pil.fromarray(small), "jpeg"), size, ring)


def _close(photo: UInt8[np.ndarray, "H W 3"], over: Painted, pixel: tuple[int, int]) -> View:
    """The pixels around one, enlarged by whoever shows it."""
    rows, columns = (slice(max(0, at - CLOSE), at + CLOSE + 1) for at in pixel)
    part = _blended(photo[rows, columns], over[rows, columns], 0.8)
    ring = pixel[1] - columns.start + 0.5, pixel[0] - rows.start + 0.5
    words = f"around row {pixel[0]}, column {pixel[1]}"
    return View(words, _uri(pil.fromarray(part), "png"), part.shape[1::-1], ring, close=True)


def _blended(
    below: UInt8[np.ndarray, "H W 3"], over: Painted, opacity: float = OPACITY
) -> UInt8[np.ndarray, "H W 3"]:
    weight = over[..., 3:] / 255 * opacity
    return np.rint(below * (1 - weight) + over[..., :3] * weight).astype(np.uint8)


def _uri(picture: pil.Image, kind: str) -> str:
    content = io.BytesIO()
    picture.save(content, format=kind, quality=80)
    return f"data:image/{kind};base64,{base64.b64encode(content.getvalue()).decode('ascii')}"
