import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atrous.classes import Classes, class_weights, distinct_colours, from_hex, to_hex
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


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_colours_survive_their_hex_form(colour):
    assert from_hex(to_hex(colour)) == colour


def test_given_colours_are_distinct():
    assert len(set(distinct_colours(150))) == 150


@given(arrays(np.int64, 5, elements=st.integers(0, 10**9)), st.floats(0, 1))
def test_class_weights_have_mean_one_over_the_pixels(counts, exponent):
    weights = class_weights(counts, exponent)
    assert (weights > 0).all()
    assert (weights[counts == 0] == 1).all()
    if counts.sum():
        assert np.isclose((weights * counts).sum() / counts.sum(), 1)


def test_the_rarer_class_weighs_more_and_exponent_zero_weighs_alike():
    counts = np.array([900, 90, 10])
    assert (np.diff(class_weights(counts, 0.35)) > 0).all()
    assert class_weights(counts, 0).tolist() == [1, 1, 1]
