"""Which options of `--set` a command takes."""

from atrous.errors import RecipeError
from atrous.recipe import Recipe, make_recipe


def answering_recipe(sets: tuple[str, ...]) -> Recipe:
    """The options of a command that uses a trained model; others would be without effect."""
    recipe = make_recipe(sets=sets)
    for text in sets:
        key = _key(text)
        if not key.startswith("predict.") and key not in ("device", "threads"):
            raise RecipeError(
                f"--set {text}",
                found=f"{key} has no effect on a trained model",
                allowed="this command takes predict.…, device and threads",
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
