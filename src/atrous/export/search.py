"""Which layers stay float: those that bring masks nearest to the float ones for the fewest MACs."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from math import fsum  # whatever the order, the same
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Shaped

from atrous.export.quantise import METHOD, converted
from atrous.export.ranges import Calibration, calibrate, session_of
from atrous.types import Image, Task, Track

GROUPS = 20  # of layers; each is measured once or twice
JUDGES = 8  # pictures that masks are compared on
TARGET = 0.01  # share of cells that may differ
FLOAT_SHARE = 0.25  # of the MACs; with more, whole numbers hardly pay
WORTH = 0.05  # a group stays float if it takes at least this share of the disagreement away
OVERHEAD = 0.02  # of the MACs: what a float group costs however small it is


class Quantised(NamedTuple):
    """A graph in whole numbers, and how it came about: plain values for the manifest."""

    graph: bytes
    record: dict[str, Any]


class Step(NamedTuple):
    """What was measured with some layers in float: the share of cells that differ."""

    group: str  # the layers that were added to those in float; empty: none
    disagreement: float
    macs: float  # share of the network's that the group has
    kept: bool

    def __str__(self) -> str:
        """For a person.

        Example:
            >>> str(Step("head.classify", 0.012, 0.02, kept=True))
            'head.classify in float, 2.0 % of the MACs: 1.20 % of the cells differ'
        """
        layers = f"{self.group} in float, {self.macs:.1%} of the MACs" if self.group else "int8"
        left = "" if self.kept else ", so it is int8 after all"
        return f"{layers}: {self.disagreement:.2%} of the cells differ{left}".replace("%", " %")


class Trial(NamedTuple):
    """Layers in float, and how much the graph with the others in whole numbers differs."""

    layers: frozenset[str]
    disagreement: float


Say = Callable[[Step], None]


def best_quantised(
    graph: bytes,
    images: Sequence[Image],
    *,
    task: Task = "multiclass",
    target: float = TARGET,
    threads: int = 0,
    track: Track = iter,
    say: Say = lambda step: None,
) -> Quantised:
    """The graph in whole numbers, but for layers that do more harm than they save time.

    Groups of layers, parts of the network by the names of their weights, are left in float, each
    alone; then the best for their MACs together, until the share of grid cells that are decided
    otherwise than in float, on some of the `images`, is `target` or no group is worth it.
    `track` wraps the pictures, then the groups; `say` hears of each step.

    Raises:
        RecipeError: there are no pictures.
        WeightsError: the network gives NaN or infinite values.
    """
    calibration = calibrate(graph, images, threads=threads, track=track)
    judge = Judge(graph, calibration, _spread(images, JUDGES), task=task, threads=threads)
    start = judge(frozenset())
    steps = [Step("", start.disagreement, 0.0, kept=True)]
    say(steps[0])
    best = start
    if start.disagreement > target:
        groups = groups_of(calibration.macs)
        alone = {name: judge(groups[name]) for name in track(list(groups))}
        for step, trial in _kept(judge, groups, alone, start, target):
            best = trial
            steps.append(step)
            say(step)
    chosen = converted(graph, calibration, float_layers=best.layers)
    return Quantised(chosen, _record(calibration, judge, start, best, target, steps))


class Judge:
    """Compares graphs in whole numbers with the float one, on pictures."""

    def __init__(
        self,
        graph: bytes,
        calibration: Calibration,
        images: Sequence[Image],
        *,
        task: Task,
        threads: int,
    ) -> None:
        self.graph, self.calibration, self.images = graph, calibration, images
        self.task, self.threads = task, threads
        self.truth = list(self._decided(graph))

    def __call__(self, float_layers: Collection[str]) -> Trial:
        """The share of cells that are decided otherwise with only these layers in float."""
        graph = converted(self.graph, self.calibration, float_layers=float_layers)
        pairs = zip(self._decided(graph), self.truth, strict=True)
        shares = [np.mean((ours != theirs).any(0)) for ours, theirs in pairs]
        return Trial(frozenset(float_layers), float(np.mean(shares)))

    def share(self, float_layers: Collection[str]) -> float:
        """How much of the network's MACs these layers have."""
        macs = self.calibration.macs
        return fsum(macs[layer] for layer in float_layers) / max(fsum(macs.values()), 1)

    def _decided(self, graph: bytes) -> Iterator[Shaped[np.ndarray, "K h w"]]:
        run = session_of(graph, threads=self.threads)
        for image in self.images:
            logits = run(image)["logits"][0]
            yield logits.argmax(0)[None] if self.task == "multiclass" else logits > 0


