"""How sure a change of IoU is: an interval by paired bootstrap over the pictures it was seen on."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64, Shaped

from atrous.metrics.scores import mean_of_defined, plain, ratio

LEVEL = 0.95
DRAWS = 2000  # Efron and Tibshirani 1993, sec. 13.3: 1000 or more for percentiles
RULE = (
    "The interval is that of the change, over pictures drawn again and again, the same ones "
    "before and after; of few pictures, and of frames of one drive, which are alike, it is "
    "narrower than it should be."
)


class Change(NamedTuple):
    """A score before and after, and the interval of `after - before`; NaN where not defined."""

    before: float
    after: float
    low: float
    high: float

    @property
    def change(self) -> float:
        """By how much the score is higher after."""
        return self.after - self.before

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; None where a number is not defined."""
        values = {"before": self.before, "after": self.after, "change": self.change}
        return {
            **{name: plain(value) for name, value in values.items()},
            "interval": [plain(self.low), plain(self.high)],
        }


class Changes(NamedTuple):
    """The change of mIoU, and of the IoU of each class."""

    miou: Change
    classes: tuple[Change, ...]


def paired_changes(
    before: Int64[np.ndarray, "N K 2"],
    after: Int64[np.ndarray, "N K 2"],
    *,
    seed: int,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> Changes:
    """The changes between two ways of answering for the same N pictures, with their intervals.

    Of each picture the `overlap` of its `Scores`, or of its `BoundaryScores`, both ways. As many
    pictures are drawn again and again, with replacement, both ways together; each draw is scored
    like a whole split, and the interval holds the middle `level` of its changes (percentiles). A
    draw in which a class has no IoU is left out of that class's interval. One picture gives no
    interval. The interval speaks of other pictures like these; of neighbouring frames, which are
    alike, it is too narrow: there, give the sums of each sequence.

    Example:
        >>> before, after = np.array([[[1, 2]], [[1, 2]]]), np.array([[[2, 2]], [[1, 2]]])
        >>> paired_changes(before, after, seed=0).miou
        Change(before=0.5, after=0.75, low=0.0, high=0.5)
    """
    assert before.shape == after.shape, "the same pictures and classes, both ways"
    drawn = _drawn(len(before), draws, seed)
    whole = [_ious(overlaps.sum(0, keepdims=True)) for overlaps in (before, after)]
    again = [_ious(np.tensordot(drawn, overlaps.astype(float), 1)) for overlaps in (before, after)]
    changes = (again[1] - again[0]).T
    columns = zip(whole[0][0].tolist(), whole[1][0].tolist(), changes, strict=True)
    miou, *classes = (Change(a, b, *_middle(of_draws, level)) for a, b, of_draws in columns)
    return Changes(miou, tuple(classes))


def _drawn(pictures: int, draws: int, seed: int) -> Float64[np.ndarray, "D N"]:
    """How often each picture is in each draw."""
    if pictures < 2:
        return np.empty((0, pictures))
    random = np.random.Generator(np.random.Philox(key=seed))
    return random.multinomial(pictures, [1 / pictures] * pictures, draws).astype(float)


def _ious(overlaps: Shaped[np.ndarray, "D K 2"]) -> Float64[np.ndarray, "D 1+K"]:
    """The mean IoU of each draw, then that of each class."""
    iou = ratio(overlaps[..., 0], overlaps[..., 1])
    means = np.array([mean_of_defined(classes) for classes in iou])
    return np.column_stack([means, iou])


def _middle(changes: Float64[np.ndarray, " D"], level: float) -> tuple[float, float]:
    """The ends of the middle `level` of the changes that are defined; NaN without any."""
    defined = changes[~np.isnan(changes)]
    if not defined.size:
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
