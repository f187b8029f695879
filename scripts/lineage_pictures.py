"""Draw the pictures of docs/lineage.md from built and trained networks.

    python scripts/lineage_pictures.py                      all that need no run
    python scripts/lineage_pictures.py --fcn8s RUN          also the skips, from an FCN-8s that
                                                            was trained on the embedded scenes
    python scripts/lineage_pictures.py --lineage FOLDER     receptive fields of the trained runs
                                                            of benchmarks/lineage.py

The photographs are embedded scenes (CC0), fixed in advance.
"""

import argparse
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn
from torch.nn import functional as F

from atrous.data.masks import blend
from atrous.data.scenes import NAMES, scene
from atrous.data.scenes.folder import CLASSES
from atrous.files import write_whole
from atrous.kernels.resize import taps
from atrous.models.build import Segmenter, build
from atrous.models.encoders import build_encoder, load_packaged
from atrous.models.geometry import geometry
from atrous.predict.engines.torch import TorchEngine
from atrous.predict.predictor import load
from atrous.types import Grid
from lineage_diagrams import ENCODER, crops_picture, multi_grid_picture, taps_picture

OUT = Path(__file__).parents[1] / "docs" / "images" / "lineage"
SCENE = (1, 3)  # seed and index: no training set of ours holds it
WIDTH, GAP, CAPTION = 800, 8, 24
INK = "#1f2328"
MOST_BYTES = 80_000
SHOWN_CLASS = "car"


class Panel(NamedTuple):
    """A picture and a line of words below it."""

    picture: np.ndarray
    caption: str


def sheet(rows: Sequence[Sequence[Panel]]) -> Image.Image:
    """Panels of one shape in rows on a white ground, as wide as a page."""
    columns = len(rows[0])
    width = (WIDTH - GAP * (columns - 1)) // columns
    height = round(width * rows[0][0].picture.shape[0] / rows[0][0].picture.shape[1])
    page = Image.new("RGB", (WIDTH, len(rows) * (height + CAPTION + GAP)), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size=14)
    for i, row in enumerate(rows):
        for j, panel in enumerate(row):
            x, y = j * (width + GAP), i * (height + CAPTION + GAP)
            picture = Image.fromarray(panel.picture)
            page.paste(picture.resize((width, height), Image.Resampling.LANCZOS), (x, y))
            middle = (x + width // 2, y + height + CAPTION // 2 + 1)
            draw.text(middle, panel.caption, INK, font, anchor="mm")
    return page


def png(page: Image.Image, most: int = MOST_BYTES) -> bytes:
    """The page as a PNG of at most so many bytes, of as many colours as that allows."""
    content = b""
    for colours in (256, 128, 96, 64, 48, 32):
        file = io.BytesIO()
        reduced = page.quantize(colours, dither=Image.Dither.NONE)
        reduced.save(file, format="PNG", optimize=True)
        content = file.getvalue()
        if len(content) < most:
            break
    return content


def enlarged(picture: np.ndarray, factor: int) -> np.ndarray:
    """A photograph with more pixels."""
    height, width = picture.shape[:2]
    size = (width * factor, height * factor)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))


def as_batch(picture: np.ndarray) -> Tensor:
    """Pixels `1 H W C`."""
    return torch.from_numpy(np.array(picture))[None]


# FCN-8s: what each skip adds.


def skips_picture(run: Path) -> bytes:
    """Masks from the deepest scores alone, with pool4, with pool3; what each says of a class."""
    model = _trained(run)
    picture, mask = scene(*SCENE)
    with torch.inference_mode():
        parts = model.branches(as_batch(picture))
    size, total, shown = (picture.shape[0], picture.shape[1]), 0.0, NAMES.index(SHOWN_CLASS)
    masks = [Panel(picture, "picture")]
    assert isinstance(model.grid, Grid)
    heats: list[tuple[str, np.ndarray]] = []
    for name, part in parts.items():
        logits = at_pixels(part[0].numpy(), model.grid, size)
        total = total + logits
        pred = np.asarray(total).argmax(0).astype(np.uint8)
        masks.append(Panel(blend(picture, pred, CLASSES, 0.75), f"+ {name}" if heats else name))
        heats.append((name, (logits - logits.mean(0))[shown]))
    most = float(np.quantile(np.abs([heat for _, heat in heats]), 0.995))
    truth = Panel(blend(picture, mask, CLASSES, 0.75), "truth")
    below = [Panel(diverging(heat / most), f"{SHOWN_CLASS}: {name}") for name, heat in heats]
    return png(sheet([masks, [truth, *below]]))


