"""Exported files: an `.onnx` graph with its manifest in one file, read and written without onnx.

The manifest is the last field of the file: canonical JSON in the graph's own metadata, with a
sha256 of all other bytes and of itself, so that any flipped bit is found. A graph of another
program has a side file instead.
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from atrous.errors import RecipeError, WeightsError
from atrous.exported.manifest import EXAMPLE, FORMAT, Manifest, guest_manifest
from atrous.exported.wire import Walked, WireError, metadata_field, walk
from atrous.files import write_whole
from atrous.weights import canonical, damaged

__all__ = [
    "SUFFIX",
    "Exported",
    "Manifest",
    "facts",
    "guest_manifest",
    "is_exported",
    "read_exported",
    "with_manifest",
    "write_exported",
]

SUFFIX = ".onnx"
KEY = "atrous"  # of the metadata


class Exported(NamedTuple):
    """An exported file, checked: what runs is `content`, not what the path holds later."""

    content: bytes
    manifest: Manifest
    digest: str
    """Stands for graph and manifest together."""


def is_exported(path: Path) -> bool:
    """Whether a path names an exported file, by its ending; a folder of such a name is none."""
    return path.suffix.lower() == SUFFIX and not path.is_dir()


def with_manifest(graph: bytes, manifest: Manifest) -> tuple[bytes, str]:
    """The bytes of an ONNX graph with its manifest at their end, and the digest of both.

    A manifest that is there already is replaced.

    Raises:
        WeightsError: the bytes are no graph, or some of its values would lie in other files.
    """
    where = Path(f"the graph of {manifest.model.get('name', 'a model')}")
    bare = graph
    for entry in reversed(_walked(graph, where).metadata):
        if entry.key == KEY:
            bare = bare[: entry.start] + bare[entry.end :]
    body = _body(bare, manifest)
    digest = _digest(body)
    return bare + metadata_field(KEY, canonical(body | {"digest": digest})), digest


def write_exported(path: Path, graph: bytes, manifest: Manifest) -> str:
    """Write an ONNX graph and its manifest as one file, whole and durably; returns the digest.

    Raises:
        WeightsError: as `with_manifest`.
    """
    content, digest = with_manifest(graph, manifest)
    write_whole(path, content, durable=True)
    return digest


def read_exported(path: Path, manifest_file: Path | None = None) -> Exported:
    """Read and check an exported file; one of another program with its side file.

    That is `manifest_file`, else `MODEL.json` or `MODEL.toml` beside `MODEL.onnx`.

    Raises:
        WeightsError: it is missing, damaged, no ONNX model, needs other files for its values,
            or nothing says what it takes and gives.
        RecipeError: the side file has an unknown key or a wrong value; or is not needed.
    """
    content = _read(path, "an exported model is an .onnx file")
    own = [entry for entry in _walked(content, path).metadata if entry.key == KEY]
    if own:
        if manifest_file is not None:
            raise RecipeError(
                f"manifest {manifest_file}",
                found=f"is given for {path}",
                allowed="that file holds a manifest of its own, which was verified with it",
                fix="Leave the manifest out.",
            )
        if len(own) > 1 or own[0].end != len(content):
            raise damaged(path, "its manifest is not at its end; it was changed since")
        return _checked(path, content, own[0].start, own[0].value)
    side = manifest_file or _side_file(path)
    manifest = guest_manifest(_tables(side), where=side)
    return Exported(content, manifest, _digest(_body(content, manifest)))


def facts(exported: Exported) -> dict[str, Any]:
    """What is to be known of an exported file: its manifest, digest and size in bytes."""
    content, manifest, digest = exported
    return {"kind": "exported", "digest": digest, "bytes": len(content), **manifest.to_dict()}


def _checked(path: Path, content: bytes, start: int, text: str) -> Exported:
    """The file whose graph ends at `start` and whose manifest is `text`."""
    try:
        said = json.loads(text)
        digest = said.pop("digest")
        whole = canonical(said | {"digest": digest}) == text and _digest(said) == digest
        table, sha256 = said["manifest"], said["sha256"]
        whole &= isinstance(table, dict)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        whole, table, sha256, digest = False, {}, "", ""
    if not whole:
        raise damaged(path, "its manifest")
    if hashlib.sha256(memoryview(content)[:start]).hexdigest() != sha256:
        raise damaged(path, "its graph")
    if table.get("format") != FORMAT:
        raise WeightsError(
            path,
            found=f"has a manifest of format {table.get('format')}",
            allowed=f"this version of atrous reads format {FORMAT}",
            fix="Use the version that wrote it, or export again.",
        )
    return Exported(content, Manifest.from_dict(table, where=path), digest)


def _body(graph: bytes, manifest: Manifest) -> dict[str, Any]:
    return {"manifest": manifest.to_dict(), "sha256": hashlib.sha256(graph).hexdigest()}


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(body).encode()).hexdigest()


def _read(path: Path, allowed: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(
            path, found=f"cannot be read ({error.strerror})", allowed=allowed, fix="Check the path."
        ) from None


def _walked(content: bytes, where: Path) -> Walked:
    try:
        walked = walk(content)
    except WireError as error:
        raise WeightsError(
            where,
            found=f"is no ONNX model, or damaged ({error})",
            allowed="an exported model is an .onnx file",
            fix="Use another copy, or export again.",
        ) from None
    if walked.external:
        first, more = walked.external[0], len(walked.external) - 1
        raise WeightsError(
            where,
            found=f"takes the values of {first}{f' and {more} more' * (more > 0)} from other files",
            allowed="a model is one file, whose bytes can be checked",
            fix="Save it as one file: onnx.save(onnx.load(OLD), NEW).",
        )
    return walked


def _side_file(path: Path) -> Path:
    beside = [path.with_suffix(suffix) for suffix in (".json", ".toml")]
    there = [file for file in beside if file.is_file()]
    if len(there) == 1:
        return there[0]
    raise WeightsError(
        path,
        found="has no manifest, and "
        + " and ".join(file.name for file in there or beside)
        + (" are both there" if there else " are not there"),
        allowed="a model of another program needs one such file that says what it takes and gives",
        fix=f"Write {beside[1].name}, for example: {EXAMPLE}.",
    )


def _tables(path: Path) -> dict[str, Any]:
    """A side file, JSON or TOML by its ending."""
    content = _read(path, "a manifest is a JSON or TOML file")
    try:
        text = content.decode()
        tables = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
        if isinstance(tables, dict):
            return tables
        reason = "it is no table"
    except (ValueError, RecursionError) as error:
        reason = str(error)
    raise RecipeError(
        path,
        found=f"cannot be read ({reason})",
        allowed="a manifest is a table in JSON or TOML, by its ending",
        fix=f"Write for example: {EXAMPLE}.",
    )
