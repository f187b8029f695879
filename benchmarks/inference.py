"""Decoded picture -> mask on a CPU: ours against peers that run the same weights.

    python benchmarks/inference.py smp --run runs/camvid --data ../shared/data/camvid
    python benchmarks/inference.py torchvision

`smp`: DeepLabV3+ on EfficientNet-Lite0, 384 x 480, 11 classes, with the weights of a run that was
trained by smp's rules (docs/results.md has the command). `torchvision`: DeepLabV3 on ResNet-50,
360 x 480, 21 classes, random weights: no published ones can be had offline. Their network's file
goes through `import-weights` and `export`, as anybody's would. Each contender lives in a process
of its own and sleeps while the others run; rounds are interleaved, each beginning with another.
The answer is JSON on stdout.
"""

import argparse
import json
import multiprocessing
import os
import platform
import sys
import time
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

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
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # of the children, before torch
    facts = prepared(arguments)
    names = facts.pop("contenders")
    pictures = np.stack(read_pictures(arguments.data, SIZES[arguments.peer]))
    times, masks = measure(arguments, names, pictures)
    print(json.dumps({**facts, **machine(arguments), **table(names, times, masks)}, indent=1))


def prepared(arguments: argparse.Namespace) -> dict[str, Any]:
    """The models of all contenders in the folder, made once; and what the network is."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:  # torch and its threads stay out of this process
        return pool.apply(_prepare, (arguments,))


def _prepare(arguments: argparse.Namespace) -> dict[str, Any]:
    import torch

    import atrous
    from atrous.models.geometry import macs
    from atrous.predict.engines.torch import TorchEngine
    from peers import NETWORKS, contenders, smp_from_run, write_graph, write_theirs

    peer, folder, size = arguments.peer, arguments.files, SIZES[arguments.peer]
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    if not (folder / "ours-f32.onnx").is_file():
        say(f"Making the models in {folder}.")
        from_run = arguments.run and peer == "smp"
        network = (
            smp_from_run(arguments.run, folder) if from_run else NETWORKS[peer](NUM_CLASSES[peer])
        )
        file = write_theirs(peer, network.eval(), folder)
        write_graph(network.eval(), size, folder / "theirs.onnx")
        if not (folder / "run").is_dir():
            atrous.import_weights(file, origin=peer, out=folder / "run", data=arguments.data)
        if arguments.data:
            atrous.export(folder / "run", out=folder / "ours-int8.onnx", int8=arguments.data)
        atrous.export(folder / "run", out=folder / "ours-f32.onnx")
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


def read_pictures(data: Path | None, size: tuple[int, int], count: int = 8) -> list[np.ndarray]:
    """A few pictures of val, brought to the size by repeating their edges; or soft noise."""
    if data is None:
        random = np.random.default_rng(0)
        coarse = random.integers(0, 256, (count, 6, 8, 3), dtype=np.uint8)
        factors = -(-size[0] // 6), -(-size[1] // 8)
        large = coarse.repeat(factors[0], 1).repeat(factors[1], 2)
        return list(np.ascontiguousarray(large[:, : size[0], : size[1]]))
    from atrous.data.dataset import open_dataset

    dataset = open_dataset(data, only="val")
    pairs = dataset.split("val")
    chosen = [pairs[i * len(pairs) // count] for i in range(count)]
    images = [dataset.read(pair).image for pair in chosen]
    spans = [[(0, max(0, n - m)) for n, m in zip(size, i.shape, strict=False)] for i in images]
    padded = [np.pad(i, [*s, (0, 0)], mode="edge") for i, s in zip(images, spans, strict=True)]
    return [np.ascontiguousarray(i[: size[0], : size[1]]) for i in padded]


def measure(
    arguments: argparse.Namespace, names: list[str], pictures: np.ndarray
) -> tuple[dict[str, list[float]], dict[str, np.ndarray]]:
    """Seconds of each round and the masks of all pictures, for each contender."""
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    masks: dict[str, np.ndarray] = {}
    for name in names:
        here, there = context.Pipe()
        context.Process(target=serve, args=(there, arguments, name, pictures), daemon=True).start()
        answer = here.recv()  # its masks, made one contender after the other
        if isinstance(answer, str):
            say(f"{name}: left out ({answer})")
            continue
        pipes[name], masks[name] = here, answer
        say(f"{name}: ready")
    times: dict[str, list[float]] = {name: [] for name in pipes}
    order = list(pipes)
    for turn in range(arguments.rounds):
        for name in order[turn % len(order) :] + order[: turn % len(order)]:
            pipes[name].send(turn % len(pictures))
            times[name].append(pipes[name].recv())
    for pipe in pipes.values():
        pipe.send(None)
    return times, masks


def serve(pipe: Connection, arguments: argparse.Namespace, name: str, pictures: np.ndarray) -> None:
    """Make a contender, then answer each index with the seconds that the picture took."""
    import torch

    from peers import contenders

    torch.set_num_threads(arguments.threads)
    try:
        made = contenders(arguments.peer, arguments.files, NUM_CLASSES[arguments.peer])
        run = made[name]()
        for _ in range(WARM):
            run(pictures[0])
        pipe.send(np.stack([run(picture) for picture in pictures]))
    except Exception as error:  # a peer that cannot be run here must not stop the others
        pipe.send(f"{type(error).__name__}: {error}"[:300])
        return
    while (index := pipe.recv()) is not None:
        begin = time.perf_counter()
        run(pictures[index])
        pipe.send(time.perf_counter() - begin)


def table(
    names: list[str], times: dict[str, list[float]], masks: dict[str, np.ndarray]
) -> dict[str, Any]:
    """A row for each contender: median and quartiles, ratio to the first, differing pixels."""
    first = next(iter(times))
    rows = {}
    for name in [name for name in names if name in times]:
        low, median, high = np.percentile(times[name], (25, 50, 75)) * 1000
        rows[name] = {
            "median_ms": round(float(median), 2),
            "quartiles_ms": [round(float(low), 2), round(float(high), 2)],
            "times_faster": round(float(np.median(times[first]) * 1000 / median), 2),
            "differing_pixels": float((masks[name] != masks[first]).mean()),
            "raw_ms": [round(second * 1000, 2) for second in times[name]],
        }
    return {"reference": first, "rows": rows}


def machine(arguments: argparse.Namespace) -> dict[str, Any]:
    """What it was measured with."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.is_file() else []
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    wanted = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8")
    return {
        "rounds": arguments.rounds,
        "threads": arguments.threads,
        "versions": {package: version(package) for package in PACKAGES},
        "python": platform.python_version(),
        "machine": platform.machine(),
        "instructions": [flag for flag in wanted if flag in flags],
    }


def say(text: str) -> None:
    """A line for the person who waits."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
