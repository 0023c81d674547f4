"""The output folder: whose results it holds, and which of them are finished.

That stands in JSON lines, in files of bounded length. Many processes, on one machine or several,
write to one folder without talking to each other: each appends to files of its own. A line is
written after the files of its image, so an image without a complete line is not finished and is
computed again, and one with a line is whole.
"""

import json
import os
import shutil
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import torch

from mmpfcn.formats.atomic_files import append_line
from mmpfcn.formats.inputs import Input, Stems
from mmpfcn.formats.panoptic_png import write_atomic
from mmpfcn.formats.videos import is_video

RECORDS = 'records'
RUN = 'run.json'


class Output(NamedTuple):
    """Where results go, and this process's share of the work."""

    folder: Path
    instances: bool
    pictures: bool
    alpha: float
    track: bool  # things of a video keep their numbers
    rank: int
    world_size: int


def open_output(folder: Path, settings: dict, overwrite: bool) -> Output:
    """Make the folder, or go on in one that the same model and options have begun.

    ``settings`` are everything on which the results depend; ValueError where the folder has some of
    others, unless it is begun anew with ``overwrite``.
    """
    rank, world_size = process_of_run()
    folder.mkdir(parents=True, exist_ok=True)
    begun = folder / RECORDS / RUN
    if overwrite and world_size > 1:
        raise ValueError('--overwrite: empty the folder before you start several processes')
    if overwrite:
        shutil.rmtree(folder / RECORDS, ignore_errors=True)
    try:
        before = dict(json.loads(begun.read_bytes())) if begun.is_file() else settings
    except (TypeError, ValueError) as error:
        raise ValueError(f'{begun} is damaged ({error}): --overwrite begins anew') from error
    changed = [key for key in settings if before.get(key) != settings[key]]
    if changed:
        raise ValueError(
            f'{folder} holds results with another {" and ".join(changed)}: choose another '
            '--out-dir, or --overwrite'
        )
    write_atomic(begun, json.dumps(settings).encode())
    kept = (settings[key] for key in ('instances', 'pictures', 'alpha', 'track'))
    return Output(folder, *kept, rank, world_size)


def process_of_run() -> tuple[int, int]:
    """(number of this process, number of processes), from what torchrun or Slurm's srun set.

    The processes never wait for each other, so one that is killed stops no other. (A batch script
    of Slurm has SLURM_NTASKS as well, but is one process.)
    """
    for rank, world_size in (('RANK', 'WORLD_SIZE'), ('SLURM_PROCID', 'SLURM_STEP_NUM_TASKS')):
        if rank in os.environ and world_size in os.environ:
            return int(os.environ[rank]), int(os.environ[world_size])
    return 0, 1


def device_of_process() -> str | None:
    """The GPU that belongs to this process of several on a machine; None leaves the choice."""
    local_rank = os.environ.get('LOCAL_RANK', os.environ.get('SLURM_LOCALID'))
    if process_of_run()[1] == 1 or local_rank is None or not torch.cuda.is_available():
        return None
    return f'cuda:{int(local_rank) % torch.cuda.device_count()}'


MAX_LINES = 1000  # images in a file


def is_moving(item: Input) -> bool:
    """Whether it is a camera or a video."""
    return isinstance(item.source, int) or is_video(item.source)


def path_of(item: Input) -> str:
    """What tells an input from all others: its absolute path, or its address."""
    return item.name if '://' in item.name else os.path.abspath(item.name)


def identity(item: Input) -> dict:
    """Of a file: path, size and time; another in its place has another."""
    path = path_of(item)
    try:
        status = os.stat(path)
    except OSError:  # an address, or it is not there
        return dict(path=path)
    return dict(path=path, size=status.st_size, time=status.st_mtime_ns)


class Records(Collection):
    """The finished inputs of an output folder, in their order.

    A record is that of an input if path, size and time of the file are the same; the latest counts.
    Records of others in the folder, which is made if it is not there, are left alone.
    """

    def __init__(self, folder: Path, inputs: list[Input]) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._inputs = inputs
        self._numbers = {path_of(item): number for number, item in enumerate(inputs)}
        self._stems: dict[str, str] = {}
        self._begun: dict[str, dict] = {}
        self._places: dict[int, tuple[Path, int]] = {}
        self._failures: dict[int, dict] = {}
        self._file: IO[bytes] | None = None
        self._lines = 0
        self.read()

    def read(self) -> None:
        """Look at all files again; other processes may have written to them."""
        for path in sorted(self.folder.glob('*.jsonl')):
            with path.open('rb') as file:
                start = 0
                for line in file:
                    if line.endswith(b'\n'):  # else the process was killed while it wrote
                        self._note(line, path, start)
                    start += len(line)

    def _note(self, line: bytes, path: Path, start: int) -> None:
        try:
            record = json.loads(line)
            source, stem = record['source'], record['stem']
            number = self._numbers.get(source['path'])
        except (ValueError, TypeError, KeyError):
            return  # damaged, as by a power cut: it is computed again
        if 'failed' not in record:
            self._stems[source['path']] = stem
        if number is None:
            return
        if 'failed' in record:
            self._failures[number] = record
        elif source == identity(self._inputs[number]):
            self._places[number] = path, start
        else:  # its files are those of another content
            self._places.pop(number, None)

    def named(self) -> list[Input]:
        """The inputs with stems that do not depend on what else is named: once used, they stay.

        Processes that start at different times agree: a stem that another has used is the one that
        this would have chosen.
        """
        stems, named = Stems(), []
        for stem in self._stems.values():
            stems.of_file(stem, False)
        for item in self._inputs:
            stem = self._stems.get(path_of(item))
            named.append(item._replace(stem=stem or stems.of_file(item.stem, is_moving(item))))
        return named

    def begin(self, inputs: Iterable[Input]) -> Iterator[Input]:
        """Hand inputs on, and remember what they are before they are read."""
        for item in inputs:
            self._begun[item.stem] = identity(item)
            yield item

    def __contains__(self, item: object) -> bool:
        return self._numbers.get(path_of(item)) in self._places

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[dict]:
        """The records, read from their files one by one."""
        for number in sorted(self._places):
            path, start = self._places[number]
            with path.open('rb') as file:
                file.seek(start)
                yield json.loads(file.readline())

    @property
    def failures(self) -> list[dict]:
        """``name`` and ``failed``, the message, of the images that could not be used."""
        numbers = sorted(set(self._failures) - set(self._places))
        return [self._failures[number] for number in numbers]

    @property
    def complete(self) -> bool:
        """Whether every input is finished or failed."""
        return len(self._places) + len(self.failures) == len(self._numbers)

    def add(self, record: dict) -> None:
        """Append a record, or a failure, of an input that was begun, as one line."""
        if self._file is None or self._lines == MAX_LINES:
            self.close()
            # the time makes names that no other start has, the process number those of its time
            name = f'{time.time_ns()}_{os.getpid()}.jsonl'
            self._file, self._lines = (self.folder / name).open('xb', buffering=0), 0
        record = dict(record, source=self._begun.pop(record['stem']))
        start = self._file.tell()
        line = json.dumps(record).encode() + b'\n'
        append_line(self._file, line)
        self._lines += 1
        self._note(line, Path(self._file.name), start)

    def close(self) -> None:
        if self._file is not None:
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None
