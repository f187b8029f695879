"""Ray, at an address or on this machine: reached or refused, quiet, of the same atrous."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from importlib.util import find_spec
from io import TextIOBase
from typing import Any, NamedTuple, TextIO

from atrous.errors import AtrousError, RecipeError, RunError
from atrous.predict.flow import MOST_LANES

LOCAL, RUNNING = "local", "auto"
KNOCK = 5.0  # seconds until a port must answer
PATIENCE = 60  # seconds until Ray must, and each of its machines
STORE = 256 << 20  # bytes of Ray's own memory: names go through it, and rows of shares
LONGEST = 250  # characters of what Ray says
LOGGERS = ("ray", "ray.data")
ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
# Ray's name for: an address that other machines know. Without one, it listens to this one alone.
ALONE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
KNOCKING = """
import logging, sys, ray
ray.init(address=sys.argv[1], logging_level=logging.CRITICAL, log_to_driver=False)
"""


class Crew(NamedTuple):
    """How many workers there are, and what each has of its machine."""

    workers: int
    threads: int
    gpus: int = 0

    def __str__(self) -> str:
        each = f"{self.threads} thread{'s' * (self.threads > 1)}" + " and a GPU" * self.gpus
        return f"{self.workers} worker{'s' * (self.workers > 1)}, each of {each}"


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """The module `ray`, connected to a cluster: `local`, `auto` or HOST:PORT.

    Another one is never taken instead. A local one is started, and ends here. What Ray prints
    is left out. A process that is connected already can go on with that by `auto`.

    Raises:
        RecipeError: Ray is not installed, or the address is none.
        RunError: the cluster cannot be reached, or has another atrous.
    """
    _check(address)
    with ExitStack() as stack:
        stack.enter_context(_environment(ENVIRONMENT | (ALONE if address == LOCAL else {})))
        stack.enter_context(redirect_stdout(_Others(sys.stdout)))
        ray = stack.enter_context(_imported())
        if not ray.is_initialized():
            stack.enter_context(_session(ray, address))
        elif address != RUNNING:
            raise _refused(
                address,
                "is given in a process that is connected to another cluster",
                "a process has one",
                "Give auto to use that one, or call ray.shutdown() first.",
            )
        _check_versions(ray, address)
        yield ray


def crew_of(ray: Any, *, threads: int, device: str, address: str) -> Crew:
    """As many workers as the machines of a cluster hold.

    Raises:
        RecipeError: no machine has so many cores, or a GPU where one is needed.
    """
    gpus = int(device == "cuda")
    machines = [machine["Resources"] for machine in _machines(ray)]
    most = max((int(machine["CPU"]) for machine in machines), default=0)
    threads = threads or max(1, min(most, MOST_LANES))
    workers = sum(
        min(int(m["CPU"]) // threads, int(m.get("GPU", 0)) if gpus else int(m["CPU"]))
        for m in machines
    )
    if workers:
        return Crew(workers, threads, gpus)
    raise RecipeError(
        "--ray",
        found=f"is {address}, where no machine has {threads} cores" + " and a GPU" * gpus,
        allowed=f"the largest has {most} cores for Ray",
        fix="Give fewer --threads, or another device.",
    )


def _check(address: str) -> None:
    host, _, port = address.rpartition(":")
    if address not in (LOCAL, RUNNING) and ("/" in address or not (host and port.isdecimal())):
        raise RecipeError(
            "--ray",
            found=f"is {address!r}",
            allowed="it is local, auto, or HOST:PORT of the cluster that this machine belongs to",
            fix="Give one of them. For a ray:// address: run this on a machine of that cluster.",
        )
    if not (find_spec("ray") and find_spec("pyarrow")):
        raise RecipeError(
            "--ray",
            found=f"is {address}",
            allowed="Ray is not installed",
            fix="Install it with `pip install 'atrous[ray]'`.",
        )


@contextmanager
def _session(ray: Any, address: str) -> Iterator[None]:
    """A connection that ends here."""
    before = signal.getsignal(signal.SIGTERM)
    facts: dict[str, Any] = {"logging_level": logging.CRITICAL, "log_to_driver": False}
    if address == LOCAL:
        facts |= {"include_dashboard": False, "object_store_memory": STORE}
    else:
        _knock(address)
        facts["address"] = address
    try:
        with _standard_error_closed():
            ray.init(**facts)
    except Exception as error:  # of many kinds
        raise _unreachable(address, _cause(str(error))) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)  # Ray takes it
    try:
        if address == LOCAL:
            _check_alone(ray)
        yield
    finally:
        ray.shutdown()


def _check_alone(ray: Any) -> None:
    (place,) = (machine["NodeManagerAddress"] for machine in ray.nodes())
    if place not in ("127.0.0.1", "::1"):
        raise _refused(
            LOCAL,
            f"listens at {place}",
            "a local one is for this machine alone, which Ray settles when it is imported",
            f"Set {'='.join(next(iter(ALONE.items())))} before ray is imported in this process.",
        )


def _knock(address: str) -> None:
    """Refuse what is no cluster; Ray itself waits for minutes, or ends the whole process."""
    if address != RUNNING:
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), KNOCK).close()
        except (OSError, OverflowError) as error:
            raise _unreachable(address, getattr(error, "strerror", "") or str(error)) from None
    try:
        command = [sys.executable, "-W", "ignore", "-c", KNOCKING, address]
        told = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise _unreachable(address, f"Ray has no answer in {PATIENCE} s") from None
    if told.returncode:
        raise _unreachable(address, _cause(told.stderr))


def _machines(ray: Any) -> list[dict[str, Any]]:
    """Those that work: a head may be there to direct the others only."""
    return [m for m in ray.nodes() if m["Alive"] and m["Resources"].get("CPU", 0) >= 1]


def _check_versions(ray: Any, address: str) -> None:
    """Refuse a cluster of another atrous, whose masks might be others."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # pyright: ignore[reportMissingImports]

    version = _version_teller()
    asked = ray.remote(num_cpus=0, max_retries=0)(version)
    machines, here = _machines(ray), version()
    there = [NodeAffinitySchedulingStrategy(m["NodeID"], soft=False) for m in machines]
    try:
        answers = ray.get(
            [asked.options(scheduling_strategy=place).remote() for place in there],
            timeout=PATIENCE,
        )
    except ray.exceptions.RayError as error:
        raise _unreachable(address, f"a machine has no answer: {type(error).__name__}") from error
    for machine, answer in zip(machines, answers, strict=True):
        if answer != here:
            raise _other_version(machine["NodeManagerAddress"], answer, here)


