import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atrous.kernels.counts import confusion_counts
from atrous.metrics.scores import Scores

NAMES = ("sky", "road", "car", "never")


@st.composite
def pairs(draw):
    """Masks with void; class 3 is in neither, others may be absent."""
    shape = (draw(st.integers(1, 8)), draw(st.integers(1, 8)))
    pred = draw(arrays(np.uint8, shape, elements=st.integers(0, 2)))
    mask = draw(arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, 255])))
    return pred, mask


def scores_of(pred, mask):
    return Scores(NAMES, confusion_counts(pred, mask, num_classes=4, ignore_index=255))


def by_definition(pred, mask):
    valid = mask != 255
    ious = []
    for k in range(4):
        truth, predicted = (mask == k) & valid, (pred == k) & valid
        union = (truth | predicted).sum()
        ious.append((truth & predicted).sum() / union if union else np.nan)
    present = [iou for iou in ious if not np.isnan(iou)]
    accuracy = (pred == mask)[valid].mean() if valid.any() else np.nan
    return np.array(ious), np.mean(present) if present else np.nan, accuracy


@given(pairs())
def test_scores_are_those_of_ten_lines_of_numpy(pair):
    ious, miou, accuracy = by_definition(*pair)
    scores = scores_of(*pair)
    np.testing.assert_allclose(scores.iou, ious)
    np.testing.assert_allclose(scores.miou, miou)
    np.testing.assert_allclose(scores.pixel_accuracy, accuracy)


@given(pairs())
def test_precision_and_recall_are_shares_of_what_was_predicted_and_of_truth(pair):
    pred, mask = pair
    scores = scores_of(pred, mask)
    for k in range(4):
        truth = mask == k
        predicted = (pred == k) & (mask != 255)
        hits = (truth & predicted).sum()
        expected = (
            hits / predicted.sum() if predicted.any() else np.nan,
            hits / truth.sum() if truth.any() else np.nan,
        )
        np.testing.assert_allclose((scores.precision[k], scores.recall[k]), expected)


def test_an_absent_class_is_left_out_of_the_mean_and_a_missed_one_is_not():
    absent = Scores(("a", "b"), np.array([[5, 0], [0, 0]]))
    assert absent.miou == 1.0
    assert np.isnan(absent.iou[1])
    missed = Scores(("a", "b"), np.array([[5, 0], [5, 0]]))
    assert missed.miou == 0.25


def test_undefined_numbers_are_null_in_json():
    plain = Scores(("a", "b"), np.array([[5, 0], [0, 0]])).to_dict()
    assert json.loads(json.dumps(plain))["classes"][1]["IoU"] is None
    assert "NaN" not in json.dumps(Scores(("a", "b"), np.zeros((2, 2), np.int64)).to_dict())
