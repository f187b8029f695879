"""What the files of a data set hold: every pair looked at once, whole.

So that what is wrong is said before the first step, and not by a file that is cut short in the
middle of a run.
"""

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Shaped

from atrous.classes import Classes
from atrous.data.images import Header, orientation_of, read_image
from atrous.data.layouts import Layout, Pair
from atrous.data.layouts.pairs import Drawings
from atrous.data.masks import plane_files, read_mask, read_planes
from atrous.data.shapes import Drawing, draw, draw_bits
from atrous.data.windows import known_of, labels_of, pixels_of
from atrous.errors import DataError
from atrous.kernels.labels import LabelFacts, label_facts
from atrous.machine import cores
from atrous.types import Image, Mask, RawMask, Size, Track

AHEAD = 4  # pairs a thread that are looked at before the oldest is taken

Observe = Callable[[Image, RawMask, LabelFacts, Pair], Any]  # what else is to be kept of a pair


class FileRecord(NamedTuple):
    """What one pair of files holds; there may be 100 000 of them, so each is small.

    `table` and `many` are the facts of the raw mask; of planes and drawings with bits that is the
    multilabel one. `moments` are, by band, the
    number, sum and sum of squares of finite pixels where a model cannot take the scale of pixels
    from their type. `signs` are what an observer kept.
    """

    split: str
    pair: Pair
    header: Header
    image_bytes: int
    image_sha256: bytes
    mask_bytes: int
    mask_sha256: bytes
    table: Shaped[np.ndarray, "4 N"]
    many: bool
    moments: Float64[np.ndarray, "3 C"] | None = None
    signs: Any = None

    @property
    def facts(self) -> LabelFacts:
        """The label values of the mask, with their pixels."""
        values, counts, cores, first = self.table
        return LabelFacts(values, counts, cores, first, self.many)

    @property
    def labels(self) -> dict[int, int]:
        """Raw label values and their pixels."""
        return dict(zip(*self.table[:2].tolist(), strict=True))


class Survey(NamedTuple):
    """The pairs that can be used, in the order of the layout, and what is wrong with others."""

    files: tuple[FileRecord, ...]
    problems: tuple[DataError, ...]


Job = tuple[str, Pair]
Look = FileRecord | list[DataError]


def survey(
    layout: Layout,
    *,
    planes: Classes | None = None,
    observe: Observe | None = None,
    track: Track | None = None,
) -> Survey:
    """Look at every pair of a layout; `planes` is the label space of multilabel masks."""

    def look(job: Job) -> Look:
        return _look_at(*job, layout.drawings, planes, observe)

    jobs = [(split, pair) for split, pairs in layout.splits.items() for pair in pairs]
    files: list[FileRecord] = []
    problems = list(layout.problems)
    headers: dict[Header, Header] = {}  # pictures of one size share one
    shown = track(jobs) if track else jobs
    said = {str(problem) for problem in problems}
    for _, result in zip(shown, _in_threads(look, jobs), strict=True):
        if isinstance(result, FileRecord):
            header = headers.setdefault(result.header, result.header)
            files.append(result._replace(header=header))
        else:  # what is wrong with a raster is told once, not for each window
            new = [problem for problem in result if str(problem) not in said]
            said |= {str(problem) for problem in new}
            problems += new
    return Survey(tuple(files), tuple(problems))


def packed(facts: LabelFacts) -> tuple[Shaped[np.ndarray, "4 N"], bool]:
    """The facts of a mask as one small array, and whether there are more."""
    table = np.stack(facts[:4])
    fits = not table.size or (table.min() >= -(2**31) and table.max() < 2**31)
    return table.astype(np.int32) if fits else table, facts.many


def read_picture(pair: Pair) -> Image:
    """The pixels of a pair's picture, with the bands of its further files."""
    if pair.window:
        return pixels_of(pair.window)
    if not pair.bands:
        return read_image(pair.image)
    parts = [read_image(path) for path in (pair.image, *pair.bands)]
    for path, part in zip(pair.bands, parts[1:], strict=True):
        if part.shape[:2] != parts[0].shape[:2]:
            raise DataError(
                path,
                found=f"is {part.shape[0]} x {part.shape[1]} (height x width)",
                allowed=f"{pair.image.name} is {parts[0].shape[0]} x {parts[0].shape[1]}",
                fix="Make all bands of a picture of one size.",
                code="M401",
            )
    return np.concatenate(parts, axis=2)


def read_raw(pair: Pair, size: Size, drawings: Drawings | None) -> RawMask:
    """The label values of a pair's mask, as they lie on disk or are drawn.

    Raises:
        DataError: it cannot be read, or is not of the picture's `size`.
    """
    if pair.window:
        return labels_of(pair.window)
    if drawings is None:
        raw = read_mask(pair.mask)
        check_size(pair, size, raw.shape)
        return raw
    return draw(_drawing(pair, size, drawings), size)


def read_bits(pair: Pair, size: Size, drawings: Drawings | None, classes: Classes) -> Mask:
    """The multilabel mask of a pair: its folder of planes, or what is drawn.

    Raises:
        DataError: it cannot be read, or is not of the picture's `size`.
    """
    if drawings is None:
        mask = read_planes(pair.mask, classes)
        check_size(pair, size, mask.shape)
        return mask
    drawing = _drawing(pair, size, drawings)
    void, dtype = classes.ignore_index, classes.dtype
    return draw_bits(drawing, size, num_classes=len(classes), ignore_index=void, dtype=dtype)


