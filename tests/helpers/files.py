"""What tests do with files: read, compare and damage them."""

import json
import os
import resource
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def read_json(path: Path) -> dict | list:
    return json.loads(path.read_text())


@contextmanager
def edited(path: Path) -> Iterator[dict]:
    """The content of a JSON, to be changed in place."""
    content = read_json(path)
    yield content
    path.write_text(json.dumps(content))


def contents(folder: Path) -> dict[str, bytes]:
    """Of all files below a folder, by relative path."""
    files = [path for path in sorted(folder.rglob('*')) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def tree(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder: contents by relative path, None for folders."""
    folders = (path for path in folder.rglob('*') if path.is_dir())
    names = {str(path.relative_to(folder)): None for path in folders}
    return {**names, **contents(folder)}


def times(folder: Path) -> dict[Path, int]:
    """When everything below a folder was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob('*')}


def cut(path: Path, part: float = 0.5) -> None:
    """Leave the first part of a file, as a broken copy does."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])


@contextmanager
def without_privileges() -> Iterator[None]:
    """Be nobody for a while: root may write everywhere."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def claim(path: Path, side: int) -> None:
    """Write into the header of a PNG that it is larger than its pixels, which are few."""
    content = path.read_bytes()
    header = content[12:16] + struct.pack('>II', side, side) + content[24:29]
    path.write_bytes(content[:12] + header + struct.pack('>I', zlib.crc32(header)) + content[33:])


@contextmanager
def file_limit(num_bytes: int) -> Iterator[None]:
    """Files may not grow beyond it, which stands for a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
