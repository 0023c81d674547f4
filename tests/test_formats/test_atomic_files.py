"""Files appear when they are complete."""

import pytest

from mmpfcn.formats.atomic_files import open_atomic, temporary_prefix, write_atomic


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
