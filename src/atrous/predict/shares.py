"""The share of each class in a picture, and the table of them beside the masks."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from atrous.classes import Classes
from atrous.files import write_whole
from atrous.types import Mask

FILE = "shares.csv"
_DIGITS = 6


class Row(NamedTuple):
    """What the table says of a picture."""

    pixels: int
    shares: tuple[str, ...]


def class_shares(mask: Mask, classes: Classes) -> Float64[np.ndarray, " K"]:
    """The share of the pixels of a predicted mask that each class has; of multilabel they overlap.

    Example:
        >>> class_shares(np.uint8([[0, 1, 1, 1]]), Classes(("sky", "road")))
        array([0.25, 0.75])
    """
    if classes.task != "multilabel":
        return np.bincount(mask.ravel(), minlength=len(classes)) / mask.size
    return np.array([np.count_nonzero(mask & (1 << k)) for k in range(len(classes))]) / mask.size


def row_of(mask: Mask, classes: Classes) -> Row:
    """The row of a picture by its predicted mask.

    Raises:
        ValueError: the mask holds what is no class.
    """
    beyond = classes.ignore_index if classes.task == "multilabel" else len(classes)
    if mask.max() >= beyond:
        raise ValueError(f"{mask.max()} is no class")
    shares = class_shares(mask, classes)
    return Row(mask.size, tuple(f"{share:.{_DIGITS}f}" for share in shares))


def update_shares(
    out: Path, rows: Mapping[str, Row], classes: Classes, *, within: Path | None = None
) -> None:
    """Put rows, by the names of their pictures, into the table of a folder; others there stay.

    A table that cannot be read, or of other columns, is replaced. `within` is that of
    `whole_file`.
    """
    head = ["picture", "pixels", *classes.names]
    table = {name: [name, str(row.pixels), *row.shares] for name, row in rows.items()}
    table = {line[0]: line for line in _read(out / FILE, head)} | table
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        [head, *(table[name] for name in sorted(table))]
    )
    write_whole(out / FILE, text.getvalue().encode("utf-8", "surrogateescape"), within=within)


def _read(path: Path, head: list[str]) -> list[list[str]]:
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        lines = [*csv.reader(io.StringIO(text))]
    except (OSError, csv.Error):
        return []
    whole = lines[:1] == [head] and all(len(line) == len(head) for line in lines)
    return lines[1:] if whole else []
