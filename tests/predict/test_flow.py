"""Pictures in flight: order, bounds, errors, and a predictor that threads share."""

import threading
import time
from itertools import count

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.classes import Classes
from atrous.predict.flow import AHEAD, in_flight, lanes_for, read_ahead
from atrous.predict.predictor import Predictor
from atrous.types import Grid


@given(st.lists(st.integers()), st.integers(1, 5))
def test_results_are_those_of_map_in_its_order(items, threads):
    assert [*in_flight(lambda item: item * 2, items, threads=threads)] == [i * 2 for i in items]


def test_slow_items_do_not_change_the_order():
    def work(item):
        time.sleep(0.02 * (item % 3 == 0))
        return item

    assert [*in_flight(work, range(12), threads=4)] == [*range(12)]


def test_an_endless_stream_is_read_only_so_far_ahead():
    read = count()
    results = in_flight(lambda item: item, read, threads=3)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert next(read) <= 5 + AHEAD * 3 + 1
    results.close()


def test_so_many_are_begun_and_no_more():
    read = count()
    results = in_flight(lambda item: item, read, threads=3, most=5)
    assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
    assert next(read) == 4 + 5 - 1
    results.close()


def test_items_are_read_ahead_in_order_by_another_thread():
    def source():
        for item in range(20):
            readers.add(threading.get_ident())
            read.append(item)
            yield item

    readers, read = set(), []
    items = read_ahead(source(), most=3)
    assert next(items) == 0
    rest = [*items]
    assert rest == [*range(1, 20)] == read[1:] and readers != {threading.get_ident()}
    assert len(readers) == 1


def test_reading_ahead_ends_with_its_error_and_with_whoever_stops_asking():
    def source():
        for item in count():
            if item == 30:
                raise ValueError("the thirty-first")
            read.append(item)
            yield item

    read: list[int] = []
    items = read_ahead(source(), most=3)
    assert [next(items) for _ in range(10)] == [*range(10)]
    assert len(read) <= 10 + 3
    with pytest.raises(ValueError, match="the thirty-first"):
        list(items)
    items = read_ahead(count(), most=3)
    next(items)
    items.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("atrous-reading")]


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_comes_in_its_turn_and_ends_the_rest(threads):
    begun = []

    def work(item):
        begun.append(item)
        if item == 4:
            raise ValueError("the fifth")
        return item

    results = in_flight(work, range(1000), threads=threads)
    assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="the fifth"):
        next(results)
    assert len(begun) < 40


def test_whoever_stops_asking_waits_for_what_is_begun_and_no_more():
    begun, ended = [], []

    def work(item):
        begun.append(item)
        time.sleep(0.02)
        ended.append(item)

    results = in_flight(work, range(1000), threads=3)
    next(results)
    results.close()
    assert sorted(begun) == sorted(ended) and len(begun) < 20
    assert not [t for t in threading.enumerate() if t.name.startswith("atrous-picture")]


def test_lanes_are_no_more_than_pictures_or_threads():
    assert [lanes_for(4, pictures=pictures) for pictures in (1, 9, 0)] == [1, 4, 1]
    assert [lanes_for(4), lanes_for(64), lanes_for(64, pictures=100)] == [4, 8, 8]


class Watched:
    """An engine that knows how many are in it at once."""

    grid, bands, dtype = Grid(1), 3, "uint8"

    def __init__(self, lanes):
        self.lanes = self.threads = lanes
        self.inside, self.most = 0, 0
        self.lock = threading.Lock()

    def __call__(self, images):
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        time.sleep(0.003)
        with self.lock:
            self.inside -= 1
        return images.transpose(0, 3, 1, 2).astype(np.float32)


@pytest.mark.parametrize("lanes", [1, 2])
def test_threads_share_a_predictor_and_no_more_are_in_the_engine_than_it_has_lanes(lanes):
    engine = Watched(lanes)
    predictor = Predictor(engine, Classes(("r", "g", "b")))  # pyright: ignore[reportArgumentType]
    pictures = [np.random.default_rng(i).integers(0, 256, (5, 7, 3), np.uint8) for i in range(30)]
    masks = [*in_flight(lambda p: predictor(p).mask, pictures, threads=6)]
    assert all(np.array_equal(m, p.argmax(2)) for m, p in zip(masks, pictures, strict=True))
    assert engine.most == lanes
