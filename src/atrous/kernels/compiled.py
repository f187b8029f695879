"""How kernels are compiled and launched: numba, cached where a cache can be written."""

import threading
from collections.abc import Callable
from typing import Any

import numba

# numba's workqueue layer aborts the process when two threads enter parallel kernels at once.
LAUNCH = threading.Lock()


def compiled(function: Callable[..., Any], *, parallel: bool = False) -> Callable[..., Any]:
    """`function` compiled on its first call; the machine code is kept on disk if possible."""
    options = {"nogil": True, "parallel": parallel}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package nor the home folder can be written
        return numba.njit(**options)(function)
