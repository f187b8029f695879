"""Files written whole or not at all: a temporary name in the same folder, then a rename."""

import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Lock
from typing import IO, Any

from atrous.errors import RunError

UMASK = os.umask(0)  # it can only be read by setting it
os.umask(UMASK)
LOCK = ".lock"
TEMPORARY = ".atrous-"  # what an interrupted write leaves behind begins with this
WAIT = 0.02  # seconds between two looks at a lock
PATIENCE = 60.0  # seconds that a process waits for another to write one of the small files
_HELD: set[tuple[int, str]] = set()  # folders that a thread of a process holds
_GUARD = Lock()


def write_whole(
    path: Path,
    content: bytes | Iterable[bytes],
    *,
    durable: bool = False,
    within: Path | None = None,
) -> None:
    """Write `content` to `path` so that no reader ever sees a part of it.

    `durable` and `within` are those of `whole_file`.
    """
    parts = [content] if isinstance(content, bytes) else content
    with whole_file(path, durable=durable, within=within) as file:
        for part in parts:
            file.write(part)


@contextlib.contextmanager
def whole_file(
    path: Path, *, durable: bool = False, within: Path | None = None
) -> Iterator[IO[bytes]]:
    """A file to write to, and to seek in, that appears at `path` once it is whole.

    `durable` also survives a loss of power: the file and its folder are synced (the folder only
    where the operating system can). What a kill leaves behind lies in the folder `within`, of
    the same disk; otherwise beside `path`.
    """
    handle, temporary = tempfile.mkstemp(prefix=TEMPORARY, dir=within or path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
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


def json_bytes(value: Any, *, indent: int | None = 1) -> bytes:
    r"""JSON in UTF-8; of names of files that are no text, bytes are escaped, and read as they were.

    Example:
        >>> json_bytes({"name": "\udcff.png"}, indent=None)
        b'{"name": "\\udcff.png"}'
    """
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return text.encode("utf-8", "backslashreplace")


@contextlib.contextmanager
def refusals_told(path: Path) -> Iterator[None]:
    """Writing to `path`: what the disk says against it is an error for its reader.

    Raises:
        RunError: it cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise RunError(
            path,
            found=f"cannot be written ({error.strerror or error})",
            allowed="what is made must be written there",
            fix="Make room or get permission, or give another --out.",
        ) from None


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


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A hidden folder inside `path`, whose content comes out into `path` once it is whole.

    Folders come before files. What is interrupted leaves nothing that could be taken for the
    whole; what a kill leaves is removed by the next that writes there.

    Raises:
        RunError: another process is writing there, or it cannot be made or written to.
    """
    with claimed(path):
        with refusals_told(path):
            remove_leftovers(path)
            place = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=path))
        try:
            yield place
            for child in sorted(place.iterdir(), key=lambda child: (child.is_file(), child.name)):
                with refusals_told(path / child.name):
                    os.replace(child, path / child.name)
        finally:
            shutil.rmtree(place, ignore_errors=True)


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
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def claimed(folder: Path, *, patience: float = 0.0) -> Iterator[None]:
    """Hold `folder` alone; it is made if need be, and gone again if left empty.

    The system lets go of the lock when the process ends, however it ends. `patience` is how many
    seconds to wait for another process, or another thread of this one.

    Raises:
        RunError: another holds it, or it cannot be made or written to.
    """
    until = time.monotonic() + patience
    with _alone_here(folder, until=until):
        file = _held(folder, until=until)
        try:
            yield
        finally:
            if sys.platform == "win32":  # where an open file cannot be removed
                file.close()
            with contextlib.suppress(OSError):  # it is not empty, or another holds it by now
                (folder / LOCK).unlink(missing_ok=True)
                folder.rmdir()
            file.close()


@contextlib.contextmanager
def _alone_here(folder: Path, *, until: float) -> Iterator[None]:
    """Hold `folder` among the threads of this process, to all of which the system gives a lock."""
    mine = os.getpid(), os.path.normcase(os.path.realpath(folder))
    while not _take(mine):
        if time.monotonic() >= until:
            raise _taken(folder, "another thread of this process")
        time.sleep(WAIT)
    try:
        yield
    finally:
        with _GUARD:
            _HELD.remove(mine)


def _take(mine: tuple[int, str]) -> bool:
    with _GUARD:
        free = mine not in _HELD
        _HELD.add(mine)
    return free


def _taken(folder: Path, by: str) -> RunError:
    return RunError(
        folder,
        found=f"is being written by {by}",
        allowed="it takes one at a time",
        fix="Wait until it is done, or give another --out.",
    )


def _held(folder: Path, *, until: float) -> IO[bytes]:
    """The open lock file of `folder`, locked."""
    path = folder / LOCK
    while True:
        make_folder(folder)
        try:
            file = open(path, "ab")  # noqa: SIM115  held until the end
        except FileNotFoundError:  # who held it last has just taken the folder away
            continue
        except OSError as error:
            raise RunError(
                folder,
                found=f"cannot be written to ({error.strerror})",
                allowed="what is written goes into a folder",
                fix="Get permission, or give another --out.",
            ) from None
        try:
            _lock(file.fileno())
        except OSError:
            file.close()
            if time.monotonic() < until:
                time.sleep(WAIT)
                continue
            raise _taken(folder, "another process") from None
        if _is_at(file, path):
            return file
        file.close()


def _is_at(file: IO[bytes], path: Path) -> bool:
    """Whether an open file is still that of its path; a holder that ends takes it away."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _lock(handle: int) -> None:
    """Lock an open file or raise OSError at once."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        # Unlike flock's, this lock is not inherited by data workers, which outlive a kill.
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
