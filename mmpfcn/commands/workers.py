"""Worker processes of the tools, which end on Ctrl-C and when the tool is killed."""

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import islice

import cv2

POLL_SECONDS = 0.5


def map_in_processes(function: Callable, jobs: Iterable, workers: int, chunk: int = 1) -> Iterator:
    """Results of ``function(job)`` in the order of jobs; with one worker, in this process.

    A process gets a chunk of jobs at a time, and a few chunks wait, so that memory does not grow.
    The first error, in the order of jobs, is raised, and jobs that are not begun are dropped.
    """
    if workers == 1:
        yield from map(function, jobs)
        return
    # Before the fork: the processes share the cores already, and threads do not outlive a fork, so
    # that OpenCV would wait for them in the process for ever.
    cv2.setNumThreads(1)
    jobs = iter(jobs)
    with ProcessPoolExecutor(
        workers, multiprocessing.get_context('fork'), _start_worker, (os.getpid(),)
    ) as pool:
        waiting = deque()
        try:
            with _interrupts_held_back():
                pool.submit(os.getpid)  # starts the processes
            while True:
                while len(waiting) < 3 * workers and (part := list(islice(jobs, chunk))):
                    waiting.append(pool.submit(_call, function, part))
                if not waiting:
                    return
                yield from waiting.popleft().result()
        except BaseException:
            # The pool waits for the jobs in hand; a second Ctrl-C would break off that wait and
            # leave the processes behind.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            pool.shutdown(cancel_futures=True)
            raise


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Let Ctrl-C wait: a pool that is broken off while it starts waits for its processes for ever.

    (A signal mask does not do, because it is only that of one thread.)
    """
    interrupts = []
    before = signal.signal(signal.SIGINT, lambda *_: interrupts.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if interrupts:
        raise KeyboardInterrupt


def _call(function: Callable, jobs: list) -> list:
    return [function(job) for job in jobs]


def _start_worker(parent: int) -> None:
    """Leave Ctrl-C to the parent, and end when it ends: a killed parent cannot stop its pool."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)
