"""What a built model sees: stride, receptive field, alignment, halo, MACs, taps that count.

All of it follows from the model's own calls, seen in one run without values; nothing is
declared by the models, so nothing can go stale.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import lcm
from typing import Any, NamedTuple, NoReturn

import numpy as np
from jaxtyping import Int64
from torch import Tensor, nn

from atrous.errors import RecipeError
from atrous.models.calls import pair, window_padding
from atrous.models.reach import Reach, TapTable, window_taps
from atrous.models.tracing import Observer, Trace, Tracer, call
from atrous.types import Grid, Placement, Size, Spread

SIDES = (4096, 16384)  # of a picture that is larger than what a cell reads; tried in turn
ODD_SIDE = 512  # about that of a picture that shows which resizes depend on its size


class Geometry(NamedTuple):
    """How the logits' cells lie in the padded picture, and what of it they read.

    The finite part of it: `global_parts` are the modules through which every cell sees the
    whole picture besides. Where rows and columns differ, the numbers hold for both.
    """

    stride: int
    """Pixels a cell."""
    receptive_field: int
    """Pixels across that a cell can read; cells of an enlarged map each read a part of them."""
    offset: float
    """Cell i reads pixels `i * stride + offset`, plus and minus `(receptive_field - 1) / 2`."""
    alignment: int
    """Tiles are cut at multiples of it, in pixels; the padded sides of pictures are such."""
    halo: int
    """Pixels around a tile that its cells need (cells `begin / stride` to `end / stride - 1`)."""
    global_parts: tuple[str, ...]
    """Modules that see the whole picture."""
    inexact: tuple[str, ...]
    """Why tiles differ from the whole picture even so; empty where they equal it."""


def geometry(model: nn.Module) -> Geometry:
    """The geometry of a model that takes pixels `B H W C` and gives logits `B K h w`.

    Its attribute `alignment`, if it has one, is what it pads pictures to.

    Raises:
        RecipeError: the model does something whose reach is not known.
    """
    tracer, pads_to = Tracer(model), getattr(model, "alignment", 1)
    for about in SIDES:
        side = about + -about % pads_to
        trace = tracer.trace((side, side))
        alignment = lcm(pads_to, *(reach.alignment for reach in _axes(trace)))
        spans = [_spans(reach, alignment) for reach in _axes(trace)]
        if all(side / 8 < span.first and span.last < side - side / 8 for span in spans):
            break
    else:
        _refuse(f"reads more than {SIDES[-1] * 3 // 4} pixels", "a cell reads a part of a picture")
    strides = {span.stride for span in spans}
    if len(strides) > 1 or min(strides) % 1:
        _refuse(f"has cells of {' x '.join(map(str, strides))} pixels", "they are squares")
    low, high = min(span.low for span in spans), max(span.high for span in spans)
    beyond = max(0, *(span.beyond for span in spans))
    odd_side = pads_to * (ODD_SIDE // pads_to | 1)
    odd = tracer.trace((odd_side, odd_side))
    return Geometry(
        stride=int(min(strides)),
        receptive_field=high - low + 1,
        offset=(low + high) / 2,
        alignment=alignment,
        halo=beyond + -beyond % alignment,
        global_parts=tuple(sorted(trace.parts)),
        inexact=tuple(sorted({*trace.inexact, *odd.inexact, *_spread(model)})),
    )


def _spread(model: nn.Module) -> list[str]:
    spread = isinstance(getattr(model, "grid", None), Spread)
    return ["logits are stretched over the picture, whatever its size"] if spread else []


class _Spans(NamedTuple):
    """What the cells of one tile in the middle of the picture read."""

    stride: Fraction
    first: int  # pixel that a tile must hold for them
    last: int
    beyond: int  # pixels of those on one side of the tile
    low: int  # first and last pixel that cell i reads at most, less i * stride
    high: int


def _spans(reach: Reach, alignment: int) -> _Spans:
    begin = reach.side // 2 // alignment * alignment
    cells = np.arange(begin // reach.stride, (begin + alignment) // reach.stride)
    first, last = int(reach.needs[0, cells].min()), int(reach.needs[1, cells].max())
    places = np.array([int(cell * reach.stride) for cell in cells.tolist()])
    return _Spans(
        reach.stride,
        first,
        last,
        beyond=max(begin - first, last - (begin + alignment - 1)),
        low=int((reach.reads[0, cells] - places).min()),
        high=int((reach.reads[1, cells] - places).max()),
    )


def pixels_read(
    model: nn.Module, size: Size
) -> tuple[Int64[np.ndarray, "h 2"], Int64[np.ndarray, "w 2"]]:
    """The first and last pixel that each row and each column of cells reads in such a picture.

    Of the picture itself, without what pads it; first > last where a cell reads none. What
    global parts see is left out.
    """
    rows, columns = _axes(Tracer(model).trace(size))
    return rows.reads.T, columns.reads.T


def _axes(trace: Trace) -> tuple[Reach, Reach]:
    if trace.axes is None:
        _refuse("gives the same logits for the whole picture", "each cell has its own")
    return trace.axes


def _refuse(found: str, allowed: str) -> NoReturn:
    raise RecipeError("model", found=found, allowed=allowed, fix="Change the model.")


class Layer(NamedTuple):
    """A call of a convolution or a fully connected layer; `taps` on both axes if it is dilated."""

    name: str
    macs: int
    kernel: Size = (1, 1)
    rate: int = 1
    cells: Size = (1, 1)
    taps: tuple[TapTable, TapTable] | None = None


class _LayerList(Observer):
    """Lists what a picture goes through, each layer as often as it is called."""

    def layers(self, size: Size) -> list[Layer]:
        self.found: list[Layer] = []
        self.run(self.images(size))
        return self.found

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = call(func, args, kwargs or {})
        match func.__name__:
            case "linear" | "conv1d":
                self.found.append(Layer(self.module, _macs(out, args[1])))
            case "conv_transpose2d":
                self.found.append(Layer(self.module, _macs(args[0], args[1])))
            case "conv2d":
                self.found.append(_layer(self.module, out, *args, **(kwargs or {})))
        return out


def _macs(cells: Tensor, weight: Tensor) -> int:
    """`cells` are those that have a window: of the output, or of what a transposed one reads."""
    return cells.numel() * weight.shape[1:].numel()


def _layer(
    name: str,
    out: Tensor,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Layer:
    (height, width), kernel, rates = input.shape[-2:], pair(weight.shape[2:]), pair(dilation)
    if max(rates) == 1:
        return Layer(name, _macs(out, weight), kernel)
    steps, before = pair(stride), pair(window_padding(padding, kernel, rates))
    rows, columns = (
        window_taps(n, m, kernel=k, stride=s, padding=p, rate=r)
        for n, m, k, s, p, r in zip(
            (height, width), out.shape[-2:], kernel, steps, before, rates, strict=True
        )
    )
    return Layer(name, _macs(out, weight), kernel, max(rates), (height, width), (rows, columns))


def macs(model: nn.Module, size: Size) -> int:
    """Multiply-adds of convolutions and fully connected layers for one picture of this size.

    Those on what the model pads and on zeros around maps are counted too, as is usual.
    """
    return sum(layer.macs for layer in _LayerList(model).layers(size))


class Taps(NamedTuple):
    """How much of a dilated convolution falls inside the map that it reads."""

    name: str
    """The module."""
    kernel: Size
    rate: int
    cells: Size
    """The map's height and width."""
    share: float
    """Taps inside, of all, over all places."""
    left: Size
    """The kernel that is left without the taps that are never inside."""


