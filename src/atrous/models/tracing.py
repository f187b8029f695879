"""Follows a picture through a network, without computing it.

The network runs once on torch's meta device, where tensors have shapes but no values, and
every call of a torch function is seen.
"""

import copy
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, NoReturn

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from atrous.errors import RecipeError
from atrous.models.calls import LIKE, Axes, Map, change_by
from atrous.models.reach import UnknownReach, whole_picture
from atrous.types import Size

POOLS = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)  # named by the module that they serve
NEW = frozenset("empty_like full_like new_ones new_tensor new_zeros ones_like zeros_like".split())
WINDOWS = frozenset("avg_pool2d conv2d conv_transpose2d max_pool2d".split())


class Observer(TorchFunctionMode):
    """Runs a copy of a model, in evaluation and without values, and knows which module runs."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        memo: dict[int, Any] = {
            **{id(p): nn.Parameter(p.to("meta"), p.requires_grad) for p in model.parameters()},
            **{id(b): b.to("meta") for b in model.buffers()},
        }
        self.model = copy.deepcopy(model, memo).eval()
        self.running: list[tuple[str, nn.Module]] = []
        for name, module in self.model.named_modules():
            begins = partial(self._begins, name or "forward")
            module.register_forward_pre_hook(begins, prepend=True)
            module.register_forward_hook(self._ends, always_call=True)

    def _begins(self, name: str, module: nn.Module, inputs: object) -> None:
        self.running.append((name, module))

    def _ends(self, *_: object) -> None:
        self.running.pop()

    @property
    def module(self) -> str:
        """The name of the module that runs."""
        return self.running[-1][0] if self.running else "logits"

    @property
    def pooling(self) -> str:
        """The module by which what runs now sees the whole picture, if it does."""
        name, module = self.running[-1]
        return self.running[-2][0] if isinstance(module, POOLS) and self.running[1:] else name

    def images(self, size: Size) -> Tensor:
        """Pixels `1 H W C` of the model's own type, without values."""
        dtype = getattr(torch, getattr(self.model, "dtype", "uint8"))
        bands = getattr(self.model, "bands", 3)
        return torch.empty((1, *size, bands), dtype=dtype, device="meta")

    @torch.no_grad()
    def run(self, images: Tensor) -> Any:
        """The model's answer, with all calls seen."""
        self.running.clear()
        with self:
            return self.model(images)


def call(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What `func` gives, without values; torch's own way takes batch norm apart, which is slow."""
    if func is nn.functional.batch_norm:
        return torch.empty_like(args[0])
    return func(*args, **kwargs)


class Trace(NamedTuple):
    """What is known of a tensor.

    `axes` are its rows and columns, at dimensions `dims`; None if it is the same for the
    whole picture. `parts` are the modules through which it sees the whole picture; `inexact`
    says why it is not the same in a tile.
    """

    axes: Axes | None = None
    dims: tuple[int, int] = (2, 3)
    parts: frozenset[str] = frozenset()
    inexact: frozenset[str] = frozenset()


class Tracer(Observer):
    """Knows of every tensor where it comes from."""

    def trace(self, size: Size) -> Trace:
        """What the logits of a picture of this size read.

        Raises:
            RecipeError: the model does something whose reach is not known.
        """
        images = self.images(size)
        self.known: dict[int, tuple[Tensor, int, Trace]] = {}  # held, so that ids stay theirs
        for tensor in (*self.model.parameters(), *self.model.buffers()):
            self._keep(tensor, Trace())
        rows = whole_picture(size[0])
        columns = rows if size[0] == size[1] else whole_picture(size[1])
        self._keep(images, Trace((rows, columns), (1, 2)))
        trace = self._of(self.run(images))
        return trace or self._refuse("gives a tensor that was made or changed unseen")

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name, kwargs = func.__name__.strip("_"), kwargs or {}  # relu_, __add__
        if name == "setitem":
            self._refuse("writes into a part of a tensor")
        before = {id(tensor): self._of(tensor) for tensor in tensors_in((args, kwargs))}
        out = call(func, args, kwargs)
        results = list(tensors_in(out))
        if results:
            trace = self._after(name, results[0], before, args, kwargs)
            for result in results:
                self._keep(result, trace)
        return out

    def _after(
        self,
        name: str,
        out: Tensor,
        before: dict[int, Trace | None],
        args: Sequence[Any],
        kwargs: dict[str, Any],
    ) -> Trace:
        read = list(tensors_in((args, kwargs)))
        read = [] if name in NEW else read[:1] if name in LIKE else read
        traces = [trace for tensor in read if (trace := before[id(tensor)])]
        if len(traces) < len(read):
            self._refuse(f"calls {name} with a tensor that was made or changed unseen")
        parts = frozenset[str]().union(*(trace.parts for trace in traces))
        inexact = frozenset[str]().union(*(trace.inexact for trace in traces))
        if all(trace.axes is None for trace in traces):
            if parts and _sees_borders(name, *read):
                self._refuse("lays a window or a border over a mean of the whole picture")
            return Trace(None, parts=parts, inexact=inexact)
        try:
            change = change_by(name, tuple(out.shape), _maps(args, before), _maps(kwargs, before))
        except UnknownReach as unknown:
            self._refuse(str(unknown))
        except TypeError as error:  # arguments that the functions there do not have
            self._refuse(f"calls {name} in a way that is not known ({error})")
        if change.pools:
            parts |= {self.pooling}
        if change.inexact:
            inexact |= {f"{self.module} {change.inexact}"}
        return Trace(change.axes, change.dims, parts, inexact)

    def _keep(self, tensor: Tensor, trace: Trace) -> None:
        self.known[id(tensor)] = (tensor, tensor._version, trace)

    def _of(self, tensor: Tensor) -> Trace | None:
        """None if it was not made, or last changed in place, by a call that was seen."""
        _, version, trace = self.known.get(id(tensor), (tensor, -1, None))
        return trace if tensor._version == version else None

    def _refuse(self, found: str) -> NoReturn:
        raise RecipeError(
            f"model, {self.module}",
            found=found,
            allowed="what a cell reads must follow from convolutions, pools, resizes and the like",
            fix="Choose another encoder, or teach atrous.models.calls that function.",
        )


def tensors_in(nested: Any) -> Iterator[Tensor]:
    """The tensors in arguments, in order."""
    match nested:
        case Tensor():
            yield nested
        case tuple() | list():
            for item in nested:
                yield from tensors_in(item)
        case dict():
            yield from tensors_in(list(nested.values()))


def _sees_borders(name: str, first: Tensor, weight: Tensor | None = None, *_: object) -> bool:
    """Whether a map that is the same everywhere becomes one that differs at its borders."""
    if name == "pad":
        return first.ndim == 4
    spreads = weight is None or weight.shape[2:].numel() > 1
    return name in WINDOWS and spreads and first.shape[2:].numel() > 1


def _maps(nested: Any, traces: dict[int, Trace | None]) -> Any:
    """Arguments with a `Map` in the place of each tensor."""
    match nested:
        case Tensor():
            trace = traces[id(nested)]
            assert trace is not None
            return Map(tuple(nested.shape), trace.axes, trace.dims, bool(trace.parts))
        case torch.Size():
            return tuple(nested)
        case tuple() | list():
            return type(nested)(_maps(item, traces) for item in nested)
        case dict():
            return {key: _maps(item, traces) for key, item in nested.items()}
        case _:
            return nested
