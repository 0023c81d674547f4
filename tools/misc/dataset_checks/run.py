"""All checks of a data set, its files in parallel."""

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import islice

import cv2
from tqdm import tqdm

from .annotations import check_categories, make_jobs, pair, read_json
from .images import Job, Result, check_image
from .problems import Findings, Problem
from .sources import Source, check_class_counts
from .statistics import Statistics

CHUNK = 8  # images that a process checks at a time
POLL_SECONDS = 0.5


def check_source(
    source: Source, model: Mapping, workers: int, findings: Findings
) -> Statistics | None:
    """Check a data set with all its files.

    Args:
        source: where it is.
        model: config of the model, for its class counts; may be empty.
        workers: number of processes.
        findings: where problems are added.

    Returns:
        What the data set holds; None if its JSON can not be used.
    """
    try:
        content = read_json(source.json)
    except (ValueError, OSError) as error:
        findings.add([Problem('json', str(error))])
        return None
    classes = check_categories(content['categories'], source.metainfo, source.json, findings)
    check_class_counts(model, classes, findings)
    pairs = pair(content, source.json, findings)
    jobs = make_jobs(pairs, classes, source.images, source.pngs, findings)
    statistics = Statistics(classes, source.scale_ranges)
    check = partial(check_image, num_things=classes.num_things, resized=source.resized())
    with tqdm(total=len(pairs), unit='image', disable=None, leave=False) as bar:
        for result in run_jobs(jobs, check, workers):
            findings.add(result.problems)
            statistics.add(result)
            bar.update()
    return statistics


def run_jobs(jobs: Iterable[Job], check: Callable[[Job], Result], workers: int) -> Iterator[Result]:
    """Results in order; a few chunks wait at a time, so that memory does not grow."""
    if workers == 1:
        yield from map(check, jobs)
        return
    # Before the fork: the processes share the cores already, and threads do not outlive a fork, so
    # that OpenCV would wait for them in the process for ever.
    cv2.setNumThreads(1)
    jobs = iter(jobs)
    with ProcessPoolExecutor(workers, initializer=_start_worker, initargs=(os.getpid(),)) as pool:
        waiting = deque()
        try:
            with _interrupts_held_back():
                pool.submit(os.getpid)  # starts the processes
            while True:
                while len(waiting) < 3 * workers and (chunk := list(islice(jobs, CHUNK))):
                    waiting.append(pool.submit(_check_chunk, check, chunk))
                if not waiting:
                    return
                yield from waiting.popleft().result()
        except BaseException:
            # The pool waits for the images in hand; a second Ctrl-C would break off that wait and
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


def _check_chunk(check: Callable[[Job], Result], chunk: list[Job]) -> list[Result]:
    return [check(job) for job in chunk]


def _start_worker(parent: int) -> None:
    """Leave Ctrl-C to the parent, and end when it ends: a killed parent cannot stop its pool."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)
