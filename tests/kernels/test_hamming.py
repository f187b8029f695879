import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from atrous.kernels.hamming import RADIUS, earlier_twins, earlier_twins_reference


@st.composite
def sets(draw):
    """Hashes around a few centres, some out of reach; vectors that agree or not."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    count, variants, length = draw(st.integers(0, 25)), draw(st.sampled_from([1, 8])), 6
    hashes = random.integers(0, 2**63, (2, variants), np.uint64)[random.integers(0, 2, count)]
    for row in hashes:
        for bit in random.integers(0, 64, random.integers(0, 6)):
            row ^= np.uint64(1) << np.uint64(bit)
    vectors = random.integers(-40, 40, (count, length)).astype(np.int16)
    places = np.array([random.permutation(length) for _ in range(variants)])
    signs = random.choice(np.array([-1, 1], np.int16), (variants, length))
    places[0], signs[0] = np.arange(length), 1
    groups = random.integers(0, 3, count)
    return hashes, vectors, {"places": places, "signs": signs, "groups": groups}


@given(sets(), st.integers(1, 3), st.sampled_from([-1e6, 0.0, 500.0]))
def test_the_kernel_finds_what_a_look_at_every_pair_finds(case, threads, floor):
    hashes, vectors, rest = case
    found = earlier_twins(hashes, vectors, **rest, floor=floor, threads=threads)
    expected = earlier_twins_reference(hashes, vectors, **rest, floor=floor)
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one, other)


@given(st.sets(st.integers(0, 63), max_size=12))
def test_hashes_are_close_up_to_seven_bits_wherever_these_lie(bits):
    hashes = np.zeros((2, 1), np.uint64)
    for bit in bits:
        hashes[1] ^= np.uint64(1) << np.uint64(bit)
    partner, _, _ = earlier_twins(
        hashes,
        np.ones((2, 1), np.int16),
        places=np.zeros((1, 1), np.int64),
        signs=np.ones((1, 1), np.int16),
        groups=np.zeros(2, np.int64),
        floor=0,
    )
    assert partner[1, 0] == (0 if len(bits) <= RADIUS else -1)
