"""Which engines and precisions there are for a run or an exported file, on any machine."""

from typing import NamedTuple

from atrous.errors import RecipeError
from atrous.exported import Manifest
from atrous.types import EngineName, Precision


class Choice(NamedTuple):
    """An engine and the precision that it runs in."""

    engine: EngineName
    precision: Precision

    def __str__(self) -> str:
        return f"{self.engine} {self.precision}"


def choices(
    manifest: Manifest | None, *, engine: str = "auto", precision: str = "auto"
) -> tuple[Choice, ...]:
    """What an exported file may answer with, or a run (None), narrowed to what is asked for.

    Whether a machine has them shows when they are opened.

    Example:
        >>> choices(None)
        (Choice(engine='torch', precision='f32'),)

    Raises:
        RecipeError: nothing is left.
    """
    all_of_them = (Choice("torch", "f32"),) if manifest is None else _of_file(manifest)
    left = tuple(
        choice
        for choice in all_of_them
        if engine in ("auto", choice.engine) and precision in ("auto", choice.precision)
    )
    if left:
        return left
    raise RecipeError(
        "engine",
        found=f"is {engine} in {precision}",
        allowed=f"there is {', '.join(map(str, all_of_them))}",
        fix="Leave both at auto to have them all.",
    )


def _of_file(manifest: Manifest) -> tuple[Choice, ...]:
    own = manifest.precision
    more = (Choice("openvino", "bf16"),) if own == "f32" else ()
    return (Choice("onnxruntime", own), Choice("openvino", own), *more)
