import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from atrous.kernels.labels import MOST_VALUES, label_facts, label_facts_reference

TYPES = ["uint8", "uint16", "int16", "int32", "int64", ">i4"]
shapes = array_shapes(min_dims=2, max_dims=2, max_side=12)


@given(arrays(np.int64, shapes, elements=st.integers(0, 3)), st.sampled_from(TYPES))
def test_the_kernel_finds_what_numpy_finds(mask, dtype):
    values = np.array([0, 1, 200, 255]) if dtype == "uint8" else np.array([0, 7, 255, 30_000])
    raw = np.repeat(values[mask], 2, 1).astype(dtype)
    found, expected = label_facts(raw), label_facts_reference(raw)
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@given(arrays(np.int32, shapes, elements=st.sampled_from([-1, 0, 1 << 24, (1 << 25) - 1])))
def test_facts_add_up_and_point_at_pixels(raw):
    facts = label_facts(raw)
    assert facts.counts.sum() == raw.size
    assert np.array_equal(raw.flat[facts.first], facts.values)
    assert (facts.cores <= facts.counts).all()
    assert facts.values.tolist() == sorted(set(raw.flat))


def test_the_frame_does_not_end_a_region():
    facts = label_facts(np.full((3, 4), 9, np.uint8))
    assert facts.cores.tolist() == facts.counts.tolist() == [12]


def test_a_file_that_is_no_mask_is_given_up():
    raw = np.arange(MOST_VALUES + 1, dtype=np.int32).reshape(1, -1) * 4096
    facts = label_facts(raw)
    assert facts.many
    assert len(facts.values) == MOST_VALUES
    assert not label_facts(raw[:, 1:]).many


def test_a_mask_that_may_not_be_written_to_can_be_read():
    raw = np.zeros((2, 2), np.uint8)
    raw.flags.writeable = False
    assert label_facts(raw.T).counts.tolist() == [4]
    with pytest.raises(ValueError, match="read-only"):
        raw[0, 0] = 1
