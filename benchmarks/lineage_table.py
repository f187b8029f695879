"""What the lineage's runs scored, how large and fast their models are: a table, and JSON."""

import json
import platform
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image as pil

import atrous
from atrous.data.images import fit_image
from atrous.machine import cores
from atrous.models.build import Segmenter
from atrous.models.geometry import macs
from atrous.predict.engines.torch import TorchEngine
from atrous.predict.predictor import Predictor, load
from atrous.recipe import make_recipe
from atrous.runs import RunFolder
from atrous.types import Image

SIZE = HEIGHT, WIDTH = 360, 480  # of CamVid's pictures; MACs and ms are for this
ROUNDS = 7
COLUMNS = (
    "row",
    "mIoU",
    "each seed",
    "change",
    "boundary IoU",
    "parameters, M",
    "GMACs",
    "ms",
    "output stride",
)


class Protocol(NamedTuple):
    """What all runs have in common; `threads` of 0 are as many as cores."""

    data: str
    seeds: tuple[int, ...]
    steps: int
    crop: int
    batch: int
    threads: int


class Scored(NamedTuple):
    """What one finished run says: its scores, what its steps took, on which machine."""

    miou: float | None
    boundary_miou: float | None
    seconds: float  # of all steps, without validation
    step_seconds: float  # median
    machine: dict[str, Any]


class Measured(NamedTuple):
    """Size and speed of a row's model; `milliseconds` of each round."""

    parameters: int
    macs: int
    output_stride: int
    milliseconds: tuple[float, ...]


class Result(NamedTuple):
    """A row with the runs that are there, by their seeds."""

    name: str
    sets: tuple[str, ...]
    against: str
    start: str
    scored: dict[int, Scored]
    measured: Measured | None

    def mious(self) -> dict[int, float]:
        """The mIoU of each seed that has one."""
        return {seed: one.miou for seed, one in self.scored.items() if one.miou is not None}


def read_result(run: RunFolder) -> Scored | None:
    """The scores and the log of a finished run; None of another."""
    if not run.scores.is_file():
        return None
    scores = json.loads(run.scores.read_text(encoding="utf-8"))
    lines = [json.loads(line) for line in run.log.read_text(encoding="utf-8").splitlines()]
    options = make_recipe(config=run.recipe).train
    pictures = options.batch * options.accumulate
    seconds = [pictures / line["images_per_s"] for line in lines if "images_per_s" in line]
    machine = next((line["machine"] for line in lines if "machine" in line), {})
    borders = scores.get("boundary_mIoU")
    return Scored(scores["mIoU"], borders, sum(seconds), median(seconds or [0.0]), machine)


def measure(
    runs: Mapping[str, Path], picture: Image, *, threads: int, rounds: int = ROUNDS
) -> dict[str, Measured]:
    """Size of each row's model, and the time from pixels to mask in interleaved rounds."""
    pixels = fit_image(picture, bands=3, dtype="uint8")
    image = np.asarray(pil.fromarray(pixels).resize((WIDTH, HEIGHT)))
    predictors = {name: load(run, threads=threads or cores()) for name, run in runs.items()}
    for predictor in predictors.values():
        predictor(image)  # kernels are compiled, memory is taken
    times: dict[str, list[float]] = {name: [] for name in predictors}
    for _ in range(rounds):
        for name, predictor in predictors.items():
            begin = time.perf_counter()
            predictor(image)
            times[name].append(1000 * (time.perf_counter() - begin))
    return {name: _measured(p, runs[name], times[name]) for name, p in predictors.items()}


def _measured(predictor: Predictor, run: Path, times: Sequence[float]) -> Measured:
    model = _network(predictor)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    options: Any = make_recipe(config=RunFolder(run).recipe).model
    return Measured(parameters, macs(model, SIZE), options.output_stride, tuple(times))


def _network(predictor: Predictor) -> Segmenter:
    assert isinstance(predictor.engine, TorchEngine)
    return predictor.engine.model


