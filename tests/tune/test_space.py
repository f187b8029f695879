"""What a search draws: halves of a split, and steps, both functions of the seed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.classes import Classes
from atrous.errors import DataError
from atrous.predict.postprocess import check_steps
from atrous.recipe.postprocessing import PRESETS, Crf, Holes, SmallRegions, Thresholds
from atrous.tune.halves import BLOCKS, halves
from atrous.tune.space import KINDS, RANGES, THRESHOLDS, drawn, with_step, without

TASKS = [
    Classes(("a", "b", "c")),
    Classes(("a", "b"), task="binary"),
    Classes(("a", "b", "c"), task="multilabel"),
]
seeds = st.integers(0, 2**63 - 1)


@given(st.integers(4, 300), seeds)
def test_halves_share_all_pictures_in_contiguous_blocks(count, seed):
    parts = halves(range(count), seed=seed, where="data")
    assert sorted(parts.choosing + parts.reporting) == [*range(count)]
    assert parts == halves(range(count), seed=seed, where="data")
    assert abs(len(parts.choosing) - len(parts.reporting)) <= -(-count // min(count, BLOCKS))
    chosen = {*parts.choosing}
    borders = sum((i in chosen) != (i + 1 in chosen) for i in range(count - 1))
    assert borders < BLOCKS


def test_other_seeds_give_other_halves():
    assert len({halves(range(40), seed=seed, where="data") for seed in range(20)}) > 15


@pytest.mark.parametrize("count", [0, 3])
def test_too_few_pictures_cannot_be_divided(count):
    with pytest.raises(DataError, match=f"data: has {count} pictures"):
        halves(range(count), seed=0, where="data")


@pytest.mark.parametrize("kind", KINDS)
@given(seed=seeds, number=st.integers(0, 1000), classes=st.sampled_from(TASKS))
def test_a_trial_is_a_function_of_seed_and_number_and_fits_the_model(kind, seed, number, classes):
    if kind == "thresholds" and classes.task == "multiclass":
        return
    step = drawn(kind, number, seed=seed, classes=classes)
    assert step == drawn(kind, number, seed=seed, classes=classes) and step.step == kind
    check_steps((step,), classes)
    if isinstance(step, Thresholds):
        low, high = THRESHOLDS
        assert all(low <= value <= high for value in step.probabilities)
    elif number > 1:
        for name, allowed in RANGES[kind].items():
            assert allowed.low <= getattr(step, name) <= allowed.high


def test_published_numbers_are_tried_first_then_others_each_time():
    steps = [drawn("crf", number, seed=0, classes=TASKS[0]) for number in range(20)]
    assert steps[:2] == [*PRESETS.values()]
    assert len({step.model_dump_json() for step in steps}) == 20
    assert drawn("small_regions", 0, seed=0, classes=TASKS[0]) == SmallRegions()


def test_a_step_takes_its_place_among_the_others():
    steps = (Holes(), SmallRegions())
    assert with_step(steps, Crf()) == (Crf(), Holes(), SmallRegions())
    assert with_step((Crf(), Holes()), SmallRegions()) == (Crf(), SmallRegions(), Holes())
    assert without((Crf(), Holes()), "crf") == (Holes(),)
