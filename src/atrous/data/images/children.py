"""Child processes that decode what may crash, hang or eat memory: TIFF and WebP.

A process has as many as its threads need at one time. They are started when first needed,
replaced when they die, and end with it. A forked process starts its own.
"""

import json
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from io import BufferedReader
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from atrous.data.images import refusals
from atrous.data.images.formats import Format
from atrous.errors import ImageError

Wanted = Literal["header", "image", "stored", "picture"]
MEMORY = 1 << 30  # bytes of addresses for the program and its libraries; the pixels' come on top
SECONDS = 20.0  # for one file, and
BYTES_A_SECOND = 2_000_000  # of its size
# The paths are handed over: whatever this process imports, the child does too, and nothing
# from the folder that it happens to stand in (-P).
_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[1:]; from atrous.data.images import child; child.main()"
)
_LINE = 1 << 24  # longest answer without pixels: a palette or EXIF is in it


class Answer(NamedTuple):
    """What a child said of a file, and the bytes of an array if it was to decode it."""

    facts: dict[str, Any]
    content: np.ndarray


def ask(path: Path, kind: Format, wanted: Wanted) -> Answer:
    """What a child process finds in a TIFF or WebP.

    Raises:
        ImageError: it cannot be decoded, or the child died of it, or took too long.
    """
    request = {
        "path": os.path.abspath(path),  # the child stands where this process once stood
        "kind": kind,
        "wanted": wanted,
        "pixels": refusals.PIXEL_LIMIT,
        "memory": MEMORY,
    }
    seconds = SECONDS + path.stat().st_size / BYTES_A_SECOND
    answer = children_of(os.getpid()).ask(path, request, seconds)
    if error := answer.facts.get("error"):
        raise ImageError(path, **error)
    return answer


class Child:
    """One child process."""

    def __init__(self) -> None:
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-W", "ignore", "-c", _PROGRAM, *sys.path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # they would take memory, unused
            )
        except OSError as error:  # "no such file" would be said of the picture
            raise RuntimeError(f"no process can be started for it: {error}") from error

    def ask(self, request: dict[str, Any]) -> Answer | None:
        """The answer to a request; None where the child died of it."""
        pipe_in, pipe_out = self.process.stdin, self.process.stdout
        assert pipe_in is not None and isinstance(pipe_out, BufferedReader)
        try:
            pipe_in.write(json.dumps(request).encode() + b"\n")
            pipe_in.flush()
            facts = json.loads(pipe_out.readline(_LINE))
            content = np.empty(facts["bytes"], np.uint8)
            whole = pipe_out.readinto(content.data) == content.size
            return Answer(facts, content) if whole else None
        except (OSError, ValueError):  # a broken pipe, or half a line
            return None

    def end(self) -> int:
        """Kill the process and wait for it; its exit code."""
        self.process.kill()
        code = self.process.wait()
        for pipe in filter(None, (self.process.stdin, self.process.stdout)):
            with suppress(OSError):  # a request that nobody read
                pipe.close()
        return code


class Children:
    """The idle child processes of this process, and those yet to be started."""

    def __init__(self) -> None:
        self.idle: list[Child] = []
        # Not atexit, which the processes of multiprocessing (data workers) leave out.
        Finalize(None, self.end, exitpriority=0)

    def ask(self, path: Path, request: dict[str, Any], seconds: float) -> Answer:
        """The answer of a child, which has so many seconds for it.

        Raises:
            ImageError: it died of the file, or took longer.
        """
        child = self._idle_or_new()
        try:
            with _watched(child.process, seconds) as late:
                answer = child.ask(request)
        except BaseException:  # Ctrl-C: what it has yet to say would answer the next question
            child.end()
            raise
        if answer is not None and not late.is_set():
            self.idle.append(child)
            return answer
        code = child.end()
        raise _too_long(path, seconds) if late.is_set() else _died(path, code)

    def end(self) -> None:
        """End them all."""
        while self.idle:
            self.idle.pop().end()

    def _idle_or_new(self) -> Child:
        with suppress(IndexError):  # of threads that ask at once, one finds nothing left
            while True:
                child = self.idle.pop()
                if child.process.poll() is None:
                    return child
                child.end()  # it died while nobody asked
        return Child()


@cache
def children_of(process: int) -> Children:
    """Those of the process of this number, which is the one that asks.

    Those that a forked process finds here under another number are its parent's.
    """
    return Children()


@contextmanager
def _watched(process: subprocess.Popen[bytes], seconds: float) -> Iterator[threading.Event]:
    """Kill `process` after so many seconds inside; the event tells whether it came to that.

    Short waits are counted, not the clock: a run that is stopped for a night may go on.
    """
    done, late = threading.Event(), threading.Event()
    wait = min(seconds, 0.25)

    def watch() -> None:
        if not any(done.wait(wait) for _ in range(math.ceil(seconds / wait))):
            late.set()
            process.kill()

    watcher = threading.Thread(target=watch, daemon=True, name="atrous-decoder-watch")
    watcher.start()
    try:
        yield late
    finally:
        done.set()
        watcher.join()


def _too_long(path: Path, seconds: float) -> ImageError:
    return refusals.not_whole(path, f"is not decoded within {seconds:.3g} seconds")


def _died(path: Path, code: int) -> ImageError:
    if code == -9:
        found = "had its decoder killed (SIGKILL), as systems do that run out of memory"
    elif code < 0:
        found = f"makes its decoder crash ({signal.Signals(-code).name})"
    else:
        found = f"makes its decoder end (exit code {code})"
    return refusals.not_whole(path, found)
