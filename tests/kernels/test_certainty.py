import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.kernels.certainty import (
    _measure,
    confidence_at_pixels,
    confidence_at_pixels_reference,
    entropy_at_pixels,
    entropy_at_pixels_reference,
    probabilities_at_pixels,
    probabilities_at_pixels_reference,
)
from atrous.kernels.resize import argmax_at_pixels, threshold_at_pixels
from atrous.types import Grid, Spread

NEAR = 1e-6  # of probabilities: a few roundings of float32
MEASURES = {
    probabilities_at_pixels: probabilities_at_pixels_reference,
    confidence_at_pixels: confidence_at_pixels_reference,
    entropy_at_pixels: entropy_at_pixels_reference,
}
placements = st.one_of(
    st.builds(Grid, st.sampled_from([1, 4, 8]), st.sampled_from([0.0, -0.5, 0.7])),
    st.builds(Spread, st.booleans(), st.sampled_from([1, 16])),
)


@st.composite
def cases(draw):
    task = draw(st.sampled_from(["multiclass", "binary", "multilabel"]))
    most = {"multiclass": 300, "binary": 1, "multilabel": 62}[task]
    cells = draw(st.integers(1, 6)), draw(st.integers(1, 9))
    size = draw(st.integers(1, 20)), draw(st.integers(1, 40))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    scale = draw(st.sampled_from([0, 1e-3, 1, 10, 300, 1e30]))
    logits = random.normal(size=(draw(st.integers(1, most)), *cells)) * scale
    return logits.astype(np.float32), {"grid": draw(placements), "size": size, "task": task}


@given(cases(), st.integers(1, 3))
def test_each_measure_is_what_full_size_logits_say(case, threads):
    logits, where = case
    for measure, reference in MEASURES.items():
        made, expected = measure(logits, **where, threads=threads), reference(logits, **where)
        assert made.dtype == np.float32 and made.shape == expected.shape
        # A logit of 300 has roundings of 3e-5, which its probability inherits.
        scale = min(np.abs(logits).max(), 88) if len(logits) else 0
        assert np.allclose(made, expected, rtol=NEAR, atol=NEAR * (1 + scale))


@given(cases(), st.data())
def test_strips_laid_together_are_the_whole(case, data):
    logits, where = case
    cut = data.draw(st.integers(0, where["size"][0]))
    for measure in MEASURES:
        parts = [measure(logits, **where, rows=rows) for rows in (slice(0, cut), slice(cut, None))]
        whole = measure(logits, **where)
        assert np.array_equal(np.concatenate(parts, axis=-2), whole)


def test_strips_are_measured_by_the_machine_code_of_the_whole():
    """Strips of planes had a type of their own: it was compiled in the middle of a folder."""
    logits = np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32)
    for measure in MEASURES:
        for threads, rows in ((1, None), (3, None), (1, slice(3, 20)), (3, slice(3, 20))):
            where = {"grid": Grid(4), "size": (24, 28), "task": "multiclass", "rows": rows}
            measure(logits, **where, threads=threads)
    assert len(_measure.signatures) == 1  # pyright: ignore[reportFunctionMemberAccess]


@given(cases())
def test_confidence_is_the_probability_of_what_was_decided(case):
    logits, where = case
    task, size, grid = where["task"], where["size"], where["grid"]
    probs = probabilities_at_pixels(logits, **where)
    sure = confidence_at_pixels(logits, **where)
    if task == "multilabel":
        mask = threshold_at_pixels(logits, grid=grid, size=size, dtype=np.int64)
        there = (mask >> np.arange(len(logits))[:, None, None]) & 1
        decided = np.where(there, probs, 1 - probs).min(0)
    else:
        decide = argmax_at_pixels if task == "multiclass" else threshold_at_pixels
        mask = decide(logits, grid=grid, size=size, dtype=np.uint16)
        decided = np.take_along_axis(probs, mask[None].astype(int), 0)[0]
    assert np.allclose(sure, decided, atol=NEAR)


@given(cases())
def test_measures_keep_their_ranges(case):
    logits, where = case
    task = where["task"]
    probs, sure, entropy = (measure(logits, **where) for measure in MEASURES)
    assert (probs >= 0).all() and (probs <= 1 + NEAR).all()
    if task != "multilabel":
        assert np.allclose(probs.sum(0), 1, atol=1e-5)
    lowest = 1 / len(logits) if task == "multiclass" else 0.5
    assert (sure >= lowest - NEAR).all() and (sure <= 1).all()
    most = np.log(len(logits)) if task == "multiclass" else len(logits) * np.log(2)
    assert (entropy >= 0).all() and (entropy <= most * (1 + 1e-5) + NEAR).all()


def test_equal_logits_say_nothing():
    logits = np.full((4, 2, 2), 7, np.float32)
    where = {"grid": Grid(2), "size": (4, 4), "task": "multiclass"}
    assert np.allclose(probabilities_at_pixels(logits, **where), 0.25)
    assert np.allclose(entropy_at_pixels(logits, **where), np.log(4))


def test_binary_has_two_classes():
    logits = np.full((1, 1, 1), np.log(3), np.float32)
    probs = probabilities_at_pixels(logits, grid=Grid(1), size=(1, 1), task="binary")
    assert np.allclose(probs[:, 0, 0], [0.25, 0.75])


def test_a_class_of_minus_infinity_has_no_probability_and_no_entropy():
    logits = np.zeros((3, 2, 2), np.float32)
    logits[1] = -np.inf
    where = {"grid": Grid(4), "size": (8, 8), "task": "multiclass"}
    probs = probabilities_at_pixels(logits, **where)
    assert np.allclose(probs, np.array([0.5, 0, 0.5])[:, None, None])
    assert np.allclose(entropy_at_pixels(logits, **where), np.log(2))
    assert (probabilities_at_pixels(logits[1:2], **{**where, "task": "multilabel"}) < 1e-37).all()


@pytest.mark.parametrize("measure", MEASURES)
def test_nan_is_refused_with_its_class_and_cell(measure):
    logits = np.zeros((3, 9, 2), np.float32)
    logits[1, 8, 1] = np.nan
    where = {"grid": Grid(4), "size": (36, 8), "task": "multilabel"}
    with pytest.raises(ValueError, match=r"NaN.* class 1, cell \(8, 1\)"):
        measure(logits, **where)
    measure(logits, **where, rows=slice(0, 20))
    with pytest.raises(ValueError, match=r"class 1, cell \(8, 1\)"):
        measure(logits, **where, rows=slice(30, 36))


def test_wide_rows_are_measured_piece_by_piece():
    logits = np.random.default_rng(0).normal(size=(5, 2, 300)).astype(np.float32)
    where = {"grid": Grid(4), "size": (8, 1200), "task": "multiclass"}
    for measure, reference in MEASURES.items():
        assert np.allclose(measure(logits, **where), reference(logits, **where), atol=NEAR * 5)
