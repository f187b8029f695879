"""Intervals of changes: laws, parity with SciPy, and cases worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.kernels.counts import confusion_counts
from atrous.metrics.intervals import paired_changes
from atrous.metrics.scores import Scores


def overlaps(random, pictures, classes=3, gain=0):
    """Of pictures of 100 pixels a class, 40 to 60 of them right, and `gain` more."""
    union = np.full((pictures, classes), 100)
    return np.stack([random.integers(40, 61, (pictures, classes)) + gain, union], 2)


@given(st.integers(2, 30), st.integers(0, 9))
def test_what_is_not_changed_has_no_change_and_no_doubt(pictures, seed):
    same = overlaps(np.random.default_rng(seed), pictures)
    found = paired_changes(same, same, seed=seed, draws=50)
    for change in (found.miou, *found.classes):
        assert change.change == change.low == change.high == 0


@given(st.integers(2, 30), st.integers(0, 9))
def test_the_way_back_is_the_same_change_turned_around(pictures, seed):
    random = np.random.default_rng(seed)
    a, b = overlaps(random, pictures), overlaps(random, pictures)
    there, back = (paired_changes(*pair, seed=seed, draws=50) for pair in ((a, b), (b, a)))
    pairs = zip((there.miou, *there.classes), (back.miou, *back.classes), strict=True)
    for one, other in pairs:
        np.testing.assert_allclose(
            [one.change, one.low, one.high], [-other.change, -other.high, -other.low], atol=1e-12
        )


def test_the_change_is_that_of_the_scores_of_all_pictures_together():
    random = np.random.default_rng(0)
    names, masks = ("a", "b", "c"), random.integers(0, 3, (3, 8, 9, 9)).astype(np.uint8)
    scores = [
        [Scores(names, confusion_counts(p, m, num_classes=3, ignore_index=255)) for p, m in pairs]
        for pairs in (zip(pred, masks[2], strict=True) for pred in masks[:2])
    ]
    found = paired_changes(*(np.array([s.overlap for s in way]) for way in scores), seed=0)
    before, after = (Scores(names, np.sum([s.confusion for s in way], 0)) for way in scores)
    assert (found.miou.before, found.miou.after) == (before.miou, after.miou)
    assert [c.before for c in found.classes] == before.iou.tolist()
    assert [c.after for c in found.classes] == after.iou.tolist()


def test_the_same_seed_gives_the_same_interval_and_another_one_nearly_the_same():
    random = np.random.default_rng(1)
    pair = overlaps(random, 40), overlaps(random, 40, gain=2)
    one, again, other = (paired_changes(*pair, seed=seed).miou for seed in (0, 0, 1))
    assert one == again != other
    assert abs(one.low - other.low) < 0.003 and abs(one.high - other.high) < 0.003


def test_the_interval_is_that_of_scipy():
    random = np.random.default_rng(2)
    before, after = overlaps(random, 30), overlaps(random, 30, gain=3)
    ours = paired_changes(before, after, seed=0, draws=40_000).miou
    theirs = -0.000778, 0.035222  # scipy 1.17.1, bootstrap of indices, percentile
    np.testing.assert_allclose([ours.low, ours.high], theirs, atol=5e-4)


def test_95_of_100_intervals_hold_the_truth():
    random = np.random.default_rng(3)
    held = 0
    for seed in range(200):
        pair = overlaps(random, 40), overlaps(random, 40, gain=5)
        found = paired_changes(*pair, seed=seed, draws=300).miou
        held += found.low <= 0.05 <= found.high
    assert 180 <= held <= 197


def test_one_picture_that_changed_of_many_is_no_proof():
    before = np.full((50, 1, 2), (5, 10))
    after = before.copy()
    after[7, 0] = 10, 10
    found = paired_changes(before, after, seed=0).miou
    assert found.low == 0 < found.change < found.high  # not drawn in (1 - 1/50) ** 50 = 36 %


def test_a_class_that_is_not_there_has_no_interval_and_a_rare_one_that_of_where_it_is():
    before = np.array([[[5, 10], [0, 0], [0, 0]]] * 9 + [[[5, 10], [0, 0], [2, 4]]])
    after = before + np.array([[[1, 0], [0, 0], [0, 0]]])
    after[9, 2] = 3, 4
    found = paired_changes(before, after, seed=0)
    there, absent, rare = found.classes
    assert np.isnan([absent.before, absent.after, absent.low, absent.high]).all()
    assert absent.to_dict()["interval"] == [None, None]
    assert (there.before, there.after, there.low, there.high) == pytest.approx((0.5, 0.6, 0.1, 0.1))
    assert (rare.before, rare.after, rare.low, rare.high) == (0.5, 0.75, 0.25, 0.25)
    assert found.miou.change == pytest.approx((0.1 + 0.25) / 2)


def test_one_picture_gives_no_interval():
    found = paired_changes(np.array([[[1, 2]]]), np.array([[[2, 2]]]), seed=0).miou
    assert found.change == 0.5 and np.isnan([found.low, found.high]).all()
