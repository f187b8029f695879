"""What searches for a step are tested with: a model, pictures with and without faults, a call."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import atrous
from atrous.classes import Classes
from atrous.tune import Tuned
from tiny_models import STRIDE, write_tiny

BY_COLOUR = np.array([[0, 1.2, -0.6], [1, 0, 0], [-1, -1, 3.5]]) / 20  # green; bright; dark, blue
SEARCH: dict[str, Any] = {
    "step": "small_regions",
    "trials": 6,
    "split": "train",
    "threads": 1,
    "engine": "onnxruntime",
}


def tuned(model: Path, data: Path, **changed: Any) -> Tuned:
    return atrous.tune(model, data, **{**SEARCH, **changed})


def write_by_colour(folder: Path) -> Path:
    """An exported file that tells grass, disc and square by their colours, cell by cell."""
    classes = Classes(("grass", "disc", "square"))
    return write_tiny(folder / "shapes.onnx", weights=BY_COLOUR, classes=classes)


def write_twice(shapes: Path, folder: Path) -> Path:
    """Each picture twice: so many that a gain can be shown on half of them."""
    shutil.copytree(shapes, folder)
    for path in sorted(folder.glob("train/*/*.png")):
        shutil.copy(path, path.with_name(f"1{path.name}"))
    return folder


def write_blotched(shapes: Path, folder: Path) -> Path:
    """Pictures with cells of the colour of a disc: a step that removes them has a gain."""
    write_twice(shapes, folder)
    for i, path in enumerate(sorted((folder / "train/images").iterdir())):
        image = np.array(Image.open(path))
        for y, x in np.random.default_rng(i).integers(0, (18, 24), (12, 2)) * STRIDE:
            image[y : y + STRIDE, x : x + STRIDE] = 230, 220, 90
        Image.fromarray(image).save(path)
    return folder