def valid_taps(model: nn.Module, size: Size) -> list[Taps]:
    """The dilated convolutions of the model's head for a picture of this size, in their order.

    With several scales each is there once a scale. Of a model without `head`: all that it has.
    """
    head = "head." if hasattr(model, "head") else ""
    return [
        _taps(layer, *layer.taps)
        for layer in _LayerList(model).layers(size)
        if layer.taps and layer.name.startswith(head)
    ]


def _taps(layer: Layer, rows: TapTable, columns: TapTable) -> Taps:
    down, across = rows >= 0, columns >= 0
    share = float(down.mean() * across.mean())
    left = (int(down.any(0).sum()), int(across.any(0).sum()))
    return Taps(layer.name, layer.kernel, layer.rate, layer.cells, share, left)


def tap_line(taps: Taps) -> str:
    """A sentence, which says so where the convolution has become a smaller one.

    Example:
        >>> tap_line(Taps("head.c", (3, 3), 36, (23, 30), 1 / 9, (1, 1)))
        "head.c: rate 36 on 23 x 30 cells: 11 % of the 3x3's taps lie inside: a 1x1 convolution"
    """
    kernel, left = ("x".join(map(str, sides)) for sides in (taps.kernel, taps.left))
    becomes = f": a {left} convolution" if left != kernel else ""
    return (
        f"{taps.name}: rate {taps.rate} on {taps.cells[0]} x {taps.cells[1]} cells: "
        f"{100 * taps.share:.0f} % of the {kernel}'s taps lie inside{becomes}"
    )


