"""Files that are complete or not there: nothing half-written is left under a name."""

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import IO

LONGEST_NAME = 200  # bytes of a file's name that its temporary name repeats


def write_atomic(path: str | Path, content: bytes) -> None:
    """Write a file under a temporary name, then rename it; folders are made."""
    with open_atomic(path) as file:
        file.write(content)


@contextmanager
def open_atomic(path: str | Path) -> Iterator[IO[bytes]]:
    """A file to write to, which gets its name when it is complete; folders are made.

    A process that is killed (-9) meanwhile leaves what :func:`delete_partial` removes.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=temporary_prefix(path.name), dir=path.parent)
    try:
        with os.fdopen(handle, 'wb') as file:
            yield file
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException as error:
        os.unlink(temporary)
        if isinstance(error, OSError) and error.filename is None:  # such as of a full disk
            error.filename = str(path)
        raise


def delete_partial(paths: Iterable[Path]) -> None:
    """Remove what processes that were killed left of these files under temporary names."""
    ours = {(path.parent, temporary_prefix(path.name)) for path in paths}
    for folder in {folder for folder, _ in ours}:
        for path in folder.glob('.*'):
            if (folder, path.name.rpartition('.')[0] + '.') in ours:
                path.unlink(missing_ok=True)


def require_writable(path: str | Path) -> None:
    """Raise OSError where a file can not be written here; nothing is left behind, also no folder.

    For what takes long and writes at its end.
    """
    path = Path(path).absolute()
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    with suppress(FileNotFoundError, NotADirectoryError):
        os.lstat(path)  # no right to look, or a name that is too long
    folder = next(folder for folder in path.parents if os.path.lexists(folder))
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(folder)) from error


def temporary_prefix(name: str) -> str:
    """How the temporary name of a file starts: ``.<name>.``, or a hash of a name that is long.

    A name may have 255 bytes on most file systems, which leaves no room for more.
    """
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = hashlib.sha1(os.fsencode(name)).hexdigest()
    return f'.{name}.'


def append_line(file: FileIO, line: bytes) -> None:
    """Write a line to the end of an unbuffered file, or nothing of it and raise OSError."""
    end = os.fstat(file.fileno()).st_size
    if file.write(line) != len(line):  # what is left must not become the start of another
        file.truncate(end)
        file.seek(end)
        raise OSError(f'{file.name} could not be written: the disk is full')
