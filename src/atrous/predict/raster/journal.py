"""Finished regions of a raster, in a file that only grows.

What was added before a kill is there after it: a record is whole, by its checksum, or it and
what follows is cut off. Where and how often a run was stopped leaves no trace in what is read.
"""

import os
import struct
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple

from atrous.errors import RunError
from atrous.files import refusals_told

SUFFIX = ".part"
SYNCED = 5.0  # seconds between two times that the disk must have it, for a loss of power
_BEGINS = b"atrous part 1\n"
_DIGEST = 32  # bytes of the plan's
_RECORD = struct.Struct("<4sIIQI")  # sign, row, column, length, checksum
_SIGN = b"AtR1"

At = tuple[int, int]  # row and column of a region among regions


class Stretch(NamedTuple):
    """Where the content of a region lies; none is a region without a known pixel."""

    path: Path
    offset: int
    length: int

    def read(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.length)


class Journal:
    """A part that is being written, with what was in it already."""

    def __init__(self, path: Path, plan: bytes) -> None:
        self.path, self._plan = path, plan
        self.done: dict[At, Stretch] = {}
        self._synced = time.monotonic()

    def __enter__(self) -> "Journal":
        with refusals_told(self.path):
            if not self.path.is_file() or self.path.stat().st_size < len(_BEGINS) + _DIGEST:
                self.path.write_bytes(_BEGINS + self._plan)
            self.done, end = _records(self.path, self._plan)
            self._file = self.path.open("r+b")
            self._file.truncate(end)
            self._file.seek(end)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        with refusals_told(self.path):
            try:
                _sync(self._file)
            finally:
                self._file.close()

    def add(self, at: At, content: bytes) -> None:
        """Append a region; another process sees it at once."""
        with refusals_told(self.path):
            self._file.write(_head(at, content) + content)
            self._file.flush()
            if time.monotonic() > self._synced + SYNCED:
                _sync(self._file)
                self._synced = time.monotonic()


def regions_in(folder: Path, plan: bytes) -> dict[At, Stretch]:
    """All regions that the parts in a folder hold, whoever wrote them.

    Raises:
        RunError: a part is of another plan.
    """
    found: dict[At, Stretch] = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        found |= _records(path, plan)[0]
    return found


def missing(found: Iterable[At], rows: int, columns: int) -> list[At]:
    """The regions that are not found, in order."""
    there = {*found}
    return [(r, c) for r in range(rows) for c in range(columns) if (r, c) not in there]


def _records(path: Path, plan: bytes) -> tuple[dict[At, Stretch], int]:
    """The whole records of a part, and where they end."""
    found: dict[At, Stretch] = {}
    with path.open("rb") as file:
        begins, of = file.read(len(_BEGINS)), file.read(_DIGEST)
        if len(of) < _DIGEST:  # it is just being made
            return found, 0
        if begins != _BEGINS or of != plan:
            raise RunError(
                path,
                found="is a part of another prediction",
                allowed="parts are of one raster, one model and the same options",
                fix="Remove it, or give another --out.",
            )
        end = file.tell()
        while len(head := file.read(_RECORD.size)) == _RECORD.size:
            sign, row, column, length, _ = _RECORD.unpack(head)
            if sign != _SIGN or end + _RECORD.size + length > os.fstat(file.fileno()).st_size:
                break
            content = file.read(length)
            if len(content) != length or head != _head((row, column), content):
                break
            found[row, column] = Stretch(path, end + _RECORD.size, length)
            end = file.tell()
    return found, end


def _head(at: At, content: bytes) -> bytes:
    known = _RECORD.pack(_SIGN, *at, len(content), 0)
    return _RECORD.pack(_SIGN, *at, len(content), zlib.crc32(content, zlib.crc32(known)))


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())
