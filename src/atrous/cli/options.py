"""Which options of `--set` a command takes."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from atrous.errors import RecipeError
from atrous.recipe import Recipe, make_recipe

if TYPE_CHECKING:
    from atrous.predict.predictor import Loading

OF_FILES = tuple(
    f"predict.{name}"
    for name in "geotiff overviews polygons simplify remote every smoothing".split()
)


def answering(
    sets: tuple[str, ...],
    *,
    engine: str | None = None,
    precision: str | None = None,
    threads: int | None = None,
    manifest: Path | None = None,
    of_files: bool = False,
    **others: str | int | None,
) -> "Loading":
    """What a command asks of `load`: what flags and `--set` name, and nothing else.

    What is named counts though it is the default here: `verify` has others. `others` are flags
    by the names of their keys under `predict`. Keys `of_files` are for `predict`.
    """
    flags = {"predict.engine": engine, "predict.precision": precision, "threads": threads}
    flags |= {f"predict.{name}": value for name, value in others.items()}
    recipe, named = answering_recipe(sets, flags), [*map(_key, sets)]
    named += [key for key, value in flags.items() if value is not None]
    if not of_files:
        _refuse_of_files(sets)
    asked: dict[str, Any] = {"manifest": manifest} if manifest else {}
    for key in named:
        *table, name = key.split(".")
        asked[name] = getattr(recipe.predict if table else recipe, name)
    loading: Loading = asked  # pyright: ignore[reportAssignmentType]
    return loading


def _refuse_of_files(sets: tuple[str, ...]) -> None:
    for text in sets:
        if _key(text) in OF_FILES:
            raise RecipeError(
                f"--set {text}",
                found=f"{_key(text)} has no effect here",
                allowed="it says what `atrous predict` makes of rasters and videos",
                fix="Leave it out.",
            )


def answering_recipe(sets: tuple[str, ...], flags: dict[str, Any] | None = None) -> Recipe:
    """The options of a command that uses a trained model; others would be without effect."""
    recipe = make_recipe(flags=flags, sets=sets)
    for text in sets:
        key = _key(text)
        if not key.startswith("predict.") and key not in ("postprocess", "device", "threads"):
            raise RecipeError(
                f"--set {text}",
                found=f"{key} has no effect on a trained model",
                allowed="this command takes predict.…, postprocess, device and threads",
                fix="Leave it out, or train again with it.",
            )
    return recipe


def reading_recipe(sets: tuple[str, ...]) -> Recipe:
    """The options of a command that only reads a data set; others would be without effect."""
    recipe = make_recipe(sets=sets)
    for text in sets:
        if _key(text) not in ("layout", "task"):
            raise RecipeError(
                f"--set {text}",
                found=f"{_key(text)} has no effect on how a data set is read",
                allowed="this command takes layout and task",
                fix="Leave it out.",
            )
    return recipe


def _key(text: str) -> str:
    return text.partition("=")[0].strip()
