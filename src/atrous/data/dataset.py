"""An opened data set: where its pairs lie, what its files hold, and its label space.

Opening looks at every file once, so that what is wrong is said before the first step.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Int64

from atrous.classes import Classes
from atrous.data.colours import Space
from atrous.data.images import fit_image
from atrous.data.labels import label_space, plane_space, with_bits
from atrous.data.layouts import Layout, Pair, find_layout
from atrous.data.layouts.pairs import Drawings, first_problem, relative
from atrous.data.survey import FileRecord, read_bits, read_picture, read_raw, survey
from atrous.errors import DataError
from atrous.types import LayoutName, PixelType, Sample, Statistics, Task

BANDS = 3  # encoders take three, so grey is repeated


@dataclass(frozen=True)
class DataSet:
    """An opened data set.

    `counts` are pixels of each class by split; those of multilabel overlap. `bands` and `dtype`
    are those of samples: grey pictures get three bands, and the widest type is that of all.
    `planes` says whether masks hold bits, in folders of planes or in drawings whose classes may
    overlap; `drawings` gives what is drawn where masks are annotations. `statistics` are None
    where the type of the pixels says their scale. `notes` are the decisions taken, a sentence
    each.
    """

    root: Path
    kind: str
    splits: dict[str, tuple[Pair, ...]]
    classes: Classes
    counts: dict[str, Int64[np.ndarray, " K"]]
    bands: int
    dtype: PixelType
    planes: bool
    drawings: Drawings | None
    statistics: Statistics | None
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

    def images_with(self, split: str) -> Int64[np.ndarray, " K"]:
        """For each class, the pictures of a split that hold it."""
        held = np.zeros(len(self.classes), np.int64)
        for file in self.files:
            if file.split == split:
                held += _counts((file,), split, self.classes, planes=self.planes) > 0
        return held

    def _labelled(self, file: FileRecord) -> int:
        void = self.classes.ignore_index
        raw = file.labels.items()
        return sum(n for v, n in raw if (v if self.planes else self.classes.index_of(v)) != void)

    def read(self, pair: Pair) -> Sample:
        """The picture, with the data set's bands and dtype, and its mask as in `Classes`.

        Raises:
            DataError: the files changed since opening and are no longer fit.
        """
        image = fit_image(read_picture(pair), bands=self.bands, dtype=self.dtype)
        size = image.shape[:2]
        if self.planes:
            mask = read_bits(pair, size, self.drawings, self.classes)
        else:
            raw = read_raw(pair, size, self.drawings)
            mask = self.classes.encode(raw, where=pair.mask)
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

    def record(self) -> dict[str, Any]:
        """What `dataset.json` of a run or an evaluation holds: where it lies, and `fingerprint`."""
        return {"root": str(self.root.resolve()), **self.fingerprint()}

    def _entry(self, file: FileRecord) -> dict[str, Any]:
        return {
            "name": file.pair.name,
            "image": relative(file.pair.image, self.root),
            "mask": relative(file.pair.mask, self.root),
            "size": list(file.header.size),
            "image_bytes": file.image_bytes,
            "image_sha256": file.image_sha256.hex(),
            "mask_bytes": file.mask_bytes,
            "mask_sha256": file.mask_sha256.hex(),
        }


def open_dataset(
    root: Path | str,
    *,
    classes: Classes | None = None,
    only: str | None = None,
    task: Task | Literal["auto"] = "auto",
    layout: LayoutName | Literal["auto"] = "auto",
) -> DataSet:
    """Find the pairs, look at every file, decide the label space, check every label.

    `classes` are those of a trained model: the data set must then agree with them, or say
    nothing about its classes, and the task is the model's. `only` names the one split to look
    at. `task` and `layout` go before what `dataset.toml` says, and that before what is found.

    Raises:
        DataError: the layout, a file or a label is wrong. All files are looked at first; the
            message is that of the first wrong one and tells how many more there are.
    """
    found = find_layout(Path(root), layout)
    if only is not None:
        found = replace(found, splits={only: _split(found.root, found.splits, only)})
    asked = None if task == "auto" else task
    found = with_bits(found, classes, asked)
    space = plane_space(found, classes, asked) if found.planes is not None else None
    seen = survey(found, planes=space.classes if space else None)
    _raise_first(seen.problems)
    if space is None:
        space = label_space(found, label_values_of(seen.files), classes, asked)
        _raise_first(wrong_labels(seen.files, space.classes, found.drawings))
    return assemble(found, seen.files, space)


def assemble(layout: Layout, files: tuple[FileRecord, ...], space: Space) -> DataSet:
    """The data set of files that have been looked at, in a label space that holds their labels.

    Raises:
        DataError: pictures of different numbers of bands, which no model takes together.
    """
    bands = common_bands(layout.root, files)
    dtype = common_dtype(layout.root, files)
    planes = layout.planes is not None
    layout, files = _with_labels(layout, files, space.classes)
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
        drawings=layout.drawings,
        statistics=_statistics(files, bands),
        notes=(*layout.notes, *space.notes, *_picture_notes(files, bands, dtype)),
        files=files,
    )


def _with_labels(
    layout: Layout, files: tuple[FileRecord, ...], classes: Classes
) -> tuple[Layout, tuple[FileRecord, ...]]:
    """The layout and its files without windows of rasters that teach nothing."""
    empty = {
        (file.split, file.pair.name)
        for file in files
        if file.pair.window and not _counts((file,), file.split, classes, planes=False).any()
    }
    if not empty:
        return layout, files
    splits = {
        split: tuple(pair for pair in pairs if (split, pair.name) not in empty)
        for split, pairs in layout.splits.items()
    }
    note = f"Windows without a labelled pixel, left out: {len(empty)}."
    kept = tuple(file for file in files if (file.split, file.pair.name) not in empty)
    return replace(layout, splits=splits, notes=(*layout.notes, note)), kept


def label_values_of(files: Iterable[FileRecord]) -> set[int]:
    """All raw label values of files."""
    return {value for file in files for value in file.labels}


def wrong_labels(
    files: Iterable[FileRecord], classes: Classes, drawings: Drawings | None
) -> Iterator[DataError]:
    """For each file with labels outside the label space, the first of them."""
    for file in files:
        outside = [value for value in file.labels if classes.index_of(value) is None]
        if outside:
            raw = read_raw(file.pair, file.header.size, drawings)
            yield classes.outside(raw, outside[0], file.pair.mask)


def common_bands(root: Path, files: Iterable[FileRecord]) -> int:
    """Bands of the samples: three for grey and colour pictures, else as many as all have.

    Raises:
        DataError: pictures differ in more than grey and colour.
    """
    firsts = {file.header.bands: file.pair.image for file in reversed([*files])}
    if firsts.keys() <= {1, BANDS}:
        return BANDS
    if len(firsts) == 1:
        return next(iter(firsts))
    (others, other), *_, (some, one) = sorted(firsts.items())
    raise DataError(
        one,
        found=f"has {some} bands",
        allowed=f"{relative(other, root)} has {others}, and a model takes one number of bands",
        fix="Give all pictures the same bands in the same order.",
        code="P306",
    )


def common_dtype(root: Path, files: Iterable[FileRecord]) -> PixelType:
    """The widest type of the pictures.

    Raises:
        DataError: some are of floats, some of whole numbers, which have scales of their own.
    """
    firsts = {file.header.dtype: file.pair.image for file in reversed([*files])}
    types = firsts.keys()
    if "float32" in types and len(types) > 1:
        other = next(path for dtype, path in firsts.items() if dtype != "float32")
        raise DataError(
            firsts["float32"],
            found="holds floats or negative numbers",
            allowed=f"{relative(other, root)} holds whole numbers, whose scale is another",
            fix="Save all pictures with the same type of pixels.",
            code="P306",
        )
    order: tuple[PixelType, ...] = ("float32", "uint16", "uint8")
    return next(dtype for dtype in order if dtype in types)


def _split(root: Path, splits: dict[str, tuple[Pair, ...]], name: str) -> tuple[Pair, ...]:
    if name in splits:
        return splits[name]
    raise DataError(
        root,
        found=f"has no split {name!r}",
        allowed=f"it has {', '.join(splits)}",
        fix="Choose one of them, or add the split.",
    )


def _raise_first(problems: Iterable[DataError]) -> None:
    error = first_problem(problems)
    if error is not None:
        raise error


def _statistics(files: tuple[FileRecord, ...], bands: int) -> Statistics | None:
    """Mean and standard deviation of each band over train, where types do not say the scale.

    A grey picture counts in all bands that it is given to.
    """
    if all(file.moments is None for file in files):
        return None
    train = [file.moments for file in files if file.split == "train"] or [f.moments for f in files]
    moments = [np.broadcast_to(m, (3, bands)) for m in train if m is not None]
    number, total, squares = np.sum(moments, axis=0)
    mean = total / np.maximum(number, 1)
    variance = squares / np.maximum(number, 1) - mean**2
    std = np.sqrt(np.maximum(variance, 0))
    std[std == 0] = 1  # of a band that is the same everywhere
    return Statistics(tuple(mean.tolist()), tuple(std.tolist()))


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
    if all(file.header.bands == 1 for file in files):
        notes.append("Pictures are grey: the one band is given to the model three times.")
    if bands != BANDS:
        notes.append(f"Pictures have {bands} bands.")
    if dtype == "uint16":
        grey = sum(f.header.dtype == "uint16" for f in files)
        notes.append(f"{grey} of {len(files)} pictures have 16 bits: all are read so.")
    if dtype == "float32":
        notes.append("Pictures are of floats: their scale is that of the train split.")
    return notes