def check_size(pair: Pair, image: Size, mask: tuple[int, ...], *, code: str = "M401") -> None:
    """A mask is of the size of its picture.

    Raises:
        DataError: it is not; the code is M402 where EXIF turns the picture and not the mask.
    """
    if image == mask:
        return
    fix = "Make the mask again at the picture's size."
    if image == mask[::-1] and orientation_of(pair.image) > 1:
        fix = "The picture's EXIF orientation turns it: make the mask from the turned picture."
        code = "M402"
    raise DataError(
        pair.mask,
        found=f"is {mask[0]} x {mask[1]} (height x width)",
        allowed=f"its picture {pair.image.name} is {image[0]} x {image[1]}",
        fix=fix,
        code=code,
    )


def _drawing(pair: Pair, size: Size, drawings: Drawings) -> Drawing:
    drawing = drawings(pair)
    if drawing.size not in (None, size):
        check_size(pair, size, drawing.size, code="A706")
    return drawing


def _in_threads(function: Callable[[Job], Look], jobs: Iterable[Job]) -> Iterator[Look]:
    """`map` in threads, in order, a few jobs ahead: decoders and hashes let go of the GIL."""
    workers = cores()
    waiting: deque[Future[Look]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for job in jobs:
            waiting.append(pool.submit(function, job))
            if len(waiting) > AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _look_at(
    split: str,
    pair: Pair,
    drawings: Drawings | None,
    planes: Classes | None,
    observe: Observe | None,
) -> Look:
    try:
        image = read_picture(pair)  # whole: a file cut short must not stop a run half-way
    except (DataError, OSError) as error:
        return [_as_data_error(error, pair.image), *_wrong_mask(pair, drawings, planes)]
    header = Header(image.shape[:2], image.shape[2], str(image.dtype))
    try:
        raw = _mask(pair, header.size, drawings, planes)
        image_facts = _digest_of_picture(pair, image)
        mask_facts = _digest_of_mask(pair, raw, drawings)
        facts = label_facts(raw)
        signs = observe(image, raw, facts, pair) if observe else None
    except (DataError, OSError) as error:
        return [_as_data_error(error, pair.mask)]
    hashes = *image_facts, *mask_facts
    moments = _moments(image, known_of(pair.window) if pair.window else None)
    return FileRecord(split, pair, header, *hashes, *packed(facts), moments, signs)


def _mask(pair: Pair, size: Size, drawings: Drawings | None, planes: Classes | None) -> RawMask:
    if planes is None:
        return read_raw(pair, size, drawings)
    return read_bits(pair, size, drawings, planes)


def _wrong_mask(pair: Pair, drawings: Drawings | None, planes: Classes | None) -> list[DataError]:
    """What is wrong with the mask of a picture that cannot be read."""
    try:
        if drawings is not None or pair.window:
            return []
        if planes is not None:
            read_planes(pair.mask, planes)
        else:
            read_mask(pair.mask)
    except (DataError, OSError) as error:
        return [_as_data_error(error, pair.mask)]
    return []


def _as_data_error(error: DataError | OSError, path: Path) -> DataError:
    if isinstance(error, DataError):
        return error
    found = f"cannot be read ({error})"
    allowed, fix = "the file must stay there while it is used", "Check the disk."
    return DataError(path, found=found, allowed=allowed, fix=fix, code="F201")


def _moments(
    image: Image, known: Bool[np.ndarray, "H W"] | None
) -> Float64[np.ndarray, "3 C"] | None:
    if image.dtype.kind == "u" and image.shape[2] in (1, 3):
        return None
    pixels = image.reshape(-1, image.shape[2]) if known is None else image[known]
    pixels = pixels.astype(np.float64)
    finite = np.isfinite(pixels)
    pixels = np.where(finite, pixels, 0.0)
    return np.stack([finite.sum(0).astype(np.float64), pixels.sum(0), (pixels**2).sum(0)])


def _digest_of_picture(pair: Pair, image: Image) -> tuple[int, bytes]:
    """Of a window its pixels count: the file is that of many."""
    return _digest_of_array(image) if pair.window else _digest_of((pair.image, *pair.bands))


def _digest_of_mask(pair: Pair, raw: RawMask, drawings: Drawings | None) -> tuple[int, bytes]:
    """Of a drawing the drawn mask counts: one annotation file may be that of all pictures."""
    if drawings is None and not pair.window:
        return _digest_of((pair.mask,))
    return _digest_of_array(raw)


def _digest_of_array(array: np.ndarray) -> tuple[int, bytes]:
    return array.nbytes, hashlib.sha256(np.ascontiguousarray(array).data).digest()


def _digest_of(paths: tuple[Path, ...]) -> tuple[int, bytes]:
    """Bytes and hash of a file; of several, their sum and the hash of names and hashes."""
    if len(paths) == 1 and not paths[0].is_dir():
        with paths[0].open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
            return os.fstat(file.fileno()).st_size, digest
    named = {path.name: path for path in paths}
    files = plane_files(paths[0]) if len(paths) == 1 else named
    parts = {name: _digest_of((file,)) for name, file in sorted(files.items())}
    text = json.dumps({name: sha256.hex() for name, (_, sha256) in parts.items()})
    return sum(size for size, _ in parts.values()), hashlib.sha256(text.encode()).digest()
