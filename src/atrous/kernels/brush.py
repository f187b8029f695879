"""The numbers in a stream of packed runs, as Label Studio stores what is painted with a brush."""

import numpy as np
from jaxtyping import UInt8

from atrous.kernels.compiled import compiled

_TAIL = 8  # zero bytes after the stream, so that a number may be read past its end


def unpack(
    stream: UInt8[np.ndarray, " N"], begin: int, *, word: int, sizes: tuple[int, ...], count: int
) -> UInt8[np.ndarray, " count"] | None:
    """`count` numbers of `word` bits from bit `begin` on; None if the stream ends before.

    The stream holds records: a bit that says whether one number is repeated, two bits that
    choose one of four `sizes`, a length less one of so many bits, and then the number, or the
    numbers one after the other. Numbers of more than eight bits lose the upper ones.
    """
    numbers = np.empty(count, np.uint8)
    padded = np.concatenate([stream, np.zeros(_TAIL, np.uint8)])
    whole = _read(padded, stream.size * 8, begin, word, np.array(sizes, np.int64), numbers)
    return numbers if whole else None


def _bits_at(stream, at, count):
    """The number of `count` bits, at most 32, from bit `at` on."""
    number = np.int64(0)
    for byte in stream[at // 8 : at // 8 + 5]:
        number = number << 8 | np.int64(byte)
    return number >> (40 - at % 8 - count) & ((1 << count) - 1)


def _read_records(stream, bits, at, word, sizes, numbers):
    done = 0
    while done < numbers.size:
        if at + 3 > bits:
            return False
        head = _bits(stream, at, 3)
        size = sizes[head & 3]
        if at + 3 + size + word > bits:
            return False
        length = min(_bits(stream, at + 3, size) + 1, numbers.size - done)
        at += 3 + size
        if head & 4:
            numbers[done : done + length] = _bits(stream, at, word)
            at += word
        else:
            if at + length * word > bits:
                return False
            for i in range(length):
                numbers[done + i] = _bits(stream, at + i * word, word)
            at += length * word
        done += length
    return True


_bits = compiled(_bits_at)
_read = compiled(_read_records)
