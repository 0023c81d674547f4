"""Tools in processes forked from one that has imported everything: 5 s less a start."""

import gc
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import torch
import torch.multiprocessing

from helpers import formatting

CONTEXT = multiprocessing.get_context('forkserver')
CONTEXT.set_forkserver_preload([
    'mmpfcn', 'mmpfcn.commands.processes', 'mmdet.engine',
    # what they import when they run
    'torch._dynamo', 'torch.utils.cpp_extension', 'torchvision', 'wcwidth', 'yapf.yapflib.yapf_api',
    'pytest',  # a process forked by pytest imports it again
])  # fmt: skip


def run_file(path: Path, arguments: tuple[str, ...], cwd: Path, environment: dict, log: Path | str) -> None:
    """What ``python PATH ARGUMENTS >>LOG 2>&1`` does in a folder."""
    gc.freeze()  # what was imported stays; mmengine collects garbage for each data set
    formatting.remember()
    os.chdir(cwd)
    os.environ.update(environment)
    with open(log, 'a') as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = [str(path), *arguments]
    sys.path.insert(0, str(path.parent))  # as Python does
    torch.set_num_threads(1)
    multiprocessing.set_start_method('fork', force=True)  # here it is forkserver
    runpy.run_path(str(path), run_name='__main__')


def run_processes(function: Callable, *arguments: object, number: int) -> None:
    """Call ``function(rank, *arguments)`` in each of as many processes; all must end well."""
    torch.multiprocessing.start_processes(function, arguments, nprocs=number, start_method='forkserver')


class Program:
    """A Python file that runs with ``arguments`` in ``cwd``, with what is used of ``subprocess.Popen``."""

    def __init__(self, path: Path, *arguments: object, cwd: Path, **environment: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._log = Path(self._folder.name, 'log')
        given = tuple(map(str, arguments)), cwd, environment, self._log
        self.process = CONTEXT.Process(target=run_file, args=(path, *given))
        self.process.start()

    @property
    def returncode(self) -> int | None:
        return self.process.exitcode

    @property
    def stdout(self) -> TextIO:
        return self._log.open()

    def poll(self) -> int | None:
        return self.returncode

    def communicate(self, timeout: float) -> tuple[str, None]:
        """Wait for its end; the output is that of both streams."""
        self.process.join(timeout)
        if self.process.is_alive():
            raise subprocess.TimeoutExpired(self.process.name, timeout)
        return self._log.read_text(), None

    def kill(self) -> None:
        self.process.kill()
