import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atrous.kernels.borders import (
    UNKNOWN,
    border_counts,
    border_counts_reference,
    border_zone,
    border_zone_reference,
)

VOID = 255
distances = st.integers(0, 5)


@st.composite
def masks(draw, values=(0, 1, 2, VOID)):
    """Noise, or blocks with wide borders between them."""
    shape = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    mask = draw(arrays(np.uint8, shape, elements=st.sampled_from(values)))
    return np.kron(mask, np.ones((draw(st.integers(1, 3)),) * 2, np.uint8))


@st.composite
def pairs(draw):
    mask = draw(masks())
    return draw(arrays(np.uint8, mask.shape, elements=st.integers(0, 3))), mask


def zone_of(mask, distance, threads=2):
    return border_zone(mask, distance=distance, ignore_index=VOID, threads=threads)


def counts_of(pair, distance, threads=2):
    pred, mask = pair
    return border_counts(
        pred, mask, num_classes=4, ignore_index=VOID, distance=distance, threads=threads
    )


def by_distances(mask, distance):
    """The zone from the distance between every two pixels."""
    at = np.argwhere(np.ones(mask.shape))
    near = np.hypot(*(at[:, None] - at).transpose(2, 0, 1)) <= distance
    labels = mask.ravel()
    other = (near & (labels != VOID) & (labels != labels[:, None])).any(1)
    void = (near & (labels == VOID)).any(1)
    zone = np.where(other, 1, np.where(void, UNKNOWN, 0))
    return np.where(labels == VOID, UNKNOWN, zone).reshape(mask.shape)


@given(masks(), distances)
def test_the_zone_is_that_of_all_distances(mask, distance):
    expected = by_distances(mask, distance)
    assert np.array_equal(
        border_zone_reference(mask, distance=distance, ignore_index=255), expected
    )
    assert np.array_equal(zone_of(mask, distance, threads=1), expected)
    assert np.array_equal(zone_of(mask, distance, threads=2), expected)


@given(pairs(), distances)
def test_the_kernel_counts_what_numpy_counts(pair, distance):
    expected = border_counts_reference(*pair, num_classes=4, ignore_index=VOID, distance=distance)
    assert np.array_equal(counts_of(pair, distance, threads=1), expected)
    assert np.array_equal(counts_of(pair, distance, threads=2), expected)


@given(pairs(), distances)
def test_a_picture_beside_its_mirror_image_counts_twice(pair, distance):
    """The seam shows what the frame hides, and neither is a border."""
    twice = [np.hstack([labels, labels[:, ::-1]]) for labels in pair]
    assert np.array_equal(counts_of(twice, distance), 2 * counts_of(pair, distance))


def test_between_two_half_planes_the_zone_is_as_wide_as_the_distance_on_each_side():
    mask = np.repeat(np.array([[0, 1]], np.uint8), 5, 1).repeat(4, 0)
    for distance in range(6):
        assert (zone_of(mask, distance).sum(1) == 2 * distance).all()
    assert zone_of(mask, 2)[0].tolist() == [0, 0, 0, 1, 1, 1, 1, 0, 0, 0]


def test_around_one_pixel_the_zone_is_a_disc():
    mask = np.zeros((5, 5), np.uint8)
    mask[2, 2] = 1
    assert zone_of(mask, 2).tolist() == [
        [0, 0, 1, 0, 0],
        [0, 1, 1, 1, 0],
        [1, 1, 1, 1, 1],
        [0, 1, 1, 1, 0],
        [0, 0, 1, 0, 0],
    ]


def test_the_frame_of_the_picture_is_no_border():
    assert not zone_of(np.ones((4, 7), np.uint8), 3).any()


def test_void_is_no_border_and_hides_what_may_be_one():
    mask = np.array([[1, 1, 1, 1, VOID, 1, 2, 2]], np.uint8)
    assert zone_of(mask, 2).tolist() == [[0, 0, 255, 255, 255, 1, 1, 1]]


@given(masks(values=(0, 1, 2)), distances)
def test_a_wider_zone_holds_the_narrower(mask, distance):
    assert (zone_of(mask, distance) <= zone_of(mask, distance + 1)).all()


@given(masks(values=(0, 1, 2, VOID)), st.integers(1, 3), st.randoms(use_true_random=False))
def test_what_is_known_of_a_zone_is_so_whatever_the_void_hides(mask, distance, random):
    hidden = np.array([random.randrange(3) for _ in range(mask.size)], np.uint8)
    hidden = hidden.reshape(mask.shape)
    zone, whole = zone_of(mask, distance), zone_of(np.where(mask == VOID, hidden, mask), distance)
    known = zone != UNKNOWN
    assert np.array_equal(zone[known], whole[known])


@given(pairs(), distances)
def test_where_the_truth_is_unknown_nothing_is_counted(pair, distance):
    pred, mask = pair
    counts = counts_of(pair, distance)
    known = zone_of(mask, distance) != UNKNOWN
    assert (counts[:, 0] <= np.bincount(mask[known], minlength=4)).all()
    assert (counts[:, 1] <= np.bincount(pred[known], minlength=4)).all()
    assert (counts[:, 2] <= counts[:, :2].min(1)).all()


def test_uint16_masks_count_too():
    mask, pred = np.array([[299, 3, 65535]], np.uint16), np.array([[299, 3, 4]], np.uint16)
    counts = border_counts(pred, mask, num_classes=300, ignore_index=65535, distance=1)
    assert counts[299].tolist() == counts[3].tolist() == [1, 1, 1]
    assert counts.sum() == 6
