import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from atrous.kernels.profiles import move_profile, move_profile_reference


@given(st.integers(0, 2**32), st.integers(1, 12), st.integers(1, 12), st.integers(0, 14))
def test_the_kernel_gives_what_numpy_gives(seed, height, width, reach):
    random = np.random.default_rng(seed)
    field = random.normal(size=(height, width)).astype(np.float32)
    points = np.stack([random.integers(0, height, 7), random.integers(0, width, 7)], 1)
    made = move_profile(field, points, reach=reach)
    assert np.allclose(made, move_profile_reference(field, points, reach=reach), atol=1e-5)


@given(st.integers(-3, 3), st.integers(-3, 3))
def test_the_peak_lies_where_the_points_must_be_moved_to(down, right):
    points = np.argwhere(np.random.default_rng(0).random((20, 20)) < 0.1)
    field = np.zeros((30, 30), np.float32)
    field[tuple((points + 5 + (down, right)).T)] = 1
    profile = move_profile(field, points + 5, reach=4)
    assert np.unravel_index(profile.argmax(), profile.shape) == (4 + down, 4 + right)
    assert profile.max() == 1


def test_a_few_points_that_stay_inside_count_little():
    points = np.array([[0, 0], [0, 1], [0, 2], [3, 3]])
    profile = move_profile(np.ones((4, 4), np.float32), points, reach=3)
    assert profile[3, 3] == 1
    assert profile[0, 3] == 0.5  # one of four points is left
