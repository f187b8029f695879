"""Weights of other projects -> a run of ours that gives the same logits.

Files are read without unpickling code. Every tensor finds its place, or it is an error; what the
origin does with pixels, padding and resizing is kept (`models/origins`).
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, assert_never, get_args

import torch

from atrous.classes import Classes
from atrous.data.dataset import DataSet, open_dataset
from atrous.data.layouts.voc import NAMES, colour_map
from atrous.errors import DataError, RecipeError, RunError
from atrous.files import claimed, write_whole
from atrous.models.build import build_model
from atrous.models.fcn import MARGIN
from atrous.models.foreign import read_foreign
from atrous.models.geometry import geometry
from atrous.models.origins import RULES, Rules
from atrous.models.published import deeplab_pytorch, pytorch_fcn, smp, torchvision
from atrous.models.published.matching import Published, Tensors, matched
from atrous.recipe import Fcn, ModelOptions, from_tables, to_toml
from atrous.runs import RunFolder, model_facts
from atrous.weights import write_weights

Origin = Literal["torchvision", "smp", "pytorch-fcn", "deeplab-pytorch"]
DTYPE = "uint8"  # of the pictures that all of them were trained on
LARGEST = 255


@dataclass(frozen=True)
class Imported:
    """A run that came of a file.

    `inexact` says why tiles of a picture give other logits than the whole; `notes` what was
    decided.
    """

    run: Path
    origin: Origin
    options: ModelOptions
    classes: Classes
    parameters: int
    inexact: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def rules(self) -> Rules:
        """What the origin does with a picture."""
        return RULES[self.origin]

    def to_dict(self) -> dict[str, Any]:
        """Plain values: what is said of the run; mean and std are in pixel values."""
        options = self.options
        return {
            "run": str(self.run),
            "from": self.origin,
            "model": options.name,
            "encoder": getattr(options, "encoder", ""),
            "parameters": self.parameters,
            "classes": list(self.classes.names),
            "task": self.classes.task,
            "rules": {
                "mean": [round(LARGEST * value, 3) for value in self.rules.mean],
                "std": [round(LARGEST * value, 3) for value in self.rules.std],
                "padding": self._padding(),
                "resizing": self._resizing(),
                "align_corners": self.rules.align_corners,
                "inexact_tiles": list(self.inexact),
            },
            "notes": list(self.notes),
        }

    def _padding(self) -> str:
        if isinstance(self.options, Fcn):
            return f"{MARGIN} pixels on each side, scores cropped, as published"
        stride = getattr(self.options, "output_stride", 1)
        return f"right and below, to a multiple of {stride}" if self.rules.pads else "none"

    def _resizing(self) -> str:
        if isinstance(self.options, Fcn):
            return "transposed convolutions of the file"
        corners = "aligned" if self.rules.align_corners else "not aligned"
        return f"logits to the picture's size, corners {corners}"


def import_weights(
    file: str | Path, *, origin: str, out: str | Path, data: str | Path | None = None
) -> Imported:
    """Make the run `out` of a weights file that a network of `origin` wrote.

    The file is a state dict (`.pth`, `.pt`, `.safetensors`), bare or inside a checkpoint. It
    names no classes: they are those of the data set `data`, which it was trained on, if given;
    the run then remembers where that lies, as a trained one does.

    Raises:
        DataError: `data` cannot be read, or has not as many classes as the network.
        RecipeError: there is no such origin.
        WeightsError: the file cannot be read without running code, or does not match.
        RunError: `out` holds a run already.
    """
    file, run = Path(file), RunFolder(Path(out))
    known = _known(origin)
    _refuse_taken(run)
    published = _recognised(read_foreign(file), known, file)
    with torch.device("meta"):  # names and shapes are all that is needed
        model = build_model(published.options, num_classes=published.num_logits, dtype=DTYPE)
    own = {name: tensor.shape for name, tensor in model.state_dict().items()}
    tensors = matched(own, published, file)
    dataset = _fitting(Path(data), published.num_logits) if data else None
    imported = Imported(
        run=run.path,
        origin=known,
        options=published.options,
        classes=dataset.classes if dataset else published_classes(published.num_logits),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        inexact=geometry(model).inexact,
        notes=(*published.notes, *(dataset.notes if dataset else ())),
    )
    _write(run, imported, tensors, file, dataset)
    return imported


def published_classes(num_logits: int) -> Classes:
    """The label space of a network with so many logits: files hold no names.

    21 are Pascal VOC's, which most were published with; one logit is a binary task.

    Example:
        >>> published_classes(21).names[:2], published_classes(1).task
        (('background', 'aeroplane'), 'binary')
    """
    if num_logits == 1:
        return Classes(("background", "foreground"), task="binary")
    if num_logits == len(NAMES):
        return Classes(tuple(NAMES), colour_map(len(NAMES)))
    return Classes(tuple(f"class {i}" for i in range(num_logits)))


def _fitting(data: Path, num_logits: int) -> DataSet:
    """The data set, whose classes must have so many logits."""
    dataset = open_dataset(data)
    classes = dataset.classes
    if classes.num_logits == num_logits:
        return dataset
    raise DataError(
        data,
        found=f"has classes of {classes.num_logits} logits ({', '.join(classes.names[:8])}, ...)",
        allowed=f"the network has {num_logits}",
        fix="Give the data set that the weights were trained on, or leave it out.",
    )


def _known(origin: str) -> Origin:
    for known in get_args(Origin):
        if origin == known:
            return known
    raise RecipeError(
        "--from",
        found=f"is {origin!r}",
        allowed="weights come from " + ", ".join(get_args(Origin)),
        fix="Choose one of them.",
    )


def _recognised(tensors: Tensors, origin: Origin, file: Path) -> Published:
    match origin:
        case "torchvision":
            return torchvision.recognise(tensors, file)
        case "smp":
            return smp.recognise(tensors, file)
        case "pytorch-fcn":
            return pytorch_fcn.recognise(tensors, file)
        case "deeplab-pytorch":
            return deeplab_pytorch.recognise(tensors, file)
        case _:
            assert_never(origin)


def _refuse_taken(run: RunFolder) -> None:
    if run.is_run or run.weights("last").exists():
        raise RunError(
            run.path,
            found="holds a run already",
            allowed="imported weights need a folder of their own",
            fix="Give another --out.",
        )


def _write(
    run: RunFolder, imported: Imported, tensors: Tensors, file: Path, dataset: DataSet | None
) -> None:
    """The weights, then the recipe, which makes the folder a run."""
    recipe = from_tables({"model": imported.options.model_dump()}, where=str(file))
    about = model_facts(
        recipe, imported.classes, dtype=DTYPE, parameters=imported.parameters, averaged=False
    )
    with file.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    origin = {"from": imported.origin, "file": file.name, "sha256": sha256}
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    with claimed(run.path):
        _refuse_taken(run)
        write_weights(
            run.weights("last"), arrays, {**about, "weights": "last", "step": 0, "origin": origin}
        )
        if dataset:
            write_whole(run.dataset, json.dumps(dataset.record(), ensure_ascii=False).encode())
        write_whole(run.recipe, to_toml(recipe).encode(), durable=True)
