"""What the benchmarks share: what they were run with, how times are told, a line for who waits."""

import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from atrous.bench import machine as machine_facts

Answer = TypeVar("Answer")
PAUSE = 0.2  # seconds
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16")


def machine(packages: Iterable[str], **more: Any) -> dict[str, Any]:
    """Machine, its instructions that networks are made of, and versions of what is installed."""
    versions = {name: found for name in packages if (found := installed(name))}
    return {**more, **machine_facts(), "instructions": instructions(), "versions": versions}


def instructions() -> list[str]:
    """Those of `FLAGS` that the processor has, where the system tells."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.is_file() else []
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return [flag for flag in FLAGS if flag in flags]


def installed(name: str) -> str:
    """The version of a package; empty if it is not there."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def interleaved(
    asked: Mapping[str, Callable[[int], Answer]], rounds: int
) -> dict[str, list[Answer]]:
    """What each contender answers in each round; each round has an order of its own.

    Before each there is a pause: threads of ONNX Runtime and of OpenMP go on spinning after a
    call, and would take a core from whoever comes next.
    """
    answers: dict[str, list[Answer]] = {name: [] for name in asked}
    for turn in range(rounds):
        for name in np.random.default_rng(turn).permutation(list(asked)).tolist():
            time.sleep(PAUSE)
            answers[name].append(asked[name](turn))
    return answers


def times(seconds: Sequence[float], prefix: str = "") -> dict[str, Any]:
    """Median, quartiles and all, in milliseconds."""
    low, median, high = np.percentile(seconds, (25, 50, 75)) * 1000
    return {
        f"{prefix}median_ms": round(float(median), 3),
        f"{prefix}quartiles_ms": [round(float(low), 3), round(float(high), 3)],
        f"{prefix}raw_ms": [round(second * 1000, 3) for second in seconds],
    }


def say(what: object) -> None:
    """A line for the person who waits."""
    print(what, file=sys.stderr, flush=True)