def _trained(run: Path) -> Segmenter:
    predictor = load(run)
    if predictor.classes.names != CLASSES.names:
        raise SystemExit(f"{run}: its classes are not those of the embedded scenes")
    assert isinstance(predictor.engine, TorchEngine)
    return predictor.engine.model.eval()


def at_pixels(logits: np.ndarray, grid: Grid, size: tuple[int, int]) -> np.ndarray:
    """Grid logits `K h w` at the pixels of a picture."""
    low, high, weight = taps(size[0], logits.shape[1], grid)
    tall = logits[:, low] * (1 - weight[:, None]) + logits[:, high] * weight[:, None]
    low, high, weight = taps(size[1], logits.shape[2], grid)
    return tall[:, :, low] * (1 - weight) + tall[:, :, high] * weight


def diverging(values: np.ndarray) -> np.ndarray:
    """-1 blue, 0 white, 1 orange."""
    share = np.clip(values, -1, 1)[..., None]
    ends = np.where(share < 0, np.array([9, 105, 218]), np.array([209, 87, 11]))
    return (255 + (ends - 255) * np.abs(share)).astype(np.uint8)


# What a logit at the middle of the picture depends on.


LINEAGE = ("fcn32s", "fcn8s", "deeplabv1", "deeplabv2", "deeplabv3", "deeplabv3plus")
ZONES = ((0.9, 0.45, (251, 183, 126)), (0.5, 0.75, (209, 87, 11)))  # share, opacity, colour


def fields_picture(lineage: Path | None) -> bytes:
    """For each model the least region that holds half, and 90 %, of the squared gradient."""
    picture = enlarged(scene(*SCENE)[0], 2)
    panels = []
    for name in LINEAGE:
        model = _of_lineage(name, lineage)
        share = influence(model, picture)
        reads = geometry(model).receptive_field
        across = 2 * (np.count_nonzero(within(share, 0.5)) / np.pi) ** 0.5
        words = f"{name}: {reads} px, half in {across:.0f}"
        panels.append(Panel(zoned(picture, share), words))
    return png(sheet([panels[:3], panels[3:]]))


def _of_lineage(name: str, lineage: Path | None) -> Segmenter:
    """The trained run, or the network with ImageNet weights and new layers above."""
    if lineage:
        engine = load(lineage / name / "0").engine
        assert isinstance(engine, TorchEngine)
        return engine.model.eval()
    options: dict[str, Any] = {"scales": (1.0,)} if name == "deeplabv2" else {}
    model = build(name, num_classes=len(NAMES), encoder=ENCODER, **options).eval()
    for layer in model.head.modules():
        if isinstance(layer, nn.Conv2d) and not layer.weight.any():  # scores begin at zero
            nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(0))
    return model


def influence(model: Segmenter, picture: np.ndarray, directions: int = 4) -> np.ndarray:
    """The squared gradient of the middle cell's logits, as shares that sum to 1, a bit smoothed.

    A mean over random directions among the classes.
    """
    random = torch.Generator().manual_seed(0)
    pictures = model.requires_grad_(False).pictures(as_batch(picture)).requires_grad_()
    logits = model.head(model.encoder(pictures))
    assert isinstance(model.grid, Grid)
    middle = logits[0, :, *(int(side / 2 / model.grid.stride) for side in picture.shape[:2])]
    total = torch.zeros(pictures.shape[2:])
    for _ in range(directions):
        direction = torch.randn(len(middle), generator=random)
        (gradient,) = torch.autograd.grad(middle @ direction, pictures, retain_graph=True)
        total += gradient[0].square().sum(0)
    smooth = F.avg_pool2d(total[None, None], 17, 1, 8, count_include_pad=False)[0, 0]
    share = smooth[: picture.shape[0], : picture.shape[1]].double().numpy()
    return share / share.sum()


