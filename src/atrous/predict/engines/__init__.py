"""Engines: one model file or run -> something that maps a block of pixels to grid logits."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn, Protocol, TypedDict, Unpack, get_args

import numpy as np
from jaxtyping import Bool, Float32, Float64, Shaped

from atrous.classes import Classes
from atrous.errors import RecipeError, WeightsError
from atrous.exported import Manifest, is_exported, read_exported
from atrous.machine import cores
from atrous.recipe import Steps
from atrous.runs import weights_file
from atrous.types import EngineName, Image, Images, PixelType, Placement, Precision, Tiling

WHERE = ("Exception from", "Check '", "While validating")  # in a runtime's code
NOT_SAID = "its manifest does not say what its cells read"
REASON = 250  # characters of what a runtime says, which can be a page


Means = Sequence[Float64[np.ndarray, " C"]]  # over a whole picture, in the network's order


class Counted(NamedTuple):
    """A part of a mean: sums over so many cells."""

    sums: Float64[np.ndarray, " C"]
    cells: int


class Engine(Protocol):
    """Maps pixels `B H W C` of any size to float32 grid logits `B K h w`, in NumPy.

    Several threads may call it at once; it gains from `lanes` of them, which share `threads` of
    the CPU.
    """

    @property
    def name(self) -> EngineName: ...
    @property
    def precision(self) -> Precision: ...
    @property
    def grid(self) -> Placement: ...
    @property
    def bands(self) -> int: ...
    @property
    def dtype(self) -> str: ...
    @property
    def lanes(self) -> int: ...
    @property
    def threads(self) -> int: ...
    @property
    def tiling(self) -> Tiling: ...
    @property
    def mean(self) -> tuple[float, ...]:
        """Of each band, in pixel values: what the network sees as 0."""
        ...

    def __call__(
        self, images: Images, /, means: Means | None = None
    ) -> Float32[np.ndarray, "B K h w"]:
        """The logits; of parts of a picture with the means over all of it, none if it has none."""
        ...

    def next_mean(self, image: Image, own: Bool[np.ndarray, "H W"], known: Means, /) -> Counted:
        """What part of a picture adds to the mean that the network asks for after those known.

        `own` says which pixels of the padded part count; a cell counts that holds one.
        """
        ...


class Runtime(Protocol):
    """Runs the graph of an exported file: its own input to its first output; in any thread.

    `pooled` `1 C 1 1` stands for what image pooling would see; `pooling` gives that of a
    picture, over the cells `1 1 h w` that count. Of a `part` of a picture nothing is kept for
    others of its size: what is held of all parts has a bound.
    """

    @property
    def name(self) -> EngineName: ...
    @property
    def version(self) -> str: ...
    def __call__(
        self,
        pixels: Shaped[np.ndarray, "..."],
        /,
        pooled: Float32[np.ndarray, "1 C 1 1"] | None = None,
        *,
        part: bool = False,
    ) -> Shaped[np.ndarray, "..."]: ...
    def pooling(
        self, pixels: Shaped[np.ndarray, "..."], counted: Float32[np.ndarray, "1 1 h w"], /
    ) -> Float32[np.ndarray, "1 C 1 1"]: ...


class Opened(NamedTuple):
    """An engine with what its file says of it."""

    engine: Engine
    classes: Classes
    digest: str
    description: str
    """Which weights these are, in words."""
    note: str = ""
    """Which engine was chosen, in words."""
    postprocess: Steps = ()
    """What is done to masks after it."""


class Answering(TypedDict, total=False):
    """What may be said of how a model answers."""

    weights: str
    """Of a run: `last` or `best`."""
    device: str
    """Of torch: `auto`, `cpu`, `cuda`, `mps`."""
    threads: int
    """Threads on the CPU; 0 = one for each core."""
    lanes: int
    """Calls that run at once and share the threads; 0 or 1 = one, with the lowest latency."""
    output_stride: int
    """Of a run: another than it was trained with; 0 = that."""
    engine: str
    """`auto`, `torch`, `onnxruntime`, `openvino`."""
    precision: str
    """`auto`, `f32`, `bf16`, `int8`; auto = that of the file."""
    manifest: str | Path | None
    """The side file of a graph of another program."""


@dataclass(frozen=True)
class ExportedEngine:
    """An exported file behind pixels: the runtime that was chosen for it, and its manifest."""

    runtime: Runtime
    manifest: Manifest
    path: Path
    precision: Precision
    lanes: int
    threads: int

    @property
    def name(self) -> EngineName:
        return self.runtime.name

    @property
    def grid(self) -> Placement:
        return self.manifest.placement

    @property
    def bands(self) -> int:
        return self.manifest.bands

    @property
    def dtype(self) -> PixelType:
        return self.manifest.dtype

    @property
    def mean(self) -> tuple[float, ...]:
        return self.manifest.mean

    @property
    def tiling(self) -> Tiling:
        of = self.manifest
        inexact = of.inexact or (NOT_SAID if of.tiling == "blend" else "")
        if of.tiling == "two-pass" and not of.pooled_stride:
            inexact = "the file is of an older atrous, whose graphs give no means of tiles"
        means = int(of.tiling == "two-pass")
        return Tiling(of.alignment, of.halo, means, inexact, of.room)

    def __call__(
        self, images: Images, /, means: Means | None = None
    ) -> Float32[np.ndarray, "B K h w"]:
        from atrous.predict.engines.guests import answer

        pooled = means[0].astype(np.float32)[None, :, None, None] if means else None
        logits = answer(self.runtime, self.manifest, images, pooled, part=means is not None)
        if logits.ndim == 4 and logits.shape[:2] == (len(images), self._num_logits):
            return logits.astype(np.float32, copy=False)
        raise WeightsError(
            self.path,
            found=f"gives {_form(logits)} for {_form(images)}",
            allowed=f"its manifest has {self._num_logits} logits at each cell, B K h w",
            fix="Correct its manifest, or export the model without what follows its logits.",
        )

    def next_mean(self, image: Image, own: Bool[np.ndarray, "H W"], known: Means, /) -> Counted:
        stride = self.manifest.pooled_stride
        height, width = (side // stride for side in own.shape)
        cells = own.reshape(height, stride, width, stride).max((1, 3))
        pixels = np.ascontiguousarray(image[None])
        mean = self.runtime.pooling(pixels, cells.astype(np.float32)[None, None])
        count = int(np.count_nonzero(cells))
        return Counted(mean[0, :, 0, 0].astype(np.float64) * count, count)

    @property
    def _num_logits(self) -> int:
        return self.manifest.classes.num_logits


def only_input(names: Sequence[str]) -> str:
    """The input of a graph that takes pictures and needs nothing else; ValueError if it does."""
    if len(names) != 1:
        raise ValueError(f"it needs {len(names)} inputs: {', '.join(names)}")
    return names[0]


def unusable(
    path: Path,
    runtime: EngineName,
    error: Exception,
    pixels: Shaped[np.ndarray, "..."] | None = None,
) -> WeightsError:
    """The error for a graph that a runtime cannot load; or cannot run, with these pixels.

    Of what the runtime says a line is left.
    """
    told = [line.strip() for line in str(error).splitlines()]
    words = " ".join(line for line in told if not line.startswith(WHERE))
    reason = words[:REASON] + "..." * (len(words) > REASON) or type(error).__name__
    if pixels is None:
        found, allowed = "cannot be loaded", "it must be a graph of operators that it knows"
        fix = "Export it again, or choose another engine."
    else:
        found = f"cannot be run with {_form(pixels)}"
        allowed = "pictures have the form that its manifest says, and fit into memory"
        fix = "Give smaller ones. Of another program's graph, correct layout, size or dtype."
    return WeightsError(path, found=f"{found} in {runtime} ({reason})", allowed=allowed, fix=fix)


def _form(array: Shaped[np.ndarray, "..."]) -> str:
    return f"{array.dtype} {' x '.join(map(str, array.shape))}"


def open_engine(run_or_file: Path, **options: Unpack[Answering]) -> Opened:
    """The engine that answers for a run folder, a weights file or an exported file.

    A run answers with torch. An exported file with OpenVINO where it is installed, else with
    ONNX Runtime, in the precision of the file.

    Raises:
        RunError, WeightsError: nothing usable is there.
        RecipeError: an option that this file or this machine cannot follow.
    """
    _refuse_negative(options)
    if is_exported(run_or_file):
        return _open_exported(run_or_file, options)
    _refuse_for_runs(run_or_file, options)
    from atrous.predict.engines.torch import open_torch

    return open_torch(
        weights_file(run_or_file, options.get("weights", "last")),
        device=options.get("device", "auto"),
        threads=options.get("threads", 0),
        output_stride=options.get("output_stride", 0),
    )


def _open_exported(path: Path, options: Answering) -> Opened:
    _refuse_for_files(path, options)
    name, side = _runtime_name(path, options.get("engine", "auto")), options.get("manifest")
    exported = read_exported(path, Path(side) if side else None)
    _, manifest, digest = exported
    precision = _precision(path, manifest, name, options.get("precision", "auto"))
    threads = options.get("threads", 0) or cores()
    lanes = min(max(1, options.get("lanes", 0)), threads)
    if name == "openvino":
        from atrous.predict.engines.openvino import OpenVino

        runtime = OpenVino(exported, path, precision=precision, threads=threads, lanes=lanes)
    else:
        from atrous.predict.engines.onnxruntime import OnnxRuntime

        runtime = OnnxRuntime(exported, path, threads=threads, lanes=lanes)
    engine = ExportedEngine(runtime, manifest, path, precision, lanes, threads)
    cpu = f"{threads} thread{'s' * (threads > 1)}" + f" in {lanes} lanes" * (lanes > 1)
    note = f"Engine: {name} {runtime.version}, {precision}, {cpu}."
    words = manifest.description or f"the graph of {path.name}"
    return Opened(engine, manifest.classes, digest, words, note, manifest.postprocess)


def _runtime_name(path: Path, asked: str) -> EngineName:
    """The runtime for an exported file: that which is asked for, or the fastest there is."""
    has_openvino = importlib.util.find_spec("openvino") is not None
    if asked == "auto":
        return "openvino" if has_openvino else "onnxruntime"
    if asked not in get_args(EngineName):
        _refuse("engine", f"is {asked!r}", f"engines are auto, {', '.join(get_args(EngineName))}")
    if asked == "torch":
        _refuse(
            "engine",
            f"is torch for {path}",
            "an exported file runs in onnxruntime or openvino",
            "Choose one of these, or give the run that it was exported from.",
        )
    if asked == "openvino" and not has_openvino:
        _refuse(
            "engine",
            "is openvino",
            "it is not installed",
            "pip install 'atrous[openvino]', or choose onnxruntime.",
        )
    return "openvino" if asked == "openvino" else "onnxruntime"


def _precision(path: Path, manifest: Manifest, name: EngineName, asked: str) -> Precision:
    """The precision that the file is run in: its own, or bf16 where that can be done."""
    if asked in ("auto", manifest.precision):
        return manifest.precision
    if asked not in get_args(Precision):
        known = ", ".join(get_args(Precision))
        _refuse("precision", f"is {asked!r}", f"precisions are auto, {known}")
    if asked == "bf16" and manifest.precision == "f32":
        if name != "openvino":
            _refuse(
                "precision",
                f"is bf16 in {name}",
                "openvino alone runs exported files in it",
                "Add --engine openvino, or leave the precision at auto.",
            )
        return "bf16"
    _refuse(
        "precision",
        f"is {asked} for {path}",
        f"that file is {manifest.precision}",
        "Leave it at auto, or export the run again, with or without --int8 DATA.",
    )


def _refuse_negative(options: Answering) -> None:
    counts = {"threads": options.get("threads", 0), "lanes": options.get("lanes", 0)}
    for name, count in counts.items():
        if count < 0:
            _refuse(name, f"is {count}", "none is fewer than 0", "Leave it out, or give 1 or more.")


def _refuse_for_runs(path: Path, options: Answering) -> None:
    engine, precision = options.get("engine", "auto"), options.get("precision", "auto")
    export = "Export it first: atrous export RUN --out MODEL.onnx."
    if engine not in ("auto", "torch"):
        _refuse("engine", f"is {engine!r} for {path}", "runs answer with torch", export)
    if precision not in ("auto", "f32"):
        _refuse("precision", f"is {precision!r} for {path}", "runs answer in f32", export)
    if options.get("manifest"):
        _refuse("manifest", f"is given for {path}", "a run knows its own", "Leave it out.")


def _refuse_for_files(path: Path, options: Answering) -> None:
    why = "it was settled when the file was exported"
    again = "Leave it out, or export the run again with it."
    if (weights := options.get("weights", "last")) != "last":
        _refuse("weights", f"are {weights!r} for {path}", why, again)
    if stride := options.get("output_stride", 0):
        _refuse("output_stride", f"is {stride} for {path}", why, again)
    if (device := options.get("device", "auto")) not in ("auto", "cpu"):
        _refuse(
            "device",
            f"is {device!r} for {path}",
            "exported files run on the CPU",
            "Leave it at auto, or give the run itself.",
        )


def _refuse(where: str, found: str, allowed: str, fix: str = "Choose one of them.") -> NoReturn:
    raise RecipeError(where, found=found, allowed=allowed, fix=fix)