def groups_of(
    macs: Mapping[str, float], *, most: int = GROUPS, share: float = FLOAT_SHARE
) -> dict[str, frozenset[str]]:
    """Parts of a network, and parts of these, by the names of its layers; at most so many.

    None has more than its `share` of the MACs. The part with the most MACs is taken apart
    first. A part stands beside its own parts, for what hurts may lie between two layers.

    Example:
        >>> list(groups_of({"encoder.0": 1, "encoder.1": 8, "head.0": 2, "head.1": 1}))
        ['encoder.0', 'head', 'head.0', 'head.1']
    """
    found: dict[str, frozenset[str]] = {}
    unopened = {"": frozenset(macs)}
    while unopened:
        name = max(unopened, key=lambda name: fsum(macs[layer] for layer in unopened[name]))
        parts = _parts(name, unopened.pop(name))
        small = {
            part: layers
            for part, layers in parts.items()
            if fsum(macs[layer] for layer in layers) <= share * fsum(macs.values())
        }
        if len(found) + len(small) <= most:
            found |= small
            unopened |= {part: layers for part, layers in parts.items() if len(layers) > 1}
    return {name: found[name] for name in sorted(found)}


def _parts(name: str, layers: frozenset[str]) -> dict[str, frozenset[str]]:
    """The layers of a part by the next words of their names: as many as they have in common."""
    depth = len(name.split(".")) + 1 if name else 1
    parts: dict[str, set[str]] = {}
    while len(parts) < min(2, len(layers)):
        parts = {}
        for layer in layers:
            parts.setdefault(".".join(layer.split(".")[:depth]), set()).add(layer)
        depth += 1
    return {part: frozenset(parts[part]) for part in sorted(parts)}


def _kept(
    judge: Judge,
    groups: Mapping[str, frozenset[str]],
    alone: Mapping[str, Trial],
    start: Trial,
    target: float,
) -> Iterator[tuple[Step, Trial]]:
    """Groups join those in float, the best for their MACs first; each step, and the best so far."""
    gains = {name: start.disagreement - trial.disagreement for name, trial in alone.items()}
    rated = sorted(
        groups, key=lambda name: (-gains[name] / (judge.share(groups[name]) + OVERHEAD), name)
    )
    best = start
    for name in rated:
        layers, share = best.layers | groups[name], judge.share(groups[name])
        if gains[name] < WORTH * best.disagreement or judge.share(layers) > FLOAT_SHARE:
            continue
        if layers == best.layers:  # by way of the part that it is in
            continue
        trial = alone[name] if layers == groups[name] else judge(layers)
        kept = trial.disagreement <= (1 - WORTH) * best.disagreement
        best = trial if kept else best
        yield Step(name, trial.disagreement, share, kept), best
        if best.disagreement <= target:
            return


def _record(
    calibration: Calibration,
    judge: Judge,
    start: Trial,
    best: Trial,
    target: float,
    steps: Sequence[Step],
) -> dict[str, Any]:
    import onnxruntime

    return {
        "method": METHOD,
        "quantiser": f"onnxruntime {onnxruntime.__version__}",
        "pictures": calibration.pictures,
        "compared_on": len(judge.images),
        "float_layers": sorted(best.layers),
        "float_macs": judge.share(best.layers),
        "disagreement_before": start.disagreement,
        "disagreement": best.disagreement,
        "target": target,
        "steps": [step._asdict() for step in steps],
    }


def _spread(images: Sequence[Image], count: int) -> list[Image]:
    """So many of the images, at even distances."""
    count = min(count, len(images))
    return [images[number * len(images) // count] for number in range(count)]
