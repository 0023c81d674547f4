"""Names that a file gives for other files, as paths below a folder."""

import re
from pathlib import PurePosixPath


def safe_name(name: object, where: str) -> str:
    """A name from a file as a relative path with forward slashes; a backslash is a separator.

    Whatever writes below a folder under a name that comes from a file asks here first: the
    converters, the files of the metric, predictions. ``folder / '/etc/x'`` is ``/etc/x``.

    Args:
        name: what the file has.
        where: the file and its field, for the message.

    Raises:
        ValueError: no text, empty, absolute, with a drive letter, or with ``..``.
    """
    text = name.replace('\\', '/') if isinstance(name, str) else ''
    path = PurePosixPath(text)
    if (
        not path.name
        or path.is_absolute()
        or '..' in path.parts
        or '\0' in text
        or re.match('[A-Za-z]:', text)
        or re.search('[\ud800-\udbff\ude00-\udfff]', text)  # halves of letters, as no disk has them
    ):
        raise ValueError(
            f'{where} is {name!r}, expected a name relative to its folder, without "..", "/" in '
            'front or a drive letter: shorten it'
        )
    return path.as_posix()
