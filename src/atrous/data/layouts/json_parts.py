"""JSON files read part by part, so that an annotation file of any length takes little memory.

The parts are the elements of the list at the top, or those of the lists in the table at the
top. A part is read again from its place in the file when it is asked for.
"""

import io
import json
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn

import numpy as np
from jaxtyping import Int64

from atrous.data.layouts.pairs import encoding_of
from atrous.errors import DataError

_CHUNK = 1 << 20
_LONGEST = 1 << 28  # of a part; what is longer is no annotation of a picture
_CUT = 12  # characters before the end of what is read within which an error may be due to it
_SPACE = re.compile(r"[ \t\r\n]*")
_SCAN = json.JSONDecoder().raw_decode


class Part(NamedTuple):
    """A value of a JSON file and its first byte and that after its last.

    `key` is that of the table at the top, "" where there is a list at the top.
    """

    key: str
    value: Any
    start: int
    stop: int


@dataclass(frozen=True)
class JsonFile:
    """A JSON file in UTF-8, or in UTF-16 with its mark; `content` holds the latter in UTF-8."""

    path: Path
    content: bytes | None = None

    def open(self) -> BinaryIO:
        """Its bytes in UTF-8."""
        return self.path.open("rb") if self.content is None else io.BytesIO(self.content)

    def parts(self) -> Iterator[Part]:
        """All parts in the order of the file; what is no list in a table is a part itself.

        Raises:
            DataError: it is no JSON; all parts before the wrong place have come out.
        """
        try:
            with self.open() as file:
                yield from _Walk(self.path, file).parts()
        except OSError as error:
            raise unreadable(self.path, f"cannot be read ({error})") from error

    def read(self, places: list[tuple[int, int]]) -> list[Any]:
        """The values of the parts at these places.

        Raises:
            DataError: they are there no more.
        """
        values = []
        try:
            with self.open() as file:
                for start, stop in places:
                    file.seek(start)
                    text = _utf8(self.path, file.read(stop - start))
                    values.append(_parsed(self.path, text))
        except OSError as error:
            raise unreadable(self.path, f"cannot be read ({error})") from error
        return values


@dataclass(frozen=True)
class Places:
    """Where in a JSON file the values lie that belong to each picture.

    `rows` has the row of a picture's path; the values of row i are those from `firsts[i]` to
    `firsts[i + 1]`, each with a start and a stop in `bytes`.
    """

    json: JsonFile
    rows: dict[str, int]
    firsts: "array[int]"
    bytes: "array[int]"

    def values(self, picture: Path) -> list[dict[str, Any]]:
        """The values of a picture in their order, which are tables; none if it has none.

        Raises:
            DataError: the file changed and holds them no more.
        """
        row = self.rows.get(str(picture))
        if row is None:
            return []
        span = self.bytes[2 * self.firsts[row] : 2 * self.firsts[row + 1]]
        values = self.json.read(list(zip(span[::2], span[1::2], strict=True)))
        if not all(isinstance(value, dict) for value in values):
            raise unreadable(self.json.path, "has changed since it was opened")
        return values


def places(
    json: JsonFile,
    rows: dict[str, int],
    owners: Int64[np.ndarray, " N"],
    starts: Int64[np.ndarray, " N"],
    stops: Int64[np.ndarray, " N"],
) -> Places:
    """Places by picture: `owners` are the rows that the parts belong to, -1 for none.

    Those of one picture stay in their order.
    """
    order = np.argsort(owners, kind="stable")
    order = order[np.searchsorted(owners[order], 0) :]
    firsts = np.searchsorted(owners[order], np.arange(len(rows) + 1))
    pairs = np.stack([starts[order], stops[order]], axis=1)
    return Places(json, rows, _packed(firsts), _packed(pairs))


def _packed(numbers: Int64[np.ndarray, "*N"]) -> "array[int]":
    return array("q", numbers.astype(np.int64).tobytes())


