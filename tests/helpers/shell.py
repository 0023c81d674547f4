"""Programs in processes of their own."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path


def run(*command: object, **options) -> subprocess.CompletedProcess:
    return subprocess.run([*map(str, command)], capture_output=True, text=True, **options)


def script(file: Path, text: str = 'exit 0') -> str:
    """A program of the shell; its path."""
    file.parent.mkdir(exist_ok=True)
    file.write_text(f'#!/bin/sh\n{text}\n')
    file.chmod(0o755)
    return str(file)


def children(process_id: int) -> list[int]:
    path = Path(f'/proc/{process_id}/task/{process_id}/children')
    return [int(text) for text in path.read_text().split()]


def environment(**changes: object) -> dict[str, str]:
    """That of these tests, for one thread, with changes."""
    return {**os.environ, 'OMP_NUM_THREADS': '1', **{k: str(v) for k, v in changes.items()}}


def free_port() -> str:
    with socket.create_server(('127.0.0.1', 0)) as probe:
        return str(probe.getsockname()[1])


def start(*command: object, **options) -> subprocess.Popen:
    """One that Ctrl-C reaches (a shell ignores it in the background), its output together."""
    streams = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    streams['preexec_fn'] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen([*map(str, command)], **(streams | options))


def wait_until(condition: Callable[[], bool], process: subprocess.Popen) -> None:
    """While the process runs, and not longer than two minutes."""
    end = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.stdout.read()[-3000:]
        assert time.monotonic() < end, 'nothing happened'
        time.sleep(0.005)
