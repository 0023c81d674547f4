"""Names in files lead nowhere but below their folder."""

import pytest

from mmpfcn.formats.safe_names import safe_name


@pytest.mark.parametrize('name, expected', [('a.png', 'a.png'), ('b\\c//a..b.png', 'b/c/a..b.png')])
def test_a_relative_name(name, expected):
    assert safe_name(name, 'x.json: "file_name"') == expected


@pytest.mark.parametrize('name', ['', '.', '/a', '../a', 'a\\..\\b', 'c:a', 'a\0', 5, None])
def test_any_other_name_is_refused(name):
    with pytest.raises(ValueError, match='x.json: "file_name" is .* expected a name relative'):
        safe_name(name, 'x.json: "file_name"')
