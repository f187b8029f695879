"""Scores where a pixel may have any number of classes."""

import json
from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atrous.classes import Classes
from atrous.evaluate import score_images
from atrous.kernels.borders import border_counts_reference
from atrous.metrics.scores import MultilabelScores, Scores, no_counts, scored, scores_from
from atrous.types import Sample

WET = Classes(("road", "wet", "never"), task="multilabel")
VOID = WET.ignore_index


@st.composite
def pairs(draw):
    """Masks with void; the last class is in neither, others may be absent."""
    shape = (draw(st.integers(1, 8)), draw(st.integers(1, 8)))
    pred = draw(arrays(np.uint8, shape, elements=st.integers(0, 3)))
    mask = draw(arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, 3, VOID])))
    return pred, mask


@given(pairs())
def test_scores_are_those_of_numpy_plane_by_plane(pair):
    pred, mask = pair
    valid = mask != VOID
    scores = scored(pred, mask, WET)
    assert isinstance(scores, MultilabelScores) and scores.pixels == valid.sum()
    right = 0
    for k in range(3):
        truth, found = (mask >> k & 1)[valid] == 1, (pred >> k & 1)[valid] == 1
        union, hits = (truth | found).sum(), (truth & found).sum()
        right += (truth == found).sum()
        np.testing.assert_allclose(scores.iou[k], hits / union if union else np.nan)
        np.testing.assert_allclose(
            scores.precision[k], hits / found.sum() if found.any() else np.nan
        )
        np.testing.assert_allclose(scores.recall[k], hits / truth.sum() if truth.any() else np.nan)
        share = truth.mean() if valid.any() else np.nan
        np.testing.assert_allclose(scores.pixel_share[k], share)
    accuracy = right / (3 * valid.sum()) if valid.any() else np.nan
    np.testing.assert_allclose(scores.pixel_accuracy, accuracy)


def test_a_case_worked_by_hand():
    mask = np.array([[1, 3, 0, VOID]], np.uint8)
    pred = np.array([[1, 1, 2, 3]], np.uint8)
    scores = scored(pred, mask, WET)
    assert scores.confusion.tolist() == [
        [[1, 0], [0, 2]],
        [[1, 1], [1, 0]],
        [[3, 0], [0, 0]],
    ]
    assert (scores.pixels, scores.miou, scores.pixel_accuracy) == (3, 0.5, 7 / 9)
    assert "one for each class at each pixel" in scores.definitions["pixel_accuracy"]


@given(pairs())
def test_counts_of_parts_add_up_to_those_of_the_whole(pair):
    pred, mask = pair
    total = no_counts(WET)
    for row in range(len(mask)):
        total += scored(pred[row : row + 1], mask[row : row + 1], WET).confusion
    assert np.array_equal(total, scored(pred, mask, WET).confusion)


def test_undefined_numbers_are_null_in_json():
    for classes in (WET, Classes(WET.names)):
        text = json.dumps(scores_from(classes, no_counts(classes)).to_dict())
        assert "NaN" not in text and json.loads(text)["mIoU"] is None


def test_binary_is_scored_as_two_classes():
    pred, mask = np.array([[0, 1, 1]], np.uint8), np.array([[0, 1, 255]], np.uint8)
    two = Classes(("bg", "fg"))
    binary = Classes(two.names, task="binary")
    assert type(scored(pred, mask, binary)) is Scores
    assert scored(pred, mask, binary).to_dict() == scored(pred, mask, two).to_dict()


@given(pairs())
def test_the_borders_of_each_class_are_those_of_its_plane_alone(pair):
    pred, mask = pair
    sample = Sample(np.zeros((*mask.shape, 3), np.uint8), mask, "a")
    dataset = SimpleNamespace(classes=WET, split=lambda _: [sample], read=lambda pair: pair)
    predictor = SimpleNamespace(postprocess=(), stages=lambda _: iter([SimpleNamespace(mask=pred)]))
    (counted,) = score_images(predictor, dataset, "val", threads=2)  # pyright: ignore[reportArgumentType]
    for k, counts in enumerate(counted.boundary.counts):
        planes = [np.where(m == VOID, 255, m >> k & 1).astype(np.uint8) for m in pair]
        space = {"num_classes": 2, "ignore_index": 255, "distance": counted.boundary.distance}
        assert counts.tolist() == border_counts_reference(*planes, **space)[1].tolist()
