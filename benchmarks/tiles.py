"""Tiles against the whole picture: how many pixels differ, and what they cost.

    python benchmarks/tiles.py runs/street photos --side 4096 --memory 1500

The pictures of a folder are laid side by side to one of `side` x `side` pixels. It is shown whole,
in exact tiles, in blended ones, and in bare ones, which are cut without a halo and laid side by
side; the last three hold `memory` MiB at most. Rounds are interleaved. The answer is JSON on
stdout; `differ` is the share of pixels of another class than in the whole picture, `worst` the
largest difference of a logit, in units of the largest, `differ_where_sure` the share that
differs and is no tie: the two likeliest classes are more than 1e-5 apart there.
"""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.images import is_image, read_image
from atrous.machine import cores
from atrous.predict.predictor import Prediction, Predictor, load
from atrous.predict.tiles import Cut, scene_of
from measuring import interleaved, machine, say, timed, times

WAYS = ("off", "exact", "blend")


def main() -> None:
    """Measure every way and print the answer."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--memory", type=int, default=1500, help="MiB")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=cores())
    arguments = parser.parse_args()
    image = mosaic(arguments.pictures, arguments.side)
    ways = {
        way: load(
            arguments.model, tile=way, memory=arguments.memory, threads=arguments.threads, lanes=1
        )
        for way in WAYS
    }
    made = {way: predictor(image) for way, predictor in ways.items()}
    whole = made["off"]
    say("compared")
    decided = sure(whole)
    rows: dict[str, Any] = {
        way: {"cut": str(made[way].cut), **difference(whole, decided, made[way])}
        for way in WAYS[1:]
    }
    rows["bare"] = bare(ways["exact"], image, made["blend"].cut.side, whole, decided)
    taken = interleaved(
        {way: timed(partial(predictor, image)) for way, predictor in ways.items()},
        arguments.rounds,
    )
    for way in WAYS:
        ratio = np.median(np.divide(taken[way], taken["off"]))
        rows.setdefault(way, {})["times_the_whole"] = round(float(ratio), 2)
        rows[way]["seconds"] = times(taken[way])
    asked = {"side": arguments.side, "memory_mib": arguments.memory, "threads": arguments.threads}
    print(json.dumps({**machine(("torch", "openvino"), **asked), "rows": rows}, indent=1))


def mosaic(folder: Path, side: int) -> np.ndarray:
    """The folder's pictures side by side, as often as is needed."""
    paths = sorted(path for path in folder.rglob("*") if is_image(path))
    pictures = [read_image(path) for path in paths]
    height, width, _ = pictures[0].shape
    across = -(-side // width)
    lines = [
        np.concatenate([pictures[(i * across + j) % len(pictures)] for j in range(across)], 1)
        for i in range(-(-side // height))
    ]
    return np.ascontiguousarray(np.concatenate(lines)[:side, :side])


def sure(whole: Prediction) -> np.ndarray:
    """Pixels whose two likeliest classes are no tie."""
    height = len(whole.mask)
    apart = []
    for top in range(0, height, 256):
        probs = whole.probabilities(slice(top, min(top + 256, height)))
        second, first = np.partition(probs, -2, 0)[-2:]
        apart.append(first - second > 1e-5)
    return np.concatenate(apart)


def difference(whole: Prediction, decided: np.ndarray, other: Any) -> dict[str, float]:
    """How another prediction differs from the whole picture's."""
    differ = other.mask != whole.mask
    worst = np.abs(other.logits - whole.logits).max() / np.abs(whole.logits).max()
    return {
        "differ": float(differ.mean()),
        "differ_where_sure": float((differ & decided).mean()),
        "worst": float(worst),
    }


def bare(
    predictor: Predictor, image: np.ndarray, side: int, whole: Prediction, decided: np.ndarray
) -> dict[str, Any]:
    """Tiles without halo or blending, each a picture of its own, as programs often cut them."""
    cut = Cut("exact", side, 0)
    scene = scene_of(
        predictor.engine,
        image.shape[:2],
        image.__getitem__,
        cut,
        num_logits=predictor.classes.num_logits,
    )
    logits = scene.cells()
    mask = predictor.decided(logits, scene.grid, image.shape[:2])
    other = argparse.Namespace(mask=mask, logits=logits)
    return {"cut": f"bare, of {side} px", **difference(whole, decided, other)}


if __name__ == "__main__":
    main()