def open_json(path: Path) -> JsonFile:
    """The JSON file, not yet read unless it is in UTF-16.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            if encoding_of(file.read(2)) != "utf-16":
                return JsonFile(path)
        return JsonFile(path, read_text(path).encode())
    except OSError as error:
        raise unreadable(path, f"cannot be read ({error})") from error


def read_json(path: Path) -> Any:
    """The whole value of a JSON file.

    Raises:
        DataError: no such file, or no JSON.
    """
    return _parsed(path, read_text(path))


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 with its mark.

    Raises:
        DataError: no such file, or neither.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(path, f"cannot be read ({error})") from error
    return _utf8(path, content, encoding_of(content))


def head(path: Path, length: int = 1 << 16) -> str:
    """The beginning of a text file, whatever it holds; "" if it cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(length)
    except OSError:
        return ""
    return content.decode(encoding_of(content), "replace")


def unreadable(where: object, found: str) -> DataError:
    """The error for an annotation file, or an entry of one, that cannot be understood."""
    return DataError(
        where,
        found=found,
        allowed="annotations are whole files in the form that their tool writes",
        fix="Write the file again with its tool, or correct that place.",
        code="F201",
    )


class _Walk:
    """One pass over the text.

    Bytes are read as Latin-1: a place in the text is then a place in the file, and JSON's own
    signs are ASCII. A part that holds more than ASCII is decoded again as UTF-8.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self.file = path, file
        self.text, self.at, self.before, self.whole = "", 0, 0, False
        self._more()
        if self.text.startswith("\xef\xbb\xbf"):
            self.at = 3

    def parts(self) -> Iterator[Part]:
        """The parts of the file in its order, whether it is a list or a table."""
        match self._sign():
            case "[":
                yield from self._list("")
            case "{":
                yield from self._table()
            case _:
                self._refuse("begins with neither { nor [")
        if self._sign():
            self._refuse("goes on after its end")

    def _table(self) -> Iterator[Part]:
        self.at += 1
        more = self._sign() != "}"
        while more:
            if self._sign() != '"':
                self._refuse("has no key in quotes")
            key = self._value("").value
            self._expect(":")
            if self._sign() == "[":
                yield from self._list(key)
            else:
                yield self._value(key)
            more = self._comma("}")
        self.at += 1

    def _list(self, key: str) -> Iterator[Part]:
        self.at += 1
        more = self._sign() != "]"
        while more:
            yield self._value(key)
            more = self._comma("]")
        self.at += 1

    def _comma(self, end: str) -> bool:
        sign = self._sign()
        if sign == end:
            return False
        self._expect(",")
        return True

    def _expect(self, sign: str) -> None:
        if self._sign() != sign:
            self._refuse(f"lacks {sign!r}")
        self.at += 1

    def _sign(self) -> str:
        """The next sign that is no space, not yet taken; "" at the end."""
        while True:
            match = _SPACE.match(self.text, self.at)
            self.at = match.end() if match else self.at
            if self.at < len(self.text):
                return self.text[self.at]
            if not self._more():
                return ""

    def _value(self, key: str) -> Part:
        self._sign()
        while True:
            try:
                value, stop = _SCAN(self.text, self.at)
                if stop < len(self.text) - 2 or not self._more():  # `1e+` may go on
                    break
            except json.JSONDecodeError as error:
                cut = error.pos > len(self.text) - _CUT or error.msg.startswith("Untermin")
                if not cut or not self._more():
                    self.at = error.pos
                    self._refuse(error.msg[0].lower() + error.msg[1:])
            except (ValueError, RecursionError) as error:
                self._refuse(str(error))
        raw, start, self.at = self.text[self.at : stop], self.at, stop
        if not raw.isascii():
            value = _parsed(self.path, _utf8(self.path, raw.encode("latin-1")))
        return Part(key, value, self.before + start, self.before + stop)

    def _more(self) -> bool:
        """Read on, as much again as is not yet taken; forget what is taken."""
        if self.whole:
            return False
        rest = self.text[self.at :]
        if len(rest) > _LONGEST:
            self._refuse(f"has a part of over {_LONGEST >> 20} MB")
        content = self.file.read(max(_CHUNK, len(rest)))
        self.whole = not content
        if content:
            self.before += self.at
            self.text, self.at = rest + content.decode("latin-1"), 0
        return not self.whole

    def _refuse(self, found: str) -> NoReturn:
        raise unreadable(self.path, f"is no JSON at byte {self.before + self.at} ({found})")


def _parsed(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise unreadable(path, f"is no JSON ({error})") from None


def _utf8(path: Path, content: bytes, encoding: str = "utf-8") -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise unreadable(path, f"is not UTF-8 (it holds the byte {byte:#04x})") from None
