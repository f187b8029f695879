"""The exponential function as vector code."""

from math import factorial, log

import numpy as np

from atrous.kernels.compiled import compiled

LEAST = np.float32(-87)  # e ** -87 is about the smallest normal float32: nothing beside 1
_ONE, _HALF = np.float32(1), np.float32(0.5)  # floor(x + _HALF) is the nearest whole number
_C2, _C3, _C4, _C5, _C6, _C7 = (np.float32(1 / factorial(n)) for n in (2, 3, 4, 5, 6, 7))
_LOG2_E, _LN2_HIGH = np.float32(1 / log(2)), np.float32(177 / 256)  # 8 bits: exact products
_LN2_LOW = np.float32(log(2) - 177 / 256)


def _power(x):
    """The exponential of x, LEAST to 0, within 2e-7 of it: a polynomial becomes vector code."""
    whole = np.floor(x * _LOG2_E + _HALF)
    rest = x - whole * _LN2_HIGH - whole * _LN2_LOW
    value = _C7
    value = value * rest + _C6
    value = value * rest + _C5
    value = value * rest + _C4
    value = value * rest + _C3
    value = value * rest + _C2
    value = value * rest + _ONE
    value = value * rest + _ONE
    bits = np.int32(whole) + np.int32(127) << np.int32(23)  # 2 ** whole, as float32 holds it
    return value * np.int32(bits).view(np.float32)


exp = compiled(_power)
