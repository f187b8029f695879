"""What the manifest of an exported file says of a run and of its model."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from atrous.classes import Classes
from atrous.errors import WeightsError
from atrous.export.graph import OPSET
from atrous.export.network import pooled_channels
from atrous.exported import Manifest, is_exported
from atrous.models.build import Segmenter, at_stride
from atrous.models.geometry import macs
from atrous.models.tiling import tiling_of
from atrous.predict.engines.torch import describe, restored, statistics_of
from atrous.predict.postprocess import check_steps
from atrous.recipe import Recipe, Steps, from_tables
from atrous.runs import RunFolder, read_model, steps_of, weights_file

MACS_AT = (512, 512)  # pixels
LONG = ("images", "confusion", "definitions", "rules", "steps")  # of scores: the run keeps them


class Source(NamedTuple):
    """A trained model and what is known of it."""

    path: Path
    segmenter: Segmenter
    recipe: Recipe
    classes: Classes
    digest: str
    description: str
    output_stride: int
    """If not the one that it was trained at, else 0."""
    crop: int
    """Of the pictures that it was trained on; 0 for imported weights, which do not tell."""
    postprocess: Steps = ()
    """What is done to its masks."""


def source_of(run: Path, *, weights: str = "last", output_stride: int = 0) -> Source:
    """The model of a run folder or a weights file, on the CPU.

    Raises:
        RunError, WeightsError: there are no usable weights.
        RecipeError: the model is another network at that output stride.
    """
    if is_exported(run):
        raise WeightsError(
            run,
            found="is an exported file already",
            allowed="a run folder or a weights file (.safetensors) is exported",
            fix="Give the run that it was made from.",
        )
    path = weights_file(run, weights)
    tensors, about, digest = read_model(path)
    classes = Classes.from_dict(about["classes"])
    recipe = from_tables(about["recipe"], where=str(path))
    words = describe(about)
    if output_stride:
        recipe = at_stride(recipe, output_stride)
        words += f", at output stride {output_stride}"
    model = restored(recipe, classes.num_logits, about["dtype"], tensors, path).eval()
    crop = 0 if "origin" in about else recipe.augment.crop
    steps = steps_of(path, recipe)
    check_steps(steps, classes, dtype=model.dtype)
    return Source(path, model, recipe, classes, digest, words, output_stride, crop, steps)


class Tiles(NamedTuple):
    """How a large picture may be cut; the fields of the manifest."""

    alignment: int
    halo: int
    tiling: str
    inexact: str
    room: int
    pooled_stride: int


def tiles_of(segmenter: Segmenter) -> Tiles:
    """How tiles of a picture equal the whole: as they are, with the pooled features given, or not.

    A graph takes the mean of image pooling alone from outside.

    Example:
        >>> from atrous.models.build import build
        >>> tiles_of(build("fcn_basic", num_classes=2))
        Tiles(alignment=8, halo=24, tiling='exact', inexact='', room=536, pooled_stride=0)
    """
    found, pools = tiling_of(segmenter), bool(pooled_channels(segmenter))
    inexact = found.inexact
    if found.means > pools and not inexact:
        inexact = f"{found.means} means over the whole picture cannot be given to a graph"
    mode = "blend" if inexact else "two-pass" if pools else "exact"
    stride = segmenter.encoder.strides[-1] if pools else 0
    return Tiles(found.alignment, found.halo, mode, inexact, found.room, stride)


def manifest_of(source: Source) -> Manifest:
    """The manifest of the graph of a model, in f32 and not yet verified."""
    segmenter, statistics = source.segmenter, statistics_of(source.segmenter)
    fields: dict[str, Any] = {
        **tiles_of(segmenter)._asdict(),
        "mean": statistics.mean,
        "std": statistics.std,
        "band_order": "RGB" if segmenter.bands == 3 else "",
    }
    return Manifest(
        classes=source.classes,
        dtype=segmenter.dtype,
        bands=segmenter.bands,
        placement=segmenter.grid,
        pooled=pooled_channels(segmenter),
        model=_model_facts(source),
        weights=source.digest,
        description=source.description,
        opset=OPSET,
        postprocess=source.postprocess,
        scores=_scores(source),
        **fields,
    )


def _model_facts(source: Source) -> dict[str, Any]:
    options = source.recipe.model
    return {
        "name": options.name,
        "encoder": getattr(options, "encoder", ""),
        "parameters": _parameters(source.segmenter),
        "macs": macs(source.segmenter, MACS_AT),
        "macs_at": list(MACS_AT),
        **({"crop": source.crop} if source.crop else {}),
        **({"output_stride": source.output_stride} if source.output_stride else {}),
        "options": options.bare().model_dump(mode="json"),  # without paths of this machine
    }


def _parameters(segmenter: Segmenter) -> int:
    """Those that answer: without an auxiliary head."""
    parts = (segmenter.encoder, segmenter.head)
    return sum(parameter.numel() for part in parts for parameter in part.parameters())


def _scores(source: Source) -> dict[str, Any] | None:
    """The run's scores, if they are of these weights."""
    try:
        text = RunFolder(source.path.parent).scores.read_text(encoding="utf-8")
        scores = dict(json.loads(text))
    except (OSError, ValueError, TypeError):
        return None
    if scores.get("weights") != source.description:
        return None
    if source.postprocess != source.recipe.postprocess:  # found since, and not by training
        return None
    return {key: value for key, value in scores.items() if key not in LONG}
