"""What runs in a process of its own: one model in one configuration, asked in turns.

It answers requests, a line of JSON each, until its input ends; it sleeps in between.
"""

import json
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atrous.errors import RecipeError
from atrous.types import Image, Size

if TYPE_CHECKING:
    from atrous.predict.predictor import Predictor

RUNS = 6  # pictures of a turn, for each that is in flight,
LEAST, MOST = 0.2, 2.0  # in no less and no more seconds than these, but for the last picture
PICTURES = 2  # different ones, in turn


class Measured:
    """A predictor that has made its first mask, and the pictures that it is shown."""

    def __init__(self, options: dict[str, Any], size: Size) -> None:
        from atrous.predict.predictor import load

        path = Path(options.pop("path"))
        _keep_to(options["threads"])
        self.predictor: Predictor = load(path, **options)
        engine, began = self.predictor.engine, time.perf_counter()
        self.pictures = pictures(size, bands=engine.bands, dtype=engine.dtype)
        self.drawing = time.perf_counter() - began  # seconds that no user waits for
        self.pool = ThreadPoolExecutor(engine.lanes)
        self.predictor(self.pictures[0])

    def turn(self) -> dict[str, Any]:
        """Milliseconds of single answers, and seconds of all of them together."""
        began = time.perf_counter()
        count = self.predictor.engine.lanes
        lanes = self.pool.map(self._lane, range(count), [began] * count)
        times = [ms for lane in lanes for ms in lane]
        return {"ms": times, "seconds": time.perf_counter() - began}

    def _lane(self, first: int, began: float) -> list[float]:
        times: list[float] = []
        now = began
        while not times or _goes_on(len(times), now - began):
            start = time.perf_counter()
            self.predictor(self.pictures[(first + len(times)) % len(self.pictures)])
            now = time.perf_counter()
            times.append(1000 * (now - start))
        return times


def _goes_on(runs: int, seconds: float) -> bool:
    return seconds < MOST and (runs < RUNS or seconds < LEAST)


def main() -> None:
    """Answer requests until there are no more."""
    for number in (signal.SIGINT, signal.SIGTERM):  # they often reach a whole group of
        signal.signal(number, signal.SIG_IGN)  # processes: the parent answers them
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not get among the answers
    measured: Measured | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if measured is None:
                measured = Measured(request["options"], tuple(request["size"]))
                facts = {"weights": measured.predictor.description, "drawing": measured.drawing}
            else:
                facts = measured.turn()
            facts["peak"] = peak_memory()
        except RecipeError as error:
            facts = {"refused": {k: vars(error)[k] for k in ("where", "found", "allowed", "fix")}}
        except Exception as error:  # it belongs into the table
            facts = {"failure": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(facts) + "\n")
        answers.flush()


def pictures(size: Size, *, bands: int, dtype: str) -> list[Image]:
    """Street scenes of the embedded set, enlarged to `size`; more bands than three repeat them."""
    from PIL import Image as pil

    from atrous.data.images import fit_image
    from atrous.data.scenes import scene

    height, width = size
    shown = []
    for index in range(PICTURES):
        small = pil.fromarray(scene(0, index)[0])
        pixels = np.asarray(small.resize((width, height), pil.Resampling.BICUBIC))
        pixels = fit_image(pixels, bands=3, dtype=dtype)
        shown.append(np.ascontiguousarray(pixels[..., np.arange(bands) % 3]))
    return shown


def peak_memory() -> int | None:
    """The most bytes of memory that this process had so far; None where nobody counts them."""
    if sys.platform == "linux":  # not ru_maxrss, which starts with that of the parent
        with open("/proc/self/status") as status:
            lines = dict(line.split(":", 1) for line in status)
        return int(lines["VmHWM"].split()[0]) * 1024
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None


def _keep_to(threads: int) -> None:
    """On Linux, use so many cores and no more, whoever starts threads.

    Other systems do not let a process say so: there the engine alone keeps to its threads.
    """
    if sys.platform == "linux":
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[:threads])
