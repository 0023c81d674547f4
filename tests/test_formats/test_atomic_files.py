"""Files appear when they are complete."""

import pytest
from helpers.files import file_limit

from mmpfcn.formats.atomic_files import append_line, open_atomic, temporary_prefix, write_atomic


@pytest.mark.parametrize('name', ['a.png', 'x' * 251 + '.png', 'é' * 125 + '.json', '写' * 80])
def test_any_legal_name(tmp_path, name):
    write_atomic(tmp_path / 'folder' / name, b'content')
    assert [path.name for path in (tmp_path / 'folder').iterdir()] == [name]
    assert (tmp_path / 'folder' / name).read_bytes() == b'content'
    assert len(temporary_prefix(name).encode()) <= 202


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
