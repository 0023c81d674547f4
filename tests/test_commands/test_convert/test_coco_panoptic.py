"""COCO instances, with stuff as a second JSON or as PNGs."""

import json

import numpy as np
import pytest
from helpers.files import edited, read_json
from helpers.oracle import coco200
from helpers.own_data import assert_names, failure, made, photo, run, save
from panopticapi.evaluation import pq_compute_single_core
from pycocotools import mask as mask_utils

from mmpfcn.formats import read_panoptic_png

TOOL = 'coco_panoptic'
SIZE = (20, 30)  # of the images
NUM_PHOTOS = 30  # of COCO
THINGS = [dict(id=3, name='car'), dict(id=1, name='person')]
STUFF = [dict(id=92, name='sky'), dict(id=7, name='road'), dict(id=183, name='other')]
BOXES = [(1, 10, 8, 14, 12), (3, 2, 5, 22, 15), (3, 18, 10, 28, 17), (1, 0, 0, 12, 7)]
"""category, x1, y1, x2, y2; the first lies inside the second, which overlaps the others."""
LABELS = np.full(SIZE, '', object)
LABELS[5:15, 2:22] = 'car1'
LABELS[0:7, 0:12] = 'person1'
LABELS[10:17, 18:28] = 'car2'
LABELS[8:12, 10:14] = 'person2'


def polygon(x1, y1, x2, y2):
    return [[x1, y1, x2, y1, x2, y2, x1, y2]]


def bitmap(x1, y1, x2, y2):
    mask = np.zeros(SIZE, np.uint8, order='F')
    mask[y1:y2, x1:x2] = 1
    return mask


def counts(*corners):
    """RLE as crowds have it."""
    pixels = bitmap(*corners).ravel(order='F')
    starts = np.flatnonzero(np.diff(pixels)) + 1
    runs = np.diff([0, *starts, len(pixels)]).tolist()
    return dict(size=list(SIZE), counts=[0, *runs] if pixels[0] else runs)


def compressed(*corners):
    rle = mask_utils.encode(bitmap(*corners))
    return dict(rle, counts=rle['counts'].decode())


def write(path, categories, shapes, crowd=(), form=polygon, image='a.jpg'):
    """A COCO file of shapes (category id, x1, y1, x2, y2); those in crowd are crowds."""
    annotations = [
        dict(id=100 + i, image_id=7, category_id=category, segmentation=form(*corners),
             iscrowd=int(i in crowd), bbox=[0, 0, 1, 1], area=1)
        for i, (category, *corners) in enumerate(shapes)
    ]  # fmt: skip
    images = [dict(id=7, file_name=image, height=SIZE[0], width=SIZE[1])]
    content = dict(images=images, annotations=annotations, categories=categories)
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def data(tmp_path):
    photo(tmp_path / 'val' / 'a.jpg', *SIZE)
    write(tmp_path / 'things.json', THINGS, BOXES)
    return tmp_path


def convert(data, *arguments):
    where = data / 'val', data / 'things.json', '--out', data / 'annotations'
    run(TOOL, *where, '--workers', 1, '--overwrite', *arguments)
    return made(data / 'annotations', 'val')


def fail(data, *arguments, out='annotations'):
    return failure(TOOL, data / 'val', data / 'things.json', *arguments, out=data / out)


@pytest.mark.parametrize('form', [polygon, counts, compressed])
def test_smaller_objects_lie_on_top(data, form):
    write(data / 'things.json', THINGS, BOXES, form=form)
    result = convert(data)
    assert result.labels('a.jpg').tolist() == LABELS.tolist()
    named = [(c['id'], c['name'], c['isthing']) for c in result.data['categories']]
    assert named == [(3, 'car', 1), (1, 'person', 1)]
    assert result.data['images'][0]['id'] == 7


def test_neither_order_nor_size_lifts_a_crowd(data):
    write(data / 'things.json', THINGS, BOXES[::-1])
    assert convert(data).labels('a.jpg').tolist() == LABELS.tolist()
    # Although this one is small.
    write(data / 'things.json', THINGS, [*BOXES, (1, 12, 10, 17, 18)], crowd=[4])
    expected = LABELS.copy()
    crowd = bitmap(12, 10, 17, 18).astype(bool) & (LABELS == '')
    expected[crowd] = 'person crowd'
    assert crowd.sum() == 15
    assert convert(data).labels('a.jpg').tolist() == expected.tolist()


