"""Weights files: safetensors with digests, so that any flipped bit is found; durable writes.

One metadata key, `atrous`, holds canonical JSON: what the caller says of the tensors, a sha256
of each tensor (name, type, shape, bytes) and a sha256 of the rest of that JSON. The same content
gives the same bytes.
"""

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from atrous.errors import WeightsError
from atrous.files import write_whole

KEY = "atrous"
FORMAT = 1  # raise when old readers would misread


class Weights(NamedTuple):
    """What a weights file holds."""

    tensors: dict[str, np.ndarray]
    about: dict[str, Any]  # what the writer said of them: kind, recipe, classes, step, ...
    digest: str  # sha256 that stands for the whole content


def write_weights(path: Path, tensors: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> str:
    """Write tensors and what is said of them, whole and durably; returns the digest."""
    tensors = {name: np.asarray(array, order="C") for name, array in sorted(tensors.items())}
    body = {
        "about": about,
        "format": FORMAT,
        "tensors": {name: _tensor_digest(name, array) for name, array in tensors.items()},
    }
    digest = hashlib.sha256(canonical(body).encode()).hexdigest()
    text = canonical(body | {"digest": digest})
    write_whole(path, save(tensors, {KEY: text}), durable=True)
    return digest


def read_weights(path: Path) -> Weights:
    """Read and check a weights file.

    Raises:
        WeightsError: it is missing, damaged (the tensor is named where one can be), or of
            another program.
    """
    content = _content(path)
    body = _metadata(content, path)
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise damaged(path, str(error)) from None
    if set(tensors) != set(body["tensors"]):
        raise damaged(path, "its list of tensors")
    for name, array in tensors.items():
        if _tensor_digest(name, array) != body["tensors"][name]:
            raise damaged(path, f"tensor {name}")
    return Weights(tensors, body["about"], body["digest"])


def canonical(value: Any) -> str:
    """JSON with one spelling for one content."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def damaged(path: Path, what: str) -> WeightsError:
    """The error for a file whose bytes are not those written."""
    return WeightsError(
        path,
        found=f"is damaged ({what})",
        allowed="its digests must match what was written",
        fix="Use another copy, or train again.",
    )


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(
            path,
            found=f"cannot be read ({error.strerror})",
            allowed="a weights file is a .safetensors file that `atrous train` wrote",
            fix="Check the path.",
        ) from None


def _metadata(content: bytes, path: Path) -> dict[str, Any]:
    try:
        (length,) = struct.unpack("<Q", content[:8])
        text = json.loads(content[8 : 8 + length])["__metadata__"][KEY]
        body = json.loads(text)
        digest = body.pop("digest")
        whole = body["format"] == FORMAT and canonical(body | {"digest": digest}) == text
        if whole and hashlib.sha256(canonical(body).encode()).hexdigest() == digest:
            return body | {"digest": digest}
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise damaged(path, "its metadata, or it was not written by atrous")


def _tensor_digest(name: str, array: np.ndarray) -> str:
    head = canonical([name, array.dtype.str, list(array.shape)])
    return hashlib.sha256(head.encode() + b"\0" + array.tobytes()).hexdigest()
