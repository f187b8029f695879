"""`atrous export-data`: a data set written in another layout."""

from pathlib import Path
from typing import get_args

from atrous.cli import as_json, say, tracked
from atrous.cli.options import reading_recipe
from atrous.data.dataset import open_dataset
from atrous.data.exports import Format, export_data
from atrous.errors import RecipeError


def run_export(
    data: Path, *, to: str, out: Path, split: str | None, sets: tuple[str, ...], json: bool
) -> int:
    """Open, write, say what was lost on the way; returns the exit code."""
    recipe, form = reading_recipe(sets), _format(to)
    dataset = open_dataset(data, only=split, task=recipe.task, layout=recipe.layout)
    exported = export_data(dataset, form, out, track=tracked("writing", "pairs"))
    for note in (*dataset.notes, *exported.notes):
        say(note)
    if json:
        told = {"out": str(out), "format": form, "pairs": exported.pairs}
        print(as_json({**told, "notes": list(exported.notes)}))
    else:
        print(f"{exported.pairs} pairs in {out}")
    return 0


def _format(name: str) -> Format:
    for form in get_args(Format):
        if name == form:
            return form
    raise RecipeError(
        "--to",
        found=f"is {name!r}",
        allowed="data sets are written as " + ", ".join(get_args(Format)),
        fix="Choose one of them.",
    )
