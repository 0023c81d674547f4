"""Names that a file gives for other files, as paths below a folder: one rule for all that write."""

import hashlib
import os
import re
from collections.abc import Hashable
from pathlib import Path, PurePosixPath

LONGEST_NAME = 255  # bytes that file systems take for a name without its folders


def name_below(name: str, longest: int = LONGEST_NAME) -> str:
    """A name as a path below a folder: no root, drive or ``..``, a backslash is a separator.

    ``folder / '/etc/x'`` is ``/etc/x``. A name that has to be changed gets a hash of what it was,
    so that ``../a.png``, ``/a.png`` and ``a.png`` are three files. Parts longer than ``longest``
    bytes are cut. Raises ValueError where nothing is left.
    """
    text = re.sub('[\ud800-\udc7f\udd00-\udfff]', '?', name)  # halves of letters
    parts = PurePosixPath(re.sub('^[A-Za-z]:', '', text.replace('\\', '/'))).parts
    kept = PurePosixPath(*(part for part in parts if part not in ('/', '//', '..')))
    if not kept.name or '\0' in name:
        raise ValueError(f'{name!r} is no name of a file: give it one, in a JSON as file_name')
    if kept == PurePosixPath(name) and max(map(_bytes, kept.parts)) <= longest:
        return str(kept)
    end = f'-{hashlib.sha1(name.encode(errors="surrogatepass")).hexdigest()[:8]}{kept.suffix[:20]}'
    folders = (_cut(part, longest) for part in kept.parent.parts)
    return str(PurePosixPath(*folders, _cut(kept.stem, longest - _bytes(end)) + end))


def distinct(name: Hashable, taken: set) -> Hashable:
    """A name or id; one that is ``taken`` gets _2, _3 ... before its ending, and is taken then.

    Images of several files may have the same ones: the next of 7 is '7_2', of a/b.png a/b_2.png.
    """
    root, end = os.path.splitext(str(name))
    number, unique = 1, name
    while unique in taken:
        number += 1
        unique = f'{root}_{number}{end}'
    taken.add(unique)
    return unique


def _bytes(name: str) -> int:
    return len(os.fsencode(name))


def _cut(name: str, longest: int) -> str:
    return os.fsencode(name)[:longest].decode(errors='ignore')


def safe_name(name: object, where: str, folder: Path | None = None) -> str:
    """A name from a file as a path with forward slashes that :func:`name_below` leaves as it is.

    Whatever is looked up under its name before something is written asks here: the converters.
    A backslash is no separator where ``folder`` holds a file of exactly this name. ``where`` is the
    file and its field, for the ValueError of other names.
    """
    text = name if isinstance(name, str) else ''
    slashed = text.replace('\\', '/')
    try:
        safe = name_below(slashed) == str(PurePosixPath(slashed))
    except ValueError:
        safe = False
    if not safe:
        raise ValueError(
            f'{where} is {name!r}, expected a name relative to its folder, without "..", "/" in '
            'front or a drive letter: shorten it'
        )
    literal = folder is not None and text != slashed and (folder / text).is_file()
    return str(PurePosixPath(text if literal else slashed))
