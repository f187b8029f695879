import json
from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atrous.classes import Classes
from atrous.cli.tables import scores_table
from atrous.evaluate import score_images, summed
from atrous.kernels.borders import border_counts
from atrous.kernels.counts import confusion_counts
from atrous.metrics.boundary import BoundaryScores
from atrous.metrics.scores import Scores

NAMES = ("sky", "road", "car", "never")
CLASSES = Classes(NAMES)
VOID = 255


@st.composite
def masks(draw, values=(0, 1, 2, VOID)):
    """Blocks; class 3 is in none of them, others may be absent."""
    shape = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    mask = draw(arrays(np.uint8, shape, elements=st.sampled_from(values)))
    return np.kron(mask, np.ones((draw(st.integers(1, 3)),) * 2, np.uint8))


@st.composite
def pairs(draw):
    mask = draw(masks())
    return draw(arrays(np.uint8, mask.shape, elements=st.integers(0, 2))), mask


def scores_of(pred, mask, distance=2):
    counts = border_counts(pred, mask, num_classes=4, ignore_index=VOID, distance=distance)
    return BoundaryScores(NAMES, counts, distance)


def half_planes(border, width=20):
    """Sky left of column `border`, road right of it."""
    return (np.indices((6, width))[1] >= border).astype(np.uint8)


def within(region, distance):
    """The pixels of a region that lie within the distance of its outside, in the picture."""
    outside = np.argwhere(~region)
    at = np.argwhere(np.ones(region.shape))
    if not len(outside):
        return np.zeros_like(region)
    nearest = np.sqrt(((at[:, None] - outside) ** 2).sum(2)).min(1).reshape(region.shape)
    return region & (nearest <= distance)


@given(masks(values=(0, 1, 2)), st.integers(0, 4), st.data())
def test_boundary_iou_is_the_formula_of_the_paper(mask, distance, data):
    """|(Gd ∩ G) ∩ (Pd ∩ P)| / |(Gd ∩ G) ∪ (Pd ∩ P)|, class by class."""
    pred = data.draw(arrays(np.uint8, mask.shape, elements=st.integers(0, 2)))
    expected = []
    for k in range(4):
        truth, predicted = within(mask == k, distance), within(pred == k, distance)
        union = (truth | predicted).sum()
        expected.append((truth & predicted).sum() / union if union else np.nan)
    scores = scores_of(pred, mask, distance)
    np.testing.assert_allclose(scores.iou, expected)
    present = [iou for iou in expected if not np.isnan(iou)]
    np.testing.assert_allclose(scores.miou, np.mean(present) if present else np.nan)


@given(masks(), st.integers(1, 4), st.data())
def test_what_is_right_wherever_the_truth_is_known_is_all_right(mask, distance, data):
    """Whatever is predicted on void: every class that has a border has 1."""
    anything = data.draw(arrays(np.uint8, mask.shape, elements=st.integers(0, 2)))
    iou = scores_of(np.where(mask == VOID, anything, mask), mask, distance).iou
    assert set(iou[~np.isnan(iou)]) <= {1.0}


def test_a_border_that_is_one_pixel_off_shares_half_of_its_zone():
    scores = scores_of(half_planes(11), half_planes(10))
    # Sky: columns 8, 9 in truth, 9, 10 in the prediction. Road: 10, 11 and 11, 12.
    assert scores.counts[:2].tolist() == [[12, 12, 6], [12, 12, 6]]
    np.testing.assert_allclose(scores.iou[:2], 1 / 3)


def test_the_farther_a_border_is_off_the_lower_its_score():
    scores = [scores_of(half_planes(10 + off), half_planes(10)).miou for off in range(4)]
    np.testing.assert_allclose(scores, [1, 1 / 3, 0, 0])


@given(pairs())
def test_where_the_zones_cover_all_boundary_iou_is_iou(pair):
    pred, mask = (np.pad(labels, ((0, 2), (0, 0))) for labels in pair)  # rows of sky, and
    pred[-1, 0] = mask[-1, 0] = 1  # a pixel of road: no class fills the picture
    mask[mask == VOID] = 2
    confusion = confusion_counts(pred, mask, num_classes=4, ignore_index=VOID)
    np.testing.assert_allclose(scores_of(pred, mask, 99).iou, Scores(NAMES, confusion).iou)


