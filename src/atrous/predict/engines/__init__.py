"""Engines: one model file or run -> something that maps a block of pixels to grid logits."""

from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from atrous.classes import Classes
from atrous.runs import weights_file
from atrous.types import Grid, Images


class Engine(Protocol):
    """Maps pixels `B H W C` of any size to float32 grid logits `B K h w`, in NumPy."""

    @property
    def grid(self) -> Grid: ...
    @property
    def bands(self) -> int: ...
    @property
    def dtype(self) -> str: ...
    def __call__(self, images: Images, /) -> np.ndarray: ...


class Opened(NamedTuple):
    """An engine with what its file says of it."""

    engine: Engine
    classes: Classes
    digest: str
    description: str


def open_engine(
    run_or_file: Path,
    *,
    weights: str = "last",
    device: str = "auto",
    threads: int = 0,
    output_stride: int = 0,
) -> Opened:
    """The engine that answers for a run folder or a weights file.

    Raises:
        RunError, WeightsError: nothing usable is there.
    """
    from atrous.predict.engines.torch import open_torch

    path = weights_file(run_or_file, weights)
    return open_torch(path, device=device, threads=threads, output_stride=output_stride)
