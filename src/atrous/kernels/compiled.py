"""How kernels are compiled and launched.

numba compiles them, without its own threads: its OpenMP layer sets the thread count of the whole
process, torch's too (and with it the bytes of a training), its workqueue layer aborts when two
threads enter at once, and neither survives a fork. Instead the serial kernels, which let go of
the GIL, run on strips in a pool of ordinary threads.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numba

from atrous.machine import cores


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` compiled on its first call; the machine code is kept on disk if possible."""
    try:
        return numba.njit(function, cache=True, nogil=True)
    except RuntimeError:  # neither the package nor the home folder can be written
        return numba.njit(function, nogil=True)


def in_strips(work: Callable[[int, int], None], rows: int, *, threads: int) -> None:
    """Call `work(first, end)` on strips that make up `rows`, one for each of the `threads`.

    0 is a thread for each core, and there are never more of them: the pool has no others.
    """
    most = cores()
    strips = min(threads or most, most, rows)
    if strips <= 1:
        work(0, rows)
        return
    bounds = [strip * rows // strips for strip in range(strips + 1)]
    list(_pool(os.getpid()).map(work, bounds[:-1], bounds[1:]))


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """A pool of this process: the threads of a parent do not come along in a fork."""
    return ThreadPoolExecutor(cores(), thread_name_prefix="atrous-kernel")
