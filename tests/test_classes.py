from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atrous.classes import Classes, Weighting, class_weights, distinct_colours, from_hex, to_hex
from atrous.errors import MaskError

STREET = Classes(("sky", "road", "car"), remap={7: 2, 11: "ignore", 255: "ignore"})


def test_raw_labels_become_indices_by_the_remap():
    raw = np.array([[0, 1, 2], [7, 11, 255]], np.uint8)
    assert STREET.encode(raw, where="a").tolist() == [[0, 1, 2], [2, 255, 255]]


def test_negative_and_wide_labels_are_looked_up_too():
    classes = Classes(("a", "b"), remap={-1: "ignore", 70000: 1})
    raw = np.array([[-1, 70000, 0]], np.int32)
    assert classes.encode(raw, where="a").tolist() == [[255, 1, 0]]


def test_a_label_outside_names_file_value_first_pixel_and_what_is_allowed():
    raw = np.zeros((4, 5), np.uint8)
    raw[2, 3] = raw[3, 4] = 9
    with pytest.raises(MaskError) as caught:
        STREET.encode(raw, where="masks/0042.png")
    text = str(caught.value)
    for part in ("masks/0042.png", "label 9", "row 2, column 3", "2 px", "3 classes (0-2)", "11"):
        assert part in text


def test_more_than_255_classes_live_in_uint16_and_ignore_is_65535():
    many = Classes(tuple(f"class {i}" for i in range(300)))
    mask = many.encode(np.array([[299, 65535]], np.uint16), where="a")
    assert mask.dtype == np.uint16
    assert mask.tolist() == [[299, 65535]]


def test_the_label_space_survives_its_plain_form():
    assert Classes.from_dict(STREET.to_dict()) == STREET


@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel"])
def test_the_task_survives_the_plain_form_and_is_multiclass_in_older_ones(task):
    two = Classes(("a", "b"), task=task)
    plain = two.to_dict()
    assert Classes.from_dict(plain) == two
    del plain["task"]
    assert Classes.from_dict(plain) == Classes(("a", "b"))


@pytest.mark.parametrize(
    ("task", "count", "logits", "ignore", "dtype"),
    [
        ("multiclass", 2, 2, 255, np.uint8),
        ("binary", 2, 1, 255, np.uint8),
        ("multiclass", 256, 256, 65535, np.uint16),
        ("multilabel", 1, 1, 2, np.uint8),
        ("multilabel", 7, 7, 128, np.uint8),
        ("multilabel", 8, 8, 256, np.uint16),
        ("multilabel", 15, 15, 32768, np.uint16),
        ("multilabel", 16, 16, 65536, np.int64),
        ("multilabel", 62, 62, 2**62, np.int64),
    ],
)
def test_masks_in_memory_follow_from_task_and_number(task, count, logits, ignore, dtype):
    classes = Classes(tuple(map(str, range(count))), task=task)
    assert (classes.num_logits, classes.ignore_index, classes.dtype) == (logits, ignore, dtype)
    assert np.array([classes.ignore_index], classes.dtype)[0] == ignore


def test_index_masks_become_one_bit_a_pixel_and_void_stays_void():
    street = Classes(STREET.names, remap=STREET.remap, task="multilabel")
    raw = np.array([[0, 1, 2], [7, 11, 255]], np.uint8)
    assert street.encode(raw, where="a").tolist() == [[1, 2, 4], [4, 8, 8]]
    with pytest.raises(MaskError, match=r"label 8 .*ignores 11, 255"):
        street.encode(np.array([[8]], np.uint8), where="a")  # void in memory is no label on disk


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_colours_survive_their_hex_form(colour):
    assert from_hex(to_hex(colour)) == colour


def test_given_colours_are_distinct():
    assert len(set(distinct_colours(150))) == 150


def weighed(counts, kind, *, power=0.35, beta=0.99, **options):
    return class_weights(counts, kind, power=power, beta=beta, **options)


@pytest.mark.parametrize("kind", get_args(Weighting))
@given(arrays(np.int64, 5, elements=st.integers(0, 10**9)), st.floats(0, 1))
def test_class_weights_have_mean_one_over_the_pixels(kind, counts, power):
    weights = weighed(counts, kind, power=power)
    assert (weights > 0).all()
    assert (weights[counts == 0] == 1).all()
    if counts.sum():
        assert np.isclose((weights * counts).sum() / counts.sum(), 1)


@pytest.mark.parametrize("kind", sorted({*get_args(Weighting)} - {"none"}))
def test_the_rarer_class_weighs_more(kind):
    assert (np.diff(weighed(np.array([900, 90, 10]), kind)) > 0).all()


def test_without_a_kind_or_a_power_classes_weigh_alike():
    counts = np.array([900, 90, 10])
    assert weighed(counts, "none").tolist() == [1, 1, 1]
    assert weighed(counts, "power", power=0).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("kind", "raw"),  # for shares of 0.75 and 0.25, of 4 pixels
    [
        ("power", [2 / 3**0.5, 2]),
        ("median_frequency", [4 / 3, 4]),
        ("enet", [1 / np.log(1.77), 1 / np.log(1.27)]),
        ("effective_number", [1 / (1 - 0.5**3), 1 / (1 - 0.5)]),
    ],
)
def test_class_weights_by_hand(kind, raw):
    weights = weighed(np.array([3, 0, 1]), kind, power=0.5, beta=0.5)
    scale = 0.75 * raw[0] + 0.25 * raw[1]
    assert weights == pytest.approx([raw[0] / scale, 1, raw[1] / scale])


def test_median_frequency_looks_only_at_the_pictures_that_hold_a_class():
    # Two pictures of 100 pixels: 90 and 10 in one, 100 and none in the other.
    weights = weighed(np.array([190, 10]), "median_frequency", around=np.array([200, 100]))
    frequencies = np.array([190 / 200, 10 / 100])
    ratio = np.median(frequencies) / frequencies
    assert weights[1] / weights[0] == pytest.approx(ratio[1] / ratio[0])


def test_classes_of_many_pixels_weigh_alike_by_their_effective_number():
    weights = weighed(np.array([10**9, 10**8, 10**3]), "effective_number", beta=0.9999)
    assert weights[0] == pytest.approx(weights[1], rel=1e-9)
    assert weights[2] / weights[0] == pytest.approx(1 / (1 - 0.9999**1000), rel=1e-9)
