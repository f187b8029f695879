import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from atrous.kernels.brush import unpack

SIZES = (3, 4, 8, 16)
records = st.lists(
    st.tuples(
        st.integers(0, 3), st.booleans(), st.lists(st.integers(0, 255), min_size=1, max_size=8)
    ),
    max_size=9,
)


def pack(record: tuple[int, bool, list[int]], word: int) -> str:
    kind, repeated, values = record
    told = values[:1] if repeated else values
    head = f"{repeated:01b}{kind:02b}{len(values) - 1:0{SIZES[kind]}b}"
    return head + "".join(f"{value:0{word}b}" for value in told)


@given(records, st.integers(8, 16), st.integers(0, 20))
def test_what_is_packed_is_unpacked(records, word, begin):
    text = "1" * begin + "".join(pack(record, word) for record in records)
    padded = text + "0" * (-len(text) % 8)
    stream = np.array([int(padded[i : i + 8], 2) for i in range(0, len(padded), 8)], np.uint8)
    expected = [
        value
        for _, repeated, values in records
        for value in (values[:1] * len(values) if repeated else values)
    ]
    found = unpack(stream, begin, word=word, sizes=SIZES, count=len(expected))
    assert found is not None
    assert found.tolist() == expected
    assert unpack(stream, begin, word=word, sizes=SIZES, count=len(expected) + 9000) is None
