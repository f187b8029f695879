"""Weights files of other programs, read without unpickling code."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from atrous.errors import WeightsError

WRAPPERS = ("state_dict", "model", "model_state_dict", "model_state")  # where programs put weights
COUNTER = "num_batches_tracked"  # of batch norms: no weight, and older files lack it
PREFIXES = ("module.", "_orig_mod.", "model.")  # of data-parallel, compiled and Lightning modules


def read_foreign(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.safetensors`, `.pth` or `.pt` file by their names, on the CPU.

    What programs wrap around them is taken off: a table such as `state_dict`, and prefixes
    such as the `module.` of data-parallel training.

    Raises:
        WeightsError: no such file; not a table of tensors; loading would run code.
    """
    if not path.is_file():
        raise _refused(path, "is not there", "Check the path.")
    try:
        if path.suffix == ".safetensors":
            content = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise _refused(path, f"is damaged ({error})", "Get the file again.") from None
    except Exception as error:  # torch raises nearly anything on hostile and broken files
        text = " ".join(str(error).split())
        reason = (text.partition("WeightsUnpickler error: ")[2] or text)[:160]
        fix = "Get the file again, or save its state_dict as .safetensors where it can be trusted."
        raise _refused(path, f"cannot be read without running code of it ({reason})", fix) from None
    for name in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    tensors = {k: v for k, v in _items(content) if isinstance(k, str) and isinstance(v, Tensor)}
    if not tensors:
        raise _refused(path, "holds no table of tensors", "Save a model's state_dict.")
    strange = [name for name, tensor in tensors.items() if tensor.layout != torch.strided]
    if strange:
        raise _refused(path, f"holds a sparse tensor, {strange[0]}", "Save it dense.")
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def _items(content: object) -> list[tuple[object, object]]:
    return list(content.items()) if isinstance(content, dict) else []


def _refused(path: Path, found: str, fix: str) -> WeightsError:
    return WeightsError(
        path,
        found=found,
        allowed="weights come as .safetensors, or as .pth or .pt with tensors alone",
        fix=fix,
    )
