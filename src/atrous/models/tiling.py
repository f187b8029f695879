"""How pictures can be cut for a built model: what a tile needs, and what rules exactness out."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from atrous.errors import RecipeError
from atrous.models.build import Segmenter
from atrous.models.geometry import geometry
from atrous.models.means import MeanNames
from atrous.models.tracing import Observer, call, tensors_in
from atrous.types import Size, Tiling

LOOKED_AT = (512, 512)  # pixels: room is a number for each, so the size hardly matters
# Of 0.6 to 2.7 times the widest call, seen on six networks: maps that wait for a later one, and
# what convolutions take for themselves.
BESIDES = 2.7


def tiling_of(segmenter: Segmenter) -> Tiling:
    """How tiles of a picture equal the whole: as they are, with means given, or not.

    Example:
        >>> from atrous.models.build import build
        >>> tiling_of(build("fcn_basic", num_classes=2))[:4]
        (8, 24, 0, '')
    """
    room = round(BESIDES * _Widest(segmenter).widest(LOOKED_AT))
    try:
        found = geometry(segmenter)
    except RecipeError as error:  # something in it has an unknown reach
        return Tiling(segmenter.alignment, inexact=f"{error.where} {error.found}", room=room)
    names = MeanNames(segmenter).names(LOOKED_AT)
    inexact = "; ".join(found.inexact)
    if others := set(found.global_parts).difference(names):
        inexact = f"{', '.join(sorted(others))} sees the whole picture, and by no mean"
    return Tiling(found.alignment, found.halo, len(names), inexact, room)


class _Widest(Observer):
    """Finds the call that holds most memory, in bytes a pixel, what it reads and gives."""

    def widest(self, size: Size) -> float:
        self.most = 0
        self.run(self.images(size))
        return self.most / (size[0] * size[1])

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = call(func, args, kwargs or {})
        maps = {id(map): map for map in tensors_in((args, kwargs or {}, out))}
        held = [map.nbytes for map in maps.values() if not isinstance(map, nn.Parameter)]
        self.most = max(self.most, sum(held))
        return out