class Pictures:
    """Pairs of masks as a data set and as its predictor, which sees a picture's number."""

    threads, postprocess = 1, ()

    def __init__(self, pairs, classes=CLASSES):
        self.pairs, self.classes = pairs, classes

    def split(self, name):
        return [SimpleNamespace(name=str(i), number=i) for i in range(len(self.pairs))]

    def read(self, pair):
        return SimpleNamespace(image=pair.number, mask=self.pairs[pair.number][1])

    def stages(self, image):
        yield SimpleNamespace(mask=self.pairs[image][0])


@given(st.lists(pairs(), min_size=1, max_size=4))
def test_the_scores_of_a_split_are_those_of_the_counts_of_its_pictures_added(drawn):
    pictures: Any = Pictures(drawn)
    evaluation = summed("val", pictures.classes, score_images(pictures, pictures, "val"))
    expected = sum((scores_of(*pair).counts for pair in drawn), np.zeros((4, 3), np.int64))
    assert np.array_equal(evaluation.boundary.counts, expected)
    plain, boundary = evaluation.to_dict(), BoundaryScores(NAMES, expected).to_dict()
    assert plain["boundary_mIoU"] == boundary["boundary_mIoU"]
    assert [row["boundary_IoU"] for row in plain["classes"]] == [
        row["boundary_IoU"] for row in boundary["classes"]
    ]
    assert {"boundary_IoU", "boundary_mIoU"} <= plain["definitions"].keys()


def test_the_table_shows_the_borders_of_each_class_and_of_all():
    pictures: Any = Pictures([(half_planes(11), half_planes(10))])
    images = score_images(pictures, pictures, "val")
    lines = scores_table(summed("val", pictures.classes, images)).splitlines()
    assert lines[0].split() == "class IoU border precision recall pixels".split()
    assert [line.split()[2] for line in lines[1:5]] == ["33.3", "33.3", "-", "-"]
    assert "boundary IoU (2 px)    33.3" in lines


@given(pairs(), pairs())
def test_classes_that_overlap_are_counted_each_by_itself(one, other):
    """Bit 0 is where the one mask has road, bit 1 where the other has, 4 where one has void."""
    shape = np.minimum(one[1].shape, other[1].shape)
    (a, b), (c, d) = ([m[: shape[0], : shape[1]] for m in pair] for pair in (one, other))
    void = (b == VOID) | (d == VOID)
    pred = ((a == 1) | (c == 1) << 1).astype(np.uint8)
    mask = np.where(void, 4, (b == 1) | (d == 1) << 1).astype(np.uint8)
    classes = Classes(("road", "wet"), task="multilabel")
    pictures: Any = Pictures([(pred, mask)], classes)
    found = summed("val", classes, score_images(pictures, pictures, "val")).boundary.counts
    for k, (predicted, truth) in enumerate([(a, b), (c, d)]):
        alone = np.where(void, VOID, truth == 1).astype(np.uint8)
        expected = scores_of((predicted == 1).astype(np.uint8), alone)
        assert found[k].tolist() == expected.counts[1].tolist()


def test_a_missed_border_counts_and_an_absent_one_does_not():
    nothing = np.zeros((6, 20), np.uint8)
    scores = scores_of(nothing, half_planes(10))
    assert scores.iou[:2].tolist() == [0, 0] and scores.miou == 0
    assert np.isnan(scores.iou[2:]).all()
    assert np.isnan(scores_of(nothing, nothing).miou)


def test_undefined_numbers_are_null_in_json():
    nothing = np.zeros((6, 20), np.uint8)
    plain = json.loads(json.dumps(scores_of(nothing, nothing).to_dict()))
    assert plain["boundary_mIoU"] is None
    assert plain["classes"][0] == {"name": "sky", "boundary_IoU": None}


def test_the_definitions_name_the_distance():
    scores = scores_of(half_planes(10), half_planes(10), 3)
    assert "3 px" in scores.definitions["boundary_IoU"]
    assert scores.to_dict()["boundary_distance"] == 3