def described(model: nn.Module, size: Size) -> list[tuple[str, str]]:
    """Names and sentences about the model, and about a picture of a size: a training crop, say.

    What cannot be known of a model is said to be so.
    """
    strides = getattr(getattr(model, "encoder", None), "strides", ())
    return [
        *(("output stride", f"{stride} pixels a cell") for stride in strides[-1:]),
        *_geometry_lines(model, size),
        ("MACs", f"{macs(model, size) / 1e9:.2f} G at {size[0]} x {size[1]}"),
        *(("taps", tap_line(taps)) for taps in valid_taps(model, size)),
    ]


def _geometry_lines(model: nn.Module, size: Size) -> list[tuple[str, str]]:
    try:
        found = geometry(model)
    except RecipeError as error:
        return [("receptive field", f"not known: {error.where} {error.found}")]
    times, picture = found.receptive_field / min(size), f"{size[0]} x {size[1]}"
    field = (
        f"{found.receptive_field} pixels across, {times:.1f} times the shorter side of {picture}"
    )
    return [
        ("grid", _grid_line(found, getattr(model, "grid", Grid(found.stride)))),
        ("receptive field", field),
        ("tiles", _tiles_line(found)),
        ("whole picture", _parts_line(found.global_parts)),
    ]


def _grid_line(found: Geometry, grid: Placement) -> str:
    """Windows of odd kernels and stride 2 make receptive fields drift up and left."""
    if isinstance(grid, Spread):
        corners = "aligned" if grid.align_corners else "not aligned"
        return f"a cell every {found.stride} pixels, stretched over the picture, corners {corners}"
    drift = (0.5 + grid.offset) * grid.stride - 0.5 - found.offset
    side = "above and left of" if drift > 0 else "below and right of"
    where = f"{abs(drift):g} pixels {side} it" if drift else "on it"
    every = "pixel" if grid.stride == 1 else f"{grid.stride} pixels"
    begins = f", offset {grid.offset:g} cells" if grid.offset else ""
    return f"a cell every {every}{begins}; what a cell reads is centred {where}"


def _tiles_line(found: Geometry) -> str:
    if found.inexact:
        return f"never equal the whole picture: {'; '.join(found.inexact)}"
    given = ", given the parts below that see it whole" if found.global_parts else ""
    cut = f"cut at multiples of {found.alignment} pixels with a halo of {found.halo}"
    return f"{cut} equal the whole picture{given}"


def _parts_line(parts: Sequence[str]) -> str:
    if not parts:
        return "seen by no part"
    if len(parts) <= 3:
        return f"seen by {', '.join(parts)}"
    return f"seen by {len(parts)} parts, {parts[0]} to {parts[-1]}"
