"""Processes of the tools; Ctrl-C and kills are in the tests of the tools."""

import os

import pytest

from mmpfcn.commands.workers import map_in_processes


def square(number: int) -> tuple[int, int]:
    if number == 7:
        raise ValueError('no 7')
    return number * number, os.getpid()


@pytest.mark.parametrize('workers, chunk', [(1, 1), (2, 1), (3, 4)])
def test_results_come_in_order(workers, chunk):
    found = list(map_in_processes(square, iter([5, 1, 4, 2, 3]), workers, chunk))
    assert [value for value, _ in found] == [25, 1, 16, 4, 9]
    processes = {process for _, process in found}
    assert (processes == {os.getpid()}) == (workers == 1) and len(processes) <= workers


@pytest.mark.parametrize('workers', [1, 2])
def test_the_first_error_is_raised_after_the_results_before_it(workers):
    results = map_in_processes(square, [1, 2, 7, 3], workers)
    assert [next(results)[0], next(results)[0]] == [1, 4]
    with pytest.raises(ValueError, match='no 7'):
        next(results)
