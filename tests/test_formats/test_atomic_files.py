"""Files appear when they are complete."""

from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from helpers.files import file_limit, tree, without_privileges

from mmpfcn.formats.atomic_files import (
    append_line,
    delete_partial,
    open_atomic,
    require_writable,
    temporary_prefix,
    write_atomic,
)


@pytest.mark.parametrize('name', ['a.png', 'x' * 251 + '.png', 'é' * 125 + '.json', '写' * 80])
def test_any_legal_name(tmp_path, name):
    write_atomic(tmp_path / 'folder' / name, b'content')
    assert [path.name for path in (tmp_path / 'folder').iterdir()] == [name]
    assert (tmp_path / 'folder' / name).read_bytes() == b'content'
    assert len(temporary_prefix(name).encode()) <= 202


def test_what_killed_processes_left_of_these_files_is_removed(tmp_path):
    long = 'x' * 240 + '.png'
    for name in ('a.png', 'b.png', long):
        (tmp_path / f'{temporary_prefix(name)}abc_1234').touch()
    (tmp_path / 'a.png').touch()
    delete_partial([tmp_path / 'a.png', tmp_path / long, tmp_path / 'none' / 'c.png'])
    assert {path.name for path in tmp_path.iterdir()} == {'a.png', '.b.png.abc_1234'}


def test_a_failure_leaves_the_old_file(tmp_path):
    write_atomic(tmp_path / 'a', b'old')
    with pytest.raises(KeyboardInterrupt), open_atomic(tmp_path / 'a') as file:
        file.write(b'new')
        raise KeyboardInterrupt
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [('a', b'old')]


def test_a_full_disk_names_the_file_and_leaves_nothing(tmp_path):
    with file_limit(10), pytest.raises(OSError, match=f"'{tmp_path / 'a'}'$"):
        write_atomic(tmp_path / 'a', b'more than 10 bytes')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('mode', ['ab', 'xb'])
def test_a_line_is_written_whole_or_not_at_all(tmp_path, mode):
    with (tmp_path / 'a').open(mode, buffering=0) as file:
        append_line(file, b'first\n')
        with file_limit(10), pytest.raises(OSError, match='a could not be written: the disk is full'):
            append_line(file, b'second\n')
        append_line(file, b'third\n')
    assert (tmp_path / 'a').read_bytes() == b'first\nthird\n'


@pytest.mark.parametrize('name, error', [
    ('new', None),
    ('made/below/new', None),
    ('file', None),
    ('read only file', None),
    ('link to nothing', None),
    ('folder', IsADirectoryError),
    ('file/new', OSError),
    ('file/made/new', NotADirectoryError),
    ('link to nothing/new', OSError),
    ('closed/new', PermissionError),
    ('closed/made/new', PermissionError),
    ('closed/folder/new', PermissionError),
    ('x' * 256, OSError),
])  # fmt: skip
def test_what_can_not_be_written_is_known_before(name, error):
    with TemporaryDirectory() as folder, without_privileges_in(Path(folder)) as path:
        before = tree(path)
        if error is None:
            require_writable(path / name)
            assert tree(path) == before
            write_atomic(path / name, b'new')
            return
        for write in (require_writable, lambda target: write_atomic(target, b'new')):
            with pytest.raises(error):
                write(path / name)
            assert tree(path) == before


@contextmanager
def without_privileges_in(folder):
    """A place with files, links and folders, of which some are closed."""
    folder.chmod(0o755)
    place = folder / 'place'
    place.mkdir()
    for name, mode in (('folder', 0o777), ('closed/folder', 0o700), ('closed', 0o555)):
        (place / name).mkdir(parents=True, exist_ok=True)
        (place / name).chmod(mode)
    for name, mode in (('file', 0o666), ('read only file', 0o444)):
        (place / name).touch()
        (place / name).chmod(mode)
    (place / 'link to nothing').symlink_to('nothing')
    place.chmod(0o777)
    with without_privileges():
        yield place
    (place / 'closed').chmod(0o755)
