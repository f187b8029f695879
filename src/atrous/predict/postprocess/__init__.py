"""What is done to masks after the network: steps as pure functions of mask and probabilities.

`smoothing` changes probabilities, and decides by them anew; `deciding` decides otherwise;
`regions` looks at the mask alone. The options of each are in `recipe.postprocessing`.
"""

from collections.abc import Iterator
from typing import NamedTuple, assert_never

import numpy as np
from jaxtyping import Float32

from atrous.classes import Classes
from atrous.predict.postprocess.checks import check_steps
from atrous.recipe import Step, Steps
from atrous.recipe.postprocessing import (
    BilateralGrid,
    Crf,
    Holes,
    Priority,
    SmallRegions,
    Thresholds,
)
from atrous.types import Image, Mask

__all__ = ["State", "certainty", "check_steps", "entropy", "needs_probabilities", "run_steps"]

LEAST = np.finfo(np.float32).tiny  # of a probability, where its logarithm is taken


class State(NamedTuple):
    """A mask, and the probability of each class at each pixel, where a step needs it.

    Of multiclass they add up to 1; of binary they are two, of which the second class is the
    second; those of multilabel are each for itself.
    """

    mask: Mask
    probabilities: Float32[np.ndarray, "K H W"] | None = None


def needs_probabilities(steps: Steps) -> bool:
    """Whether a step looks at more than the mask."""
    return not all(isinstance(step, SmallRegions | Holes) for step in steps)


def run_steps(
    steps: Steps, state: State, *, image: Image, classes: Classes, threads: int = 0
) -> Iterator[State]:
    """What each step makes of mask and probabilities, one after the other.

    `image` is the picture as the network sees it. Nothing that is given is written to. The
    steps must fit the classes (`check_steps`).

    Example:
        >>> state = State(np.uint8([[1, 1, 1], [1, 0, 1], [1, 1, 1]]))
        >>> made = run_steps(
        ...     (Holes(),), state, image=np.zeros((3, 3, 3), np.uint8), classes=Classes(("a", "b"))
        ... )
        >>> next(made).mask[1]
        array([1, 1, 1], dtype=uint8)
    """
    for step in steps:
        state = _taken(step, state, image, classes, threads)
        yield state


def _taken(step: Step, state: State, image: Image, classes: Classes, threads: int) -> State:
    from atrous.predict.postprocess import deciding, regions, smoothing

    mask, probs = state
    match step:
        case SmallRegions():
            return State(regions.without_small_regions(mask, step, classes), probs)
        case Holes():
            return State(regions.without_holes(mask, step, classes), probs)
    assert probs is not None, "steps that need probabilities are given them"
    match step:
        case Crf() | BilateralGrid():
            probs = smoothing.smoothed(probs, step, image, classes, threads=threads)
            return State(deciding.likeliest(probs, classes), probs)
        case Thresholds():
            return State(deciding.above(probs, step.probabilities, classes), probs)
        case Priority():
            return State(deciding.preferred(mask, probs, step, classes), probs)
        case _:
            assert_never(step)


def certainty(state: State, classes: Classes) -> Float32[np.ndarray, "H W"]:
    """The probability of what was decided at each pixel, of multilabel in its least sure class.

    Example:
        >>> probs = np.float32([[[0.75]], [[0.25]]])
        >>> certainty(State(np.uint8([[1]]), probs), Classes(("a", "b")))
        array([[0.25]], dtype=float32)
    """
    mask, probs = state
    assert probs is not None
    if classes.task != "multilabel":
        return np.take_along_axis(probs, mask[None].astype(np.intp), 0)[0]
    there = (mask[None].astype(np.int64) >> np.arange(len(classes))[:, None, None] & 1) == 1
    return np.where(there, probs, 1 - probs).min(0)


def entropy(probs: Float32[np.ndarray, "K H W"], classes: Classes) -> Float32[np.ndarray, "H W"]:
    """The entropy of the answer at each pixel in nats; of multilabel the sum over its decisions.

    Example:
        >>> entropy(np.full((2, 1, 1), 0.5, np.float32), Classes(("a", "b")))
        array([[0.6931472]], dtype=float32)
    """
    surprise = _surprise(probs)
    return surprise + _surprise(1 - probs) if classes.task == "multilabel" else surprise


def _surprise(probs: Float32[np.ndarray, "K H W"]) -> Float32[np.ndarray, "H W"]:
    return -(probs * np.log(np.maximum(probs, LEAST))).sum(0)
