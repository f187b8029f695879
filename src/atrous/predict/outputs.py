"""The files of one picture: written whole or not at all, and known again when they are there."""

from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image as pil

from atrous.classes import Classes
from atrous.data.images import jpeg, read_header
from atrous.data.masks import flat_png, mask_png, plane_pngs, read_mask, read_planes
from atrous.errors import DataError, ImageError
from atrous.files import make_folder, refusals_told, whole_file, write_whole
from atrous.predict.jobs import Job, Wanted
from atrous.predict.predictor import Prediction
from atrous.predict.shares import Row, row_of

STRIP_BYTES = 1 << 23  # of a full-size map, in memory at once


def write_outputs(prediction: Prediction, job: Job, wanted: Wanted, *, within: Path) -> Row:
    """Write the mask of a picture and what is wanted beside it; the row that tells its shares.

    What is half-written lies in the folder `within`.

    Raises:
        ImageError: one of them cannot be made; then none is written.
        RunError: they cannot be written.
    """
    for path, content in _encoded(prediction, job, wanted):
        with refusals_told(path):
            make_folder(path.parent)
            write_whole(path, content, within=within)
    if wanted.probabilities:
        with refusals_told(job.probabilities):
            make_folder(job.probabilities.parent)
            with whole_file(job.probabilities, within=within) as file:
                write_probabilities(file, prediction)
    return row_of(prediction.mask, prediction.classes)


def _encoded(prediction: Prediction, job: Job, wanted: Wanted) -> list[tuple[Path, bytes]]:
    """The files of a picture that are small enough to be in memory at once."""
    try:
        return [*_contents(prediction, job, wanted)]
    except OSError as error:  # of an encoder
        height, width = prediction.mask.shape
        raise ImageError(
            job.image,
            found=f"is {height} x {width} pixels, and what is made of it cannot be encoded "
            f"({error.strerror or error})",
            allowed="a JPEG, such as an overlay, has at most 65500 a side",
            fix="Leave out the overlay, or cut the picture into smaller ones.",
        ) from error


def _contents(prediction: Prediction, job: Job, wanted: Wanted) -> Iterator[tuple[Path, bytes]]:
    if job.plane_names:
        for name, content in plane_pngs(prediction.mask, prediction.classes, job.mask):
            yield job.mask / name, content
    else:
        yield job.mask, mask_png(prediction.mask, prediction.classes)
    if wanted.overlay:
        yield job.overlay, jpeg(prediction.overlay())
    if wanted.confidence:
        yield job.confidence, confidence_png(prediction)


def finished(job: Job, wanted: Wanted, classes: Classes) -> Row | None:
    """The row of a picture all of whose files are there; else None.

    Its mask can be read, holds classes and is of the picture's size.
    """
    if not all(map(_is_there, job.files(wanted))):
        return None
    try:
        mask = read_planes(job.mask, classes) if job.plane_names else read_mask(job.mask)
        return row_of(mask, classes) if mask.shape == read_header(job.image).size else None
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
