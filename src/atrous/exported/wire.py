"""The protobuf of an ONNX file, walked without decoding its tensors and without onnx.

Only what decides whether a file may be trusted is looked at: its metadata, the version of its
operators, and tensors whose values would lie in other files.
"""

from collections.abc import Iterator
from typing import NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types; 3 and 4, groups, are in no ONNX file
METADATA = 14  # field of a model
OPSET = 8

# The messages of onnx.proto that can hold tensors: in which field which message lies.
INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor",
        6: "graph",
        10: "tensor",
        11: "graph",
        22: "sparse",
        23: "sparse",
    },
    "sparse": {1: "tensor", 2: "tensor"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "tensor": {},
}


class WireError(ValueError):
    """The bytes are no protobuf, or not that of an ONNX model."""


class Field(NamedTuple):
    """A field of a message: its number, its type, where it begins and where its payload lies."""

    number: int
    kind: int
    start: int
    begin: int
    end: int


class Entry(NamedTuple):
    """A pair of the model's metadata, and the bytes of the whole field."""

    key: str
    value: str
    start: int
    end: int


class Walked(NamedTuple):
    """What an ONNX file says of itself."""

    opset: int
    """Version of the standard operators; 0 = not said."""
    metadata: tuple[Entry, ...]
    external: tuple[str, ...]
    """Names of tensors whose values lie in other files."""


def walk(content: bytes) -> Walked:
    """What the bytes of an ONNX file say of themselves.

    Raises:
        WireError: they are no ONNX model, damaged, or cut off.
    """
    top = list(fields(content, 0, len(content)))
    if not any(field.number == 7 and field.kind == BYTES for field in top):
        raise WireError("it holds no graph")
    return Walked(
        max((_opset(content, field) for field in top if field.number == OPSET), default=0),
        tuple(_entry(content, field) for field in top if field.number == METADATA),
        tuple(_external(content)),
    )


def fields(content: bytes, begin: int, end: int) -> Iterator[Field]:
    """The fields of the message that lies in these bytes, in their order."""
    at = begin
    while at < end:
        start = at
        tag, at = varint(content, at, end)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            first, (_, last) = at, varint(content, at, end)
        elif kind == BYTES:
            length, first = varint(content, at, end)
            last = first + length
        elif kind in (FIXED32, FIXED64):
            first, last = at, at + (4 if kind == FIXED32 else 8)
        else:
            raise WireError(f"a field of wire type {kind} at byte {start}")
        if not number or last > end:
            raise WireError(f"field {number} at byte {start} is cut off")
        yield Field(number, kind, start, first, last)
        at = last


def varint(content: bytes, at: int, end: int) -> tuple[int, int]:
    """A number of variable length, and where the next byte is."""
    value = shift = 0
    while at < end and shift < 70:
        byte = content[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise WireError(f"a number at byte {at} does not end")


def encoded(value: int) -> bytes:
    """A number as `varint` reads it.

    Example:
        >>> encoded(300)
        b'\\xac\\x02'
    """
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def metadata_field(key: str, value: str) -> bytes:
    """A field that, at the end of a model's bytes, is one pair of its metadata more."""
    entry = _text(1, key) + _text(2, value)
    return encoded(METADATA << 3 | BYTES) + encoded(len(entry)) + entry


def _text(number: int, text: str) -> bytes:
    content = text.encode()
    return encoded(number << 3 | BYTES) + encoded(len(content)) + content


def _external(content: bytes) -> Iterator[str]:
    """Names of tensors with external data, anywhere: graphs lie in nodes, nodes in graphs."""
    waiting = [("model", 0, len(content))]
    while waiting:  # not by recursion, whose depth a file could exhaust
        message, begin, end = waiting.pop()
        inside = INSIDE[message]
        name, elsewhere = "", False
        for field in fields(content, begin, end):
            if field.kind == BYTES and field.number in inside:
                waiting.append((inside[field.number], field.begin, field.end))
            elif message == "tensor":
                elsewhere |= _lies_elsewhere(content, field)
                if field.number == 8 and field.kind == BYTES:
                    name = _decoded(content, field)
        if elsewhere:
            yield name or "without a name"


def _lies_elsewhere(content: bytes, field: Field) -> bool:
    if field.number == 14 and field.kind == VARINT:  # data_location
        return varint(content, field.begin, field.end)[0] != 0
    return field.number == 13 and field.kind == BYTES  # external_data


def _opset(content: bytes, field: Field) -> int:
    if field.kind != BYTES:
        return 0
    domain, version = "", 0
    for part in fields(content, field.begin, field.end):
        if part.number == 1 and part.kind == BYTES:
            domain = _decoded(content, part)
        elif part.number == 2 and part.kind == VARINT:
            version = varint(content, part.begin, part.end)[0]
    return version if domain in ("", "ai.onnx") else 0


def _entry(content: bytes, field: Field) -> Entry:
    if field.kind != BYTES:
        raise WireError("its metadata are no pairs")
    texts = {
        part.number: _decoded(content, part)
        for part in fields(content, field.begin, field.end)
        if part.kind == BYTES
    }
    return Entry(texts.get(1, ""), texts.get(2, ""), field.start, field.end)


def _decoded(content: bytes, field: Field) -> str:
    try:
        return content[field.begin : field.end].decode()
    except UnicodeDecodeError:
        raise WireError(f"text at byte {field.begin} is not UTF-8") from None
