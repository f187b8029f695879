"""What the manifest of an exported file and the run must agree on before any picture is shown."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from atrous.recipe.postprocessing import plain_steps
from atrous.runs import WHICH, RunFolder, read_model, weights_file

if TYPE_CHECKING:
    from pathlib import Path

    from atrous.classes import Classes
    from atrous.exported.manifest import Manifest
    from atrous.predict.predictor import Predictor
    from atrous.recipe import Steps


def disagreements(manifest: "Manifest", reference: "Predictor") -> list[str]:
    """Where the file takes or means something else than the run, a line each.

    With any of these masks cannot be compared.
    """
    engine = reference.engine
    pairs = (
        ("pixels", manifest.dtype, engine.dtype),
        ("bands", manifest.bands, engine.bands),
        ("placement of logits", manifest.placement, engine.grid),
    )
    lines = [_line(what, theirs, ours) for what, theirs, ours in pairs if theirs != ours]
    return [*_of_classes(manifest.classes, reference.classes), *lines]


def other_scale(manifest: "Manifest", reference: "Predictor") -> list[str]:
    """Where mean or std of the pixels are not the run's; its graph may still have the right ones.

    Graphs of other programs may do a part of it themselves, and are not asked.
    """
    from atrous.predict.engines.torch import TorchEngine, statistics_of

    if not manifest.weights or not isinstance(reference.engine, TorchEngine):
        return []
    ours = statistics_of(reference.engine.model)
    pairs = (("mean", manifest.mean, ours.mean), ("std", manifest.std, ours.std))
    return [
        _line(f"{what} of pixels", _numbers(theirs), _numbers(own))
        for what, theirs, own in pairs
        if not np.allclose(theirs, own, rtol=1e-5, atol=0)
    ]


def other_steps(manifest: "Manifest", reference: "Predictor") -> list[str]:
    """Where masks go through other steps after the network than the run's."""
    theirs, ours = (_steps(which.postprocess) for which in (manifest, reference))
    return [_line("post-processing", theirs, ours)] if theirs != ours else []


def _steps(steps: "Steps") -> str:
    """Steps in words, with all their numbers."""
    words = (
        " ".join(str(value) if key == "step" else f"{key}={value}" for key, value in step.items())
        for step in plain_steps(steps)
    )
    return "; ".join(words) or "none"


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _of_classes(theirs: "Classes", ours: "Classes") -> list[str]:
    lines = [_line("task", theirs.task, ours.task)] if theirs.task != ours.task else []
    if len(theirs) != len(ours):
        lines.append(_line("classes", len(theirs), len(ours)))
    elif theirs.names != ours.names:
        pairs = enumerate(zip(theirs.names, ours.names, strict=True))
        index, (name, own) = next((i, pair) for i, pair in pairs if pair[0] != pair[1])
        order = {*theirs.names} == {*ours.names}
        what = "classes stand in another order: class" if order else "classes: class"
        lines.append(_line(f"{what} {index}", repr(name), repr(own)))
    return lines


def _line(what: str, theirs: Any, ours: Any) -> str:
    return f"{what} is {theirs} in the file, {ours} in the run"


def same_weights(run: "Path", manifest: "Manifest", asked: str = "auto") -> tuple[str, str]:
    """Which weights of a run a file was exported from, and a line if it was from none of them.

    Of `last` and `best`, unless one of them is asked for. A file that does not say where its
    weights come from, as those of other programs, is not blamed for it.
    """
    several = asked == "auto" and not run.is_file()
    names = [name for name in WHICH if RunFolder(run).weights(name).is_file()] if several else []
    names = names or ["last" if asked == "auto" else asked]
    digests = {name: read_model(weights_file(run, name)).digest for name in names}
    for name, digest in digests.items():
        if manifest.weights in ("", digest):
            return name, ""
    own = ", ".join(digest[:12] for digest in digests.values())
    return names[0], f"weights of another run: the file was made from {manifest.weights[:12]} " + (
        f"({manifest.description}), the run holds {own}"
        if manifest.description
        else f"and the run holds {own}"
    )