def _version_teller() -> Callable[[], str]:
    """What tells the atrous of any machine: its version, and a digest of its code.

    A function in a function is sent whole; others are looked up there, in an atrous that may be
    another or none.
    """

    def version() -> str:
        """The atrous of this machine; "" where there is none."""
        import hashlib
        from importlib import import_module, util
        from pathlib import Path

        found, digest = util.find_spec("atrous"), hashlib.sha256()
        if not (found and found.origin):
            return ""
        for path in sorted(Path(found.origin).parent.rglob("*.py")):
            digest.update(path.read_bytes())
        return f"{import_module('atrous').__version__} ({digest.hexdigest()[:12]})"

    return version


def _other_version(machine: str, answer: str, here: str) -> RunError:
    return RunError(
        f"machine {machine}",
        found=f"has atrous {answer}" if answer else "has no atrous for Ray's workers",
        allowed=f"all must have that of this one, {here}, or masks might differ",
        fix="Install the same version into the Python that runs Ray there.",
    )


def _unreachable(address: str, why: str) -> AtrousError:
    return _refused(
        address,
        f"cannot be reached ({why})" if why else "cannot be reached",
        "a Ray cluster must be there, and this machine one of it; no other is taken instead",
        "Start it with `ray start`, correct the address, or give local.",
    )


def _refused(address: str, found: str, allowed: str, fix: str) -> AtrousError:
    return RunError(f"Ray at {address}", found=found, allowed=allowed, fix=fix)


def _cause(text: str) -> str:
    """The line of a traceback that says why: Ray's own error, wrapped in others, or the last.

    Example:
        >>> _cause("Traceback:\\n  ray.exceptions.E: a token is missing\\nConnectionError: failed")
        'ray.exceptions.E: a token is missing'
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    own = [line for line in lines if line.startswith("ray.exceptions.")]
    return (own or lines or [""])[-1][:LONGEST]


@contextmanager
def _environment(more: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in more}
    os.environ.update({name: os.environ.get(name, value) for name, value in more.items()})
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@contextmanager
def _imported() -> Iterator[Any]:
    """Ray, which says nothing for a while: neither its loggers nor its bars."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ray  # pyright: ignore[reportMissingImports]
        import ray.data  # pyright: ignore[reportMissingImports]

        context = ray.data.DataContext.get_current()
        bars, context.enable_progress_bars = context.enable_progress_bars, False
        levels = {name: logging.getLogger(name).level for name in LOGGERS}
        try:
            for name in LOGGERS:  # an import sets them
                logging.getLogger(name).setLevel(logging.CRITICAL)
            yield ray
        finally:
            context.enable_progress_bars = bars
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)


@contextmanager
def _standard_error_closed() -> Iterator[None]:
    """What libraries write past Python, to the file itself, goes nowhere."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class _Others(TextIOBase):
    """Standard output for all threads but Ray's, one of which prints there what workers die of."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str, /) -> int:
        if threading.current_thread().name.startswith("ray_"):
            return len(text)
        return self._stream.write(text)

    def flush(self) -> None:
        with suppress(ValueError):  # it is closed
            self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def closed(self) -> bool:
        return self._stream.closed

    def isatty(self) -> bool:
        return self._stream.isatty()
