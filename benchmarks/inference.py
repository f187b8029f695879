"""Decoded picture -> mask on a CPU: ours against peers that run the same weights.

    python benchmarks/inference.py smp --run runs/camvid --data ../shared/data/camvid --files smp
    python benchmarks/inference.py torchvision --data ../shared/data/camvid --files torchvision

`smp`: DeepLabV3+ on EfficientNet-Lite0, 384 x 480, 11 classes, with the weights of a run that was
trained by smp's rules (docs/results.md has the command). `torchvision`: DeepLabV3 on ResNet-50,
360 x 480, 21 classes, random weights: no published ones can be had offline. Their network's file
goes through `import-weights` and `export`, as anybody's would; int8 of random weights alone skips
the gate, for it has no mIoU to keep. Each contender lives in a process of its own and sleeps while
the others run; rounds are interleaved, each in an order of its own. The answer is JSON on stdout.
"""

import argparse
import json
import multiprocessing
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from measuring import contest, machine, say, times, times_faster

SIZES = {"smp": (384, 480), "torchvision": (360, 480)}
NUM_CLASSES = {"smp": 11, "torchvision": 21}
WARM = 3
PACKAGES = ("torch", "torchvision", "segmentation-models-pytorch", "onnxruntime", "openvino")


def main() -> None:
    """Make the files, run the rounds, print what was measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("peer", choices=SIZES)
    parser.add_argument("--run", type=Path, help="weights by smp's rules; random without")
    parser.add_argument("--data", type=Path, help="data set: pictures, and calibration of int8")
    parser.add_argument("--files", type=Path, required=True, help="folder for models; kept")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    facts = prepared(arguments)
    names = facts.pop("contenders")
    pictures = np.stack(read_pictures(arguments.data, SIZES[arguments.peer]))
    asked = {"rounds": arguments.rounds, "threads": arguments.threads}
    make = partial(made, arguments=arguments, pictures=pictures)
    masks, taken = contest(make, names, **asked)
    facts |= machine(PACKAGES, **asked)
    print(json.dumps({**facts, **table(taken, masks)}, indent=1))


def prepared(arguments: argparse.Namespace) -> dict[str, Any]:
    """The models of all contenders in the folder, made once; and what the network is."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:  # torch and its threads stay out of this process
        return pool.apply(_prepare, (arguments,))


def _prepare(arguments: argparse.Namespace) -> dict[str, Any]:
    import atrous
    from atrous.models.geometry import macs
    from atrous.predict.engines.torch import TorchEngine
    from peers import contenders

    peer, folder, size = arguments.peer, arguments.files, SIZES[arguments.peer]
    if not (folder / "ours-f32.onnx").is_file():
        say(f"Making the models in {folder}.")
        _write_models(arguments)
    engine = atrous.load(folder / "run").engine
    assert isinstance(engine, TorchEngine)
    return {
        "peer": peer,
        "size": size,
        "classes": NUM_CLASSES[peer],
        "parameters": sum(p.numel() for p in engine.model.parameters()),
        "gmacs": round(macs(engine.model, size) / 1e9, 2),
        "contenders": list(contenders(peer, folder, NUM_CLASSES[peer])),
    }


def _write_models(arguments: argparse.Namespace) -> None:
    """Their file and graph; of their file a run of ours, exported in f32 and in int8."""
    import torch

    import atrous
    from peers import NETWORKS, smp_from_run, write_graph, write_theirs, write_whole_numbers

    peer, folder = arguments.peer, arguments.files
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    trained: Path | None = arguments.run if peer == "smp" else None
    network = smp_from_run(trained, folder) if trained else NETWORKS[peer](NUM_CLASSES[peer])
    file = write_theirs(peer, network, folder)
    write_graph(network, SIZES[peer], folder / "theirs.onnx")
    classes = arguments.data if trained else None
    if not (folder / "run").is_dir():
        atrous.import_weights(file, origin=peer, out=folder / "run", data=classes)
    if trained and arguments.data:
        atrous.export(folder / "run", out=folder / "ours-int8.onnx", int8=arguments.data)
    elif arguments.data:
        pictures = read_pictures(arguments.data, SIZES[peer], split="train")
        write_whole_numbers(folder / "run", pictures, folder / "ours-int8.onnx")
    atrous.export(folder / "run", out=folder / "ours-f32.onnx", data=classes)


def read_pictures(
    data: Path | None, size: tuple[int, int], *, split: str = "val", count: int = 8
) -> list[np.ndarray]:
    """A few pictures of a split, brought to the size by repeating their edges; or soft noise."""
    if data is None:
        random = np.random.default_rng(0)
        coarse = random.integers(0, 256, (count, 6, 8, 3), dtype=np.uint8)
        factors = -(-size[0] // 6), -(-size[1] // 8)
        large = coarse.repeat(factors[0], 1).repeat(factors[1], 2)
        return list(np.ascontiguousarray(large[:, : size[0], : size[1]]))
    from atrous.data.dataset import open_dataset

    dataset = open_dataset(data, only=split)
    pairs = dataset.split(split)
    chosen = [pairs[i * len(pairs) // count] for i in range(count)]
    images = [dataset.read(pair).image for pair in chosen]
    spans = [[(0, max(0, n - m)) for n, m in zip(size, i.shape, strict=False)] for i in images]
    padded = [np.pad(i, [*s, (0, 0)], mode="edge") for i, s in zip(images, spans, strict=True)]
    return [np.ascontiguousarray(i[: size[0], : size[1]]) for i in padded]


def made(
    name: str, arguments: argparse.Namespace, pictures: np.ndarray
) -> tuple[np.ndarray, Callable[[int], float]]:
    """A contender's masks of all pictures, and how it answers a turn: with seconds."""
    import torch

    from peers import contenders

    torch.set_num_threads(arguments.threads)
    run = contenders(arguments.peer, arguments.files, NUM_CLASSES[arguments.peer])[name]()
    for _ in range(WARM):
        run(pictures[0])

    def seconds(turn: int) -> float:
        picture = pictures[turn % len(pictures)]
        begin = time.perf_counter()
        run(picture)
        return time.perf_counter() - begin

    return np.stack([run(picture) for picture in pictures]), seconds


def table(taken: dict[str, list[float]], masks: dict[str, np.ndarray]) -> dict[str, Any]:
    """A row for each contender: times, ratios to the first and to the best peer, its pixels.

    Ratios are medians of those of each round: a slow spell of the machine slows a whole round.
    """
    first = next(iter(taken))
    peers = [name for name in taken if not name.startswith("atrous") and "bf16" not in name]
    best = min(peers, key=lambda name: float(np.median(taken[name])))
    rows = {
        name: {
            "times_faster": times_faster(seconds, taken[first]),
            "times_faster_than_best_peer": times_faster(seconds, taken[best]),
            "differing_pixels": float((masks[name] != masks[first]).mean()),
            **times(seconds),
        }
        for name, seconds in taken.items()
    }
    return {"reference": first, "best peer in f32": best, "rows": rows}


if __name__ == "__main__":
    main()
