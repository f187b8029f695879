"""What a call of a torch function does to the rows and columns of a map.

The functions here have the arguments of torch's own, with a `Map` where torch has a tensor.
What is not known is refused, never guessed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any, NamedTuple, NoReturn

from atrous.models.reach import (
    Reach,
    UnknownReach,
    joined,
    padding_taps,
    picked,
    resize_taps,
    through,
    transposed_taps,
    window_taps,
)

Shape = tuple[int, ...]
Axes = tuple[Reach, Reach]

ELEMENTWISE = frozenset(
    """abs add addcmul alpha_dropout bfloat16 celu clamp clip clone contiguous detach div double
    dropout dropout1d dropout2d elu exp feature_dropout float gelu half hardsigmoid hardswish
    hardtanh iadd idiv imul isub itruediv leaky_relu lerp log logsigmoid maximum minimum mish mul
    nan_to_num neg ipow pow prelu radd rdiv reciprocal relu relu6 requires_grad rmul rpow rsqrt rsub
    rtruediv selu sigmoid silu softplus sqrt square sub tanh to true_divide truediv type type_as
    where""".split()
)
JOINS = ELEMENTWISE | set("cat concat concatenate max min stack".split())
LIKE = frozenset("expand_as reshape_as type_as view_as".split())  # read the first tensor alone
SUMS = frozenset("amax amin logsumexp max mean min prod sum".split())
FINEST = 64  # largest denominator of a resize that counts as meant, not as rounded sizes


class Map(NamedTuple):
    """A tensor with rows and columns at dimensions `dims`.

    `axes` is None if it is the same for the whole picture: a constant, or `pooled` from it.
    """

    shape: Shape
    axes: Axes | None = None
    dims: tuple[int, int] = (2, 3)
    pooled: bool = False

    @property
    def sides(self) -> Shape:
        return tuple(self.shape[dim] for dim in self.dims)


class Change(NamedTuple):
    """What becomes of rows and columns; `pools` if the call sees the whole of them.

    `inexact` says why a tile gives something else than the whole picture, if so.
    """

    axes: Axes | None
    dims: tuple[int, int] = (2, 3)
    pools: bool = False
    inexact: str = ""

    def moved(self, where: Callable[[int], int]) -> "Change":
        """With its dimensions at other places."""
        return self._replace(dims=(where(self.dims[0]), where(self.dims[1])))


def change_by(name: str, out: Shape, args: Sequence[Any], kwargs: dict[str, Any]) -> Change:
    """What the torch function `name`, which gave a tensor of shape `out`, does to its maps.

    Raises:
        UnknownReach: it is not known here.
    """
    maps = list(maps_in((args, kwargs)))
    if name not in JOINS | LIKE and any(one.axes is not None for one in maps[1:]):
        _refuse(f"calls {name} with other weights at each place")
    match name:
        case "conv2d":
            return _convolution(out, *args, **kwargs)
        case "conv_transpose2d":
            return _transposed_convolution(out, *args, **kwargs)
        case "max_pool2d":
            return _pool(out, *args[:5], **kwargs)
        case "avg_pool2d":
            return _pool(out, *args[:4], **kwargs)  # its fifth is no dilation
        case "adaptive_avg_pool2d" | "adaptive_max_pool2d" if out[-2:] == (1, 1):
            return Change(None, pools=True)
        case "interpolate":
            return _resize(out, *args, **kwargs)
        case "pad":
            return _pad(*args, **kwargs)
        case "getitem":
            return _part(*args, **kwargs)
        case "stack":
            return _stack(*args, **kwargs)
        case "cat" | "concat" | "concatenate":
            return _concatenated(out, *args, **kwargs)
        case "batch_norm":
            training = kwargs.get("training", len(args) > 5 and args[5])
            return _kept(args[0])._replace(pools=training)
        case "group_norm" | "instance_norm":
            return _kept(args[0])._replace(pools=True)
        case "max" | "min" if len(maps) > 1:
            return _elementwise(out, maps)
        case "norm" if set(kwargs) >= {"dim"}:
            return _sum(out, args[0], kwargs["dim"])
        case _ if name in SUMS:
            return _sum(out, *args, **kwargs)
        case _ if name in ELEMENTWISE:
            return _elementwise(out, maps)
        case _:
            return _rearranged(name, out, *args, **kwargs)


def maps_in(nested: Any) -> Iterator[Map]:
    """The maps in arguments, in order."""
    if isinstance(nested, Map):
        yield nested
    elif isinstance(nested, tuple | list | dict):
        for item in nested.values() if isinstance(nested, dict) else nested:
            yield from maps_in(item)


def _refuse(what: str) -> NoReturn:
    raise UnknownReach(what)


# Windows: each names what it does to one axis, given the numbers of that axis.


def _convolution(
    out: Shape,
    input: Map,
    weight: Map,
    bias: Map | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Change:
    kernel, rates = weight.shape[2:], pair(dilation)
    return _windows(out, input, kernel, stride, window_padding(padding, kernel, rates), rates)


def window_padding(padding: Any, kernel: Sequence[int], rates: Sequence[int]) -> Any:
    """A convolution's padding at the top and left as numbers, where torch may have a word."""
    match padding:
        case "valid":
            return 0
        case "same":
            return [rate * (side - 1) // 2 for rate, side in zip(rates, kernel, strict=True)]
        case _:
            return padding


def _pool(
    out: Shape,
    input: Map,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    **_: object,
) -> Change:
    return _windows(out, input, kernel_size, stride or kernel_size, padding, dilation)


def _windows(out: Shape, input: Map, kernel: Any, stride: Any, padding: Any, rate: Any) -> Change:
    def along(reach: Reach, cells: int, side: int, step: int, before: int, apart: int) -> Reach:
        taps = window_taps(len(reach), cells, kernel=side, stride=step, padding=before, rate=apart)
        return through(reach, taps, Fraction(step))

    return _along_axes(_plane(input), along, out[-2:], kernel, stride, padding, rate)


def _transposed_convolution(
    out: Shape,
    input: Map,
    weight: Map,
    bias: Map | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Change:
    def along(reach: Reach, cells: int, side: int, step: int, before: int, apart: int) -> Reach:
        taps = transposed_taps(
            len(reach), cells, kernel=side, stride=step, padding=before, rate=apart
        )
        return through(reach, taps, Fraction(1, step))

    return _along_axes(_plane(input), along, out[-2:], weight.shape[2:], stride, padding, dilation)


def _resize(
    out: Shape,
    input: Map,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Change:
    if antialias:
        _refuse("resizes with antialias")
    exact = [Fraction(n, m) for n, m in zip(input.shape[-2:], out[-2:], strict=True)]
    if scale_factor is not None and not recompute_scale_factor:
        exact = [1 / Fraction(factor).limit_denominator(1024) for factor in pair(scale_factor)]
    ratios = [ratio.limit_denominator(FINEST) for ratio in exact]
    corners = bool(align_corners) and exact != [1, 1]

    def along(reach: Reach, cells: int, exact: Fraction, ratio: Fraction) -> Reach:
        taps = resize_taps(len(reach), cells, exact, mode=mode, corners=corners)
        return through(reach, taps, ratio)

    change = _along_axes(_plane(input), along, out[-2:], exact, ratios)
    if corners:
        return change._replace(inexact="resizes with align_corners")
    return change._replace(inexact="" if exact == ratios else "resizes by no simple factor")


def _pad(input: Map, pad: Sequence[int], mode: str = "constant", value: object = None) -> Change:
    def along(reach: Reach, before: int, after: int) -> Reach:
        if before == after == 0:
            return reach
        return through(reach, padding_taps(len(reach), before, after, mode=mode))

    pad = (*pad, *[0] * (2 * len(input.shape) - len(pad)))  # the last dimension comes first
    places = [2 * (len(input.shape) - 1 - dim) for dim in input.dims]
    return _along_axes(
        input, along, [pad[place] for place in places], [pad[place + 1] for place in places]
    )


def _along_axes(input: Map, along: Callable[..., Reach], *given: Any) -> Change:
    """Rows and columns changed, each with its own numbers; once where they are the same."""
    assert input.axes is not None
    rows, columns = input.axes
    of_rows, of_columns = zip(*map(pair, given), strict=True)
    changed = along(rows, *of_rows)
    same = rows is columns and of_rows == of_columns
    return Change((changed, changed if same else along(columns, *of_columns)), input.dims)


def _plane(input: Map) -> Map:
    if input.axes is None or input.dims != (len(input.shape) - 2, len(input.shape) - 1):
        _refuse("lays a window over something else than rows and columns")
    return input


# Cell by cell, sums, parts.


def _elementwise(out: Shape, maps: Sequence[Map]) -> Change:
    """Maps of the same rows and columns, or none, put together cell by cell."""
    changes = [_aligned(one, len(out)) for one in maps if one.axes is not None]
    if len({change.dims for change in changes}) > 1:
        _refuse("joins maps whose rows lie at different dimensions")
    dims, inexact = changes[0].dims, ""
    for one in maps:
        sides = [dim - len(out) >= -len(one.shape) and one.shape[dim - len(out)] for dim in dims]
        if one.axes is not None and sides != [out[dim] for dim in dims]:
            _refuse("spreads one row or column over many")
        if one.axes is None and not one.pooled and max(sides) > 1:
            inexact = "adds or multiplies by something else at each place"
    axes = [change.axes for change in changes if change.axes is not None]
    if len({reach.stride for both in axes for reach in both}) > 1:
        inexact = "joins maps of different strides"
    rows = joined([rows for rows, _ in axes])
    square = all(rows is columns for rows, columns in axes)
    columns = rows if square else joined([columns for _, columns in axes])
    return Change((rows, columns), dims, inexact=inexact)


def _concatenated(out: Shape, tensors: Sequence[Map], dim: int = 0) -> Change:
    return _across(dim, len(out), _elementwise(out, tensors))


def _stack(tensors: Sequence[Map], dim: int = 0) -> Change:
    shape = tensors[0].shape
    place = dim % (len(shape) + 1)
    return _elementwise(shape, tensors).moved(lambda d: d + (d >= place))


def _sum(
    out: Shape, input: Map, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Change:
    """Also means, maxima and the like, over some dimensions or all."""
    gone = {d % len(input.shape) for d in _flat(range(len(input.shape)) if dim is None else dim)}
    if gone >= set(input.dims):
        return Change(None, pools=True)
    change = _across(gone, len(input.shape), _kept(input))
    if len(out) == len(input.shape):
        return change
    return change.moved(lambda d: d - sum(other < d for other in gone))


def _part(input: Map, index: Any) -> Change:
    """`input[index]`, with slices and numbers, new dimensions and three dots."""
    items = list(index) if isinstance(index, tuple) else [index]
    if not all(isinstance(item, slice | int | None) or item is Ellipsis for item in items):
        _refuse("takes cells by a table")
    dots = items.index(Ellipsis) if Ellipsis in items else len(items)
    used = sum(item is not None and item is not Ellipsis for item in items)
    items[dots : dots + 1] = [slice(None)] * (len(input.shape) - used)
    cuts = [(place, item) for place, item in enumerate(items) if item is not None]
    wanted = [cuts[dim] for dim in input.dims]
    if any(isinstance(item, int) for _, item in wanted):
        _refuse("takes one row or column alone")

    def along(reach: Reach, cut: slice) -> Reach:
        whole = cut.indices(len(reach)) == (0, len(reach), 1)
        return reach if whole else picked(reach, cut)

    change = _along_axes(input, along, [item for _, item in wanted])
    numbers = [place for place, item in cuts if isinstance(item, int)]
    return change.moved(lambda dim: cuts[dim][0] - sum(n < cuts[dim][0] for n in numbers))


# Functions that leave rows and columns as they are, but maybe not where they are.


def _rearranged(name: str, out: Shape, input: Map, *args: Any, **kwargs: Any) -> Change:
    kept, dims = _kept(input), len(input.shape)
    given = [*args, *kwargs.values()]
    match name:
        case "permute":
            order = [dim % dims for dim in _flat(given)]
            return kept.moved(order.index)
        case "transpose" | "swapaxes":
            one, two = (dim % dims for dim in given)
            return kept.moved(lambda dim: {one: two, two: one}.get(dim, dim))
        case "unsqueeze":
            return kept.moved(lambda dim: dim + (dim >= given[0] % len(out)))
        case "expand" | "expand_as" | "repeat":
            return _same_sides(_aligned(input, len(out)), input, out)
        case "view" | "reshape" | "flatten" | "unflatten" | "view_as" | "reshape_as":
            last = _plane(input)._replace(dims=(len(out) - 2, len(out) - 1)).dims
            return _same_sides(kept._replace(dims=last), input, out)
        case "split" | "chunk" | "tensor_split":
            return _across(kwargs.get("dim", args[1] if len(args) > 1 else 0), dims, kept)
        case "softmax" | "log_softmax":
            return _across(kwargs.get("dim", given[0]), dims, kept)
        case "linear":
            return _across(-1, dims, kept)
        case "layer_norm":
            return _across([-1 - i for i in range(len(given[0]))], dims, kept)
        case _:
            _refuse(f"calls {name}, whose reach is not known")


def _kept(input: Map) -> Change:
    return Change(input.axes, input.dims)


def _aligned(input: Map, count: int) -> Change:
    """As a tensor of `count` dimensions, the new ones first."""
    return _kept(input).moved(lambda dim: dim + count - len(input.shape))


def _across(dims: Any, count: int, change: Change) -> Change:
    """The change, if work along `dims` leaves rows and columns alone."""
    if {dim % count for dim in _flat(dims)} & set(change.dims):
        _refuse("works along rows or columns in a way that is not known")
    return change


def _same_sides(change: Change, input: Map, out: Shape) -> Change:
    if tuple(out[dim] for dim in change.dims) != input.sides:
        _refuse("repeats or reshapes rows or columns")
    return change


def pair(value: Any) -> tuple[Any, Any]:
    """A number for rows and one for columns, where torch may have one for both."""
    if not isinstance(value, Iterable):
        return value, value
    one, *rest = value
    return (one, rest[0] if rest else one)


def _flat(nested: Any) -> Iterator[int]:
    if isinstance(nested, Iterable):
        for item in nested:
            yield from _flat(item)
    else:
        yield nested
