"""Names from files stay below their folder, and two names are two files."""

import itertools

import pytest

from mmpfcn.formats.inputs import Stems
from mmpfcn.formats.safe_names import distinct, name_below, safe_name

SAFE = ['a.jpg', 'night/a.jpg', 'a..b/c...jpg', '.a', 'ü/' + 249 * 'x' + '.jpg']
LEADING_OUT = [
    '../a.jpg', '../../a.jpg', 'a/../../b.jpg', '/a.jpg', '/etc/a.jpg', '..\\a.jpg', 'C:\\a.jpg',
    'c:a.jpg', 'night/../a.jpg',
]  # fmt: skip
NO_NAMES = ['', '.', '/', '..', '../..', 'a\0.jpg']


@pytest.mark.parametrize('name', SAFE)
def test_what_is_safe_stays(name):
    assert name_below(name) == safe_name(name, 'x') == name


def test_every_name_is_a_file_of_its_own_below_the_folder(tmp_path):
    names = [*SAFE, *LEADING_OUT, 'night\\a.jpg', 'a_.jpg', 260 * 'y' + '.jpg', 260 * 'y' + '2.jpg']
    files = {name: tmp_path / 'out' / name_below(name) for name in names}
    for name, file in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
        assert file.suffix == ('' if name == '.a' else '.jpg') and '..' not in file.parts
    assert {file.read_text() for file in files.values()} == set(names)
    assert len([*tmp_path.rglob('*.*')]) >= len(names)
    assert all(path.is_relative_to(tmp_path / 'out') for path in tmp_path.rglob('*.jpg'))
    for file in files.values():  # asked again, as by the next writer
        assert name_below(str(file.relative_to(tmp_path / 'out'))) == str(file.relative_to(tmp_path / 'out'))


@pytest.mark.parametrize('name', [*LEADING_OUT, *NO_NAMES, 7, None, 256 * 'x'])
def test_what_leads_out_is_refused_where_files_are_looked_up(name):
    with pytest.raises(ValueError, match='x: "file_name" is .* expected a name relative to its'):
        safe_name(name, 'x: "file_name"')


@pytest.mark.parametrize('name', NO_NAMES)
def test_no_name(name):
    with pytest.raises(ValueError, match='is no name of a file'):
        name_below(name)


def test_a_backslash_is_a_separator_unless_a_file_is_called_so(tmp_path):
    assert safe_name('night\\a.jpg', 'x', tmp_path) == 'night/a.jpg'
    (tmp_path / 'night\\a.jpg').touch()
    assert safe_name('night\\a.jpg', 'x', tmp_path) == 'night\\a.jpg'
    (tmp_path / '..\\a.jpg').touch()  # on Windows it leads out
    with pytest.raises(ValueError, match='expected a name relative'):
        safe_name('..\\a.jpg', 'x', tmp_path)


def test_no_two_inputs_share_a_stem():
    given = ['a', '../a', '/a', 'a\\b', 'a/b', 300 * 'z', 300 * 'z', 300 * 'z' + '2']
    stems = Stems()
    found = [stems.of_file(stem, False) for stem in given]
    assert len(set(found)) == len(given)
    assert all(len(part.encode()) <= 249 for stem in found for part in stem.split('/'))
    for one, other in itertools.permutations(found, 2):
        assert not f'{one}.jpg'.startswith(f'{other}.jpg')


def test_names_and_ids_that_are_taken_get_numbers():
    taken = set()
    names = ['a/b.png', 'a/b.png', 7, 7, 'a/b_2.png', 'a/b.png', '', '', '7']
    expected = ['a/b.png', 'a/b_2.png', 7, '7_2', 'a/b_2_2.png', 'a/b_3.png', '', '_2', '7']
    assert [distinct(name, taken) for name in names] == expected
