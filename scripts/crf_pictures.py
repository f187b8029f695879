"""Draw the pictures of docs/crf.md with the code that they are about.

    python scripts/crf_pictures.py

The photographs are embedded scenes (CC0), fixed in advance. The probabilities are made of the
true masks, as a network of output stride 16 would give them: the mean of each cell, smooth noise,
interpolated between cells. No network is trained.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from atrous.data.masks import blend
from atrous.data.scenes import NAMES, scene
from atrous.data.scenes.folder import CLASSES
from atrous.files import write_whole
from atrous.predict.bilateral_grid import bilateral_grid, grey_of
from atrous.predict.crf import dense_crf
from atrous.types import Grid
from lineage_pictures import Panel, at_pixels, png, sheet

OUT = Path(__file__).parents[1] / "docs" / "images" / "crf"
SCENE = (1, 3)  # seed and index, as in docs/lineage.md
STRIDE, SURE, UNSURE = 16, 5.0, 1.2  # pixels a cell; logits of the right class, and of noise
SXY, SHOWN_SRGB = 67.0, 12.0  # with 3 hardly a pixel would be seen: the noise is as large
PIXEL = (150, 195)
CUT, ENLARGED = (slice(60, 132), slice(0, 96)), 4  # a pole and a sign
MOST_BYTES = 150_000
ITERATIONS = (1, 3, 10)
RIGHT, WRONG = (26, 152, 80), (215, 48, 39)
HEAT = (209, 87, 11)


def soft(mask: np.ndarray, seed: int = 0) -> np.ndarray:
    """Probabilities `K H W`: what a network of this stride would say of the mask."""
    height, width = mask.shape
    here = (mask == np.arange(len(NAMES)).reshape(-1, 1, 1)).astype(np.float32)
    cells = here.reshape(len(NAMES), height // STRIDE, STRIDE, width // STRIDE, STRIDE)
    noise = np.random.default_rng(seed).normal(size=cells.shape[:2] + cells.shape[3:4])
    logits = SURE * cells.mean((2, 4)) + UNSURE * noise.astype(np.float32)
    weights = np.exp(at_pixels(logits, Grid(STRIDE), (height, width)))
    return (weights / weights.sum(0)).astype(np.float32)


def coloured(picture: np.ndarray, mask: np.ndarray, caption: str) -> Panel:
    """A mask over its picture."""
    return Panel(blend(picture, mask.astype(np.uint8), CLASSES, 0.75), caption)


def changed(
    picture: np.ndarray, before: np.ndarray, after: np.ndarray, mask: np.ndarray, name: str
) -> Panel:
    """Where labels changed: to right ones, or from right ones."""
    grey = picture.mean(2, keepdims=True).repeat(3, 2) * 0.5 + 127
    better, worse = (after == mask) & (before != mask), (after != mask) & (before == mask)
    grey[better], grey[worse] = RIGHT, WRONG
    shares = f"{better.mean():.1%} became right, {worse.mean():.1%} wrong"
    return Panel(grey.astype(np.uint8), f"{name}: {shares}")


def iterations_picture() -> list[list[Panel]]:
    """The mask before and after iterations."""
    picture, mask = scene(*SCENE)
    probs = soft(mask)
    steps = {n: dense_crf(picture, probs, iterations=n).argmax(0) for n in ITERATIONS}
    above = [
        Panel(picture, "picture"),
        coloured(picture, mask, "truth"),
        coloured(picture, probs.argmax(0), f"before: {right(probs.argmax(0), mask)}"),
    ]
    words = [f"{n} iteration{'s' * (n > 1)}: {right(pred, mask)}" for n, pred in steps.items()]
    below = [
        coloured(picture, pred, word) for pred, word in zip(steps.values(), words, strict=True)
    ]
    return [above, below]


def changes_picture() -> list[list[Panel]]:
    """Which pixels the CRF and the bilateral grid change."""
    picture, mask = scene(*SCENE)
    probs = soft(mask)
    panels = [
        changed(picture, probs.argmax(0), way(picture, probs).argmax(0), mask, name)
        for name, way in {"dense CRF": dense_crf, "bilateral grid": bilateral_grid}.items()
    ]
    return [panels]


def kernels_picture() -> list[list[Panel]]:
    """What one pixel hears of the others: by place, by place and colour, by place and grey."""
    picture = scene(*SCENE)[0]
    row, column = PIXEL
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    near = ((y - row) ** 2 + (x - column) ** 2) / SXY**2
    shown = picture.astype(np.float64)
    colour = ((shown - shown[PIXEL]) ** 2).sum(2) / SHOWN_SRGB**2
    grey = (grey_of(picture).astype(np.float64) - grey_of(picture)[PIXEL]) ** 2 / SHOWN_SRGB**2
    marked = Image.fromarray(picture)
    ImageDraw.Draw(marked).circle((column, row), 4, outline="white", fill=HEAT, width=1)
    squares = {"place": near, "place and colour": near + colour, "place and grey": near + grey}
    panels = [Panel(heated(picture, np.exp(-0.5 * s)), name) for name, s in squares.items()]
    return [[Panel(np.asarray(marked), "one pixel"), panels[0]], panels[1:]]


def heated(picture: np.ndarray, share: np.ndarray) -> np.ndarray:
    """A share of 0 to 1 of each pixel in eight steps, over a pale picture."""
    pale = picture.mean(2, keepdims=True).repeat(3, 2) * 0.3 + 178
    steps = np.round(share * 8)[..., None] / 8
    return np.where(steps > 0, 255 + (np.array(HEAT) - 255) * steps, pale).astype(np.uint8)


def thin_picture() -> list[list[Panel]]:
    """Where it does harm: things thinner than what is unsure."""
    picture, mask = scene(*SCENE)
    probs = soft(mask)
    pred = dense_crf(picture, probs).argmax(0)
    masks = {"truth": mask, "before": probs.argmax(0), "after": pred}
    whole = [Panel(picture, "picture"), *(coloured(picture, m, name) for name, m in masks.items())]
    return [
        [Panel(p.picture[CUT].repeat(ENLARGED, 0).repeat(ENLARGED, 1), p.caption) for p in whole]
    ]


def right(pred: np.ndarray, mask: np.ndarray) -> str:
    """Pixel accuracy, in words."""
    return f"{(pred == mask).mean():.1%} right"


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    pictures = {
        "kernels.png": kernels_picture,
        "iterations.png": iterations_picture,
        "changes.png": changes_picture,
        "thin.png": thin_picture,
    }
    for name, draw in pictures.items():
        content = png(sheet(draw()), MOST_BYTES)
        write_whole(arguments.out / name, content)
        print(f"{name}: {len(content) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
