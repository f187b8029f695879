"""How fast a model answers on this machine: latency, throughput, memory by configuration.

Each configuration lives in a process of its own (`child`), started when nothing else runs, so
that its memory and its first mask are its own. Then they answer in turns.
"""

import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from atrous.callable_module import make_callable
from atrous.errors import RecipeError
from atrous.machine import cores
from atrous.metrics.scores import plain
from atrous.types import Size, Track
from atrous.verify.comparison import version_of

if TYPE_CHECKING:
    from atrous.exported import Manifest

ROUNDS = 5
PAUSE = 0.2  # seconds; threads of ONNX Runtime and of OpenMP go on spinning after a call
SIZE: Size = (512, 512)  # of pictures, where nothing says another
DEFINITIONS = {
    "ms": "one picture, from decoded pixels to mask, while `lanes` of them are answered at once",
    "pictures_per_second": "all that were answered / the time that all turns took",
    "peak_bytes": "the most memory that the process ever had, with Python and all libraries",
    "first_mask_s": "from the start of the process to its first mask of a decoded picture",
    "threads": "those of the engine; on Linux also the cores that its process may use",
}
# The paths are handed over: the child imports what this process does, and nothing else (-P).
_PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from atrous.bench import child; child.main()"


class Configuration(NamedTuple):
    """What answers, on how many threads, with how many pictures at once."""

    engine: str
    precision: str
    threads: int
    lanes: int


@dataclass
class Row:
    """What was measured of a configuration; `failure` says what stopped it, if anything."""

    configuration: Configuration
    version: str
    ms: list[float] = field(default_factory=list)
    seconds: float = 0.0
    peak: int | None = None
    first_mask_s: float = float("nan")
    failure: str = ""

    @property
    def median(self) -> float:
        """Milliseconds; NaN without any."""
        return self._percentile(50)

    @property
    def p90(self) -> float:
        """Milliseconds that nine of ten pictures stay below; NaN without any."""
        return self._percentile(90)

    @property
    def rate(self) -> float:
        """Pictures a second; NaN without any."""
        return len(self.ms) / self.seconds if self.seconds else float("nan")

    def _percentile(self, share: float) -> float:
        return float(np.percentile(self.ms, share)) if self.ms else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, every single time among them."""
        return {
            **self.configuration._asdict(),
            "version": self.version,
            "ms_median": plain(self.median),
            "ms_p90": plain(self.p90),
            "pictures_per_second": plain(self.rate),
            "peak_bytes": self.peak,
            "first_mask_s": plain(self.first_mask_s),
            "failure": self.failure or None,
            "ms": [round(ms, 3) for ms in self.ms],
        }


@dataclass(frozen=True)
class Benchmark:
    """A row for each configuration, of pictures of one size; and where they were measured."""

    model: str
    weights: str  # that answered, in words
    size: Size
    why: str  # it is this size
    rows: tuple[Row, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "model": self.model,
            "weights": self.weights,
            "size": list(self.size),
            "size_is": self.why,
            "machine": machine(),
            "rows": [row.to_dict() for row in self.rows],
            "definitions": DEFINITIONS,
        }


def bench(
    run_or_file: str | Path,
    *,
    size: Size | None = None,
    engine: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    weights: str = "last",
    output_stride: int = 0,
    manifest: str | Path | None = None,
    track: Track = iter,
) -> Benchmark:
    """How fast a run or an exported file answers, by engine, precision, threads and lanes.

    Measured are one thread and one for each core, or so many `threads`; one picture at a time,
    and with ONNX Runtime and OpenVINO also as many at once as there are threads. `size` is by
    itself that of the pictures that the model was trained on, where that is known, else
    512 x 512. `engine` and `precision` narrow the list. It takes a second or two for each
    configuration and round, and more where a picture takes longer than that.

    Raises:
        RecipeError: nothing of what was asked for is possible here.
        RunError, WeightsError: the file or the run cannot be used.

    Example:
        atrous.bench("street.onnx", size=(360, 480)).rows[0].median
    """
    from atrous.predict.engines.choices import choices

    path = Path(run_or_file)
    told, usual, why = _told(path, weights, manifest)
    size, why = (size, "as asked for") if size else (usual, why)
    options = {
        "path": str(path),
        "manifest": str(manifest) if manifest else None,
        "weights": weights,
        "output_stride": output_stride,
        "device": "cpu",
    }
    configurations = [
        Configuration(*choice, *each)
        for choice in choices(told, engine=engine, precision=precision)
        for each in _threads_and_lanes(threads, several=told is not None)
    ]
    contenders = [Contender(c, options, size) for c in configurations]
    try:
        for act in track([*_acts(contenders)]):
            act()
    finally:
        for contender in contenders:
            contender.end()
    there = [contender for contender in contenders if not contender.refused]
    if not there:
        raise RecipeError(**contenders[0].refused)
    weights = next((c.weights for c in there if c.weights), "")  # one that failed tells none
    return Benchmark(str(path), weights, size, why, tuple(c.row for c in there))


def machine() -> dict[str, Any]:
    """What times depend on beside the model."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": cores(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "atrous": version_of("atrous"),
    }


