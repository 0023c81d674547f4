"""Files of LabelMe and of VIA."""

import json
from functools import partial

import numpy as np
import pytest
from helpers import own_data
from helpers.own_data import assert_names, failure, in_base64, made, photo, run

TOOL = 'polygons_panoptic'
SIZE = (40, 60)  # of the images
ALL = ['--things', 'car', 'person', '--stuff', 'road', 'sky']
labelme = partial(own_data.labelme, version='5.5.0', flags={}, imageData=None, size=SIZE)


def box(label, x1, y1, x2, y2, group=None, kind='rectangle'):
    corners = [[x1, y1], [x2, y2]]
    if kind == 'polygon':
        corners = [[x1, y1], [x2, y1], [x2, y2], [x1, y2]]
    return dict(label=label, points=corners, group_id=group, shape_type=kind, flags={})


def via_box(x, y, width, height, **attributes):
    shape = dict(name='rect', x=x, y=y, width=width, height=height)
    return dict(shape_attributes=shape, region_attributes=attributes)


def via(path, regions, project=True):
    entry = dict(filename='a.jpg', size=1234, regions=regions, file_attributes={})
    entries = {'a.jpg1234': entry}
    path.write_text(json.dumps(dict(_via_img_metadata=entries) if project else entries))
    return path


@pytest.fixture
def data(tmp_path):
    photo(tmp_path / 'train' / 'a.jpg', *SIZE)
    return tmp_path


def convert(data, annotations='train', *arguments, classes=ALL):
    where = data / 'train', data / annotations, '--out', data / 'annotations'
    run(TOOL, *where, '--workers', 1, '--overwrite', *classes, *arguments)
    return made(data / 'annotations', 'train')


def fail(data, annotations='train', *arguments, classes=ALL):
    where = data / 'train', data / annotations
    return failure(TOOL, *where, *classes, *arguments, out=data / 'annotations')


def expected(*boxes):
    """Boxes (label, x1, y1, x2, y2) painted in order."""
    labels = np.full(SIZE, '', object)
    for label, x1, y1, x2, y2 in boxes:
        labels[y1:y2, x1:x2] = label
    return labels.tolist()


@pytest.mark.parametrize('kind', ['rectangle', 'polygon'])
def test_labelme_later_shapes_lie_on_top(data, kind):
    labelme(
        data / 'train' / 'a.json', box('sky', 0, 0, 60, 10, kind=kind),
        box('road', 0, 25, 60, 40, kind=kind), box('car', 5, 20, 25, 35, kind=kind),
        box('car', 15, 22, 40, 38, kind=kind), box('sky', 50, 10, 60, 20, kind=kind),
        box('person', 18, 24, 20, 30, kind=kind),
    )  # fmt: skip
    assert convert(data).labels('a.jpg').tolist() == expected(
        ('sky', 0, 0, 60, 10), ('road', 0, 25, 60, 40), ('car1', 5, 20, 25, 35),
        ('car2', 15, 22, 40, 38), ('sky', 50, 10, 60, 20), ('person1', 18, 24, 20, 30),
    )  # fmt: skip


def test_labelme_groups_void_and_background(data):
    """A car behind a pole, and a person with the same group number."""
    labelme(
        data / 'train' / 'a.json',
        box('car', 5, 20, 15, 30, group=1),
        box('car', 20, 20, 30, 30, group=1),
        box('car', 40, 20, 50, 30, group=2),
        box('person', 0, 0, 4, 4, group=1),
    )
    assert convert(data).labels('a.jpg').tolist() == expected(
        ('car1', 5, 20, 15, 30), ('car1', 20, 20, 30, 30), ('car2', 40, 20, 50, 30), ('person1', 0, 0, 4, 4),
    )  # fmt: skip
    shapes = box('car', 5, 20, 25, 35), box('ignore', 20, 20, 30, 40), box('person', 28, 0, 32, 24)
    labelme(data / 'train' / 'a.json', *shapes)
    classes = ['--things', 'car', 'person', '--background', 'ground', '--void', 'ignore']
    result = convert(data, classes=classes)
    assert result.labels('a.jpg').tolist() == expected(
        ('ground', 0, 0, 60, 40), ('car1', 5, 20, 25, 35), ('', 20, 20, 30, 40), ('person1', 28, 0, 32, 24),
    )  # fmt: skip
    named = [(c['name'], c['isthing']) for c in result.data['categories']]
    assert named == [('car', 1), ('person', 1), ('ground', 0)]


def test_labelme_circles_and_masks(data):
    circle = dict(label='car', points=[[30, 20], [30, 35]], shape_type='circle', group_id=None)
    bitmap = np.random.default_rng(0).integers(0, 2, (6, 8), np.uint8)
    bitmap[0, 0] = 1
    mask = dict(box('person', 2, 3, 9, 8, kind='mask'), mask=in_base64(bitmap * 255))
    mask['points'] = [[2.0, 3.0], [9.0, 8.0]]
    labelme(data / 'train' / 'a.json', circle, mask)
    labels = convert(data).labels('a.jpg')
    assert abs((labels == 'car1').sum() / (np.pi * 15**2) - 1) < 0.02
    assert labels[20, 16] == labels[20, 44] == labels[6, 30] == 'car1' != labels[20, 46]
    assert ((labels == 'person1')[3:9, 2:10] == bitmap).all()


