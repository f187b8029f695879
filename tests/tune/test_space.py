"""What a search draws: halves of a split, and steps, both functions of the seed."""

from itertools import pairwise
from math import gamma, pi, sqrt

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from atrous.classes import Classes
from atrous.errors import DataError
from atrous.predict.postprocess import check_steps
from atrous.recipe.postprocessing import (
    PRESETS,
    Crf,
    Holes,
    SmallRegions,
    Thresholds,
    plain_steps,
)
from atrous.tune.halves import BLOCKS, FEWEST, MOST, Halves, halves
from atrous.tune.space import KINDS, RANGES, THRESHOLDS, next_step, with_step, without

TASKS = [
    Classes(("a", "b", "c")),
    Classes(("a", "b"), task="binary"),
    Classes(("a", "b", "c"), task="multilabel"),
]
seeds = st.integers(0, 2**63 - 1)


@given(st.integers(4, 300), seeds)
@example(13, 287)
def test_halves_share_all_pictures_in_contiguous_blocks(count, seed):
    parts = halves(range(count), seed=seed, where="data")
    assert sorted(parts.choosing + parts.reporting) == [*range(count)]
    assert parts == halves(range(count), seed=seed, where="data")
    longer = min(count % BLOCKS, -count % BLOCKS) if count > BLOCKS else count % 2
    assert abs(len(parts.choosing) - len(parts.reporting)) <= longer  # blocks, by one picture
    chosen = {*parts.choosing}
    borders = sum((i in chosen) != (i + 1 in chosen) for i in range(count - 1))
    assert borders < BLOCKS


def test_other_seeds_give_other_halves():
    assert len({halves(range(40), seed=seed, where="data") for seed in range(20)}) > 15


@given(st.integers(0, 3000))
def test_trials_use_so_many_pictures_at_most_evenly_spread(count):
    half = tuple(range(7, 7 + count))
    tried = Halves(half, ()).tried
    assert len(tried) == min(count, MOST) and {*tried} <= {*half}
    apart = {after - before for before, after in pairwise(tried)}
    assert not apart or 0 < max(apart) <= min(apart) + 1


def test_on_so_many_pictures_chance_has_a_gain_one_time_in_twenty_at_most():
    """The interval of n normal changes, by Student's t of n - 1, as `halves` has it."""

    def by_chance(n):
        t = np.linspace(1.959964 * sqrt((n - 1) / n), 500, 1_000_000)
        scale = gamma(n / 2) / gamma((n - 1) / 2) / sqrt((n - 1) * pi)
        return np.sum(scale * (1 + t**2 / (n - 1)) ** (-n / 2)) * (t[1] - t[0])

    assert by_chance(FEWEST) <= 1 / 20 < by_chance(FEWEST - 1)
    assert Halves((), (*range(FEWEST),)).enough and not Halves((), (*range(FEWEST - 1),)).enough


@pytest.mark.parametrize("count", [0, 3])
def test_too_few_pictures_cannot_be_divided(count):
    with pytest.raises(DataError, match=f"data: has {count} pictures"):
        halves(range(count), seed=0, where="data")


def walked(kind, count, *, own=(), seed=0, classes=TASKS[0]):
    """The steps of the first trials."""
    steps = []
    for _ in range(count):
        tried = plain_steps(steps)
        steps.append(next_step(kind, tried, own=own, seed=seed, classes=classes))
    return steps


@pytest.mark.parametrize("kind", KINDS)
@given(seed=seeds, number=st.integers(0, 20), classes=st.sampled_from(TASKS))
def test_a_trial_is_a_function_of_seed_and_number_and_fits_the_model(kind, seed, number, classes):
    if kind == "thresholds" and classes.task == "multiclass":
        return
    step = walked(kind, number + 1, seed=seed, classes=classes)[-1]
    assert step == walked(kind, number + 1, seed=seed, classes=classes)[-1] and step.step == kind
    check_steps((step,), classes)
    if isinstance(step, Thresholds):
        low, high = THRESHOLDS
        assert all(low <= value <= high for value in step.probabilities)
    elif number > 1:
        for name, allowed in RANGES[kind].items():
            assert allowed.low <= getattr(step, name) <= allowed.high


def test_published_numbers_are_tried_first_then_others_each_time():
    steps = walked("crf", 20)
    assert steps[:2] == [*PRESETS.values()]
    assert len({step.model_dump_json() for step in steps}) == 20
    assert walked("small_regions", 1) == [SmallRegions()]


def test_the_models_own_numbers_are_tried_before_all_others_and_nothing_twice():
    own = Crf(bilateral_srgb=9, iterations=2)
    assert walked("crf", 20, own=(own,))[:3] == [own, *PRESETS.values()]
    published = PRESETS["deeplabv2"]
    steps = walked("crf", 20, own=(published,))
    assert steps[:2] == [published, PRESETS["deeplabv1"]]
    assert steps[2:] == walked("crf", 20)[2:]


def test_a_step_takes_its_place_among_the_others():
    steps = (Holes(), SmallRegions())
    assert with_step(steps, Crf()) == (Crf(), Holes(), SmallRegions())
    assert with_step((Crf(), Holes()), SmallRegions()) == (Crf(), SmallRegions(), Holes())
    assert without((Crf(), Holes()), "crf") == (Holes(),)
