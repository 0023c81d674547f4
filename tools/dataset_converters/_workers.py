"""Worker processes of the converters, which end on Ctrl-C and when the converter is killed."""

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor

import cv2

POLL_SECONDS = 0.5


def run_all(task: Callable, jobs: Sequence, workers: int, when_done: Callable[[], object]) -> None:
    """Call `task(job)` for every job; with more than one worker, in processes.

    The first error, in the order of jobs, is raised, and jobs that are not begun are dropped.
    """
    if workers == 1:
        for job in jobs:
            task(job)
            when_done()
        return
    # Not in the processes: threads that OpenCV has begun do not survive the fork, and a process
    # that ends them waits for ever.
    cv2.setNumThreads(1)
    with ProcessPoolExecutor(workers, initializer=_start_worker, initargs=(os.getpid(),)) as pool:
        try:
            for _ in pool.map(task, jobs):
                when_done()
        except BaseException:
            # The pool waits for the images in hand; a second Ctrl-C would break off that wait and
            # leave the processes behind.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            raise


def _start_worker(parent: int) -> None:
    """Leave Ctrl-C to the parent, and end when it ends: a killed parent cannot stop its pool."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)
