"""Logits of tiles that neighbouring parts of a scene need, each worked at once."""

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock

from atrous.predict.tiles.cuts import Region
from atrous.types import GridLogits

KEPT = 256 << 20  # bytes: a dozen tiles of 2048 pixels, more than one part leaves to the next


class Shared:
    """`shared(tile, work)`: what work gives for a tile, from memory if it was asked for lately.

    Threads may ask for one at once: the first works, the others wait for it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._answers: OrderedDict[tuple[int, int], Future[GridLogits]] = OrderedDict()

    def __call__(self, tile: Region, work: Callable[[Region], GridLogits]) -> GridLogits:
        key = tile[0].start, tile[1].start
        with self._lock:
            answer, mine = self._answers.get(key), Future()
            if answer is None:
                self._answers[key] = mine
        if answer is not None:
            return answer.result()
        try:
            mine.set_result(work(tile))
        except BaseException as error:
            with self._lock:
                del self._answers[key]
            mine.set_exception(error)
        else:
            self._forget()
        return mine.result()

    def _forget(self) -> None:
        """Let go of the oldest, while all that are there hold too much."""
        with self._lock:
            done = {key: of.result().nbytes for key, of in self._answers.items() if of.done()}
            held = sum(done.values())
            for key, size in done.items():
                if held <= KEPT:
                    break
                del self._answers[key]
                held -= size
