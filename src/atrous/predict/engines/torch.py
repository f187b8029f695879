"""The PyTorch engine: answers with a `Segmenter`, of this process or from a weights file."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32

from atrous.classes import Classes
from atrous.errors import RecipeError, WeightsError
from atrous.machine import cores
from atrous.models.build import Segmenter, at_stride, build_model
from atrous.models.means import MeansGiven, Reached
from atrous.models.tiling import tiling_of
from atrous.predict.engines import Counted, Means, Opened
from atrous.recipe import Recipe, from_tables
from atrous.runs import read_model, steps_of
from atrous.types import EngineName, Image, Images, Placement, Precision, Statistics, Tiling

BANDS = 3  # of a model that holds no statistics of its own


class TorchEngine:
    """A `Segmenter` behind NumPy arrays; it is put into evaluation mode at each call."""

    name: EngineName = "torch"
    precision: Precision = "f32"
    lanes = 1  # a call takes all threads of torch

    def __init__(self, model: Segmenter, *, threads: int = 0) -> None:
        self.model = model
        self.threads = threads or cores()
        self._tiling: Tiling | None = None  # half a second, for large pictures alone

    @property
    def grid(self) -> Placement:
        return self.model.grid

    @property
    def bands(self) -> int:
        return self.model.bands

    @property
    def dtype(self) -> str:
        return self.model.dtype

    @property
    def mean(self) -> tuple[float, ...]:
        return statistics_of(self.model).mean

    @property
    def tiling(self) -> Tiling:
        if self._tiling is None:
            self._tiling = tiling_of(self.model)
        return self._tiling

    def __call__(
        self, images: Images, /, means: Means | None = None
    ) -> Float32[np.ndarray, "B K h w"]:
        with self._given(means or ()):
            logits = self.model(self._pixels(images))
        return logits.float().contiguous().cpu().numpy()

    def next_mean(self, image: Image, own: Bool[np.ndarray, "H W"], known: Means, /) -> Counted:
        try:
            with self._given(known, torch.from_numpy(own)):
                self.model(self._pixels(image[None]))
        except Reached as reached:
            return Counted(reached.sums.cpu().numpy(), reached.cells)
        raise AssertionError("a network asks for as many means as its tiling says")

    def _pixels(self, images: Images) -> torch.Tensor:
        writeable = np.require(images, requirements=["C", "W"])  # as torch wants it
        return torch.from_numpy(writeable).to(self.model.device)

    @contextmanager
    def _given(self, means: Means, own: torch.Tensor | None = None) -> Iterator[None]:
        """Evaluation, with the first means over the whole picture given."""
        self.model.eval()
        asked = bool(means) or own is not None
        known = [torch.from_numpy(np.float32(mean)) for mean in means]
        with torch.inference_mode(), MeansGiven(known, own) if asked else nullcontext():
            yield


def open_torch(
    path: Path, *, device: str = "auto", threads: int = 0, output_stride: int = 0
) -> Opened:
    """The engine of a weights file that `atrous train` wrote.

    `threads` other than 0 sets those of torch, for the whole process; `output_stride` other
    than 0 gives the same weights another stride.
    """
    if threads:
        torch.set_num_threads(threads)
    tensors, about, digest = read_model(path)
    classes = Classes.from_dict(about["classes"])
    recipe = from_tables(about["recipe"], where=str(path))
    if output_stride:
        recipe = at_stride(recipe, output_stride)
    model = restored(recipe, classes.num_logits, about["dtype"], tensors, path)
    model = model.to(pick_device(device)).to(memory_format=torch.channels_last)
    words = describe(about) + (f", at output stride {output_stride}" if output_stride else "")
    engine = TorchEngine(model, threads=threads)
    return Opened(engine, classes, digest, words, _note(model), steps_of(path, recipe))


def _note(model: Segmenter) -> str:
    """The engine in words, the threads of a CPU or the name of another device."""
    threads = torch.get_num_threads()
    cpu = f"{threads} thread{'s' * (threads > 1)}"
    where = cpu if model.device.type == "cpu" else model.device.type
    return f"Engine: torch {torch.__version__.partition('+')[0]}, f32, {where}."


def restored(
    recipe: Recipe, num_logits: int, dtype: Any, tensors: dict[str, np.ndarray], path: Path
) -> Segmenter:
    """The model of a recipe with the weights of a file; every tensor must have its place."""
    measured = None
    if "mean" in tensors:  # of the training data, whose pixels have a scale of their own
        measured = Statistics(tuple(tensors["mean"].tolist()), tuple(tensors["std"].tolist()))
    model = build_model(
        recipe.model.bare(),
        num_classes=num_logits,
        bands=len(measured.mean) if measured else BANDS,
        dtype=dtype,
        statistics=measured,
    )
    own = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    theirs = {name: array.shape for name, array in tensors.items()}
    if own != theirs:
        name = next(n for n in [*own, *theirs] if own.get(n) != theirs.get(n))
        raise WeightsError(
            path,
            found=f"has {theirs.get(name, 'nothing')} for {name}",
            allowed=f"{recipe.model.name} of {num_logits} logits has {own.get(name, 'nothing')}",
            fix="Use the version of atrous and timm that wrote the file, and its output stride.",
        )
    model.load_state_dict({name: torch.from_numpy(array) for name, array in tensors.items()})
    return model


def statistics_of(segmenter: Segmenter) -> Statistics:
    """Mean and deviation of each band in pixel values, by which a model normalises."""
    if not segmenter.measured:
        return segmenter.rules.statistics(segmenter.bands, segmenter.largest)
    mean, std = (segmenter.get_buffer(name).tolist() for name in ("mean", "std"))
    return Statistics(tuple(mean), tuple(std))


def describe(about: dict[str, Any]) -> str:
    """Which weights these are, in words."""
    if origin := about.get("origin"):
        return f"weights of {origin['from']} ({origin['file']})"
    averaged = ", averaged (EMA)" if about["ema"] else ""
    chosen = ", chosen on val" if about["weights"] == "best" else ""
    return f"{about['weights']} weights, step {about['step']}{averaged}{chosen}"


def pick_device(name: str) -> torch.device:
    """The device called `name`; `auto` is CUDA, then MPS, then the CPU.

    Raises:
        RecipeError: this machine or this torch has no such device.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    devices = [*(device for device, has in there.items() if has), "cpu"]
    if name not in ("auto", *devices):
        raise RecipeError(
            "device",
            found=f"is {name!r}",
            allowed=f"torch {torch.__version__} finds {', '.join(devices)} here",
            fix="Leave it at auto, or install a torch built for the device.",
        )
    return torch.device(devices[0] if name == "auto" else name)
