"""How fast and how large the doctor is: pairs a second, and memory for many pairs.

    python benchmarks/doctor.py --pairs 600 --size 512           pairs a second
    python benchmarks/doctor.py --pairs 100000 --size 48         memory

Pictures are different street-like patches of noise and regions, JPEG at quality 90; masks are
8-bit index PNGs. They are made in a temporary folder before the clock starts. The answer is
JSON on stdout.
"""

import argparse
import json
import platform
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import PIL
from PIL import Image as pil

import atrous
from atrous.doctor import examine
from atrous.machine import cores

REGIONS, CLASSES, REPEATS = 12, 6, 3


def main() -> None:
    """Make the pairs, examine them, print what it took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=600)
    parser.add_argument("--size", type=int, default=512)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_pairs(root, arguments.pairs, arguments.size)
        before = peak_bytes()
        seconds, count = [], {}
        for _ in range(REPEATS if arguments.pairs <= 2000 else 1):
            begin = time.perf_counter()
            count = examine(root).count
            seconds.append(time.perf_counter() - begin)
        print(json.dumps(facts(arguments, count, seconds, before), indent=1))


def write_pairs(root: Path, count: int, size: int) -> None:
    """Write `count` pairs into `root`, every fifth into val."""
    for split in ("train", "val"):
        (root / split / "images").mkdir(parents=True)
        (root / split / "masks").mkdir()
    for index in range(count):
        image, mask = drawn(np.random.default_rng(index), size)
        folder = root / ("val" if index % 5 == 0 else "train")
        name = f"{index * 7919 % 999983:06d}"
        pil.fromarray(image).save(folder / "images" / f"{name}.jpg", quality=90)
        pil.fromarray(mask).save(folder / "masks" / f"{name}.png")


def drawn(random: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture and its mask: rectangles of classes, each with a tone and grain of its own."""
    mask = np.zeros((size, size), np.uint8)
    image = np.full((size, size, 3), random.integers(40, 200, 3), np.uint8).astype(np.int16)
    for _ in range(REGIONS):
        top, left = random.integers(0, size * 3 // 4, 2)
        down, right = random.integers(size // 8, size // 2, 2)
        part = np.s_[top : top + down, left : left + right]
        mask[part] = random.integers(0, CLASSES)
        image[part] = random.integers(0, 256, 3)
    image += random.integers(-12, 13, (size, size, 1), dtype=np.int16)
    return image.clip(0, 255).astype(np.uint8), mask


def peak_bytes() -> int:
    """The largest memory that this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def facts(
    arguments: argparse.Namespace, count: dict, seconds: list[float], before: int
) -> dict[str, object]:
    """What was measured, and with what."""
    return {
        "pairs": arguments.pairs,
        "size": arguments.size,
        "seconds": [round(s, 2) for s in seconds],
        "pairs_per_second": [round(arguments.pairs / s, 1) for s in seconds],
        "peak_mb": round(peak_bytes() / 1e6),
        "peak_mb_before": round(before / 1e6),
        "findings": count,
        "threads": cores(),
        "atrous": atrous.__version__,
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


if __name__ == "__main__":
    main()
