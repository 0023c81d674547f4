"""What is finished in an output folder: JSON lines in files of bounded length.

Many processes, on one machine or several, write to one folder without talking to each other: each
appends to files of its own. A line is written after the files of its image, so an image without a
complete line is not finished and is computed again, and one with a line is whole.
"""

import json
import os
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO

MAX_LINES = 1000
"""Images in a file."""


class Records(Collection):
    """The finished images of an output folder, in the order of the inputs.

    Args:
        folder: of the files; made if it is not there.
        stems: of all inputs, in order. Records of other images in the folder are left alone.

    Raises:
        OSError: the folder can not be made.
    """

    def __init__(self, folder: Path, stems: list[str]) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._numbers = {stem: number for number, stem in enumerate(stems)}
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
                        self._note(json.loads(line), path, start)
                    start += len(line)

    def _note(self, record: dict, path: Path, start: int) -> None:
        number = self._numbers.get(record['stem'])
        if number is None:
            return
        if 'failed' in record:
            self._failures[number] = record
        else:
            self._places.setdefault(number, (path, start))

    def __contains__(self, stem: object) -> bool:
        return self._numbers.get(stem) in self._places

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
        """Append a record, or a failure, as one line.

        Raises:
            OSError: the disk is full, say.
        """
        if self._file is None or self._lines == MAX_LINES:
            self.close()
            # the time makes names that no other start has, the process number those of its time
            name = f'{time.time_ns()}_{os.getpid()}.jsonl'
            self._file, self._lines = (self.folder / name).open('xb', buffering=0), 0
        start = self._file.tell()
        line = json.dumps(record).encode() + b'\n'
        written = self._file.write(line)
        if written != len(line):  # what is left of the line must not become the start of another
            self._file.truncate(start)
            raise OSError(f'{self._file.name} could not be written: the disk is full')
        self._lines += 1
        self._note(record, Path(self._file.name), start)

    def close(self) -> None:
        """Bring the current file to the disk."""
        if self._file is not None:
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None
