"""Items made in a thread."""

import threading
import time

import pytest

from mmpfcn.formats.read_ahead import read_ahead


def test_items_keep_their_order_and_errors_their_place():
    def items():
        yield from range(5)
        raise ValueError('torn')

    found = []
    with pytest.raises(ValueError, match='torn'):
        for item in read_ahead(items()):
            found.append(item)
    assert found == list(range(5))
    assert list(read_ahead(iter([]))) == []
    assert list(read_ahead(range(100), 3)) == list(range(100))


def test_no_more_is_made_than_was_asked_for():
    made = []
    items = read_ahead((made.append(n) or n for n in range(100)), number=2)
    assert next(items) == 0
    time.sleep(0.2)
    assert made == [0, 1, 2, 3]  # one used, two wait, one is in the hand
    items.close()
    assert len(made) == 4


def test_reading_and_use_overlap():
    def slow():
        for n in range(8):
            time.sleep(0.05)
            yield n

    start = time.perf_counter()
    for _ in read_ahead(slow()):
        time.sleep(0.05)
    assert time.perf_counter() - start < 8 * 0.1 * 0.8


def test_the_items_are_closed_and_the_thread_ends_with_the_iterator():
    ended, before = [], threading.active_count()

    def items():
        try:
            yield from range(100)
        finally:
            ended.append(threading.current_thread() is not threading.main_thread())

    ahead = read_ahead(items())
    assert next(ahead) == 0 and threading.active_count() == before + 1
    ahead.close()
    assert ended == [True] and threading.active_count() == before
