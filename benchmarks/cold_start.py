"""How long a cold start takes: `import atrous`, and a picture's mask from a process that is new.

    python benchmarks/cold_start.py MODEL.onnx PICTURE [--run RUN] [--rounds 10]

Each measurement is a process of its own, from its start to the mask, interleaved: with each
engine that is installed, and torch for a run; with numba's cache of compiled kernels filled, as
after the first use, and empty, as after installing. Files are in the system's memory already.
The answer is JSON on stdout: medians, and the seconds of each round.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

from measuring import installed, machine

IMPORT = "import time; t = time.perf_counter(); import atrous; print(time.perf_counter() - t)"
MASK = """
import json, sys, time
times = [time.perf_counter()]
import atrous
load = atrous.load
times.append(time.perf_counter())
predictor = load(sys.argv[1], engine=sys.argv[2])
times.append(time.perf_counter())
for _ in range(2):
    predictor(sys.argv[3]).mask
    times.append(time.perf_counter())
    print(json.dumps(times), flush=True)
"""
PARTS = ("import", "load", "first call", "second call")
PACKAGES = ("numpy", "numba", "onnxruntime", "openvino", "torch")


class Start(NamedTuple):
    """What is started."""

    engine: str
    model: Path
    cached: bool


def main() -> None:
    """Start everything in turn, print what it took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--run", type=Path, help="also the run that it was exported from, in torch")
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    models = {name: arguments.model for name in ("onnxruntime", "openvino") if installed(name)}
    if arguments.run:
        models["torch"] = arguments.run
    starts = [Start(*item, cached) for item in models.items() for cached in (True, False)]
    imports, taken = [], defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        for start in starts:  # fills the caches, numba's and the system's
            mask_seconds(start, arguments.picture, Path(folder))
        for _ in range(arguments.rounds):
            imports.append(import_seconds())
            for start in starts:
                taken[start].append(mask_seconds(start, arguments.picture, Path(folder)))
    rows = list(table(taken))
    print(
        json.dumps(
            {"import atrous": summary(imports), "first mask": rows, **machine(PACKAGES)}, indent=1
        )
    )


def import_seconds() -> float:
    """Of `import atrous` in a new process, without Python's own start."""
    return float(subprocess.check_output([sys.executable, "-c", IMPORT]))


def mask_seconds(start: Start, picture: Path, folder: Path) -> dict[str, float]:
    """Seconds from the start of a process to the mask of a picture, and those of its parts."""
    with tempfile.TemporaryDirectory() as empty:
        cache = str(folder / "numba") if start.cached else empty
        words = [sys.executable, "-c", MASK, str(start.model), start.engine, str(picture)]
        begin = time.perf_counter()
        with subprocess.Popen(
            words, stdout=subprocess.PIPE, text=True, env=os.environ | {"NUMBA_CACHE_DIR": cache}
        ) as process:
            assert process.stdout
            process.stdout.readline()
            whole = time.perf_counter() - begin
            times = json.loads(process.stdout.readline())
    parts = {name: b - a for name, a, b in zip(PARTS, times, times[1:], strict=False)}
    return {"whole": whole, **parts}


def table(taken: dict[Start, list[dict[str, float]]]) -> Iterator[dict[str, object]]:
    """A row for each start."""
    for start, rounds in taken.items():
        seconds = {part: summary([r[part] for r in rounds]) for part in ("whole", *PARTS)}
        cache = "filled" if start.cached else "empty"
        yield {"engine": start.engine, "numba cache": cache, "seconds": seconds}


def summary(seconds: list[float]) -> dict[str, object]:
    """The median and the raw values, in seconds."""
    return {"median": round(median(seconds), 3), "all": [round(s, 3) for s in seconds]}


if __name__ == "__main__":
    main()
