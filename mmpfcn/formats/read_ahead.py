"""Reading that does not let others wait."""

from collections.abc import Iterable, Iterator
from queue import Full, Queue
from threading import Event, Thread
from typing import TypeVar

T = TypeVar('T')
CLOSE_EVERY = 0.05  # seconds, after which a thread sees that nobody wants more


def read_ahead(items: Iterable[T], number: int = 1) -> Iterator[T]:
    """The items in their order, made in a thread while others are used.

    So many wait at most, and one more is being made. An error of the items is raised in its place.
    When the iterator is closed, the items are closed too, and the thread has ended.
    """
    queue: Queue[tuple[T | None, BaseException | None]] = Queue(number)
    unwanted = Event()

    def put(item: T | None, end: BaseException | None) -> bool:
        while not unwanted.is_set():
            try:
                queue.put((item, end), timeout=CLOSE_EVERY)
                return True
            except Full:
                continue
        return False

    def make() -> None:
        end: BaseException = StopIteration()
        iterator = iter(items)
        try:
            while put(next(iterator), None):
                pass
            getattr(iterator, 'close', lambda: None)()
        except BaseException as error:
            end = error
        put(None, end)

    thread = Thread(target=make, daemon=True)
    thread.start()
    try:
        while True:
            item, end = queue.get()
            if isinstance(end, StopIteration):
                return
            if end is not None:
                raise end
            yield item
    finally:
        unwanted.set()
        thread.join()
