"""The table of a video's frames, which stands for the whole: it is there when all is."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from atrous.classes import Classes
from atrous.files import make_folder, refusals_told
from atrous.predict.jobs import FRAMES, Job, Wanted
from atrous.predict.shares import Row

_PARTS = 1_000_000  # of a share: they are told to so many digits


class FrameTable:
    """Number, time, pixels and shares of each frame that was predicted, written as they come."""

    def __init__(self, path: Path, file: Any, classes: Classes) -> None:
        self.path, self._lines, self._total = path, csv.writer(file, lineterminator="\n"), _Total()
        self._add(_head(classes))

    @classmethod
    @contextmanager
    def at(cls, folder: Path, classes: Classes) -> Iterator["FrameTable"]:
        """That of a folder, which is made."""
        path = folder / FRAMES
        make_folder(folder)
        with refusals_told(path), path.open("w", encoding="utf-8", newline="") as file:
            yield cls(path, file, classes)

    def add(self, index: int, seconds: float, row: Row) -> None:
        """Add a frame."""
        self._total.add(row)
        self._add([str(index), f"{seconds:.6f}", str(row.pixels), *row.shares])

    def finish(self) -> Row:
        """The row of the whole video."""
        return self._total.row()

    def _add(self, line: list[str]) -> None:
        with refusals_told(self.path):
            self._lines.writerow(line)


class _Total:
    """The rows of frames, which are all of one size, added up."""

    def __init__(self) -> None:
        self.pixels, self.frames, self.parts = 0, 0, []

    def add(self, row: Row) -> None:
        parts = [round(float(share) * _PARTS) for share in row.shares]
        before = self.parts or [0] * len(parts)
        self.parts = [a + b for a, b in zip(before, parts, strict=True)]
        self.pixels, self.frames = self.pixels + row.pixels, self.frames + 1

    def row(self) -> Row:
        return Row(self.pixels, tuple(f"{part / self.frames / _PARTS:.6f}" for part in self.parts))


def finished_row(job: Job, wanted: Wanted, classes: Classes) -> Row | None:
    """The row of a video all of whose files are there, and none of them empty; else None."""
    total, files = _Total(), wanted._replace(overlay=False)
    try:
        with (job.mask / FRAMES).open(encoding="utf-8", newline="") as file:
            lines = csv.reader(file)
            if next(lines, None) != _head(classes):
                return None
            for index, _, pixels, *shares in lines:
                total.add(Row(int(pixels), tuple(shares)))
                if not all(map(_is_there, job.frame(int(index)).files(files))):
                    return None
    except (OSError, ValueError, csv.Error):
        return None
    whole = total.frames and (not wanted.overlay or _is_there(job.overlay))
    return total.row() if whole else None


def _is_there(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _head(classes: Classes) -> list[str]:
    return ["frame", "seconds", "pixels", *classes.names]
