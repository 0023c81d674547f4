"""The timer, the meters of memory and the table of all benchmarks of parts."""

import argparse
import multiprocessing
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from statistics import median
from typing import TypeVar

import torch
from benchmarking.memory import MEBIBYTE, resident
from benchmarking.report import table, table_line
from torch import Tensor

from mmpfcn.commands.options import from_1

T = TypeVar('T')


def add_size(parser: argparse.ArgumentParser, height: int, width: int) -> None:
    parser.add_argument('--size', type=from_1, nargs=2, default=[height, width], metavar=('H', 'W'))


def print_rows(rows: Iterable[dict[str, str]]) -> None:
    """Each as soon as it is measured; a new table where the columns change."""
    columns = None
    for row in rows:
        if list(row) != columns:
            columns = list(row)
            print(f'\n{table(columns, [])}')
        print(table_line(row.values()), flush=True)


def take_turns(steps: Mapping[T, Callable[[], object]], rounds: int) -> dict[T, list[float]]:
    """Milliseconds of every step in every round, after one that does not count."""
    times = {name: [] for name in steps}
    for number in range(rounds + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if number:
                times[name].append(1000 * (time.perf_counter() - start))
    return times


def medians(steps: Mapping[T, Callable[[], object]], rounds: int) -> dict[T, float]:
    return {name: median(times) for name, times in take_turns(steps, rounds).items()}


def peak_growth(step: Callable[[], object]) -> float:
    """MiB that a step adds to the memory of a fork of this process."""
    context = multiprocessing.get_context('fork')
    receiver, sender = context.Pipe(duplex=False)

    def run() -> None:
        before = resident('VmRSS')  # where the fork's VmHWM starts
        step()
        sender.send(resident('VmHWM') - before)

    process = context.Process(target=run)
    process.start()
    sender.close()  # so that recv() ends when the process does
    growth = receiver.recv()
    process.join()
    return growth


def kept_by_autograd(step: Callable[[], object], known: Iterable[Tensor] = ()) -> float:
    """MiB that are held for the backward pass of what a step returns, besides known tensors."""
    alive = weakref.WeakSet()

    class Box:
        def __init__(self, tensor: Tensor) -> None:
            self.tensor, self.storage = tensor, tensor.untyped_storage()
            alive.add(self)

    with torch.autograd.graph.saved_tensors_hooks(Box, lambda box: box.tensor):
        result = step()
    sizes = {box.storage.data_ptr(): box.storage.nbytes() for box in alive}
    del result
    for tensor in known:
        sizes.pop(tensor.untyped_storage().data_ptr(), None)
    return sum(sizes.values()) / MEBIBYTE
