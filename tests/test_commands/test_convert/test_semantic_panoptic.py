"""PNGs of class ids alone."""

import numpy as np
import pytest
from helpers.own_data import failure, grid, made, photo, run, save
from scipy import ndimage

TOOL = 'semantic_panoptic'
CLASSES = grid("""
    7 26 26 7 7 24
    7 26 7 7 24 7
    0 7 7 26 7 7
    26 7 7 26 24 24
""")
LISTED = ['--things', 'car=26', 'person=24', '--stuff', 'road=7', '--void', 0]


@pytest.fixture
def data(tmp_path):
    photo(tmp_path / 'train' / 'city' / 'a.jpg')
    save(tmp_path / 'classes' / 'city' / 'a.png', CLASSES)
    return tmp_path


def convert(data, *arguments):
    where = data / 'train', data / 'classes', '--out', data / 'annotations'
    run(TOOL, *where, '--workers', 1, *arguments)
    return made(data / 'annotations', 'train')


def test_things_are_crowds(data, capsys):
    labels = convert(data, *LISTED).labels('city/a.jpg')
    expected = {26: 'car crowd', 24: 'person crowd', 7: 'road', 0: ''}
    assert labels.tolist() == [[expected[value] for value in row] for row in CLASSES.tolist()]
    message = 'warning: classes that have crowd regions, but no objects to learn from (2): '
    assert message + 'car, person' in capsys.readouterr().out


def test_connected_regions_are_objects(data):
    """Corners connect, and stuff stays one segment however many regions it has."""
    assert convert(data, *LISTED, '--connected-components').labels('city/a.jpg').tolist() == [
        ['road', 'car1', 'car1', 'road', 'road', 'person1'],
        ['road', 'car1', 'road', 'road', 'person1', 'road'],
        ['', 'road', 'road', 'car2', 'road', 'road'],
        ['car3', 'road', 'road', 'car2', 'person2', 'person2'],
    ]


def test_as_many_objects_as_regions(tmp_path):
    classes = np.random.default_rng(3).integers(0, 4, (60, 80), np.uint8)
    photo(tmp_path / 'train' / 'a.jpg', 60, 80)
    save(tmp_path / 'classes' / 'a.png', classes)
    listed = ['--things', 'car=1', 'person=2', '--stuff', 'road=3', '--void', 0]
    result = convert(tmp_path, *listed, '--connected-components')
    ids, segments = result.ids['a.jpg'], result.segments['a.jpg']
    for value in (1, 2):
        count = ndimage.label(classes == value, np.ones((3, 3)))[1]
        own = [s['id'] for s in segments if s['category_id'] == value]
        assert len(own) == count > 20
        assert (np.isin(ids, own) == (classes == value)).all()
    assert ((ids == 0) == (classes == 0)).all()


def test_another_choice_is_another_conversion(data):
    convert(data, *LISTED)
    with pytest.raises(SystemExit, match='--overwrite'):
        convert(data, *LISTED, '--connected-components')


def test_mistakes_are_named(data):
    where = data / 'train', data / 'classes'
    out = data / 'annotations'
    message = failure(TOOL, *where, *LISTED[:-2], out=out)
    assert 'city/a.png' in message and '--void 0' in message
    save(data / 'classes' / 'city' / 'a.png', CLASSES.T)
    message = failure(TOOL, *where, *LISTED, out=out)
    assert 'city/a.png is 4 x 6' in message and 'city/a.jpg is 6 x 4' in message
    (data / 'classes' / 'city').rename(data / 'classes' / 'town')
    message = failure(TOOL, *where, *LISTED, out=out)
    assert 'class ids without image: town/a.png' in message and 'sub-folders included' in message
