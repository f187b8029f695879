"""The dense CRF: ours against pydensecrf2, with and without labels that cannot matter.

    python benchmarks/crf.py --picture street.jpg
    python benchmarks/crf.py --picture street.jpg --mask street.png --labels 21

DeepLab's parameters: Gaussian sxy 3, weight 3; bilateral sxy 67, srgb 3, weight 4; 10 iterations,
on a picture of 500 x 375 (the one given, resized), for 2, 21 and 150 labels. The unaries are as
a trained model's: a few labels are there, in the regions of the mask (of lumps, without one),
blurred at their borders by a stride of 8; the others' logits are 9 below, give or take smooth
noise. Rounds are interleaved, each in an order of its own, on as many threads as there are
cores; pydensecrf2 has one. It is left out where it is not installed: `pip install pydensecrf2`
builds it with a C++ compiler (Python 3.11). Each contender's extra memory is the peak of a process
of its own that infers once, less what it holds before. The answer is JSON on stdout.
"""

import argparse
import json
import multiprocessing
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as pil
from PIL import ImageFilter

from atrous.kernels.planes import shown
from atrous.machine import cores
from atrous.predict.crf import dense_crf
from atrous.predict.crf.checks import Widths, gain
from atrous.predict.crf.inference import FADED, LEAST
from atrous.predict.crf.pairwise import kernels
from measuring import installed, interleaved, machine, say, timed, times, times_faster

SIZE = (375, 500)  # of a photograph of VOC
ACROSS = (SIZE[1], SIZE[0])
WIDTHS, WEIGHTS, ITERATIONS = Widths(3.0, 67.0, 3.0), (3.0, 4.0), 10
PRESENT = {2: 2, 21: 5, 150: 12}  # labels that are there, if the mask has as many
BELOW, SPREAD = 9.0, 1.0  # logits of labels that are absent
WARM = 1
Infer = Callable[[np.ndarray, np.ndarray], np.ndarray]


def main() -> None:
    """Measure every number of labels and print the answer."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--picture", type=Path, required=True)
    parser.add_argument("--mask", type=Path, help="label map of the picture, a grey PNG")
    parser.add_argument("--labels", type=int, nargs="+", default=[2, 21, 150])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=cores())
    arguments = parser.parse_args()
    with pil.open(arguments.picture) as opened:
        image = np.array(opened.convert("RGB").resize(ACROSS, pil.Resampling.BICUBIC))
    rows = {f"{labels} labels": row(arguments, image, labels) for labels in arguments.labels}
    asked = {"rounds": arguments.rounds, "threads": arguments.threads, "size": SIZE}
    print(json.dumps({**machine(("numba", "pydensecrf2"), **asked), "rows": rows}, indent=1))


def contenders(threads: int) -> dict[str, Infer]:
    """How each infers."""
    every: dict[str, Infer] = {
        "ours": partial(dense_crf, prune=False, threads=threads),
        "ours, pruned": partial(dense_crf, threads=threads),
        "ours, exact-spatial": partial(
            dense_crf, prune=False, mode="exact-spatial", threads=threads
        ),
    }
    return {**every, "pydensecrf2": peer} if installed("pydensecrf2") else every


def peer(image: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Krahenbuhl's code."""
    from pydensecrf.densecrf import DenseCRF2D  # pyright: ignore[reportMissingImports]

    labels, height, width = probs.shape
    crf = DenseCRF2D(width, height, labels)
    crf.setUnaryEnergy(-np.log(np.maximum(probs, np.float32(LEAST))).reshape(labels, -1))
    crf.addPairwiseGaussian(sxy=WIDTHS.gaussian_sxy, compat=WEIGHTS[0])
    crf.addPairwiseBilateral(
        sxy=WIDTHS.bilateral_sxy,
        srgb=WIDTHS.bilateral_srgb,
        rgbim=image,
        compat=WEIGHTS[1],
    )
    return np.array(crf.inference(ITERATIONS)).reshape(probs.shape)


