"""Pictures in flight: decoding, inference and encoding overlap, results come in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from atrous.machine import cores
from atrous.predict.engines import Engine

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_LANES = 8  # each holds the feature maps of a picture
BESIDE = 2  # threads that decode and encode while the lanes are in the engine
AHEAD = 4  # results a thread that may wait for an earlier one


def lanes_for(threads: int, *, pictures: int = MOST_LANES) -> int:
    """Pictures to have in the engine at once: a thread each has the highest throughput."""
    return max(1, min(pictures, threads or cores(), MOST_LANES))


def threads_for(engine: Engine) -> int:
    """Threads that walk pictures through an engine so that it never waits for one."""
    return max(1, engine.lanes) + BESIDE


def in_flight(
    work: Callable[[Item], Result], items: Iterable[Item], *, threads: int
) -> Generator[Result, None, None]:
    """What `work` gives for each item, in their order, with so many `threads` at it.

    One thread is this one. What `work` raises is raised where its result would stand; then, and
    when nobody asks for more (Ctrl-C), what is begun is finished and the rest never begun.
    """
    if threads <= 1:
        yield from map(work, items)
        return
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="atrous-picture")
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > AHEAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
