"""Which steps fit a model: its task, the names of its classes, the type of its pixels."""

import difflib
from typing import NoReturn

from atrous.classes import Classes
from atrous.errors import RecipeError
from atrous.recipe import Step, Steps
from atrous.recipe.postprocessing import (
    NEIGHBOURS,
    BilateralGrid,
    Crf,
    Priority,
    SmallRegions,
    Thresholds,
)


def check_steps(steps: Steps, classes: Classes, *, dtype: str = "uint8") -> None:
    """Refuse steps that a model with these classes and type of pixels cannot take.

    Raises:
        RecipeError: names the step, and the class that is none.
    """
    for number, step in enumerate(steps):
        where = f"postprocess[{number}].{step.step}"
        if isinstance(step, Crf | BilateralGrid) and dtype == "float32":
            _refuse(
                where,
                "is for a model of float32 pictures",
                "colours are compared in uint8 or uint16",
                "Leave it out; other steps do not look at the picture.",
            )
        _check_undone(where, step, steps[:number])
        _check_task(where, step, classes)
        _check_names(where, step, classes)


def _check_undone(where: str, step: Step, before: Steps) -> None:
    """A step that decides every pixel by its probabilities forgets what masks were before."""
    lost = [other.step for other in before if not isinstance(other, Crf | BilateralGrid)]
    if lost and isinstance(step, Crf | BilateralGrid | Thresholds):
        _refuse(
            where,
            f"comes after {lost[0]}",
            "it decides each pixel by its probabilities, and so undoes what masks had become",
            f"Put it before {lost[0]}.",
        )


def _check_task(where: str, step: Step, classes: Classes) -> None:
    task = classes.task
    match step:
        case Thresholds() if task == "multiclass":
            _refuse(
                where,
                "is for a multiclass model",
                "the largest probability decides there; a threshold is for binary and multilabel",
                "For a class that should win earlier there is the step priority.",
            )
        case Thresholds() if len(step.probabilities) != classes.num_logits:
            _refuse(
                f"{where}.probabilities",
                f"are {len(step.probabilities)}",
                f"this {task} model needs {classes.num_logits}: "
                + (f"of {classes.names[1]}" if task == "binary" else ", ".join(classes.names)),
                "Give one each, in the order of the classes.",
            )
        case Priority() if task == "multilabel":
            _refuse(
                where,
                "is for a multilabel model",
                "classes exclude nobody there",
                "For a class that should be there earlier there is the step thresholds.",
            )
        case SmallRegions() if task != "multiclass" and step.into != NEIGHBOURS:
            _refuse(
                f"{where}.into",
                f"is {step.into!r} for a {task} model",
                "its small regions vanish, and become no other class",
                "Leave it out.",
            )


def _check_names(where: str, step: Step, classes: Classes) -> None:
    match step:
        case Priority():
            named, key = step.classes, "classes"
        case SmallRegions() if step.into != NEIGHBOURS:
            named, key = (step.into,), "into"
        case _:
            return
    for name in named:
        if name not in classes.names:
            near = difflib.get_close_matches(name, classes.names, 1)
            _refuse(
                f"{where}.{key}",
                f"names {name!r}",
                "the classes are " + ", ".join(classes.names),
                f"Did you mean {near[0]}?" if near else "Name one of them.",
            )


def _refuse(where: str, found: str, allowed: str, fix: str) -> NoReturn:
    raise RecipeError(where, found=found, allowed=allowed, fix=fix)
