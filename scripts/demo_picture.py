"""Draw the README's picture from a finished demo: scene, truth, prediction, errors.

    atrous demo && python scripts/demo_picture.py demo docs/images/demo.jpg

The scenes shown are fixed in advance, not chosen by their scores.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import atrous
from atrous.data.masks import blend
from atrous.report.pictures import painted, verdicts

SCENES = ("0003", "0012")
GAP = 6


def panels(folder: Path, predictor: atrous.Predictor, name: str) -> list[np.ndarray]:
    """The four pictures of a held-out scene."""
    dataset = atrous.open_dataset(folder / "data")
    pair = next(pair for pair in dataset.split("val") if Path(pair.name).stem == name)
    image, mask, _ = dataset.read(pair)
    pred = predictor(image).mask
    layer = painted(verdicts(mask, pred, dataset.classes)).astype(np.float32)
    alpha = layer[..., 3:] / 255
    errors = (image * (1 - alpha) + layer[..., :3] * alpha).astype(np.uint8)
    return [image, *(blend(image, m, dataset.classes, 0.7) for m in (mask, pred)), errors]


def side_by_side(rows: list[list[np.ndarray]]) -> Image.Image:
    """Panels in rows with white gaps."""
    height, width = rows[0][0].shape[:2]
    size = len(rows[0]) * (width + GAP) - GAP, len(rows) * (height + GAP) - GAP
    page = Image.new("RGB", size, "white")
    for y, row in enumerate(rows):
        for x, panel in enumerate(row):
            page.paste(Image.fromarray(panel), (x * (width + GAP), y * (height + GAP)))
    return page


def main(demo: str, out: str) -> None:
    """Write the picture."""
    folder = Path(demo)
    predictor = atrous.load(folder / "run")
    page = side_by_side([panels(folder, predictor, name) for name in SCENES])
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    page.save(out, quality=88, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
