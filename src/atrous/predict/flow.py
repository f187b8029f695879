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
    work: Callable[[Item], Result], items: Iterable[Item], *, threads: int, most: int = 0
) -> Generator[Result, None, None]:
    """What `work` gives for each item, in their order, with so many `threads` at it.

    At most so many are begun or wait to be asked for, 0 = `AHEAD` a thread and one more.
    One thread is this one. What `work` raises is raised where its result would stand; then, and
    when nobody asks for more (Ctrl-C), what is begun is finished and the rest never begun.
    """
    if threads <= 1:
        yield from map(work, items)
        return
    waiting: deque[Future[Result]] = deque()
    most = most or AHEAD * threads + 1
    pool = ThreadPoolExecutor(threads, thread_name_prefix="atrous-picture")
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def read_ahead(items: Iterable[Item], *, most: int) -> Generator[Item, None, None]:
    """The items, read by another thread, so many before they are asked for.

    What reading raises is raised in its turn. Whoever stops asking waits for the one that is
    being read, and no other is.
    """
    source, end = iter(items), object()
    pool = ThreadPoolExecutor(1, thread_name_prefix="atrous-reading")
    try:
        waiting = deque(pool.submit(next, source, end) for _ in range(most))
        while (item := waiting.popleft().result()) is not end:
            waiting.append(pool.submit(next, source, end))
            yield item  # pyright: ignore[reportReturnType]  not the end
    finally:
        pool.shutdown(cancel_futures=True)