def row(arguments: argparse.Namespace, image: np.ndarray, labels: int) -> dict[str, Any]:
    """What was measured for so many labels."""
    probs, present = unaries(arguments.mask, labels)
    every = contenders(arguments.threads)
    asked = {name: timed(partial(infer, image, probs)) for name, infer in every.items()}
    interleaved(asked, WARM)
    say(f"{labels} labels: warm")
    taken = interleaved(asked, arguments.rounds)
    made = {name: infer(image, probs) for name, infer in every.items()}
    pruned = made["ours, pruned"]
    told: dict[str, Any] = {
        "labels_present": present,
        "labels_above_1_percent": int((probs.max((1, 2)) > 0.01).sum()),
        "labels_filtered": kept(image, probs, arguments.threads),
        "pruned_differs": differs(pruned, made["ours"]),
        **parts(arguments, image, probs),
    }
    if "pydensecrf2" in made:
        than = taken["pydensecrf2"]
        told["times_faster"] = {name: times_faster(own, than) for name, own in taken.items()}
        told["differs_from_pydensecrf2"] = differs(made["ours"], made["pydensecrf2"])
    memory = {
        f"{name}, extra_mb": extra_memory(name, arguments.threads, image, probs) for name in every
    }
    return {**told, **memory, **{name: times(seconds) for name, seconds in taken.items()}}


def unaries(mask: Path | None, labels: int) -> tuple[np.ndarray, int]:
    """Probabilities of so many labels, and how many are there."""
    random = np.random.default_rng(0)
    if mask:
        with pil.open(mask) as opened:
            ids = np.asarray(opened.resize(ACROSS, pil.Resampling.NEAREST))
        order = np.argsort(-np.bincount(ids.reshape(-1)), kind="stable")[: PRESENT.get(labels, 5)]
        regions = [ids == index for index in order if (ids == index).any()]
    else:
        lumps = np.stack([smooth(random, 6) for _ in range(PRESENT.get(labels, 5))]).argmax(0)
        regions = [lumps == index for index in range(lumps.max() + 1)]
    regions[0] = regions[0] | ~np.any(regions, axis=0)  # the rest of the picture
    logits = np.stack([SPREAD * smooth(random, 24) for _ in range(labels)])
    for label, region in zip(random.permutation(labels), regions, strict=False):
        grey = pil.fromarray(region.astype(np.uint8) * 255).filter(ImageFilter.GaussianBlur(8))
        logits[label] += BELOW * np.asarray(grey, np.float32) / 255
    weights = np.exp(logits - logits.max(0))
    return (weights / weights.sum(0)).astype(np.float32), len(regions)


def smooth(random: np.random.Generator, cells: int) -> np.ndarray:
    """Normal noise in lumps, so many across."""
    noise = random.normal(size=(cells * 3 // 4, cells)).astype(np.float32)
    return np.asarray(pil.fromarray(noise).resize(ACROSS, pil.Resampling.BICUBIC))


def parts(
    arguments: argparse.Namespace, image: np.ndarray, probs: np.ndarray
) -> dict[str, float | int]:
    """Milliseconds of the build of both lattices, and of an iteration; how large they are."""
    gains = gain("", WEIGHTS[0], len(probs)), gain("", WEIGHTS[1], len(probs))
    build = partial(
        kernels, image, WIDTHS, gains, "symmetric", "lattice", (0, 0), arguments.threads
    )
    infer = partial(dense_crf, image, probs, prune=False, threads=arguments.threads)
    asked = {
        "build": timed(build),
        "one": timed(partial(infer, iterations=1)),
        "many": timed(partial(infer, iterations=1 + ITERATIONS)),
    }
    taken = interleaved(asked, max(arguments.rounds // 2, 3))
    spread = np.subtract(taken["many"], taken["one"]) / ITERATIONS
    return {
        "lattice_points": build().lattice.size,
        "build_ms": round(float(np.median(taken["build"])) * 1000, 1),
        "iteration_ms": round(float(np.median(spread)) * 1000, 2),
    }


def kept(image: np.ndarray, probs: np.ndarray, threads: int) -> int:
    """How many labels are filtered after the first iteration."""
    first = dense_crf(image, probs, iterations=1, threads=threads)
    flat = first.reshape(len(first), -1).T.copy()
    return len(shown(flat, len(first), FADED, threads=threads))


def differs(made: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """The largest difference of a probability, and the share of pixels of another label."""
    share = float((made.argmax(0) != other.argmax(0)).mean())
    return {"probability": float(np.abs(made - other).max()), "labels": share}


def extra_memory(name: str, threads: int, image: np.ndarray, probs: np.ndarray) -> float:
    """Megabytes that one inference takes beyond picture and probabilities (of Linux)."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak, (name, threads, image, probs))


def _peak(name: str, threads: int, image: np.ndarray, probs: np.ndarray) -> float:
    infer = contenders(threads)[name]
    infer(image[:9, :9].copy(), np.ascontiguousarray(probs[:, :9, :9]))  # compiles, or loads
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from now
    before = _resident("VmRSS")
    infer(image, probs)
    return round((_resident("VmHWM") - before) / 1000, 1)


def _resident(name: str) -> int:
    """Kilobytes, as the kernel tells."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


if __name__ == "__main__":
    main()
