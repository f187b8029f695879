"""What the benchmarks share: what they were run with, how times are told, a line for who waits."""

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from atrous.bench import PAUSE
from atrous.bench import machine as machine_facts

Answer = TypeVar("Answer")
Make = Callable[[str], tuple[Any, Callable[[int], Any]]]
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


def contest(
    make: Make, names: Iterable[str], *, rounds: int, threads: int
) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Contenders in processes of their own: what each said of itself, its answers of all rounds.

    `make(name)` gives both, what it says and how it answers a turn. It is called in the new
    process, which sleeps while others run. One that cannot be made is left out, and told.
    """
    os.environ["OMP_NUM_THREADS"] = str(threads)  # of the children, before torch is imported
    context = multiprocessing.get_context("spawn")
    said: dict[str, Any] = {}
    pipes: dict[str, Connection] = {}
    for name in names:
        here, there = context.Pipe()
        context.Process(target=_serve, args=(there, make, name), daemon=True).start()
        there.close()  # so that the end of the process is heard
        try:
            said[name] = here.recv()
        except EOFError:
            say(f"{name}: left out, its process ended")
            continue
        pipes[name] = here
        say(f"{name}: ready")

    def ask(pipe: Connection) -> Callable[[int], Any]:
        def answer(turn: int) -> Any:
            pipe.send(turn)
            return pipe.recv()

        return answer

    answers = interleaved({name: ask(pipe) for name, pipe in pipes.items()}, rounds)
    for pipe in pipes.values():
        pipe.send(None)
    return said, answers


def _serve(pipe: Connection, make: Make, name: str) -> None:
    """Make a contender, then answer each turn until there is none; a failure ends the process."""
    said, answer = make(name)
    pipe.send(said)
    while (turn := pipe.recv()) is not None:
        pipe.send(answer(turn))


def timed(work: Callable[[], Any]) -> Callable[[int], float]:
    """A contender that answers with the seconds that the work takes."""

    def seconds(_: int) -> float:
        begin = time.perf_counter()
        work()
        return time.perf_counter() - begin

    return seconds


def times(seconds: Sequence[float], prefix: str = "") -> dict[str, Any]:
    """Median, quartiles and all, in milliseconds."""
    low, median, high = np.percentile(seconds, (25, 50, 75)) * 1000
    return {
        f"{prefix}median_ms": round(float(median), 3),
        f"{prefix}quartiles_ms": [round(float(low), 3), round(float(high), 3)],
        f"{prefix}raw_ms": [round(second * 1000, 3) for second in seconds],
    }


def times_faster(seconds: Sequence[float], than: Sequence[float]) -> float:
    """The median of the rounds' ratios: what slows the machine for a while slows both."""
    return round(float(np.median(np.divide(than, seconds))), 2)


def say(what: object) -> None:
    """A line for the person who waits."""
    print(what, file=sys.stderr, flush=True)
