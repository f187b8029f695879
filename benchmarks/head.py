"""The head alone: grid logits -> mask, ours against PyTorch's `F.interpolate` and `argmax`.

    python benchmarks/head.py
    python benchmarks/head.py --logits city.npy --stride 8

Cases: 19 x 128 x 256 -> 1024 x 2048 and 150 x 128 x 128 -> 512 x 512, float32, half-pixel rule.
"smooth" logits are noise of a coarser grid, resized bicubically, with a little fine noise, as a
trained model's: their border cells (four neighbours that do not agree) are 5 to 15 %. "noise" is
the worst there is. `--logits` takes real ones (an `.npy` of K h w) in their place. Rounds are
interleaved, each in an order of its own. Both run in this process, on as many threads;
ours has its own, so torch's pool is idle then. Before each call the logits are read once, as if
a network had just written them. A differing pixel is a tie where the two classes' logits, in
float64, are within 1e-5 of the logits' scale. The answer is JSON on stdout.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as pil
from torch.nn import functional as F

from atrous.kernels.resize import argmax_at_pixels, taps
from atrous.machine import cores
from atrous.types import Grid, Size
from measuring import interleaved, machine, times, times_faster

CASES = {"19 classes": (19, 128, 256, 8), "150 classes": (150, 128, 128, 4)}  # K, h, w, stride
COARSE = {"19 classes": 40, "150 classes": 80}  # cells of a lump of smooth noise
FINE = 0.02  # of the smooth noise's deviation
TIE = 1e-5  # of the logits' scale
WARM = 3

Run = Callable[[np.ndarray, int], np.ndarray]


def main() -> None:
    """Measure every case and print the answer."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=cores(), help="1, or one for each core")
    parser.add_argument("--logits", type=Path, help="file of real ones, float32 K h w")
    parser.add_argument("--stride", type=int, default=8, help="pixels of a cell of the file's")
    arguments = parser.parse_args()
    if arguments.threads not in (1, cores()):
        parser.error(f"--threads is 1 or {cores()}, the cores of this process (taskset takes some)")
    torch.set_num_threads(arguments.threads)
    rows = {name: row(arguments, logits, stride) for name, logits, stride in cases(arguments)}
    asked = {"rounds": arguments.rounds, "threads": arguments.threads, "precision": "float32"}
    print(json.dumps({**machine(("numba", "torch"), **asked), "rows": rows}, indent=1))


def cases(arguments: argparse.Namespace) -> Iterator[tuple[str, np.ndarray, int]]:
    """Name, logits, stride."""
    if arguments.logits:
        logits = np.load(arguments.logits).astype(np.float32)
        yield arguments.logits.name, np.ascontiguousarray(logits), arguments.stride
        return
    for name, (*shape, stride) in CASES.items():
        random = np.random.default_rng(0)
        yield f"{name}, smooth", smooth(random, shape, COARSE[name]), stride
        yield f"{name}, noise", random.normal(size=shape).astype(np.float32), stride


def smooth(random: np.random.Generator, shape: list[int], coarse: int) -> np.ndarray:
    """Regions of classes as a trained model makes them."""
    classes, height, width = shape
    lumps = random.normal(size=(classes, height // coarse + 2, width // coarse + 2))
    planes = [
        np.asarray(pil.fromarray(plane).resize((width, height), pil.Resampling.BICUBIC))
        for plane in lumps.astype(np.float32)
    ]
    return np.stack(planes) + FINE * random.normal(size=shape).astype(np.float32)


def ours(threads: int) -> Run:
    """The fused kernel."""

    def run(logits: np.ndarray, stride: int) -> np.ndarray:
        size = (logits.shape[1] * stride, logits.shape[2] * stride)
        return argmax_at_pixels(logits, grid=Grid(stride), size=size, threads=threads)

    return run


@torch.inference_mode()
def eager(logits: np.ndarray, stride: int) -> np.ndarray:
    """What the toolkits do: full-size logits, then the largest."""
    full = F.interpolate(
        torch.from_numpy(logits)[None], scale_factor=stride, mode="bilinear", align_corners=False
    )
    return full.argmax(1)[0].to(torch.uint8).numpy()


def row(arguments: argparse.Namespace, logits: np.ndarray, stride: int) -> dict[str, Any]:
    """What was measured on one array of logits."""
    runs: dict[str, Run] = {"ours": ours(arguments.threads), "torch eager": eager}

    def ask(run: Run) -> Callable[[int], float]:
        def seconds(_: int) -> float:
            logits.max()
            begin = time.perf_counter()
            run(logits, stride)
            return time.perf_counter() - begin

        return seconds

    asked = {name: ask(run) for name, run in runs.items()}
    interleaved(asked, WARM)
    taken = interleaved(asked, arguments.rounds)
    masks = [run(logits, stride) for run in runs.values()]
    return {
        "classes": len(logits),
        "grid": logits.shape[1:],
        "size": masks[0].shape,
        "border_cells": round(border_cells(logits), 3),
        "times_faster": times_faster(*taken.values()),
        **differences(logits, stride, *masks),
        **{name: times(seconds) for name, seconds in taken.items()},
    }


def border_cells(logits: np.ndarray) -> float:
    """The share of cells whose neighbours to the right and below have other classes."""
    best = logits.argmax(0)
    first = best[:-1, :-1]
    others = (best[1:, :-1], best[:-1, 1:], best[1:, 1:])
    return float(np.any([other != first for other in others], axis=0).mean())


def differences(
    logits: np.ndarray, stride: int, mask: np.ndarray, other: np.ndarray
) -> dict[str, int]:
    """Pixels that differ, and those of them that are no ties."""
    y, x = np.nonzero(mask != other)
    gap = at(logits, stride, mask.shape, (mask[y, x], y, x))
    gap -= at(logits, stride, mask.shape, (other[y, x], y, x))
    far = np.abs(gap) > TIE * np.abs(logits).max()
    return {"differing_pixels": len(y), "differing_no_ties": int(far.sum())}


def at(
    logits: np.ndarray, stride: int, size: Size, places: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> np.ndarray:
    """The logits of some classes at some pixels, in float64."""
    k, y, x = places
    top, bottom, down = (tap[y] for tap in taps(size[0], logits.shape[1], Grid(stride)))
    left, right, across = (tap[x] for tap in taps(size[1], logits.shape[2], Grid(stride)))
    exact = logits.astype(np.float64)
    above = exact[k, top, left] * (1 - across) + exact[k, top, right] * across
    below = exact[k, bottom, left] * (1 - across) + exact[k, bottom, right] * across
    return above * (1 - down) + below * down


if __name__ == "__main__":
    main()
