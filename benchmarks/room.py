"""Memory that networks hold of a picture, against what their tiles are planned by.

    python benchmarks/room.py

Each model answers once for a picture of 1024 x 1024 in a process of its own, with torch in one
thread. `seen` is the peak of its memory less what it held before, in bytes a pixel; `planned` is
`Tiling.room`. The answer is JSON on stdout.
"""

import json
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np

from atrous.bench.child import peak_memory
from measuring import machine, say

SIDE = 1024
MODELS = (
    ("deeplabv3plus", "efficientnet_lite0"),
    ("fcn8s", "efficientnet_lite0"),
    ("fcn_basic", ""),
    ("deeplabv2", "efficientnet_lite0"),
    ("deeplabv3", "resnet50"),
    ("fcn8s", "vgg16"),
)


def main() -> None:
    """Measure every model and print the answer."""
    rows = {}
    for name, encoder in MODELS:
        with multiprocessing.get_context("spawn").Pool(1) as alone:
            rows[f"{name} {encoder}".strip()] = alone.apply(room, (name, encoder))
        say(f"{name} {encoder}: done")
    print(json.dumps({**machine(("torch",), side=SIDE, threads=1), "rows": rows}, indent=1))


def room(name: str, encoder: str) -> dict[str, int]:
    """Bytes a pixel that a model takes, and that are planned for it."""
    import torch

    from atrous.models.build import build
    from atrous.predict.engines.torch import TorchEngine

    torch.set_num_threads(1)
    options: Any = {"encoder": encoder} if encoder else {}
    model = build(name, num_classes=11, **options).to(memory_format=torch.channels_last)
    engine = TorchEngine(model, threads=1)
    image = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    engine(image[:, :64, :64])  # what is taken once
    forget_peak()
    before = peak_memory() or 0
    engine(image)
    seen = round(((peak_memory() or 0) - before) / SIDE**2)
    return {"planned": engine.tiling.room, "seen": seen}


def forget_peak() -> None:
    """On Linux, let the peak of this process begin anew at what it holds now."""
    Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    main()
