"""Names of a JSON never lead out of the folder that is written to."""

from fnmatch import fnmatch

import numpy as np
import pytest

from mmpfcn.evaluation.panoptic_files import Wanted, name_predictions, write_prediction
from mmpfcn.formats.panoptic_png import read_panoptic_png
from mmpfcn.formats.safe_names import name_below


@pytest.mark.parametrize('name, expected', [
    ('a.png', 'a.png'),
    ('town/a.png', 'town/a.png'),
    ('/data/town/a.png', 'data/town/a-????????.png'),
    ('../../a.png', 'a-????????.png'),
    ('town/../../a.png', 'town/a-????????.png'),
    ('C:\\data\\..\\a.png', 'data/a-????????.png'),
    ('./a..b.png', 'a..b.png'),
])  # fmt: skip
def test_names_are_made_relative(name, expected, tmp_path):
    """What has to be changed gets a hash, so that it is no other image's name."""
    assert fnmatch(name_below(name), expected)
    write_prediction(str(tmp_path / 'out'), name, np.ones((2, 2), int), [1], [7])
    written = [path for path in tmp_path.rglob('*') if path.is_file()]
    assert written == [tmp_path / 'out' / name_below(name)]


def test_no_prediction_replaces_another(tmp_path):
    names = ['a.png', '../a.png', '/a.png', 'town/a.png', 'town\\a.png']
    for value, name in enumerate(names, 1):
        write_prediction(str(tmp_path), name, np.full((1, value), 1), [1], [7])
    shapes = {read_panoptic_png(str(tmp_path / name_below(name))).shape for name in names}
    assert shapes == {(1, value) for value in range(1, 6)}


def test_an_absolute_name_overwrites_nothing(tmp_path):
    theirs = tmp_path / 'theirs.png'
    theirs.write_bytes(b'a photo')
    write_prediction(str(tmp_path / 'out'), str(theirs), np.ones((2, 2), int), [1], [7])
    assert theirs.read_bytes() == b'a photo'


@pytest.mark.parametrize('name', ['', '/', '..', '../..', 'a\0.png'])
def test_no_name_is_refused(name):
    with pytest.raises(ValueError, match='is no name of a file'):
        name_below(name)


def test_images_of_joined_data_sets_have_names_and_ids_of_their_own():
    wanted = [Wanted(id_, name, True) for id_, name in ((7, 'a/7.png'), (8, '8.png'), (7, 'a/7.png'))]
    assert name_predictions(wanted) == [(7, 'a/7.png'), (8, '8.png'), ('7_2', 'a/7_2.png')]
    assert name_predictions([Wanted(i, 'x.png', True) for i in (1, 2)]) == [(1, 'x.png'), (2, 'x_2.png')]
    with pytest.raises(ValueError, match='images 1 and 2 both have the prediction x.png.*seg_file_name'):
        name_predictions([Wanted(i, 'x.png', False) for i in (1, 2)])
