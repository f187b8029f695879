"""Whole numbers against floats: mIoU on val, masks and time, in both runtimes.

    python benchmarks/int8.py --run runs/camvid --data ../shared/data/camvid --files FOLDER

Three graphs of one run: float; int8 in all layers; int8 but for the layers that the search keeps
in float. ONNX Runtime and OpenVINO run each. Every contender lives in a process of its own and
sleeps while the others run; rounds are interleaved, each in an order of its own. Times are of the
network alone and of a decoded picture to its mask. The answer is JSON on stdout.
"""

import argparse
import json
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from measuring import contest, machine, say, times, times_faster

FILES = ("f32", "int8-all", "int8")
ENGINES = ("onnxruntime", "openvino")
PICTURES, WARM = 8, 3


def main() -> None:
    """Make the files, score them, run the rounds, print what was measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--files", type=Path, required=True, help="folder for models; kept")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:  # torch and its threads stay out of this process
        pool.apply(make, (arguments,))
    asked = {"rounds": arguments.rounds, "threads": arguments.threads}
    names = [f"{file} {engine}" for engine in ENGINES for file in FILES]
    rows, taken = contest(partial(made, arguments=arguments), names, **asked)
    for name, row in rows.items():
        for time_of, seconds in zip(("network", "mask"), np.array(taken[name]).T, strict=True):
            row |= times(seconds.tolist(), f"{time_of}_")
        if (own := rows.get(f"f32 {name.split()[1]}")) and own is not row:
            row["mIoU_lost"] = own["mIoU"] - row["mIoU"]
            for time_of in ("network", "mask"):
                ours, floats = row[f"{time_of}_raw_ms"], own[f"{time_of}_raw_ms"]
                row[f"{time_of}_times_faster"] = times_faster(ours, floats)
    record = json.loads((arguments.files / "record.json").read_text(encoding="utf-8"))
    facts = machine(ENGINES, **asked)
    print(json.dumps({**facts, "search": record, "rows": rows}, indent=1))


def make(arguments: argparse.Namespace) -> None:
    """Write the three files and how the searched one came about, once."""
    from atrous.export import calibration_images
    from atrous.export.facts import manifest_of, source_of
    from atrous.export.graph import graph_of
    from atrous.export.quantise import quantised
    from atrous.export.search import best_quantised
    from atrous.exported import write_exported

    folder = arguments.files
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "record.json").is_file():
        return
    source = source_of(arguments.run, weights="last", output_stride=0)
    graph, manifest = graph_of(source.segmenter), manifest_of(source)
    images = calibration_images(source, arguments.data)
    begin = time.perf_counter()
    best = best_quantised(graph, images, task=source.classes.task, say=say)
    record = {**best.record, "seconds": round(time.perf_counter() - begin, 1)}
    graphs = (graph, quantised(graph, images), best.graph)
    for name, content in zip(FILES, graphs, strict=True):
        precision = "f32" if name == "f32" else "int8"
        write_exported(folder / f"{name}.onnx", content, replace(manifest, precision=precision))
    (folder / "record.json").write_text(json.dumps(record), encoding="utf-8")


def made(
    name: str, arguments: argparse.Namespace
) -> tuple[dict[str, Any], Callable[[int], tuple[float, float]]]:
    """A contender's scores, and how it answers a turn: seconds of the network and of a mask."""
    import atrous
    from atrous.data.dataset import open_dataset

    file, engine = name.split()
    path = arguments.files / f"{file}.onnx"
    options: dict[str, Any] = {"engine": engine, "threads": arguments.threads}
    predictor, float_one = (
        atrous.load(which, **options) for which in (path, arguments.files / "f32.onnx")
    )
    dataset = open_dataset(arguments.data, classes=predictor.classes, only="val")
    pairs = dataset.split("val")
    images = [dataset.read(pairs[n * len(pairs) // PICTURES]).image for n in range(PICTURES)]
    differing = [predictor(image).mask != float_one(image).mask for image in images]
    del float_one  # its threads
    scores = atrous.evaluate(path, arguments.data, **options).scores
    for _ in range(WARM):
        predictor(images[0])

    def seconds(turn: int) -> tuple[float, float]:
        image = images[turn % PICTURES]
        moments = [time.perf_counter()]
        predictor.engine(image[None])
        moments.append(time.perf_counter())
        predictor(image)
        moments.append(time.perf_counter())
        return moments[1] - moments[0], moments[2] - moments[1]

    said = {
        "mIoU": scores.miou,
        "differing_pixels": float(np.mean([d.mean() for d in differing])),
        "bytes": path.stat().st_size,
    }
    return said, seconds


if __name__ == "__main__":
    main()