def test_labelme_finds_its_image(tmp_path):
    """By imagePath, as Windows writes it too, then by the file's name; folders agree."""
    for name in ('a/1.jpg', 'b/1.png', 'b/2.jpeg'):
        photo(tmp_path / 'train' / name, *SIZE)
    labelme(tmp_path / 'json' / 'a' / 'x.json', box('car', 0, 0, 9, 9), image='..\\..\\a\\1.jpg')
    labelme(tmp_path / 'json' / 'b' / '1.json', box('person', 0, 0, 9, 9), image='1.png')
    labelme(tmp_path / 'json' / 'b' / '2.json', box('road', 0, 0, 9, 9), image='old-name.jpg')
    result = convert(tmp_path, 'json')
    found = {name: result.labels(name)[0, 0] for name in result.ids}
    assert found == {'a/1.jpg': 'car1', 'b/1.png': 'person1', 'b/2.jpeg': 'road'}


@pytest.mark.parametrize('project', [True, False])
def test_via_shapes(data, project):
    corners = dict(name='polygon', all_points_x=[0, 60, 60, 0], all_points_y=[0, 0, 10, 10])
    circle = dict(name='circle', cx=30, cy=25, r=12)
    ellipse = dict(name='ellipse', cx=10, cy=25, rx=9, ry=3, theta=np.pi / 2)
    regions = [
        dict(shape_attributes=corners, region_attributes=dict(type='sky')),
        dict(shape_attributes=circle, region_attributes=dict(type='car')),
        dict(shape_attributes=ellipse, region_attributes=dict(type='person')),
        via_box(50, 20, 10, 10, type={'road': True, 'sky': False}),
    ]
    via(data / 'via.json', regions, project)
    labels = convert(data, 'via.json').labels('a.jpg')
    assert (labels[:10] == 'sky').all() and (labels[10:12] != 'sky').all()
    assert (labels[20:30, 50:] == 'road').all() and (labels == 'road').sum() == 100
    assert abs((labels == 'car1').sum() / (np.pi * 12**2) - 1) < 0.03
    rows, columns = np.nonzero(labels == 'person1')
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (16, 33, 7, 12)  # upright


def test_ellipses_turn_as_in_via(data):
    """From x towards y, which goes down: the long axis runs from top left to bottom right."""
    ellipse = dict(name='ellipse', cx=30, cy=20, rx=16, ry=3, theta=np.pi / 4)
    regions = [dict(shape_attributes=ellipse, region_attributes=dict(type='car'))]
    via(data / 'via.json', regions)
    labels = convert(data, 'via.json').labels('a.jpg')
    assert labels[29, 39] == labels[10, 20] == 'car1'
    assert labels[10, 39] == labels[29, 20] == ''


def test_via_needs_to_know_the_attribute(data):
    regions = [via_box(0, 0, 9, 9, type='car', owner='me')]
    via(data / 'via.json', {'0': regions[0]})  # VIA 1 writes a dict
    message = fail(data, 'via.json')
    assert 'via.json' in message and 'type, owner' in message and '--attribute' in message
    result = convert(data, 'via.json', '--attribute', 'type')
    assert result.labels('a.jpg').tolist() == expected(('car1', 0, 0, 9, 9))


def test_other_versions_of_via_are_named(data):
    (data / 'via3.json').write_text('{"project": {"pid": "x"}, "file": {}, "metadata": {}}')
    message = fail(data, 'via3.json')
    assert 'via3.json' in message and 'VIA 2' in message


def test_labels_are_shown_when_no_classes_are_given(data):
    labelme(data / 'train' / 'a.json', *[box('car', 0, 0, 9, 9)] * 3, box('cra', 0, 0, 9, 9))
    message = fail(data, classes=[])
    assert 'Labels found: car (3), cra (1)' in message and '--things' in message


CAR = box('car', 0, 0, 9, 9)


def drawn(*shapes, name='a.json', **options):
    return lambda data: labelme(data / 'train' / name, *shapes, **options)


def written(text):
    return lambda data: (data / 'train' / 'a.json').write_text(text)


def both(*spoils):
    return lambda data: [spoil(data) for spoil in spoils]


@pytest.mark.parametrize('spoil, parts', [
    (drawn(box('cra', 0, 0, 9, 9)), ['a.json', "'cra'", "--void 'cra'"]),
    (drawn(dict(CAR, shape_type='line')), ['a.json: shape 1 (car)', 'line', 'no area']),
    (drawn(dict(CAR, points=None)), ['a.json: shape 1 (car)', 'x, y points']),
    (drawn(CAR, size=(80, 120)), ['a.json was drawn on 120 x 80', 'a.jpg is 60 x 40']),
    (drawn(CAR, name='z.json', image='z.jpg'), ['z.json', "'z.jpg'", 'add the image']),
    (both(drawn(CAR), drawn(CAR, name='z.json')), ['a.json', 'z.json', 'same image']),
    (both(drawn(CAR), lambda data: photo(data / 'train' / 'b.jpg')),
     ['without drawings: b.jpg', '--skip-unannotated']),
    (written('{"images": []}'), ['a.json has no "shapes"', 'LabelMe']),
    (written('{"shapes": ['), ['a.json is not valid JSON', 'export it again']),
])  # fmt: skip
def test_labelme_mistakes_are_named(data, spoil, parts):
    spoil(data)
    assert_names(fail(data), parts)


@pytest.mark.parametrize('regions, parts', [
    ([via_box(0, 0, 9, 9)], ['region attributes (none)', '--attribute']),
    ([via_box(0, 0, 9, 9, type='')], ['a.jpg: region 1 has no', 'choose one']),
    ([via_box(0, 0, 9, 9, type='cra')], ["label 'cra' in a.jpg", '--void']),
    ([dict(via_box(0, 0, 9, 9, type='car'), shape_attributes=dict(name='point', cx=1, cy=2))],
     ['region 1 is a point', 'no area']),
])  # fmt: skip
def test_via_mistakes_are_named(data, regions, parts):
    via(data / 'via.json', regions)
    assert_names(fail(data, 'via.json'), ['via.json', *parts])
