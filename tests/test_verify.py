"""The gate: what differs is counted, ties are told apart, and planted faults are caught."""

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.classes import Classes
from atrous.kernels.resize import (
    argmax_at_pixels_reference,
    logits_at_pixels,
    threshold_at_pixels_reference,
)
from atrous.metrics.scores import scores_from
from atrous.predict.predictor import Prediction, Predictor
from atrous.types import EngineName, Grid, PixelType, Precision, Sample, Spread, Tiling
from atrous.verify import compared, without_truth
from atrous.verify.comparison import Comparison, Runtime, flipped, logits_at, margins

THREE = Classes(("sky", "road", "tree"))
TWO = Classes(("no", "yes"), task="binary")
SEVERAL = Classes(("wet", "road", "tree"), task="multilabel")


class Fixed:
    """An engine that gives the same logits, whatever it is shown."""

    name: EngineName = "onnxruntime"
    precision: Precision = "f32"
    dtype: PixelType = "uint8"
    grid, bands, lanes, threads = Grid(4), 3, 1, 1
    tiling, mean = Tiling(), (0.0, 0.0, 0.0)

    def __init__(self, logits):
        self.logits = np.float32(logits)

    def __call__(self, images, /, means=()):
        return np.stack([self.logits] * len(images))

    def next_mean(self, image, own, known, /):
        raise AssertionError("it asks for no mean")


class Failing(Fixed):
    """One that answers a few times."""

    def __init__(self, logits, *, after):
        super().__init__(logits)
        self.left = after

    def __call__(self, images, /, means=()):
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("out of luck")
        return super().__call__(images)


def logits_of(seed, classes=THREE, cells=(5, 6)):
    return np.random.default_rng(seed).normal(0, 2, (classes.num_logits, *cells)).astype("f4")


def samples(count=3, classes=THREE, size=(18, 23)):
    random = np.random.default_rng(7)
    for number in range(count):
        image = random.integers(0, 256, (*size, 3)).astype(np.uint8)
        top = 1 << len(classes) if classes.task == "multilabel" else len(classes)
        yield Sample(image, random.integers(0, top, size).astype(np.uint8), f"{number}.png")


def beside(reference, other, classes=THREE):
    (row,) = compared(
        Predictor(Fixed(reference), classes),
        [Predictor(Fixed(other), classes)],
        samples(1, classes),
    )
    return row