def table(results: Sequence[Result], protocol: Protocol) -> str:
    """The rows as Markdown, and below them how they were made."""
    mious = {result.name: result.mious() for result in results}
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    before = ""
    for result in results:
        lines.append(_line(result, mious, protocol, before))
        before = result.name
    return "\n".join([*lines, "", *_footnotes(results, protocol)]) + "\n"


def _line(
    result: Result, mious: Mapping[str, dict[int, float]], protocol: Protocol, before: str
) -> str:
    own = mious[result.name]
    borders = [o.boundary_miou for o in result.scored.values() if o.boundary_miou is not None]
    named = f" ({result.against})" if result.against not in ("", before) else ""
    made = len(own) if len(own) < len(protocol.seeds) else 0
    partial = f" ({made} of {len(protocol.seeds)} seeds)" if made else ""
    size = result.measured
    cells = [
        f"`{result.name}`",
        f"{number(list(own.values()))}{partial}",
        ", ".join(number([own[seed]] if seed in own else []) for seed in protocol.seeds),
        f"{number(changes(own, mious.get(result.against, {})), '+.4f')}{named}",
        number(borders),
        f"{size.parameters / 1e6:.2f}" if size else "-",
        f"{size.macs / 1e9:.2f}" if size else "-",
        f"{median(size.milliseconds):.1f}" if size else "-",
        str(size.output_stride) if size else "-",
    ]
    return f"| {' | '.join(cells)} |"


def number(values: Sequence[float], form: str = ".4f") -> str:
    """The mean of what is there.

    Example:
        >>> number([0.25, 0.5]), number([])
        ('0.3750', '-')
    """
    return format(mean(values), form) if values else "-"


def changes(own: Mapping[int, float], other: Mapping[int, float]) -> list[float]:
    """By how much each seed is better than in another row, of the seeds that both have.

    Example:
        >>> changes({0: 0.5, 1: 0.75}, {1: 0.5, 2: 0.9})
        [0.25]
    """
    return [own[seed] - other[seed] for seed in own if seed in other]


def _footnotes(results: Sequence[Result], protocol: Protocol) -> list[str]:
    p, where = protocol, described_machine()
    longer = [f"`{r.name}` from `{r.start}`" for r in results if r.start]
    staged = [f"Started from another run of {p.steps} steps: {', '.join(longer)}."]
    return [
        f"{p.data}, val, original size; {p.steps} steps of {p.batch} crops of {p.crop}, "
        f"last weights (EMA), one validation at the end; seeds {', '.join(map(str, p.seeds))}.",
        "Change: of mIoU against the row before, or the one in brackets, over the seeds that "
        "both have.",
        f"MACs and ms: a picture of {HEIGHT} x {WIDTH}; ms from pixels to mask, median of "
        f"{ROUNDS} interleaved rounds, f32, threads: {p.threads or cores()}; "
        f"{where['processor']}, torch {torch.__version__}.",
        *(staged if longer else []),
    ]


def described_machine() -> dict[str, Any]:
    """What measures here."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": cores(),
    }


def _processor() -> str:
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text(encoding="utf-8").splitlines() if listed.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"


def as_json(results: Sequence[Result], protocol: Protocol) -> str:
    """Everything raw: of each seed and of each round."""
    packages = ("torch", "timm", "numpy", "numba")
    facts = {
        "versions": {
            "atrous": atrous.__version__,
            "python": platform.python_version(),
            **{package: version(package) for package in packages},
        },
        "machine": described_machine(),
        "threads": protocol.threads or cores(),
        "precision": "f32",
        "size": SIZE,
        "protocol": protocol._asdict(),
        "rows": [_plain(result) for result in results],
    }
    return json.dumps(facts, indent=1) + "\n"


def _plain(result: Result) -> dict[str, Any]:
    runs = {str(seed): one._asdict() for seed, one in result.scored.items()}
    measured = result.measured._asdict() if result.measured else None
    return {**result._asdict(), "scored": runs, "measured": measured}