def with_stuff():
    """LABELS with a sky above a road that leave some void."""
    expected = LABELS.copy()
    below = np.full(SIZE, '', object)
    below[0:6] = 'sky'
    below[12:18] = 'road'
    expected[LABELS == ''] = below[LABELS == '']
    return expected.tolist()


def test_stuff_of_a_second_file_or_of_pngs(data):
    """In several pieces, with the things left out as "other"."""
    shapes = [(92, 0, 0, 30, 3), (92, 0, 3, 30, 6), (7, 0, 12, 30, 18), (183, 5, 5, 9, 9)]
    file = write(data / 'stuff.json', STUFF, shapes)
    result = convert(data, '--stuff-json', file, '--void', 'other')
    assert result.labels('a.jpg').tolist() == with_stuff()
    names = [(c['id'], c['name'], c['isthing']) for c in result.data['categories']]
    assert names == [(3, 'car', 1), (1, 'person', 1), (92, 'sky', 0), (7, 'road', 0)]
    values = np.zeros(SIZE, np.uint8)
    values[0:6], values[12:18], values[8, 8] = 92, 7, 183
    save(data / 'maps' / 'a.png', values)
    classes = ['--things', 'person', 'car', '--stuff', 'sky=92', 'road=7']
    classes += ['--stuff-png', data / 'maps']
    result = convert(data, *classes, '--void', 0, 183)
    assert result.labels('a.jpg').tolist() == with_stuff()
    assert result.category('road') == 7 and result.category('car') == 3
    message = fail(data, *classes, out='other')
    assert 'maps/a.png has the values 0, 183' in message and '--void 0 183' in message


def test_stuff_in_one_file_with_things_or_with_ids_that_collide(data):
    """As tools without panoptic export write it: one file for all classes."""
    write(data / 'things.json', [*THINGS, *STUFF], [(92, 0, 0, 30, 6), (7, 0, 12, 30, 18), *BOXES])
    classes = ['--things', 'car', 'person', '--stuff', 'sky', 'road']
    assert convert(data, *classes).labels('a.jpg').tolist() == with_stuff()
    # Both files number their classes from 1.
    write(data / 'things.json', THINGS, BOXES)
    stuff = [dict(id=1, name='sky'), dict(id=2, name='road')]
    file = write(data / 'stuff.json', stuff, [(1, 0, 0, 30, 6), (2, 0, 12, 30, 18)])
    result = convert(data, '--stuff-json', file)
    assert result.labels('a.jpg').tolist() == with_stuff()
    assert [result.category(name) for name in ('car', 'person', 'sky', 'road')] == [3, 1, 4, 5]


def test_background_and_objects_that_vanish(data, capsys):
    """Equal outlines, and an outline of two points, which other tools take for a box."""
    write(data / 'things.json', THINGS, [*BOXES, BOXES[0]])
    with edited(data / 'things.json') as content:
        flat = dict(content['annotations'][0], id=999, segmentation=[[1, 1, 20, 20]])
        content['annotations'].append(flat)
    assert convert(data).labels('a.jpg').tolist() == LABELS.tolist()
    assert '2 of 6 objects are left out' in capsys.readouterr().out
    # A class of --void is void; what nothing covers is background.
    result = convert(data, '--things', 'person', '--background', 'ground', '--void')
    expected = np.full(SIZE, 'ground', object)
    expected[np.isin(LABELS, ['car1', 'car2'])] = ''
    expected[LABELS == 'person1'], expected[LABELS == 'person2'] = 'person1', 'person2'
    assert result.labels('a.jpg').tolist() == expected.tolist()
    assert [c['name'] for c in result.data['categories']] == ['person', 'ground']


def test_every_form_of_a_segmentation_is_the_same_object(data):
    square = polygon(2, 3, 12, 9)[0]
    pairs = [[x, y] for x, y in zip(square[::2], square[1::2], strict=True)]
    rle = counts(2, 3, 12, 9)
    for form in (square, pairs, [[square]], [pairs], [rle], [compressed(2, 3, 12, 9)]):
        write(data / 'things.json', THINGS, [(1, form)], form=lambda form: form)
        assert [s['area'] for s in convert(data).segments['a.jpg']] == [60]


def test_other_json_files_are_named(data):
    for content, part in (
        ('[]', 'is not a COCO file'),
        ('{"images": [], "annotations": [{"segments_info": []}], "categories": []}', 'panoptic'),
        ('{', 'is not valid JSON'),
    ):
        (data / 'things.json').write_text(content)
        message = fail(data)
        assert 'things.json' in message and part in message


