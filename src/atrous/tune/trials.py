"""The trials of searches, a line of JSON each: a search that was killed goes on after the last."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from atrous.errors import RunError
from atrous.files import json_bytes, refusals_told, write_whole
from atrous.metrics.scores import plain


class Trial(NamedTuple):
    """What one step gave on the half that is chosen on; number 0 is to take no step.

    `failed` says why a picture could not take the step; its numbers are then NaN, null in a file.
    """

    number: int
    step: dict[str, Any] | None
    miou: float
    milliseconds: float
    failed: str = ""

    def to_dict(self) -> dict[str, Any]:
        """What its line holds."""
        told = {
            "trial": self.number,
            "step": self.step,
            "mIoU": plain(self.miou),
            "milliseconds": plain(self.milliseconds),
        }
        return told | ({"failed": self.failed} if self.failed else {})


class Ledger:
    """The trials of one search in a file of several; `key` names it, the others stay there."""

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key = path, key
        self._lines = [*_read(path)]
        self.trials = [trial for search, trial in self._lines if search == key]

    def add(self, trial: Trial) -> None:
        """Write a line more; the file is never seen half-written."""
        self.trials.append(trial)
        self._lines.append((self.key, trial))
        told = ({"search": search, **trial.to_dict()} for search, trial in self._lines)
        with refusals_told(self.path):
            write_whole(self.path, [json_bytes(line, indent=None) + b"\n" for line in told])


def _read(path: Path) -> Iterator[tuple[str, Trial]]:
    lines = path.read_bytes().splitlines() if path.is_file() else []
    for number, line in enumerate(lines, 1):
        try:
            told = json.loads(line)
            miou, milliseconds = _number(told["mIoU"]), _number(told["milliseconds"])
            failed = told.get("failed", "")
            trial = Trial(told["trial"], told["step"], miou, milliseconds, failed)
            search = told["search"]
        except (ValueError, TypeError, KeyError):
            raise RunError(
                f"{path}, line {number}",
                found="cannot be read",
                allowed="each line is a trial, as `atrous tune` wrote it",
                fix="Give another --out, or move the file away.",
            ) from None
        yield search, trial


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
