"""An opened data set: where its pairs lie, what its files hold, and its label space.

Opening looks at every file once, so that what is wrong is said before the first step.
"""

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Int64

from atrous.classes import Classes, label_values
from atrous.data.images import Header, fit_image, open_picture, orientation, read_image
from atrous.data.labels import label_space, plane_space
from atrous.data.layouts import Layout, Pair, find_layout
from atrous.data.layouts.pairs import relative
from atrous.data.masks import plane_files, read_mask, read_planes
from atrous.errors import DataError, ImageError
from atrous.machine import cores
from atrous.types import PixelType, RawMask, Sample, Size, Task

BANDS = 3  # of the samples; encoders take three, so grey is repeated


class FileRecord(NamedTuple):
    """What one pair of files holds; `labels` are raw label values and their pixels.

    Of a folder of planes they are the values of the multilabel mask.
    """

    split: str
    pair: Pair
    header: Header
    image_bytes: int
    image_sha256: str
    mask_bytes: int
    mask_sha256: str
    labels: dict[int, int]


@dataclass(frozen=True)
class DataSet:
    """An opened data set.

    `counts` are pixels of each class by split; those of multilabel overlap. `bands` and `dtype`
    are the widest found; samples always have three bands. `planes` says whether masks are
    folders of planes. `notes` are the decisions taken, a sentence each.
    """

    root: Path
    kind: str
    splits: dict[str, tuple[Pair, ...]]
    classes: Classes
    counts: dict[str, Int64[np.ndarray, " K"]]
    bands: int
    dtype: PixelType
    planes: bool
    notes: tuple[str, ...]
    files: tuple[FileRecord, ...]

    def split(self, name: str) -> tuple[Pair, ...]:
        """The pairs of a split.

        Raises:
            DataError: there is no such split; names those there are.
        """
        return _split(self.root, self.splits, name)

    def around(self, split: str) -> Int64[np.ndarray, " K"]:
        """For each class, the labelled pixels of the pictures of a split that hold it."""
        around = np.zeros(len(self.classes), np.int64)
        for file in self.files:
            if file.split == split:
                there = _counts((file,), split, self.classes, planes=self.planes) > 0
                around[there] += self._labelled(file)
        return around

    def _labelled(self, file: FileRecord) -> int:
        void = self.classes.ignore_index
        raw = file.labels.items()
        return sum(n for v, n in raw if (v if self.planes else self.classes.index_of(v)) != void)

    def read(self, pair: Pair) -> Sample:
        """The picture, with three bands in the data set's dtype, and its mask as in `Classes`.

        Raises:
            DataError: the files changed since opening and are no longer fit.
        """
        image = fit_image(read_image(pair.image), bands=BANDS, dtype=self.dtype)
        raw = read_planes(pair.mask, self.classes) if self.planes else read_mask(pair.mask)
        _check_size(pair, image.shape[:2], raw.shape)
        mask = raw if self.planes else self.classes.encode(raw, where=pair.mask)
        return Sample(image, mask, pair.name)

    def fingerprint(self) -> dict[str, Any]:
        """What identifies the data set, for JSON: files, sizes, hashes, class counts.

        `sha256` is over all of it, and does not depend on where the data set lies.
        """
        splits = {
            name: {
                "counts": self.counts[name].tolist(),
                "files": [self._entry(f) for f in self.files if f.split == name],
            }
            for name in self.splits
        }
        content = {"kind": self.kind, "classes": self.classes.to_dict(), "splits": splits}
        text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return {**content, "sha256": hashlib.sha256(text.encode()).hexdigest()}

    def _entry(self, file: FileRecord) -> dict[str, Any]:
        return {
            "name": file.pair.name,
            "image": relative(file.pair.image, self.root),
            "mask": relative(file.pair.mask, self.root),
            "size": list(file.header.size),
            "image_bytes": file.image_bytes,
            "image_sha256": file.image_sha256,
            "mask_bytes": file.mask_bytes,
            "mask_sha256": file.mask_sha256,
        }


def open_dataset(
    root: Path | str,
    *,
    classes: Classes | None = None,
    only: str | None = None,
    task: Task | Literal["auto"] = "auto",
) -> DataSet:
    """Find the pairs, look at every file, decide the label space, check every label.

    `classes` are those of a trained model: the data set must then agree with them, or say
    nothing about its classes, and the task is the model's. `only` names the one split to look
    at. `task` goes before what `dataset.toml` says, and that before what the masks show.

    Raises:
        DataError: the layout, a file or a label is wrong. All files are looked at first; the
            message is that of the first wrong one and tells how many more there are.
    """
    layout = find_layout(Path(root))
    if only is not None:
        layout = replace(layout, splits={only: _split(layout.root, layout.splits, only)})
    asked = None if task == "auto" else task
    planes = layout.planes is not None
    if planes:
        space = plane_space(layout, classes, asked)
        files = _look_at_all(layout, space.classes)
    else:
        files = _look_at_all(layout, None)
        values = {value for file in files for value in file.labels}
        space = label_space(layout, values, classes, asked)
        _check_labels(files, space.classes)
    bands = max(file.header.bands for file in files)
    dtype: PixelType = "uint16" if any(f.header.dtype == "uint16" for f in files) else "uint8"
    return DataSet(
        root=layout.root,
        kind=layout.kind,
        splits=layout.splits,
        classes=space.classes,
        counts={
            split: _counts(files, split, space.classes, planes=planes) for split in layout.splits
        },
        bands=bands,
        dtype=dtype,
        planes=planes,
        notes=(*layout.notes, *space.notes, *_picture_notes(files, bands, dtype)),
        files=files,
    )


