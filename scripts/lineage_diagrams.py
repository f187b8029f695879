"""The diagrams of docs/lineage.md, measured on built networks: taps, multi-grid, crops."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atrous.models.build import Segmenter, build
from atrous.models.fcn import PICTURE_CROPS, SKIP_CROPS, FcnHead
from atrous.models.geometry import Taps, geometry, valid_taps
from atrous.models.layers import transposed
from lineage_svg import (
    BLUE,
    GREEN,
    MUTED,
    ORANGE,
    PAPER,
    RULE,
    box,
    cells,
    dot,
    page,
    path,
    polyline,
    text,
)

ENCODER = "efficientnet_lite0"
PICTURE = (360, 480)  # height and width of CamVid's pictures
CROP = (304, 304)  # what it is trained on by default

# Taps of the pyramid on its feature grid, and how many of them lie inside.


def pyramid(stride: int = 16, rates: tuple[int, ...] = ()) -> Segmenter:
    """DeepLab v3 with a small pyramid; its taps do not depend on its weights."""
    options: dict[str, Any] = {"output_stride": stride, "aspp_rates": rates, "aspp_channels": 1}
    return build("deeplabv3", num_classes=1, encoder=ENCODER, pretrained=False, **options)


def taps_picture() -> str:
    """Where the taps of each rate lie on the features of a 360 x 480 picture; the share inside."""
    found = valid_taps(pyramid(), PICTURE)
    height, width = found[0].cells
    plain = Taps("", (3, 3), 1, (height, width), 1.0, (3, 3))
    parts = [text(20, 26, f"Taps at the middle one of {height} x {width} cells", bold=True)]
    for i, taps in enumerate([plain, *found]):
        parts += _taps(taps, x=20 + i * 195, y=36)
    parts.append(text(20, 286, "Share of the taps inside, mean over all cells", bold=True))
    parts += _inside_chart(y=306)
    label = (
        "Taps of a 3x3 convolution at rates 1, 6, 12, 18; at large rates most lie in the padding"
    )
    return page(528, parts, label=label)


def _taps(taps: Taps, *, x: float, y: float) -> list[str]:
    side, above, beside = 4.9, 7, 3  # room for what lies outside
    height, width = taps.cells
    left, top = x + beside * side, y + above * side
    parts, inside = cells(np.zeros(taps.cells), left, top, side), 0
    for down in (-taps.rate, 0, taps.rate):
        for across in (-taps.rate, 0, taps.rate):
            row, column = height // 2 + down, width // 2 + across
            is_inside = 0 <= row < height and 0 <= column < width
            inside += is_inside
            fill, line = (BLUE, BLUE) if is_inside else ("#ffffff", ORANGE)
            at = (left + (column + 0.5) * side, top + (row + 0.5) * side)
            parts.append(dot(*at, 3.4 if taps.rate > 1 else 1.9, fill=fill, line=line))
    middle, below = left + width / 2 * side, y + (2 * above + height) * side + 18
    words = f"rate {taps.rate}: {inside} of 9 inside"
    return [*parts, text(middle, below, words, anchor="middle")]


def _inside_chart(
    *, y: float, left: float = 60, width: float = 470, height: float = 180
) -> list[str]:
    most, parts = 36, []
    for ninths in (0, 3, 6, 9):
        at = y + height * (1 - ninths / 9)
        parts.append(path(f"M{left} {at:.1f}h{width}"))
        parts.append(text(left - 8, at + 4, f"{ninths} / 9", anchor="end", fill=MUTED))
    for rate in range(6, most + 1, 6):
        x = left + width * rate / most
        parts.append(text(x, y + height + 18, str(rate), anchor="middle", fill=MUTED))
    parts.append(text(left + width + 14, y + height + 18, "rate", fill=MUTED))
    curves = [
        (BLUE, PICTURE, 16, "360 x 480, stride 16"),
        (GREEN, PICTURE, 8, "360 x 480, stride 8"),
        (ORANGE, CROP, 16, "crop of 304, stride 16"),
    ]
    for i, (colour, picture, stride, words) in enumerate(curves):
        every = valid_taps(pyramid(stride, tuple(range(2, most + 1))), picture)
        across = [left + width * taps.rate / most for taps in every]
        down = [y + height * (1 - taps.share) for taps in every]
        parts.append(polyline(across, down, line=colour))
        own = valid_taps(pyramid(stride), picture)
        for taps in own:
            at = (left + width * taps.rate / most, y + height * (1 - taps.share))
            parts.append(dot(*at, 5, fill=colour, line="#ffffff"))
        rates = ", ".join(str(taps.rate) for taps in own)
        note = f"{own[0].cells[0]} x {own[0].cells[1]} cells, rates {rates}"
        parts.append(text(left + width + 30, y + 14 + 46 * i, words, fill=colour, bold=True))
        parts.append(text(left + width + 30, y + 32 + 46 * i, note, fill=MUTED))
    return parts


# Multi-grid: what the last three 3x3 convolutions read together.


def multi_grid_picture() -> str:
    """Taps of the last three units of a ResNet, and of all three together, with and without."""
    parts: list[str] = []
    side, room = 6.0, 29
    for i, factors in enumerate([(), (1, 2, 4)]):
        rates = last_rates(factors)
        y = 40 + i * 244
        name = f"multi_grid = {list(factors)}"
        parts.append(text(20, y - 14, f"{name}: rates {', '.join(map(str, rates))}", bold=True))
        counts = [taps_of(rates[j : j + 1], room) for j in range(3)] + [taps_of(rates, room)]
        for j, count in enumerate(counts):
            x = 20 + j * 195
            parts += cells(count, x, y, side)
            reach = int(np.abs(np.argwhere(count) - room // 2).max())
            words = f"unit {j + 1}" if j < 3 else f"all three: {2 * reach + 1} cells across"
            parts.append(text(x + room / 2 * side, y + room * side + 18, words, anchor="middle"))
    label = "What three 3x3 convolutions read, each and together; multi-grid more than doubles it"
    return page(486, parts, label=label)


def last_rates(factors: tuple[int, ...]) -> tuple[int, ...]:
    """The dilation of the last three units of DeepLab v3 on a ResNet-50, output stride 16."""
    options: dict[str, Any] = {"encoder": "resnet50", "pretrained": False, "multi_grid": factors}
    model = build("deeplabv3", num_classes=1, **options)
    found = [m for m in model.encoder.modules() if isinstance(m, nn.Conv2d)]
    return tuple(m.dilation[0] for m in found if m.kernel_size == (3, 3))[-3:]


def taps_of(rates: tuple[int, ...], room: int) -> np.ndarray:
    """On how many ways a cell is read through 3x3 convolutions of these rates."""
    ways = torch.zeros(1, 1, room, room)
    ways[..., room // 2, room // 2] = 1
    for rate in rates:
        ways = F.conv2d(ways, torch.ones(1, 1, 3, 3), padding=rate, dilation=rate)
    return ways[0, 0].numpy()


# The crops of FCN, from the places of cells in a built VGG16.


class Track(NamedTuple):
    """Score cells along one axis: where the first has its middle, their stride, how many."""

    name: str
    first: float
    stride: int
    length: int
    cut: int  # of them, before those that are used
    used: int


class ScoreMap(nn.Module):
    """One of the score maps of an FCN, before any is enlarged; 0 is the deepest."""

    def __init__(self, model: Segmenter, which: int) -> None:
        super().__init__()
        assert isinstance(model.head, FcnHead)
        self.model, self.head, self.which = model, model.head, which

    def forward(self, images: Tensor) -> Tensor:
        features = self.model.encoder(self.model.pictures(images))
        if self.which == 0:
            return self.head.score_fr(self.head.fc(features[-1]))
        return self.head.scores[self.which - 1](features[-1 - self.which])


def fcn_tracks(side: int) -> list[Track]:
    """The score maps of FCN-8s on VGG16 for a picture of `side` pixels, deepest first."""
    model = build("fcn8s", num_classes=1, pretrained=False, fc_channels=8)
    images = torch.zeros(1, 32, side, 3, dtype=torch.uint8)
    tracks: list[Track] = []
    for i, name in enumerate(("deepest", "pool4", "pool3")):
        scores = ScoreMap(model, i)
        with torch.inference_mode():
            count = scores(images).shape[3]
        used = 2 * tracks[-1].used + 2 if tracks else count  # kernel 4, stride 2, nothing cut
        place = geometry(scores)
        tracks.append(Track(name, place.offset, place.stride, count, SKIP_CROPS[i], used))
    return tracks


def enlarged(track: Track) -> tuple[float, int]:
    """First pixel and length of scores that a transposed convolution enlarges to pixels."""
    middle, kernel = track.first + track.cut * track.stride, 2 * track.stride
    return middle - (kernel - 1) / 2, (track.used - 1) * track.stride + kernel


def crops_picture(side: int = 64) -> str:
    """Where the scores of FCN-8s lie over a small picture, and what is cropped."""
    scale = 2.62
    zero, right, y = 20 + 100 * scale, 20 + (100 + side) * scale, 42.0
    tracks = fcn_tracks(side)
    parts = [text(20, 26, f"FCN-8s on VGG16: a picture of {side} pixels, one axis", bold=True)]
    parts += _band(zero - 100 * scale, y, (side + 200) * scale, "padded by 100", PAPER)
    parts.append(box(zero, y, side * scale, 24, fill=BLUE))
    parts.append(text((zero + right) / 2, y + 17, "picture", anchor="middle", fill="#ffffff"))
    for track in tracks:
        y += 48
        parts += _cells_of(track, zero, scale, y)
    y += 20
    names = ("FCN-32s", "FCN-16s", "FCN-8s")
    for name, track, crop in zip(names, tracks, PICTURE_CROPS, strict=True):
        y += 34
        start, length = enlarged(track)
        assert -start == crop, "what the code crops is what is measured"
        left = zero + start * scale
        parts += _band(left, y, length * scale, "", "#fdeee4")
        parts.append(box(left, y, crop * scale, 24, fill="#f0b48f"))
        words = f"{name}: {length} px, {crop} cut"
        parts.append(text(zero + 8, y + 17, words))
    parts.append(path(f"M{zero:.1f} 66V{y + 30}M{right:.1f} 66V{y + 30}", line=BLUE, dash="4 3"))
    parts += _kernel(y + 74)
    label = "FCN's enlarged scores begin 19, 27 and 31 pixels before the picture; these are cropped"
    return page(y + 248, parts, label=label)


def _band(x: float, y: float, width: float, words: str, fill: str) -> list[str]:
    return [box(x, y, width, 24, fill=fill, line=RULE), text(x + 8, y + 17, words)]


def _cells_of(track: Track, zero: float, scale: float, y: float) -> list[str]:
    parts = []
    for i in range(track.length):
        left = zero + (track.first + (i - 0.5) * track.stride + 0.5) * scale
        used = track.cut <= i < track.cut + track.used
        fill, line = ("#cfe3fb", MUTED) if used else ("#ffffff", RULE)
        parts.append(box(left, y, track.stride * scale, 18, fill=fill, line=line))
    cut = f", {track.cut} cut before" if track.cut else ""
    words = f"{track.name}: {track.length} cells of {track.stride} pixels{cut}"
    return [*parts, text(20, y - 6, words)]


@torch.no_grad()
def _kernel(y: float, factor: int = 8, count: int = 4) -> list[str]:
    """What a few cells of 1 become by the transposed convolution, each and together."""
    layer = transposed(1, factor, same=False, learned=False)
    each = torch.eye(count)[:, None, None]  # one cell of 1 in each, on one row
    rows = layer(each)[:, 0].sum(1) / factor  # the profile along the row
    left, width, height = 60.0, 700.0, 110.0
    x = [left + width * (i + 0.5) / rows.shape[1] for i in range(rows.shape[1])]
    words = f"Up-sampling by {factor}: {count} cells of 1, each and their sum"
    parts = [text(20, y - 12, words, bold=True)]
    for value in (0, 1):
        parts.append(path(f"M{left:g} {y + height * (1 - value) + 8:g}h{width:g}"))
        at = y + height * (1 - value) + 12
        parts.append(text(left - 10, at, str(value), anchor="end", fill=MUTED))
    for row in rows:
        shown = row > 0
        points = [(a, 8 + y + height * (1 - v)) for a, v, s in zip(x, row, shown, strict=True) if s]
        parts.append(polyline(*zip(*points, strict=True), line=BLUE, width=1.5))
    total = [8 + y + height * (1 - v) for v in rows.sum(0).tolist()]
    parts.append(polyline(x, total, line=ORANGE, width=2.5))
    note = "both ends fade: beyond the border are zeros"
    return [*parts, text(left, y + height + 32, note, fill=MUTED)]
