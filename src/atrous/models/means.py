"""Means over the whole picture, as image pooling and squeeze-excite take: counted and given.

A tile cannot know them. So they are found first, one after the other in the order in which the
network asks for them: each pass over the picture runs with those before it given, and stops at
the next, whose sum over each tile's own cells it takes.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from atrous.models.tracing import Observer
from atrous.types import Size


class Reached(Exception):
    """The next mean was asked for: its `sums` `C` in float64 over so many cells."""

    def __init__(self, sums: Tensor, cells: int) -> None:
        super().__init__()
        self.sums, self.cells = sums, cells


class MeansGiven(TorchFunctionMode):
    """Runs a network with the first means `known`, each `C`.

    Where `own` `H W` says which pixels of the padded picture count, the next mean is not taken:
    `Reached` is raised, with the sum over the cells that hold one.
    """

    def __init__(self, known: Sequence[Tensor], own: Tensor | None = None) -> None:
        super().__init__()
        self.known, self.own, self.asked = known, own, 0

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if not is_mean(func, args, kwargs):
            return func(*args, **kwargs)
        number, features = self.asked, args[0]
        self.asked += 1
        if number < len(self.known):
            mean = self.known[number].to(features)[:, None, None]
            kept = func.__name__ != "mean" or kwargs.get("keepdim", args[2:] == (True,))
            return (mean if kept else mean[:, 0, 0]).expand(len(features), *mean.shape)
        if self.own is None:
            return func(*args, **kwargs)
        counted = cells_of(self.own, features.shape[2:]).to(features.device)
        raise Reached(features[0, :, counted].double().sum(1), int(counted.sum()))


def is_mean(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
    """Whether a call is the mean of each of a picture's maps; never of weights."""
    features = args[0] if args else None
    if not isinstance(features, Tensor) or features.ndim != 4 or isinstance(features, nn.Parameter):
        return False
    match func.__name__:
        case "adaptive_avg_pool2d":
            size = args[1] if len(args) > 1 else kwargs.get("output_size")
            return size in (1, (1, 1), [1, 1])
        case "mean":
            dim = args[1] if len(args) > 1 else kwargs.get("dim")
            return isinstance(dim, tuple | list) and {d % 4 for d in dim} == {2, 3}
        case _:
            return False


def cells_of(own: Tensor, size: Sequence[int]) -> Tensor:
    """The cells of a map that hold one of the pixels that count, or more.

    Example:
        >>> import torch
        >>> cells_of(torch.tensor([[True, False, False, False]]), (1, 2))
        tensor([[ True, False]])
    """
    return F.adaptive_max_pool2d(own[None].float(), tuple(size))[0] > 0


class MeanNames(Observer):
    """The modules that take means over the whole picture, in their order."""

    def names(self, size: Size) -> list[str]:
        self.found: list[str] = []
        self.run(self.images(size))
        return self.found

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if is_mean(func, args, kwargs or {}):
            self.found.append(self.pooling)
        return func(*args, **(kwargs or {}))