def test_two_images_of_one_id_are_named(data):
    content = json.loads((data / 'things.json').read_text())
    content['images'].append(dict(content['images'][0], file_name='other.jpg'))
    (data / 'things.json').write_text(json.dumps(content))
    assert 'images a.jpg and other.jpg have the same id' in fail(data)


NOTHING = ('images', {})


def first(**changes):
    """Of the first annotation."""
    return 'annotations', changes


@pytest.mark.parametrize('changes, arguments, parts', [
    (NOTHING, ['--things', 'car'], ['annotation 100', "'person'", '--void']),
    (NOTHING, ['--things', 'cat'], ["'cat' is not among", 'things.json has car, person']),
    (NOTHING, ['--things', 'car', '--background', 'car'], ['cannot be the background']),
    (NOTHING, ['--stuff-json', 'nowhere.json'], ['nowhere.json is not a file']),
    (('images', dict(file_name='b.jpg')), [], ['val lacks b.jpg', 'things.json']),
    (('images', dict(width=31)), [], ['a.jpg is 30 x 20', 'says 31 x 20']),
    (first(segmentation=[]), [], ['annotation 100 (person) has no segmentation', 'box']),
    (first(category_id=9), [], ['annotation 100 has category 9', 'add it']),
    (first(image_id=8), [], ['annotation 100 is of image 8', 'remove']),
    (first(segmentation=dict(size=[30, 20], counts=[600])), [],
     ['a.jpg', 'annotation 100 is 20 x 30', '30 x 20']),
    (first(segmentation=dict(size=[20, 30], counts=[5, 5, 5, 5])), [],
     ['annotation 100 covers 20 pixels', '= 600']),
    (first(segmentation=[[1, 2, 3, float('nan')]]), [], ['100', 'finite']),
    (first(category_id=None), [], ['annotation 100', '"category_id" is None']),
    (('images', dict(file_name='../val/a.jpg')), [], ['"file_name"', "'../val/a.jpg'"]),
    (('images', dict(file_name='C:\\val\\a.jpg')), [], ['"file_name"', 'drive letter']),
])  # fmt: skip
def test_mistakes_are_named(data, changes, arguments, parts):
    part, values = changes
    with edited(data / 'things.json') as content:
        content[part][0].update(values)
    assert_names(fail(data, *arguments), parts)


def test_real_instances_become_the_real_panoptic_things(tmp_path):
    """COCO's instances and PNGs of its stuff, against its panoptic ground truth."""
    photos = coco200()
    source = photos / 'annotations' / 'panoptic_val2017.json'
    truth = read_json(source)
    truth['annotations'] = truth['annotations'][:NUM_PHOTOS]
    instances = read_json(source.parent / 'instances_val2017.json')
    kept = {annotation['image_id'] for annotation in truth['annotations']}
    instances['images'] = [r for r in instances['images'] if r['id'] in kept]
    instances['annotations'] = [a for a in instances['annotations'] if a['image_id'] in kept]
    (tmp_path / 'instances.json').write_text(json.dumps(instances))
    categories = {c['id']: c for c in truth['categories']}
    for annotation in truth['annotations']:
        ids = read_panoptic_png(source.with_suffix('') / annotation['file_name'])
        values = np.zeros(ids.shape, np.uint8)
        for segment in annotation['segments_info']:
            if not categories[segment['category_id']]['isthing']:
                values[ids == segment['id']] = segment['category_id']
        save(tmp_path / 'stuff' / annotation['file_name'], values)
    classes = tmp_path / 'classes.json'
    classes.write_text(json.dumps(truth['categories']))
    stuff = '--stuff-png', tmp_path / 'stuff', '--classes', classes, '--void', 0, '--workers', 1
    run(TOOL, photos / 'val2017', tmp_path / 'instances.json', '--out', tmp_path, *stuff)
    result = made(tmp_path, 'val2017')
    own = {annotation['image_id']: annotation for annotation in result.data['annotations']}
    pairs = [(annotation, own[annotation['image_id']]) for annotation in truth['annotations']]
    pq = pq_compute_single_core(0, pairs, source.with_suffix(''), tmp_path / 'panoptic_val2017', categories)
    assert sum(pq[key].tp for key in categories) > 200
    things, _ = pq.pq_average(categories, isthing=True)
    stuff, _ = pq.pq_average(categories, isthing=False)
    assert things['rq'] == stuff['rq'] == 1  # every object and region is found, nothing else
    assert things['pq'] > 0.998 and stuff['pq'] > 0.998
