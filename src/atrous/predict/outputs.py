"""The files of one picture: written whole or not at all, and known again when they are there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image as pil

from atrous.classes import Classes
from atrous.data.images import jpeg
from atrous.data.masks import flat_png, mask_png, plane_pngs, read_mask, read_planes
from atrous.errors import DataError, RunError
from atrous.files import make_folder, whole_file, write_whole
from atrous.predict.folders import Job, Wanted
from atrous.predict.predictor import Prediction
from atrous.predict.shares import Row, row_of

STRIP_BYTES = 1 << 23  # of a full-size map, in memory at once


def write_outputs(prediction: Prediction, job: Job, wanted: Wanted, *, within: Path) -> Row:
    """Write the mask of a picture and what is wanted beside it; the row that tells its shares.

    What is half-written lies in the folder `within`.

    Raises:
        RunError: they cannot be written.
    """
    with refusals_told(job.mask):
        for path in job.files(wanted):
            make_folder(path.parent)
        if job.planes:
            for name, content in plane_pngs(prediction.mask, prediction.classes, job.mask):
                write_whole(job.mask / name, content, within=within)
        else:
            content = mask_png(prediction.mask, prediction.classes)
            write_whole(job.mask, content, within=within)
        if wanted.overlay:
            write_whole(job.overlay, jpeg(prediction.overlay()), within=within)
        if wanted.confidence:
            write_whole(job.confidence, confidence_png(prediction), within=within)
        if wanted.probabilities:
            with whole_file(job.probabilities, within=within) as file:
                write_probabilities(file, prediction)
    return row_of(prediction.mask, prediction.classes)


def finished(job: Job, wanted: Wanted, classes: Classes) -> Row | None:
    """The row of a picture all of whose files are there and whose mask can be read; else None."""
    if not all(map(_is_there, job.files(wanted))):
        return None
    try:
        mask = read_planes(job.mask, classes) if job.planes else read_mask(job.mask)
        return row_of(mask, classes)
    except (DataError, ValueError):
        return None


def _is_there(path: Path) -> bool:
    """Whether there is a file that is not empty, as a power cut may leave them."""
    return path.is_file() and path.stat().st_size > 0


def write_probabilities(file: IO[bytes], prediction: Prediction) -> None:
    """Write the probabilities as an array of NumPy's, float16 `K H W`, strip by strip."""
    height, width = prediction.mask.shape
    count = len(prediction.classes)
    head = {"descr": "<f2", "fortran_order": False, "shape": (count, height, width)}
    np.lib.format.write_array_header_1_0(file, head)
    begin = file.tell()
    for rows in _strips(height, width * count):
        strip = prediction.probabilities(rows).astype("<f2")
        for k, values in enumerate(strip):
            file.seek(begin + 2 * width * (k * height + rows.start))
            file.write(values.tobytes())


def confidence_png(prediction: Prediction) -> bytes:
    """The confidence as a grey PNG: 255 where the model is sure."""
    height, width = prediction.mask.shape
    grey = np.empty((height, width), np.uint8)
    for rows in _strips(height, width):
        grey[rows] = np.rint(prediction.confidence(rows) * 255)
    return flat_png(pil.fromarray(grey))


def _strips(height: int, floats: int) -> Iterator[slice]:
    """The rows of a picture in strips; a row needs so many `floats`."""
    step = max(1, STRIP_BYTES // (4 * floats))
    return (slice(row, min(row + step, height)) for row in range(0, height, step))


@contextmanager
def refusals_told(path: Path) -> Iterator[None]:
    """Writing to `path`: what the disk says against it is an error for its reader."""
    try:
        yield
    except OSError as error:
        raise RunError(
            path,
            found=f"cannot be written ({error.strerror})",
            allowed="masks must be written there",
            fix="Make room or get permission, or give another --out; what is finished is kept.",
        ) from None