def _processor() -> str:
    with suppress(OSError), open("/proc/cpuinfo") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _told(
    path: Path, weights: str, manifest: str | Path | None
) -> tuple["Manifest | None", Size, str]:
    """The manifest of an exported file, None for a run; the usual size, and why it is that."""
    from atrous.exported import is_exported, read_exported
    from atrous.runs import read_model, weights_file

    if not is_exported(path):
        told, about = None, read_model(weights_file(path, weights)).about
        side = 0 if "origin" in about else about["recipe"]["augment"]["crop"]
    else:
        told = read_exported(path, Path(manifest) if manifest else None).manifest
        if told.size:
            return told, told.size, "the only one that the file takes"
        side = told.model.get("crop", 0)
    return (told, (side, side), "the training crop") if side else (told, SIZE, "no other is known")


def _threads_and_lanes(threads: int, *, several: bool) -> list[tuple[int, int]]:
    most = threads or cores()
    each = dict.fromkeys([threads] if threads else [1, most])
    at_once = [(most, most)] if several and most > 1 else []
    return [*((count, 1) for count in each), *at_once]


def _acts(contenders: "list[Contender]") -> Iterator[Callable[[], None]]:
    """Start one after the other; then rounds of turns, each round begun by another."""
    yield from (contender.start for contender in contenders)
    yield from (contender.warm for contender in contenders)
    for turn in range(ROUNDS):
        first = turn % len(contenders)
        yield from (c.turn for c in (*contenders[first:], *contenders[:first]))


class Contender:
    """A configuration and its process, which lives from `start` to `end`."""

    def __init__(self, configuration: Configuration, options: dict[str, Any], size: Size) -> None:
        self.options = {**options, **configuration._asdict()}
        self.size, self.weights = size, ""
        self.row = Row(configuration, version_of(configuration.engine))
        self.refused: dict[str, Any] = {}
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Begin the process, open the model, and see the first mask."""
        time.sleep(PAUSE)
        began = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", "-c", _PROGRAM, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        facts = self._ask({"options": self.options, "size": self.size})
        self.refused, self.weights = facts.get("refused", {}), facts.get("weights", "")
        if "drawing" in facts:
            self.row.first_mask_s = time.perf_counter() - began - facts["drawing"]
        if self.refused:
            self.end()

    def warm(self) -> None:
        """Leave behind what happens once: OpenVINO compiles anew for sizes that come again."""
        for _ in range(2):
            self._ask({})

    def turn(self) -> None:
        """Measure some pictures more, once the threads of whoever came before are at rest."""
        time.sleep(PAUSE)
        facts = self._ask({})
        self.row.ms += facts.get("ms", [])
        self.row.seconds += facts.get("seconds", 0.0)

    def end(self) -> None:
        """End the process, whatever it does."""
        if self.process is None:
            return
        self.process.kill()
        self.process.communicate()
        self.process = None

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer of the process; nothing once it has failed."""
        if self.process is None:
            return {}
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            facts: dict[str, Any] = json.loads(self.process.stdout.readline())
        except (OSError, ValueError):  # it died: half a line, or a broken pipe
            self.process.kill()
            facts = {"failure": f"its process ended ({self.process.wait()})"}
        self.row.peak = facts.get("peak", self.row.peak)
        if failure := facts.get("failure"):
            self.row.failure = failure
            self.end()
        return facts


make_callable(sys.modules[__name__])