@given(st.integers(0, 1000), st.sampled_from([Grid(4), Grid(3, 0.5), Spread(), Spread(True, 8)]))
def test_logits_at_some_pixels_are_those_at_all_pixels(seed, grid):
    logits, size = logits_of(seed), (18, 23)
    place = (np.array([0, 17, 3, 3, 9]), np.array([0, 22, 22, 5, 11]))
    whole = logits_at_pixels(logits, grid=grid, size=size)[:, *place]
    np.testing.assert_allclose(logits_at(logits, grid, size, place), whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("classes", [THREE, TWO, SEVERAL], ids=lambda c: c.task)
def test_a_predictor_beside_itself_differs_nowhere(classes):
    row = beside(logits_of(1, classes), logits_of(1, classes), classes)
    assert (row.differing, row.flipped, row.largest, row.change) == (0, 0, 0.0, 0.0)
    assert row.pictures == 1 and row.pixels == 18 * 23 and not row.reasons()
    assert row.ms > 0 and row.reference_ms > 0


@pytest.mark.parametrize("classes", [THREE, TWO, SEVERAL], ids=lambda c: c.task)
def test_what_differs_is_what_masks_made_by_hand_say(classes):
    one, other = logits_of(1, classes), logits_of(2, classes)
    decide = argmax_at_pixels_reference if classes is THREE else threshold_at_pixels_reference
    masks = [decide(logits, grid=Grid(4), size=(18, 23)) for logits in (one, other)]
    row = beside(one, other, classes)
    assert row.differing == np.count_nonzero(masks[0] != masks[1]) > 0
    assert row.flipped == row.differing  # nothing is a tie by chance
    assert row.largest == pytest.approx(np.abs(one - other).max())
    assert row.scale == pytest.approx(np.abs(one).max())


def test_ties_are_told_apart_by_the_margin_of_the_reference():
    """Four pixels, a cell each, all of which flip: a tie, one just above it, two that are sure."""
    margin = np.array([[[0.5e-4, 2e-4, 5, 5]]], np.float32)
    logits = np.concatenate([np.full_like(margin, 10), 10 - margin, 0 * margin])
    mask, image = np.zeros((1, 4), np.uint8), np.zeros((1, 4, 3), np.uint8)
    reference = Prediction(mask, THREE, image, logits, Grid(1))
    assert flipped(reference, mask + np.uint8(1), least=1e-5 * 10) == 3
    assert flipped(reference, mask, least=1e-5 * 10) == 0


def test_margins_of_binary_and_multilabel_are_distances_from_zero():
    logits = np.array([[3, -1], [0.5, 2], [-4, 0]], np.float32)
    changed = np.array([0b010, 0b101], np.uint8)
    assert margins(logits[:1], changed, "binary").tolist() == [3, 1]
    assert margins(logits, changed, "multilabel").tolist() == [0.5, 1]
    assert margins(logits, changed, "multiclass").tolist() == [2.5, 2]


def test_scores_are_those_of_the_masks_and_missing_truth_is_no_change():
    row = beside(logits_of(1), logits_of(2))
    assert row.scores.pixels == row.reference.pixels == 18 * 23
    assert row.change == row.scores.miou - row.reference.miou != 0
    pictures = [sample.image for sample in samples(2)]
    (blind,) = compared(
        Predictor(Fixed(logits_of(1)), THREE),
        [Predictor(Fixed(logits_of(2)), THREE)],
        without_truth(pictures, THREE),
    )
    assert blind.differing == 2 * row.differing
    assert np.isnan(blind.change) and blind.to_dict()["mIoU"] is None


def test_a_runtime_that_fails_is_asked_no_more_and_says_where():
    failing = Predictor(Failing(logits_of(1), after=2), THREE)
    whole = Predictor(Fixed(logits_of(1)), THREE)
    lost, kept = compared(whole, [failing, whole], samples(3))
    assert (lost.pictures, kept.pictures) == (1, 3)
    assert lost.failure == "1.png: RuntimeError: out of luck"
    assert lost.reasons() == ["onnxruntime f32: 1.png: RuntimeError: out of luck"]
    assert not kept.reasons()
    facts = lost.to_dict()  # scores of one picture are none beside those of three
    assert facts["mIoU"] is None and facts["mIoU_change"] is None
    assert all(row["IoU"] is None and row["change"] is None for row in facts["classes"])


def test_logits_of_another_grid_are_a_failure():
    row = beside(logits_of(1), logits_of(1, cells=(10, 12)))
    assert "3 x 10 x 12, the reference 3 x 5 x 6" in row.failure


def test_classes_that_must_not_be_leave_the_check_as_sharp_as_it_is():
    """An infinite logit says nothing of how large logits are, and equals itself."""
    never = logits_of(1)
    never[2] = -np.inf
    row = beside(never, never)
    assert (row.differing, row.largest) == (0, 0.0)
    assert row.scale == pytest.approx(np.abs(never[:2]).max())
    turned = never.copy()
    turned[:2] = never[1::-1]
    row = beside(never, turned)
    assert row.flipped == row.differing > 0.9 * row.pixels
    assert row.largest < 20


def test_an_infinite_logit_where_the_reference_has_none_is_a_gross_difference():
    odd = logits_of(1)
    odd[0, 2, 3] = np.inf
    assert beside(logits_of(1), odd).largest > 1e30
    assert beside(odd, logits_of(1)).largest > 1e30


@pytest.mark.parametrize("precision", ["f32", "bf16", "int8"])
def test_what_nothing_was_judged_by_does_not_pass(precision):
    """Masks alone are judged in f32; without pictures nothing is."""

    class Other(Fixed):
        pass

    Other.precision = precision
    reference = Predictor(Fixed(logits_of(1)), THREE)
    pictures = [sample.image for sample in samples(2)]
    blind = without_truth(pictures, THREE)
    (row,) = compared(reference, [Predictor(Other(logits_of(2)), THREE)], blind)
    unjudged = any("nothing to judge by: no pixel has truth" in line for line in row.reasons())
    assert row.reasons() and unjudged == (precision != "f32")
    (row,) = compared(reference, [Predictor(Other(logits_of(1)), THREE)], [])
    assert "nothing to judge by: no picture was shown" in row.reasons()[0]


def test_one_picture_is_held_at_a_time():
    alive: list[weakref.ref] = []

    def watched():
        for sample in samples(8):
            gc.collect()
            assert sum(reference() is not None for reference in alive) <= 1
            alive.append(weakref.ref(sample.image))
            yield sample
            del sample

    whole = Predictor(Fixed(logits_of(1)), THREE)
    assert compared(whole, [whole], watched())[0].pictures == 8


def row(precision, *, fall=0.0, flips=0):
    """A comparison in which mIoU falls from 1 by so much and so many of 100 000 pixels flip."""
    good, bad = np.diag([40_000, 40_000]), np.diag([40_000, 40_000])
    lost = round(40_000 * fall)  # of one class to the other: both fall by that share
    bad[0] += [-lost, lost]
    classes = Classes(("a", "b"))
    return Comparison(
        Runtime("onnxruntime", precision, "1"),
        pictures=1,
        pixels=100_000,
        differing=flips,
        flipped=flips,
        largest=0.0,
        scale=1.0,
        scores=scores_from(classes, bad),
        reference=scores_from(classes, good),
        ms=1.0,
        reference_ms=1.0,
    )


@pytest.mark.parametrize("precision", ["f32", "bf16", "int8"])
def test_budgets_are_those_of_the_precision(precision):
    small, large = row(precision, fall=0.0005), row(precision, fall=0.004)
    assert not small.reasons()
    assert bool(large.reasons()) == (precision == "f32")
    assert not row(precision, flips=10).reasons()
    assert bool(row(precision, flips=11).reasons()) == (precision == "f32")
    assert not large.reasons(0.01) and small.reasons(0.0001)


def test_a_reason_says_what_was_found_and_what_is_allowed():
    (reason,) = row("int8", fall=0.2).reasons()
    assert "int8: mIoU falls by 0." in reason and "1.0000 -> 0." in reason
    assert reason.endswith("0.005 allowed")
