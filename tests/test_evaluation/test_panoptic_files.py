"""Names of a JSON never lead out of the folder that is written to."""

import numpy as np
import pytest

from mmpfcn.evaluation.panoptic_files import name_below, write_prediction


@pytest.mark.parametrize('name, expected', [
    ('a.png', 'a.png'),
    ('town/a.png', 'town/a.png'),
    ('/data/town/a.png', 'data/town/a.png'),
    ('../../a.png', 'a.png'),
    ('town/../../a.png', 'town/a.png'),
    ('C:\\data\\..\\a.png', 'data/a.png'),
    ('./a..b.png', 'a..b.png'),
])  # fmt: skip
def test_names_are_made_relative(name, expected, tmp_path):
    assert name_below(name) == expected
    write_prediction(str(tmp_path / 'out'), name, np.ones((2, 2), int), [1], [7])
    assert [path for path in tmp_path.rglob('*') if path.is_file()] == [tmp_path / 'out' / expected]


def test_an_absolute_name_overwrites_nothing(tmp_path):
    theirs = tmp_path / 'theirs.png'
    theirs.write_bytes(b'a photo')
    write_prediction(str(tmp_path / 'out'), str(theirs), np.ones((2, 2), int), [1], [7])
    assert theirs.read_bytes() == b'a photo'


@pytest.mark.parametrize('name', ['', '/', '..', '../..', 'a\0.png'])
def test_no_name_is_refused(name):
    with pytest.raises(ValueError, match='is no name of a file'):
        name_below(name)