def _split(root: Path, splits: dict[str, tuple[Pair, ...]], name: str) -> tuple[Pair, ...]:
    if name in splits:
        return splits[name]
    raise DataError(
        root,
        found=f"has no split {name!r}",
        allowed=f"it has {', '.join(splits)}",
        fix="Choose one of them, or add the split.",
    )


def _look_at_all(layout: Layout, planes: Classes | None) -> tuple[FileRecord, ...]:
    """What all files hold; `planes` is the label space where masks are folders of planes."""
    jobs = [(split, pair) for split, pairs in layout.splits.items() for pair in pairs]
    with ThreadPoolExecutor(cores()) as pool:  # decoders and hashes release the GIL
        results = list(pool.map(lambda job: _look_at(job[0], job[1], planes), jobs))
    errors = [result for result in results if isinstance(result, DataError)]
    if errors:
        raise _first_of(errors)
    return tuple(result for result in results if isinstance(result, FileRecord))


def _look_at(split: str, pair: Pair, planes: Classes | None) -> FileRecord | DataError:
    try:
        image = read_image(pair.image)  # whole: a file cut short must not stop a run half-way
        header = Header(image.shape[:2], image.shape[2], str(image.dtype))
        raw = read_mask(pair.mask) if planes is None else read_planes(pair.mask, planes)
        _check_size(pair, header.size, raw.shape)
        hashes = *_digest(pair.image), *_digest(pair.mask)
        return FileRecord(split, pair, header, *hashes, _label_counts(raw))
    except DataError as error:
        return error
    except OSError as error:
        found = f"cannot be read ({error})"
        allowed, fix = "the file must stay there while it is used", "Check the disk."
        return DataError(pair.image, found=found, allowed=allowed, fix=fix)


def _check_size(pair: Pair, image: Size, mask: Size) -> None:
    if image == mask:
        return
    fix = "Make the mask again at the picture's size."
    if image == mask[::-1] and _is_turned(pair.image):
        fix = "The picture's EXIF orientation turns it: make the mask from the turned picture."
    raise DataError(
        pair.mask,
        found=f"is {mask[0]} x {mask[1]} (height x width)",
        allowed=f"its picture {pair.image.name} is {image[0]} x {image[1]}",
        fix=fix,
    )


def _is_turned(path: Path) -> bool:
    try:
        with open_picture(path) as picture:
            return picture.format == "TIFF" or orientation(picture) > 1
    except ImageError:
        return False


def _digest(path: Path) -> tuple[int, str]:
    """Bytes and hash of a file; of a folder of planes, their sum and that of names and hashes."""
    if path.is_dir():
        parts = {name: _digest(file) for name, file in sorted(plane_files(path).items())}
        text = json.dumps({name: sha256 for name, (_, sha256) in parts.items()})
        return sum(size for size, _ in parts.values()), hashlib.sha256(text.encode()).hexdigest()
    with path.open("rb") as file:
        return os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _label_counts(raw: RawMask) -> dict[int, int]:
    values = label_values(raw)
    if raw.dtype.itemsize > 2:
        return dict(zip(values, np.unique(raw, return_counts=True)[1].tolist(), strict=True))
    counts = np.bincount(raw.ravel().astype(np.int64) - values[0])
    return {value: int(counts[value - values[0]]) for value in values}


def _check_labels(files: tuple[FileRecord, ...], classes: Classes) -> None:
    wrong = [(file, value) for file in files for value in _outside(file, classes)[:1]]
    if wrong:
        file, value = wrong[0]
        error = classes.outside(read_mask(file.pair.mask), value, file.pair.mask)
        raise _first_of([error] * len(wrong))


def _outside(file: FileRecord, classes: Classes) -> list[int]:
    return [value for value in file.labels if classes.index_of(value) is None]


def _first_of(errors: list[DataError]) -> DataError:
    first, more = errors[0], len(errors) - 1
    if not more:
        return first
    found = f"{first.found} (and {more} more file{'s' * (more > 1)})"
    return type(first)(first.where, found=found, allowed=first.allowed, fix=first.fix)


def _counts(
    files: tuple[FileRecord, ...], split: str, classes: Classes, *, planes: bool
) -> Int64[np.ndarray, " K"]:
    counts = np.zeros(len(classes), np.int64)
    for file in files:
        for value, pixels in file.labels.items() if file.split == split else ():
            counts[_class_indices(value, classes, planes=planes)] += pixels
    return counts


def _class_indices(value: int, classes: Classes, *, planes: bool) -> list[int]:
    """The classes that a raw label stands for: one at most; those of a value of planes."""
    if planes:
        there = [k for k in range(len(classes)) if value >> k & 1]
        return there if value != classes.ignore_index else []
    index = classes.index_of(value)
    return [] if index is None or index == classes.ignore_index else [index]


def _picture_notes(files: tuple[FileRecord, ...], bands: int, dtype: str) -> list[str]:
    notes = []
    if bands == 1:
        notes.append("Pictures are grey: the one band is given to the model three times.")
    if dtype == "uint16":
        grey = sum(f.header.dtype == "uint16" for f in files)
        notes.append(f"{grey} of {len(files)} pictures have 16 bits: all are read so.")
    return notes
