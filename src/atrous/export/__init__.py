"""A run -> one `.onnx` file with its manifest, compared with the run before anybody gets it.

`network` and `pixels` are the parts of a graph, which `graph` puts together; `facts` is what the
manifest says; `ranges`, `quantise` and `search` make whole numbers of it; `gate` compares.
"""

import contextlib
import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atrous.callable_module import make_callable
from atrous.errors import RecipeError, RunError
from atrous.exported import SUFFIX, Manifest, is_exported, write_exported
from atrous.files import TEMPORARY, make_folder
from atrous.types import Tell, Track

if TYPE_CHECKING:
    from atrous.export.facts import Source
    from atrous.types import Image
    from atrous.verify import Verification

PACKAGES = ("torch", "timm", "onnx", "onnxscript")
CALIBRATED_ON = 32  # pictures of the train split
COMPARED_ON = 8  # pictures of val, in f32
SEED = 0  # by which they are drawn


@dataclass(frozen=True)
class Export:
    """A file that was written, and how it compared with its run; `size` is in bytes."""

    path: Path
    manifest: Manifest
    digest: str
    size: int
    verification: "Verification"
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "file": str(self.path),
            "bytes": self.size,
            "digest": self.digest,
            "manifest": self.manifest.to_dict(),
            "verification": self.verification.to_dict(),
            "notes": list(self.notes),
        }


def export(
    run: str | Path,
    *,
    out: str | Path,
    int8: str | Path | None = None,
    data: str | Path | None = None,
    weights: str = "last",
    output_stride: int = 0,
    samples: int | None = None,
    track: Track = iter,
    tell: Tell = lambda _: None,
) -> Export:
    """Write a run folder or weights file as one `.onnx` file that answers as it does.

    With `int8`, a data set, the graph is one of whole numbers, by pictures of its train split;
    it must keep the mIoU on all of its val. In f32, `samples` pictures of val (8) must keep their
    masks: of `data`, else of the data set that the run was trained on, if it is still there.
    Either runs on made-up pictures of several sizes first. `weights` are `last` or `best`;
    `output_stride` other than 0 gives them another. `track` wraps pictures and layers, to show
    progress; `tell` is given lines for a person.

    Raises:
        RunError, WeightsError: no usable weights; `out` cannot be written; or the file does not
            answer as the run, and is not written.
        RecipeError: an option is impossible, a package is missing, or the network does what has no
            operator in ONNX.
        DataError: the data set cannot be read, or has another label space.

    Example:
        atrous.export("runs/street", out="street.onnx").manifest.verified
    """
    run, out = Path(run), Path(out)
    _check(out, int8=int8, data=data, samples=samples)
    from atrous.export.facts import manifest_of, source_of
    from atrous.export.gate import passed
    from atrous.export.graph import graph_of

    known, limit = (data, samples or COMPARED_ON) if int8 is None else (int8, None)
    with _beside(out) as trial:
        source = source_of(run, weights=weights, output_stride=output_stride)
        tell(f"Making the graph of {run}.")
        graph, manifest = graph_of(source.segmenter), manifest_of(source)
        if int8 is not None:
            graph, quantised = _in_whole_numbers(graph, source, Path(int8), track, tell)
            manifest = replace(manifest, precision="int8", quantised=quantised)
        tell("Comparing the file with the run.")
        with _written(out):
            write_exported(trial, graph, manifest)
        verification, notes = passed(trial, manifest, run, data=known, limit=limit, track=track)
        manifest = replace(manifest, verified=_record(verification))
        with _written(out):
            digest = write_exported(out, graph, manifest)
    verification = replace(verification, model=str(out))
    return Export(out, manifest, digest, out.stat().st_size, verification, notes)


@contextlib.contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """A file of the same name in a hidden folder, where `out` will be; gone afterwards.

    What goes wrong takes the folders along that were made for `out`.

    Raises:
        RunError: it may not be written there.
    """
    new = [folder for folder in out.parents if not folder.exists()]
    try:
        make_folder(out.parent)
        with _written(out):
            place = tempfile.mkdtemp(prefix=TEMPORARY, dir=out.parent)
        try:
            yield Path(place) / out.name
        finally:
            shutil.rmtree(place, ignore_errors=True)
    except BaseException:
        with contextlib.suppress(OSError):  # another has put something there
            for folder in new:
                folder.rmdir()
        raise


@contextlib.contextmanager
def _written(out: Path) -> Iterator[None]:
    """While this lasts, a disk that refuses is told as an error that names `out`."""
    try:
        yield
    except OSError as error:
        raise RunError(
            out,
            found=f"cannot be written ({error.strerror or error})",
            allowed="the file and a copy of it for trial go into the folder of --out",
            fix="Give another --out, or make room.",
        ) from None


def _check(
    out: Path, *, int8: str | Path | None, data: str | Path | None, samples: int | None
) -> None:
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    for where, wrong, found, allowed, fix in (
        (
            "--out",
            not is_exported(out),
            f"is {out}" + " (a folder)" * out.is_dir(),
            f"the file is known by its ending, {SUFFIX}",
            f"Give for example --out model{SUFFIX}.",
        ),
        (
            "samples",
            samples is not None and samples < 1,
            f"is {samples}",
            "it is 1 or more",
            f"Leave it out for {COMPARED_ON}.",
        ),
        (
            "data, samples",
            int8 is not None and (data is not None or samples is not None),
            "are given with int8",
            "whole numbers are compared on all of val of the data set that int8 names",
            "Leave them out.",
        ),
        (
            "export",
            missing,
            f"lacks {', '.join(missing)}",
            "a graph is made by torch's exporter",
            "pip install 'atrous[train]'.",
        ),
    ):
        if wrong:
            raise RecipeError(where, found=found, allowed=allowed, fix=fix)


def _in_whole_numbers(
    graph: bytes, source: "Source", data: Path, track: Track, tell: Tell
) -> tuple[bytes, dict[str, Any]]:
    from atrous.export.search import best_quantised

    images = calibration_images(source, data)
    tell(f"Quantising by {len(images)} pictures of {data}.")
    task = source.classes.task
    graph, record = best_quantised(
        graph, images, task=task, track=track, say=lambda step: tell(str(step))
    )
    return graph, {**record, "seed": SEED}


def calibration_images(source: "Source", data: Path) -> list["Image"]:
    """Pictures of the train split as the model takes them, drawn by a fixed seed, in their order.

    Raises:
        DataError: the data set cannot be read, or has another label space or no such split.
    """
    import numpy as np

    from atrous.data.dataset import open_dataset
    from atrous.data.images import fit_image

    dataset = open_dataset(data, classes=source.classes, only="train")
    pairs, model = dataset.split("train"), source.segmenter
    chosen = np.random.default_rng(SEED).permutation(len(pairs))[:CALIBRATED_ON]
    images = (dataset.read(pairs[number]).image for number in sorted(chosen.tolist()))
    return [fit_image(image, bands=model.bands, dtype=model.dtype) for image in images]


def _record(verification: "Verification") -> dict[str, Any]:
    """For the manifest, which others will read: the data set's name, not where it lies here."""
    from atrous.verify import record

    return {"data": Path(verification.data).name, **record(verification.rows)}


make_callable(sys.modules[__name__])
