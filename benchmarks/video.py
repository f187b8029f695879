"""Video -> masks and overlay, against the engine alone: do decoding, writing, encoding cost time?

    python benchmarks/video.py MODEL.onnx ../shared/data/camvid --engine openvino

A clip of 480 rows made of pictures of val (H.264, without sound), through the walk of
`atrous predict`: masks alone ("masks"), with --overlay ("overlay"), and that with every fifth frame
("every5"), against the engine with the same frames decoded in memory, as many calls at once as the
walk has ("alone"). Rounds are interleaved. `of_alone` of "every5" counts predicted frames. The
answer is JSON on stdout.
"""

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image as pil

import atrous
from atrous.data.dataset import open_dataset
from atrous.data.images import fit_image
from atrous.machine import cores
from atrous.predict.flow import in_flight, lanes_for
from atrous.predict.jobs import Job, Wanted
from atrous.predict.predictor import Predictor
from atrous.predict.video.reading import open_clip
from atrous.predict.video.walk import Pace, predict_clip
from measuring import interleaved, machine, timed, times, times_faster

WARM = 2
WAYS = {  # name: what is wanted, and how
    "masks": (Wanted(), Pace()),
    "overlay": (Wanted(overlay=True), Pace()),
    "every5": (Wanted(overlay=True), Pace(every=5)),
}


def main() -> None:
    """Make the clip, run the rounds, print what was measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--rows", type=int, default=480)
    parser.add_argument("--threads", type=int, default=cores())
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rates = measure(arguments, Path(folder))
    facts = {"model": arguments.model.name, "engine": arguments.engine}
    facts |= {key: getattr(arguments, key) for key in ("rounds", "frames", "rows", "threads")}
    packages = ("onnxruntime", "openvino", "av")
    print(json.dumps({**machine(packages, **facts), "rows": rates}, indent=1))


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, dict[str, object]]:
    """A row for each way: its times for the clip, and its rate as a share of the engine's."""
    options: dict[str, Any] = {"engine": arguments.engine, "threads": arguments.threads}
    predictor = atrous.load(arguments.model, lanes=lanes_for(arguments.threads), **options)
    clip = write_clip(arguments.data, arguments.frames, arguments.rows, folder / "clip.mp4")
    bands, dtype = predictor.engine.bands, predictor.engine.dtype
    with open_clip(clip) as opened:
        frames = [frame.pixels for frame in opened.frames()]
    blocks = [fit_image(pixels, bands=bands, dtype=dtype)[None] for pixels in frames]
    ways: dict[str, Callable[[int], float]] = {"alone": timed(lambda: at_once(predictor, blocks))}
    for name, (wanted, pace) in WAYS.items():
        ways[name] = walked(clip, predictor, wanted, pace, folder)
    interleaved(ways, WARM)
    taken = interleaved(ways, arguments.rounds)
    every = {name: pace.every for name, (_, pace) in WAYS.items()}
    return {
        name: {
            "frames_per_s": round(len(blocks) / float(np.median(seconds)), 2),
            "of_alone": round(times_faster(seconds, taken["alone"]) / every.get(name, 1), 3),
            **times(seconds),
        }
        for name, seconds in taken.items()
    }


def write_clip(data: Path, count: int, rows: int, path: Path) -> Path:
    """A clip of so many frames: pictures of val, each shifted little by little for a second."""
    dataset = open_dataset(data, only="val")
    pairs = dataset.split("val")
    with av.open(str(path), "w") as out:
        track = out.add_stream("libx264", rate=25, options={"crf": "20"})
        track.pix_fmt = "yuv420p"
        for number in range(count):
            picture = pil.fromarray(dataset.read(pairs[number // 25 % len(pairs)]).image)
            width = round(picture.width * rows / picture.height / 2) * 2
            pixels = np.asarray(picture.resize((width, rows), pil.Resampling.BICUBIC))
            if number == 0:
                track.height, track.width = pixels.shape[:2]
            frame = av.VideoFrame.from_ndarray(np.roll(pixels, number % 25, 1), format="rgb24")
            out.mux(track.encode(frame.reformat(format="yuv420p")))
        out.mux(track.encode(None))
    return path


def at_once(predictor: Predictor, blocks: list[np.ndarray]) -> None:
    """The engine with all frames, as many calls at once as it has lanes."""
    with closing(in_flight(predictor.engine, blocks, threads=predictor.engine.lanes)) as answers:
        for _ in answers:
            pass


def walked(
    clip: Path, predictor: Predictor, wanted: Wanted, pace: Pace, folder: Path
) -> Callable[[int], float]:
    """A contender that answers with the seconds from the clip to its files, which are removed."""

    def seconds(turn: int) -> float:
        out = folder / f"out-{turn}"
        out.mkdir()
        job = Job(clip, clip.name, out, is_video=True)
        begin = time.perf_counter()
        predict_clip(job, predictor, wanted, pace, within=out)
        taken = time.perf_counter() - begin
        shutil.rmtree(out)
        return taken

    return seconds


if __name__ == "__main__":
    main()