def within(share: np.ndarray, part: float) -> np.ndarray:
    """The least region that holds a part of the whole."""
    falling = np.sort(share, axis=None)[::-1]
    return share >= falling[np.searchsorted(falling.cumsum(), part)]


def zoned(picture: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The picture in light grey, under the zones."""
    grey = picture.mean(2, keepdims=True).repeat(3, 2) * 0.6 + 102
    for part, opacity, colour in ZONES:
        inside = within(share, part)[..., None] * opacity
        grey = grey * (1 - inside) + np.array(colour) * inside
    return grey.astype(np.uint8)


# The same weights at three output strides.


def strides_picture() -> bytes:
    """One map of the deepest features at strides 32, 16, 8; circles mark cells that are equal."""
    picture = scene(*SCENE)[0]
    maps = {stride: _features(picture, stride) for stride in (32, 16, 8)}
    channel = int(maps[8].std((1, 2)).argmax())
    most = float(np.abs(maps[8][channel]).max())
    panels, coarser = [Panel(enlarged(picture, 3), "picture")], None
    for stride, features in maps.items():
        values = features[channel]
        rows, columns = values.shape
        if coarser is not None:
            assert np.allclose(values[::2, ::2], coarser, atol=1e-4), "the stride law"
        shown = diverging(values / most).repeat(3 * stride, 0).repeat(3 * stride, 1)
        shown = shown[: 3 * picture.shape[0]]
        marked = shown if coarser is None else _marked(shown, 3 * stride)
        panels.append(Panel(marked, f"stride {stride}: {rows} x {columns} cells"))
        coarser = values
    return png(sheet([panels[:2], panels[2:]]))


@torch.inference_mode()
def _features(picture: np.ndarray, stride: int) -> np.ndarray:
    encoder = build_encoder(ENCODER, output_stride=stride).eval()
    load_packaged(encoder, ENCODER)
    pictures = as_batch(picture).permute(0, 3, 1, 2) / 127.5 - 1
    pictures = F.pad(pictures, (0, -picture.shape[1] % 32, 0, -picture.shape[0] % 32))
    return encoder(pictures)[-1][0].numpy()


def _marked(shown: np.ndarray, cell: int) -> np.ndarray:
    """A circle in every second cell of every second row."""
    page = Image.fromarray(shown)
    draw = ImageDraw.Draw(page)
    for y in range(cell // 2, shown.shape[0], 2 * cell):
        for x in range(cell // 2, shown.shape[1], 2 * cell):
            draw.circle((x, y), cell / 4, outline=INK, width=2)
    return np.asarray(page)


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fcn8s", type=Path, help="a run of FCN-8s on the embedded scenes")
    parser.add_argument("--lineage", type=Path, help="the folder of benchmarks/lineage.py")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--only", nargs="+", default=[], help="names of pictures")
    asked = parser.parse_args()
    pictures: dict[str, Callable[[], str | bytes]] = {
        "crops.svg": crops_picture,
        "strides.png": strides_picture,
        "taps.svg": taps_picture,
        "multi_grid.svg": multi_grid_picture,
        "fields.png": lambda: fields_picture(asked.lineage),
    }
    if asked.fcn8s:
        pictures["skips.png"] = lambda: skips_picture(asked.fcn8s)
    asked.out.mkdir(parents=True, exist_ok=True)
    for name, draw in pictures.items():
        if asked.only and name not in asked.only:
            continue
        content = draw()
        content = content.encode() if isinstance(content, str) else content
        assert len(content) < MOST_BYTES, f"{name} is {len(content)} bytes large"
        write_whole(asked.out / name, content)
        print(f"{asked.out / name}: {len(content) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
