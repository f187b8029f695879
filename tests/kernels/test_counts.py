import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atrous.kernels.counts import (
    confusion_counts,
    confusion_counts_reference,
    multilabel_counts,
    multilabel_counts_reference,
)


def counts_of(pred, mask, threads=2):
    return confusion_counts(pred, mask, num_classes=4, ignore_index=255, threads=threads)


@st.composite
def pairs(draw):
    shape = (draw(st.integers(1, 12)), draw(st.integers(6, 12)))
    pred = draw(arrays(np.uint8, shape, elements=st.integers(0, 3)))
    mask = draw(arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, 3, 255])))
    return pred, mask


@given(pairs())
def test_the_kernel_counts_what_numpy_counts(pair):
    expected = confusion_counts_reference(*pair, num_classes=4, ignore_index=255)
    assert np.array_equal(counts_of(*pair, threads=1), expected)
    assert np.array_equal(counts_of(*pair, threads=2), expected)


@given(pairs())
def test_parts_count_what_the_whole_counts(pair):
    pred, mask = pair
    left = counts_of(pred[:, :5], mask[:, :5])
    right = counts_of(pred[:, 5:], mask[:, 5:])
    assert np.array_equal(left + right, counts_of(pred, mask))


@given(pairs())
def test_ignored_pixels_are_not_counted_whatever_is_predicted(pair):
    pred, mask = pair
    other = np.where(mask == 255, 3 - pred, pred)
    counts = counts_of(pred, mask)
    assert np.array_equal(counts, counts_of(other, mask))
    assert counts.sum() == (mask != 255).sum()


def test_uint16_masks_count_too():
    pred, mask = np.array([[299, 3]], np.uint16), np.array([[299, 65535]], np.uint16)
    counts = confusion_counts(pred, mask, num_classes=300, ignore_index=65535)
    assert counts[299, 299] == counts.sum() == 1


def bits_of(pred, mask, threads=2):
    return multilabel_counts(pred, mask, num_classes=3, ignore_index=8, threads=threads)


@st.composite
def pairs_of_bits(draw):
    """Masks of three classes that overlap, with void; runs, as real masks have them."""
    shape = (draw(st.integers(1, 12)), draw(st.integers(6, 12)))
    pred = draw(arrays(np.uint8, shape, elements=st.integers(0, 7)))
    mask = draw(arrays(np.uint8, shape, elements=st.integers(0, 8)))
    repeat = draw(st.integers(1, 4))
    return np.repeat(pred, repeat, 1), np.repeat(mask, repeat, 1)


@given(pairs_of_bits())
def test_the_kernel_counts_bits_as_numpy_does(pair):
    expected = multilabel_counts_reference(*pair, num_classes=3, ignore_index=8)
    assert np.array_equal(bits_of(*pair, threads=1), expected)
    assert np.array_equal(bits_of(*pair, threads=2), expected)


@given(pairs_of_bits())
def test_each_class_of_several_counts_as_if_it_were_alone(pair):
    pred, mask = pair
    for k, counts in enumerate(bits_of(*pair)):
        alone = np.where(mask == 8, 255, mask >> k & 1).astype(np.uint8)
        expected = confusion_counts(pred >> k & 1, alone, num_classes=2, ignore_index=255)
        assert np.array_equal(counts, expected)


def test_the_highest_bits_count_too():
    void, most = 1 << 62, (1 << 62) - 1
    pred, mask = np.array([[most, most, 0]]), np.array([[1 << 61, void, 0]])
    counts = multilabel_counts(pred, mask, num_classes=62, ignore_index=void)
    assert counts[61].tolist() == [[1, 0], [0, 1]]
    assert (counts[:61] == [[1, 1], [0, 0]]).all()
