"""What commands say: answers as JSON, lines for a person, and how far they are."""

import io
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from atrous.errors import Approximation
from atrous.files import json_bytes


def say(text: str) -> None:
    """A line for the person at the terminal."""
    print(text, file=sys.stderr, flush=True)


def as_json(value: Any) -> str:
    """What `--json` prints."""
    return json_bytes(value).decode()


def say_approximations() -> None:
    """Let what is an approximation be said once, in a line as others are; not so other warnings."""
    shown, said = warnings.showwarning, set()

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if not issubclass(category, Approximation):
            shown(message, category, *where, **more)
        elif str(message) not in said:
            said.add(str(message))
            say(str(message))

    warnings.showwarning = show


def speak_utf8() -> None:
    """Let stdout hold every file's name, whatever a pipe is expected to be written in."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")


def tracked(verb: str, unit: str) -> Callable[[Sequence[Any]], Iterable[Any]]:
    """Wraps a sequence so that a bar shows on a terminal how far it is."""

    def track(items: Sequence[Any]) -> Iterable[Any]:
        from rich.console import Console
        from rich.progress import track as bar

        console = Console(stderr=True)
        text = f"{verb} {len(items)} {unit}"
        return bar(items, text, console=console, transient=True, disable=not console.is_terminal)

    return track
