import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from atrous.kernels.outlines import ACROSS, ALONG, outlines
from atrous.kernels.regions import regions, regions_reference

masks = arrays(
    st.sampled_from([np.uint8, np.int16, np.int64]),
    array_shapes(min_dims=2, max_dims=2, max_side=14),
    elements=st.integers(0, 2),
)


@given(masks)
def test_the_kernel_numbers_regions_as_numpy_does(mask):
    (ids, first), (expected_ids, expected_first) = regions(mask), regions_reference(mask)
    assert np.array_equal(ids, expected_ids)
    assert np.array_equal(first, expected_first)


@given(masks)
def test_a_region_is_one_value_and_its_first_pixel_is_in_it(mask):
    ids, first = regions(mask)
    assert np.array_equal(mask.flat[first][ids], mask)
    assert np.array_equal(ids.flat[first], np.arange(len(first)))


def test_a_snail_is_one_region():
    snail = np.array(
        [[1, 1, 1, 1, 1], [0, 0, 0, 0, 1], [1, 1, 1, 0, 1], [1, 0, 0, 0, 1], [1, 1, 1, 1, 1]], bool
    )
    assert len(regions(snail)[1]) == 2


@given(masks, st.booleans())
def test_outlines_walk_along_each_border_side_once(mask, only_ones):
    ids, first = regions(mask)
    wanted = mask.flat[first] == 1 if only_ones else np.ones(len(first), bool)
    loops = outlines(ids, first, wanted)
    padded = np.pad(ids, 1, constant_values=-1)
    expected = {
        (y, x, side)
        for y, x in np.ndindex(*mask.shape)
        for side, (down, right) in enumerate(ACROSS)
        if wanted[ids[y, x]] and padded[1 + y + down, 1 + x + right] != ids[y, x]
    }
    walked = list(zip(loops.row.tolist(), loops.column.tolist(), loops.side.tolist(), strict=True))
    assert len(walked) == len(expected)
    assert {*walked} == expected


@given(masks)
def test_outlines_are_closed_and_tell_regions_and_holes_apart(mask):
    ids, first = regions(mask)
    loops = outlines(ids, first, np.ones(len(first), bool))
    begin, seen = 0, set()
    for end, of in zip(loops.ends.tolist(), loops.of.tolist(), strict=True):
        here = slice(begin, end)
        assert (ids[loops.row[here], loops.column[here]] == of).all()
        steps = ALONG[loops.side[here]]
        assert (steps.sum(0) == 0).all()
        # Twice the area that the loop goes around: positive clockwise, as y goes down.
        at = np.cumsum(steps, 0)
        turning = (at[:, 1] * steps[:, 0] - at[:, 0] * steps[:, 1]).sum()
        assert (turning < 0) == (of in seen)
        seen.add(of)
        begin = end
    assert seen == {*range(len(first))}
