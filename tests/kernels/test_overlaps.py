import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atrous.kernels.overlaps import best_columns, overlaps, overlaps_reference

MOVES = np.array([(down, right) for down in range(-3, 4) for right in range(-3, 4)])


@given(st.integers(0, 2**32), st.integers(1, 3))
def test_the_kernel_gives_what_numpy_gives(seed, threads):
    random = np.random.default_rng(seed)
    details = random.normal(size=(4, 5, 5)).astype(np.float32)
    details[3, :3] = 0
    pairs = random.integers(0, 4, (6, 2))
    made = overlaps(details, pairs, MOVES, threads=threads)
    assert np.allclose(made, overlaps_reference(details, pairs, MOVES), atol=1e-5)


@given(st.integers(0, 2**32), st.integers(-3, 3), st.integers(-3, 3))
def test_a_moved_picture_fits_at_its_move(seed, down, right):
    scene = np.random.default_rng(seed).normal(size=(14, 14)).astype(np.float32)
    moved = scene[3 + down : 11 + down, 3 + right : 11 + right]
    made = overlaps(np.stack([scene[3:11, 3:11], moved]), np.array([[0, 1]]), MOVES)
    assert tuple(MOVES[made[0].argmax()]) == (down, right)
    assert made.max() > 0.9999


@example(np.zeros((5, 9), np.float32), 9, 0)  # a score that is the floor, and places left
@given(
    arrays(np.float32, (5, 9), elements=st.integers(0, 20)),
    st.integers(1, 10),
    st.integers(0, 20),
)
def test_the_best_columns_are_the_largest_that_reach_the_floor(scores, count, floor):
    scores += np.linspace(0, 0.5, scores.size, dtype=np.float32).reshape(scores.shape)
    for row, columns in zip(scores, best_columns(scores, count=count, floor=floor), strict=True):
        expected = [k for k in np.argsort(-row)[:count] if row[k] >= floor]
        assert sorted(columns[columns >= 0]) == sorted(expected)
