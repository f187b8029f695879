"""How pictures can be cut for a built model: what a tile needs, and what rules exactness out."""

from collections.abc import Sequence
from typing import Any
from weakref import ReferenceType, ref

from torch import Tensor, nn

from atrous.errors import RecipeError
from atrous.models.build import Segmenter
from atrous.models.geometry import geometry
from atrous.models.means import MeanNames
from atrous.models.tracing import Observer, call, tensors_in
from atrous.types import Size, Tiling

LOOKED_AT = (1024, 1024)  # pixels: room is a number for each, so the size hardly matters
# Of what is alive at once; 1.0 to 1.6 times were seen (benchmarks/room.py). The rest is what
# convolutions take for themselves.
BESIDES = 1.6


def tiling_of(segmenter: Segmenter) -> Tiling:
    """How tiles of a picture equal the whole: as they are, with means given, or not.

    Example:
        >>> from atrous.models.build import build
        >>> tiling_of(build("fcn_basic", num_classes=2))[:4]
        (8, 24, 0, '')
    """
    room = round(BESIDES * _Alive(segmenter).most(LOOKED_AT))
    try:
        found = geometry(segmenter)
    except RecipeError as error:  # something in it has an unknown reach
        return Tiling(segmenter.alignment, inexact=f"{error.where} {error.found}", room=room)
    names = MeanNames(segmenter).names(LOOKED_AT)
    inexact = "; ".join(found.inexact)
    if others := set(found.global_parts).difference(names):
        inexact = f"{', '.join(sorted(others))} sees the whole picture, and by no mean"
    return Tiling(found.alignment, found.halo, len(names), inexact, room)


class _Alive(Observer):
    """Counts the maps that are alive at once, in bytes a pixel."""

    def most(self, size: Size) -> float:
        """The most of them while the network answers."""
        self._maps: dict[int, ReferenceType[Tensor]] = {}
        self._most = 0
        self.run(self.images(size))
        return self._most / (size[0] * size[1])

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = call(func, args, kwargs or {})
        for tensor in tensors_in((args, kwargs or {}, out)):
            if not isinstance(tensor, nn.Parameter):
                self._maps[id(tensor)] = ref(tensor)
        found = {key: tensor for key, of in self._maps.items() if (tensor := of()) is not None}
        self._maps = {key: self._maps[key] for key in found}
        stores = [tensor.untyped_storage() for tensor in found.values()]
        held = {store._cdata: store.nbytes() for store in stores}  # views share theirs
        self._most = max(self._most, sum(held.values()))
        return out
