"""Picture file -> mask file, against the engine alone: does reading and writing cost a folder time?

    python benchmarks/folders.py MODEL.onnx ../shared/data/camvid --engine openvino

Pictures of val, as their PNGs and as JPEGs of quality 90, through the flow of `atrous predict`
(masks written, model loaded before), against the engine with the same pictures decoded in memory:
as many calls at once as the flow has ("alone"), and one at a time on all threads ("one by one").
Rounds are interleaved, each over the same pictures. The answer is JSON on stdout.
"""

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image as pil

import atrous
from atrous.data.dataset import open_dataset
from atrous.data.images import fit_image, read_image
from atrous.machine import cores
from atrous.predict.flow import in_flight, lanes_for, threads_for
from atrous.predict.folders import Job, Wanted, pictures, plan
from atrous.predict.outputs import write_outputs
from atrous.predict.predictor import Predictor
from measuring import interleaved, machine, times, times_faster

WARM = 2
WANTED = Wanted()  # masks alone


def main() -> None:
    """Make the folders, run the rounds, print what was measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--pictures", type=int, default=32)
    parser.add_argument("--threads", type=int, default=cores())
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rates = measure(arguments, Path(folder))
    facts = {"model": arguments.model.name, "engine": arguments.engine}
    facts |= {key: getattr(arguments, key) for key in ("rounds", "pictures", "threads")}
    packages = ("onnxruntime", "openvino", "pillow")
    print(json.dumps({**machine(packages, **facts), "rows": rates}, indent=1))


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, dict[str, object]]:
    """A row for each way: its times for all pictures, and its rate as a share of the engine's."""
    options = {"engine": arguments.engine, "threads": arguments.threads}
    lanes = lanes_for(arguments.threads, pictures=arguments.pictures)
    predictor = atrous.load(arguments.model, lanes=lanes, **options)
    single = atrous.load(arguments.model, **options)
    write_pictures(arguments.data, arguments.pictures, folder)
    images = [read_image(path) for path in sorted((folder / "png").iterdir())]
    bands, dtype = predictor.engine.bands, predictor.engine.dtype
    blocks = [fit_image(image, bands=bands, dtype=dtype)[None] for image in images]
    ways: dict[str, Callable[[int], float]] = {
        "alone": lambda _: timed(lambda: at_once(predictor, blocks)),
        "one by one": lambda _: timed(lambda: [single.engine(block) for block in blocks]),
        "png": lambda turn: files(predictor, folder / "png", folder / f"masks-png-{turn}"),
        "jpeg": lambda turn: files(predictor, folder / "jpeg", folder / f"masks-jpeg-{turn}"),
    }
    interleaved(ways, WARM)
    taken = interleaved(ways, arguments.rounds)
    return {
        name: {
            "images_per_s": round(len(blocks) / float(np.median(seconds)), 2),
            "of_alone": times_faster(seconds, taken["alone"]),
            "of_one_by_one": times_faster(seconds, taken["one by one"]),
            **times(seconds),
        }
        for name, seconds in taken.items()
    }


def write_pictures(data: Path, count: int, folder: Path) -> None:
    """Write pictures of val into the folder, as PNG and as JPEG."""
    dataset = open_dataset(data, only="val")
    pairs = dataset.split("val")
    for kind in ("png", "jpeg"):
        (folder / kind).mkdir()
    for number in range(count):
        image = pil.fromarray(dataset.read(pairs[number * len(pairs) // count]).image)
        image.save(folder / "png" / f"{number:03d}.png")
        image.save(folder / "jpeg" / f"{number:03d}.jpg", quality=90)


def at_once(predictor: Predictor, blocks: list[np.ndarray]) -> None:
    """The engine with all pictures, as many calls at once as it has lanes."""
    with closing(in_flight(predictor.engine, blocks, threads=predictor.engine.lanes)) as answers:
        for _ in answers:
            pass


def files(predictor: Predictor, folder: Path, out: Path) -> float:
    """Seconds from the files of a folder to their masks, which are then removed."""
    jobs = plan(pictures([folder], out), out, wanted=WANTED)
    out.mkdir()
    work = partial(one, predictor=predictor, within=out)

    def all_of_them() -> None:
        with closing(in_flight(work, jobs, threads=threads_for(predictor.engine))) as rows:
            for _ in rows:
                pass

    seconds = timed(all_of_them)
    shutil.rmtree(out)
    return seconds


def one(job: Job, *, predictor: Predictor, within: Path) -> None:
    """A picture file becomes a mask file."""
    write_outputs(predictor(job.image), job, WANTED, within=within)


def timed(work: Callable[[], object]) -> float:
    """The seconds that it takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
