"""Masks of rasters larger than memory: what they hold, and what they cost beside the engine.

    python benchmarks/rasters.py land.onnx photos --sides 10000 40000 --memory 800
    python benchmarks/rasters.py stub photos --sides 100000 --rounds 1

A GeoTIFF of each side is made (RGB, blocks of 512, deflate), a tenth of which, a square in its
middle, is filled with the pictures of a folder. The rest was never written and is no data. `walk`
is `atrous.predict` in a process of its own, from loading the model to the last byte of the mask;
`alone` is its engine, loaded before, with as many pixels as are filled, in pictures of the size of
its tiles, as many at once as it has lanes. `overhead` is the median over interleaved rounds of
what the walk takes more. The model `stub` answers with the first two bands at every pixel and is
not measured alone. Peaks are in MiB. The answer is JSON on stdout.
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import atrous
from atrous.bench.child import peak_memory
from atrous.classes import Classes
from atrous.data.rasters import gdal
from atrous.machine import cores
from atrous.predict.flow import in_flight, lanes_for
from atrous.predict.predictor import Predictor
from atrous.predict.raster import Asked, Targets, predict_raster
from atrous.types import Grid, Tiling
from measuring import interleaved, machine, say
from tiles import mosaic

BLOCK = 512
PLACE = (0.5, 0, 500000, 0, -0.5, 5400000)  # half a metre a pixel, in a zone of UTM


def main() -> None:
    """Make the rasters, run the rounds, print what was measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--sides", type=int, nargs="+", default=[10000, 40000])
    parser.add_argument("--filled", type=float, default=0.1, help="share of the blocks")
    parser.add_argument("--memory", type=int, default=800, help="MiB")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--scratch", type=Path, help="folder for the rasters; room for them all")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.scratch) as folder:
        rows = {str(side): measure(side, asked, Path(folder)) for side in asked.sides}
    facts = {key: getattr(asked, key) for key in ("memory", "filled", "rounds", "threads")}
    about = machine(("rasterio", "onnxruntime", "openvino"), model=Path(asked.model).name, **facts)
    print(json.dumps({**about, "rows": rows}, indent=1))


def measure(side: int, asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """What a raster of this side takes, and the engine alone."""
    scene, tile = folder / f"{side}.tif", mosaic(asked.pictures, 4 * BLOCK)
    filled = write_scene(scene, side, asked.filled, tile)
    say(f"{side}: {filled / 1e6:.0f} Mpx are filled, {scene.stat().st_size >> 20} MiB")
    options = {"memory": asked.memory, "threads": asked.threads}
    ways = {"walk": partial(by_itself, walk, asked.model, scene, options)}
    if asked.model != "stub":
        ways["alone"] = partial(by_itself, alone, asked.model, tile, filled, options)
    taken = interleaved(ways, asked.rounds)
    scene.unlink()
    seconds = {way: [answer[0] for answer in answers] for way, answers in taken.items()}
    told: dict[str, Any] = {
        "filled_mpx": round(filled / 1e6),
        "peak_mib": [round(peak / 2**20) for _, peak in taken["walk"]],
        "seconds": {way: np.round(times, 1).tolist() for way, times in seconds.items()},
        "mpx_per_s": round(side**2 / 1e6 / float(np.median(seconds["walk"])), 1),
        "filled_mpx_per_s": round(filled / 1e6 / float(np.median(seconds["walk"])), 2),
    }
    if "alone" in seconds:
        ratio = np.median(np.divide(seconds["walk"], seconds["alone"]))
        told["overhead"] = round(float(ratio) - 1, 3)
    return told


def write_scene(path: Path, side: int, share: float, tile: np.ndarray) -> int:
    """A sparse GeoTIFF, and how many of its pixels are filled."""
    count, period, filled = -(-side // BLOCK), len(tile) // BLOCK, 0
    wide = max(1, round(share**0.5 * count))
    facts: dict[str, Any] = {"count": 3, "dtype": "uint8", "crs": "EPSG:32633", "tiled": True}
    facts |= {"blockxsize": BLOCK, "blockysize": BLOCK, "compress": "deflate", "predictor": 2}
    facts |= {"sparse_ok": True, "bigtiff": "yes", "nodata": 0, "interleave": "pixel"}
    with gdal() as rasterio:
        place = rasterio.Affine(*PLACE)
        with rasterio.open(
            path, "w", driver="GTiff", height=side, width=side, transform=place, **facts
        ) as out:
            first = (count - wide) // 2
            for row in range(first, first + wide):
                for column in range(first, first + wide):
                    y, x = row % period * BLOCK, column % period * BLOCK
                    high, across = (min(BLOCK, side - at * BLOCK) for at in (row, column))
                    block = np.maximum(tile[y : y + high, x : x + across], 1)  # 0 is no data
                    where = (row * BLOCK, row * BLOCK + high)
                    out.write(
                        block.transpose(2, 0, 1),
                        window=(where, (column * BLOCK, column * BLOCK + across)),
                    )
                    filled += high * across
    return filled


def by_itself(do: Any, *given: Any) -> tuple[float, int]:
    """Seconds, and the peak of memory, of what is done in a process of its own."""
    arguments = given[:-1]  # the last is which turn it is
    with multiprocessing.get_context("spawn").Pool(1) as process:
        return process.apply(do, arguments)


def walk(model: str, scene: Path, options: dict[str, Any]) -> tuple[float, int]:
    """From a raster to its mask."""
    with tempfile.TemporaryDirectory(dir=scene.parent) as folder:
        begin = time.perf_counter()
        if model == "stub":
            engine: Any = Stub(options["threads"])
            stub = Predictor(engine, CLASSES, memory=options["memory"])
            targets = Targets.of(Path(folder), scene.stem, confidence=False, polygons="")
            predict_raster(stub, scene, scene.name, targets, Asked(), about={}, within=Path(folder))
        else:
            _, failures = atrous.predict(model, scene, out=folder, **options)
            if failures:
                raise SystemExit(str(failures))
        return time.perf_counter() - begin, peak_memory() or 0


def alone(model: str, tile: np.ndarray, filled: int, options: dict[str, Any]) -> tuple[float, int]:
    """The engine with so many pixels, in pictures of its tiles' size."""
    predictor = atrous.load(model, lanes=lanes_for(options["threads"]), **options)
    side = min(predictor.cut((1 << 16, 1 << 16)).side, len(tile)) // BLOCK * BLOCK
    shown = np.ascontiguousarray(tile[None, :side, :side])
    engine, count = predictor.engine, max(1, round(filled / side**2))
    engine(shown)
    begin = time.perf_counter()
    for _ in in_flight(engine, [shown] * count, threads=engine.lanes):
        pass
    return (time.perf_counter() - begin) * filled / (count * side**2), peak_memory() or 0


CLASSES = Classes(("dark", "light"))


class Stub:
    """A 1 x 1 convolution that passes on two bands."""

    name, precision, grid, bands, dtype = "onnxruntime", "f32", Grid(1), 3, "uint8"
    mean = (128.0, 128.0, 128.0)
    tiling = Tiling(alignment=1, halo=0, room=8)

    def __init__(self, threads: int) -> None:
        self.threads = self.lanes = threads

    def __call__(self, images: np.ndarray, means: Sequence[np.ndarray] = ()) -> np.ndarray:
        return np.moveaxis(images[..., :2], 3, 1).astype(np.float32)

    def next_mean(self, *_: Any) -> Any:
        """It needs none."""
        raise NotImplementedError


if __name__ == "__main__":
    main()
