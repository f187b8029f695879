"""Files written whole or not at all: a temporary name in the same folder, then a rename."""

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from atrous.errors import RunError

UMASK = os.umask(0)  # it can only be read by setting it
os.umask(UMASK)
TEMPORARY = ".atrous-"  # what an interrupted write leaves behind begins with this


def write_whole(path: Path, content: bytes | Iterable[bytes], *, durable: bool = False) -> None:
    """Write `content` to `path` so that no reader ever sees a part of it.

    `durable` also survives a loss of power: the file and its folder are synced
    (the folder only where the operating system can).
    """
    parts = [content] if isinstance(content, bytes) else content
    handle, temporary = tempfile.mkstemp(prefix=TEMPORARY, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            for part in parts:
                file.write(part)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~UMASK)  # mkstemp makes private files
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if durable:
        sync_folder(path.parent)


def make_folder(path: Path) -> None:
    """Make a folder, with those above it, to write into.

    Raises:
        RunError: a file has its name, or it may not be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            path,
            found=f"cannot be made a folder ({error.strerror})",
            allowed="what is written goes into a folder",
            fix="Give another --out.",
        ) from None


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` survive a loss of power; nothing where it cannot be done."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network disks cannot
            os.fsync(handle)
    finally:
        os.close(handle)


def remove_leftovers(folder: Path) -> None:
    """Delete what interrupted writes left in `folder`."""
    for path in folder.glob(TEMPORARY + "*"):
        path.unlink(missing_ok=True)
