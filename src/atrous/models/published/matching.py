"""Their tensors -> ours: each of ours is made of named ones of theirs, and each of theirs is used.

What does not match is an error that lists the keys, in their words; nothing stays random.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from atrous.errors import WeightsError
from atrous.models.foreign import COUNTER
from atrous.recipe import ModelOptions

Tensors = Mapping[str, Tensor]
Renames = Sequence[tuple[str, str]]  # pattern of our names, replacement that gives theirs

SHOWN = 8  # keys of each list in an error
POOLING = re.compile(r"head\.aspp\.branches\.\d+\.project\.0\.(weight|bias)")
EPS = 1e-5  # of the batch norms in all published pyramids: torch's default


def _as_it_is(tensor: Tensor) -> Tensor:
    return tensor


class Piece(NamedTuple):
    """One tensor of ours: which of theirs it is made of, and how."""

    names: tuple[str, ...]
    make: Callable[..., Tensor] = _as_it_is


class Published(NamedTuple):
    """A network of another project in our words, and its tensors.

    `piece` gives for the name of a tensor of ours what it is made of; keys of theirs that
    begin with one of `left_out` have no place with us. `notes` say what was decided.
    """

    options: ModelOptions
    num_logits: int
    tensors: Tensors
    piece: Callable[[str], Piece]
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def renamed(name: str, renames: Renames) -> str:
    """Their name for a name of ours: by the first pattern that matches its beginning.

    Example:
        >>> renamed("head.layers.4.bias", [(r"head\\.layers", "classifier")])
        'classifier.4.bias'
    """
    for pattern, replacement in renames:
        theirs, count = re.subn(f"^{pattern}", replacement, name)
        if count:
            return theirs
    return name


def under(names: Callable[[str], str], tensors: Tensors) -> Tensors:
    """The tensors under new names; under their own if two would get one name."""
    named = {names(key): tensor for key, tensor in tensors.items()}
    return named if len(named) == len(tensors) else tensors


def pooling_piece(part: str, convolution: str, norm: str) -> Piece:
    """Our image pooling's convolution, which has a bias; theirs has a batch norm after it.

    In evaluation that is a factor and a sum for each map: nothing changes.
    """
    names = [f"{norm}.{slot}" for slot in ("weight", "running_var", "bias", "running_mean")]
    if part == "weight":
        return Piece((f"{convolution}.weight", *names[:2]), _scaled)
    return Piece(tuple(names), _shift)


def _scaled(weight: Tensor, gain: Tensor, variance: Tensor) -> Tensor:
    return weight * (gain / torch.sqrt(variance + EPS))[:, None, None, None]


def _shift(gain: Tensor, variance: Tensor, bias: Tensor, mean: Tensor) -> Tensor:
    return bias - mean * gain / torch.sqrt(variance + EPS)


def from_bgr(weight: Tensor) -> Tensor:
    """Weights of a first convolution over blue, green, red, for red, green, blue."""
    return weight.flip(1)


def maps(tensors: Tensors, layer: str) -> int:
    """The maps that a layer gives, by its weight or bias; 1 without both, which is said later."""
    for part in ("weight", "bias"):
        tensor = tensors.get(f"{layer}.{part}")
        if tensor is not None and tensor.ndim and len(tensor):
            return tensor.shape[0]
    return 1


def matched(own: Mapping[str, torch.Size], published: Published, file: Path) -> dict[str, Tensor]:
    """A value for each tensor of ours, whose names and shapes are `own`, in float32.

    Raises:
        WeightsError: lists what is missing, what has another shape and what has no place.
    """
    tensors, values = published.tensors, dict[str, Tensor]()
    used: set[str] = set()
    missing: dict[str, None] = {}  # a set that keeps its order
    wrong: list[str] = []
    for name, shape in own.items():
        if name.endswith(COUNTER):
            values[name] = torch.zeros((), dtype=torch.int64)
            continue
        names, make = published.piece(name)
        used.update(names)
        absent = [key for key in names if key not in tensors]
        missing.update(dict.fromkeys(absent))
        if absent:
            continue
        value = _made([tensors[key] for key in names], make)
        if value is None or value.shape != shape:
            wrong.append(_wrong({key: tensors[key] for key in names}, shape))
        else:
            values[name] = value.contiguous()
    extra = [
        key
        for key in tensors
        if key not in used and not key.endswith(COUNTER) and not key.startswith(published.left_out)
    ]
    if missing or wrong or extra:
        raise _mismatch(file, published, missing, wrong, extra)
    return values


def _made(tensors: list[Tensor], make: Callable[..., Tensor]) -> Tensor | None:
    """The tensor made, None if shapes or types do not allow it."""
    if not all(tensor.is_floating_point() for tensor in tensors):
        return None
    try:
        return make(*(tensor.detach().to(torch.float32) for tensor in tensors))
    except (RuntimeError, IndexError):
        return None


def _wrong(tensors: Tensors, needed: torch.Size) -> str:
    """What is said of tensors that do not fit: `fc7.bias (7), not 9`."""
    held = (f"{key} ({_shape(tensor.shape)}{_type(tensor)})" for key, tensor in tensors.items())
    return f"{' with '.join(held)}, not {_shape(needed)}"


def _type(tensor: Tensor) -> str:
    return "" if tensor.is_floating_point() else f" of {tensor.dtype}".replace("torch.", "")


def _shape(shape: torch.Size) -> str:
    return " x ".join(map(str, shape)) or "a number"


def _mismatch(
    file: Path,
    published: Published,
    missing: Collection[str],
    wrong: Collection[str],
    extra: Collection[str],
) -> WeightsError:
    options = published.options
    lists = {"lacks": missing, "has in another shape": wrong, "has no place for": extra}
    told = "; ".join(f"{what} {_listed(keys)}" for what, keys in lists.items() if keys)
    return WeightsError(
        file,
        found=f"does not match {options.name} on {getattr(options, 'encoder', '')}: it {told}",
        allowed="each tensor must have its place: no layer is left random",
        fix="Give the state_dict of the whole network, or another --from.",
    )


def _listed(keys: Iterable[str]) -> str:
    keys = list(keys)
    more = f", … ({len(keys)} in all)" if len(keys) > SHOWN else ""
    return ", ".join(keys[:SHOWN]) + more


def unrecognised(file: Path, tensors: Tensors, *, allowed: str) -> WeightsError:
    """The error for keys that belong to no network we know of that origin."""
    return WeightsError(
        file,
        found=f"holds other keys: {_listed(tensors)}",
        allowed=allowed,
        fix="Give the state_dict of such a network, or another --from.",
    )
