"""What stands in for the dense CRF: the bilateral grid, and the CRF itself in windows.

    python benchmarks/crf_relatives.py ../shared/data

The grid against the CRF at the defaults of both, on a crop of a CamVid picture with the soft-max
of a trained DeepLabV3+ (`dense_crf/q_camvid.npz`) and on that crop three times as large each way:
times of interleaved rounds, share of pixels of the same label, what both change, and how much of
it is right where CamVid has the truth. Then windows against the whole picture, by overlap in
units of `bilateral_sxy`: the probabilities of the crop, and those made of CamVid's masks
(`soft_masks.py`), of whole val pictures; two windows each way. The answer is JSON on stdout.
"""

import argparse
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image as pil

from atrous.machine import cores
from atrous.predict.bilateral_grid import bilateral_grid
from atrous.predict.crf import dense_crf
from atrous.predict.crf.windows import dense_crf_windowed
from measuring import interleaved, machine, say, timed, times, times_faster
from soft_masks import soft_mask

CROP = ("0016E5_08059.png", slice(90, 330), slice(100, 420))  # where `q_camvid.npz` is from
CLASSES, VOID = 11, 11
LARGER = 3
OVERLAPS = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0)
NARROW, WIDE = 30.0, 67.0  # bilateral_sxy: both ends of DeepLab's range


class Case(NamedTuple):
    """A picture, its probabilities, its truth."""

    image: np.ndarray
    probs: np.ndarray
    mask: np.ndarray


def main() -> None:
    """Measure both and print the answer."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder that holds camvid and dense_crf")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--pictures", type=int, default=4)
    parser.add_argument("--threads", type=int, default=cores())
    arguments = parser.parse_args()
    crop = crop_of(arguments.data)
    cases = {"crop": crop, f"crop x {LARGER}": Case(*(enlarged(each) for each in crop))}
    told = {name: grid_row(case, arguments) for name, case in cases.items()}
    wide = [Case(*case) for case in val_pictures(arguments.data / "camvid", arguments.pictures)]
    windows = {
        f"{name}, bilateral_sxy {sxy:g}": window_rows(cases, sxy, arguments.threads)
        for name, cases in {"crop": [crop], "val": wide}.items()
        for sxy in (NARROW, WIDE)
    }
    asked = {"rounds": arguments.rounds, "threads": arguments.threads}
    print(json.dumps({**machine(("numba",), **asked), "grid": told, "windows": windows}, indent=1))


def crop_of(data: Path) -> Case:
    """The crop with what a network said of it, and CamVid's truth."""
    name, rows, columns = CROP
    with np.load(data / "dense_crf" / "q_camvid.npz") as golden:
        image, probs = golden["image"], golden["probs"]
    mask = read(data / "camvid" / "valannot" / name)[rows, columns]
    assert np.array_equal(image, read(data / "camvid" / "val" / name)[rows, columns])
    return Case(image, probs, mask)


def val_pictures(folder: Path, count: int) -> Iterator[tuple[np.ndarray, ...]]:
    """So many pictures of val, evenly taken."""
    files = sorted((folder / "val").glob("*.png"))
    for seed, file in enumerate(files[:: len(files) // count][:count]):
        mask = read(folder / "valannot" / file.name)
        yield read(file), soft_mask(mask, CLASSES, seed=seed), mask


def read(path: Path) -> np.ndarray:
    """The pixels of a file."""
    with pil.open(path) as opened:
        return np.asarray(opened)


def enlarged(array: np.ndarray) -> np.ndarray:
    """Each pixel as a block of pixels, labels first if there are any."""
    down = 1 if array.dtype == np.float32 else 0
    return array.repeat(LARGER, axis=down).repeat(LARGER, axis=down + 1)


def grid_row(case: Case, arguments: argparse.Namespace) -> dict[str, Any]:
    """Times of the grid and of the CRF, and what they make of the labels."""
    ways = {
        "bilateral_grid": partial(bilateral_grid, threads=arguments.threads),
        "dense_crf": partial(dense_crf, threads=arguments.threads),
    }
    made = {name: way(case.image, case.probs).argmax(0) for name, way in ways.items()}
    asked = {name: timed(partial(way, *case[:2])) for name, way in ways.items()}
    taken = interleaved(asked, arguments.rounds)
    say(f"{case.image.shape}: timed")
    before = case.probs.argmax(0)
    return {
        "size": case.image.shape[:2],
        "times_faster": times_faster(taken["bilateral_grid"], taken["dense_crf"]),
        "same_label": same(*made.values()),
        "same_label_without": same(before, made["dense_crf"]),
        "changed": {name: 1 - same(before, pred) for name, pred in made.items()},
        "right": {name: right(pred, case.mask) for name, pred in {"": before, **made}.items()},
        **{name: times(seconds) for name, seconds in taken.items()},
    }


def window_rows(cases: list[Case], sxy: float, threads: int) -> list[dict[str, float]]:
    """For each overlap the largest change of any picture, and its extra work."""
    rows = []
    wholes = [dense_crf(*case[:2], bilateral_sxy=sxy, threads=threads) for case in cases]
    for units in OVERLAPS:
        overlap = round(units * sxy)
        height, width = cases[0].image.shape[:2]
        window = -(-(width + overlap) // 2)  # two across; and two down, where it is not too wide
        if window >= min(height, width):
            break
        infer = partial(
            dense_crf_windowed,
            window=window,
            overlap=overlap,
            bilateral_sxy=sxy,
            threads=threads,
        )
        apart = [differs(infer(*c[:2]), q) for c, q in zip(cases, wholes, strict=True)]
        worst = {name: max(each[name] for each in apart) for name in apart[0]}
        rows.append({"overlap": units, "window": window, **worst})
        say(rows[-1])
    return rows


def differs(made: np.ndarray, whole: np.ndarray) -> dict[str, float]:
    """How far two answers are apart."""
    apart = np.abs(made - whole)
    return {
        "labels": 1 - same(made.argmax(0), whole.argmax(0)),
        "mean": float(apart.mean()),
        "of_999_in_1000": float(np.quantile(apart.max(0), 0.999)),
        "largest": float(apart.max()),
    }


def same(pred: np.ndarray, other: np.ndarray) -> float:
    """The share of pixels of the same label."""
    return float((pred == other).mean())


def right(pred: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """Pixel accuracy, and the mean IoU of the classes that are there."""
    pred, mask = pred[mask != VOID], mask[mask != VOID]
    both = [(pred == k, mask == k) for k in np.unique(mask)]
    ious = [(p & m).sum() / (p | m).sum() for p, m in both]
    return {"accuracy": same(pred, mask), "mean_iou": float(np.mean(ious))}


if __name__ == "__main__":
    main()
