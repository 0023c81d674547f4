"""What annotation files of this world hold: it gives pixels, or one line says what is wrong."""

import base64
import hashlib
import json
from functools import partial

import numpy as np
import pytest
from helpers.own_data import failure, in_base64, labelme, made, photo, run
from PIL import Image
from pycocotools import mask as mask_utils

from mmpfcn.commands.convert.fields import encode, field, parts_of

H, W = 30, 40
BOX = np.zeros((H, W), np.uint8)
BOX[6:20, 8:26] = 1
RUNS = np.diff([0, *(np.flatnonzero(np.diff(BOX.T.ravel())) + 1), H * W]).tolist()
CORNERS = [8, 6, 26, 6, 26, 20, 8, 20]
POINTS = [CORNERS[i : i + 2] for i in range(0, 8, 2)]
OUTSIDE = [x + 100 for x in CORNERS]
COMPRESSED = mask_utils.encode(np.asfortranarray(BOX))['counts'].decode()


@pytest.fixture
def images(tmp_path):
    for name in ('a.jpg', 'sub/b.jpg'):
        photo(tmp_path / 'img' / name, H, W)
    return tmp_path / 'img'


def annotation(**changes) -> dict:
    entry = dict(id=1, image_id=1, category_id=1, iscrowd=0, segmentation=[CORNERS])
    return {key: value for key, value in dict(entry, **changes).items() if value is not ...}


def coco(*annotations, images=None, categories=None) -> dict:
    images = images or [dict(id=1, file_name='a.jpg', height=H, width=W)]
    categories = categories or [dict(id=1, name='cat')]
    return dict(images=images, annotations=list(annotations), categories=categories)


def written(images, data):
    path = images.parent / 'in.json'
    path.write_text(json.dumps(data))
    return path


def convert(images, data, *arguments):
    out = images.parent / 'out'
    run('coco_panoptic', images, written(images, data), '--out', out, '--workers', 1, *arguments)
    return made(out, images.name)


def refusal(images, data, *arguments, tool='coco_panoptic') -> str:
    """One line, and nothing of a result."""
    message = failure(tool, images, written(images, data), *arguments, out=images.parent / 'out')
    assert '\n' not in message.split('\nNothing was written')[0]
    return message


@pytest.mark.parametrize('form', [
    [CORNERS], CORNERS, POINTS, [[CORNERS]], [POINTS], [[CORNERS, CORNERS]],
    dict(size=[H, W], counts=RUNS), [dict(size=[H, W], counts=RUNS)],
    dict(size=[H, W], counts=COMPRESSED), [CORNERS, dict(size=[H, W], counts=COMPRESSED)],
])  # fmt: skip
def test_forms_of_a_mask(form):
    assert np.array_equal(mask_utils.decode(encode(parts_of(form, 'x'), H, W, 'x')), BOX)


@pytest.mark.parametrize('form, message', [
    ([[1, 2, 3, 4, 5, 6, 7]], '7 numbers, expected x and y in turn'),
    ([[1, 2, 3, float('nan'), 5, 6]], 'finite numbers'),
    ([[1, 2, 3, 1e12, 5, 6]], 'finite numbers of at most 1048576'),
    ([[1, 2, '3', 4, 5, 6]], 'expected polygons'),
    ('a mask', 'expected polygons'),
    ([dict(x=1, y=2)], 'has no "size"'),
    (dict(size=[H, W]), '"counts" of the RLE is None'),
    (dict(size=[W, H], counts=RUNS), 'is 30 x 40, its image 40 x 30'),
    (dict(size=['a'], counts=RUNS), 'its image 40 x 30'),
    (dict(size=[H, W], counts=[5, 5, 5, 5]), 'covers 20 pixels, its image has 40 x 30'),
    (dict(size=[H, W], counts=[*RUNS, 1]), 'covers 1201 pixels'),
    (dict(size=[H, W], counts=[-5, 5 + H * W]), 'expected whole numbers from 0'),
    (dict(size=[H, W], counts=[0.5, 1199.5]), 'expected whole numbers from 0'),
    (dict(size=[H, W], counts='0'), 'covers 0 pixels'),
    (dict(size=[H, W], counts='o'), 'is cut off'),
    (dict(size=[H, W], counts='\x7f'), 'counts'),
])  # fmt: skip
def test_forms_that_are_refused(form, message):
    with pytest.raises(ValueError, match=message) as caught:
        encode(parts_of(form, 'file: annotation 7'), H, W, 'file: annotation 7')
    assert 'annotation 7' in str(caught.value)


@pytest.mark.parametrize('name, value, message', [
    ('name', '', "x: \"name\" is '', expected a number or a text that is not empty"),
    ('id', 10**30, 'expected a number or a text of at most 64 bits'),
])  # fmt: skip
def test_names_are_not_empty_and_ids_fit_into_64_bits(name, value, message):
    assert field({name: 'a'}, name, 'a number or a text', 'x') == 'a'
    with pytest.raises(ValueError, match=message):
        field({name: value}, name, 'a number or a text', 'x')


def test_compressed_runs_are_those_of_pycocotools():
    generator = np.random.default_rng(0)
    for _ in range(200):
        mask = (generator.random((H, W)) < generator.random()).astype(np.uint8)
        rle = mask_utils.encode(np.asfortranarray(mask))
        rle = dict(size=[H, W], counts=rle['counts'].decode())
        assert np.array_equal(mask_utils.decode(encode([rle], H, W, 'x')), mask)


@pytest.mark.parametrize('key', ['image_id', 'category_id'])
@pytest.mark.parametrize('value', [..., None, 1.5, True, [1]])
def test_a_field_of_an_annotation(images, key, value):
    message = refusal(images, coco(annotation(**{key: value})))
    assert 'in.json: annotation 1' in message and f'"{key}"' in message


@pytest.mark.parametrize('parts, words', [
    (dict(images=[dict(id=1)]), 'image 1 has no "file_name"'),
    (dict(images=[dict(file_name='a.jpg')]), 'image 1 has no "id"'),
    (dict(images=[7]), 'image 1 is 7, expected an object'),
    (dict(images=[dict(id=1, file_name='a.jpg', width='40')]), '"width" is \'40\''),
    (dict(categories=[dict(id=1)]), 'category 1 has no "name"'),
    (dict(categories=[dict(id=1, name=5)]), 'category 1: "name" is 5, expected a text'),
    (dict(categories=[dict(name='cat')]), 'category number 1 has no "id"'),
    (dict(categories=['cat']), "category number 1 is 'cat', expected an object"),
    (dict(categories=[dict(id=1, name='cat', supercategory=['x'])]), '"supercategory" is'),
    (dict(categories=[dict(id=1, name='cat', color='#ff0000')]), '"color" is \'#ff0000\''),
    (dict(categories=[dict(id=1, name='cat', color=[1, 2])]), '"color" is [1, 2], expected'),
    (dict(categories=[dict(id=1, name='cat', isthing='1')]), '"isthing" is \'1\', expected 1'),
    (dict(annotations=[7]), 'annotation number 1 is 7, expected an object'),
    (dict(annotations=[annotation(iscrowd='0')]), '"iscrowd" is \'0\', expected 0 or 1'),
])  # fmt: skip
def test_fields_of_images_and_categories(images, parts, words):
    message = refusal(images, dict(coco(annotation()), **parts))
    assert message.startswith(f'error: {images.parent / "in.json"}: ') and words in message


@pytest.mark.parametrize('wrong', [dict(color='red'), dict(name=3), dict(isthing='yes'), dict(id='x')])
def test_fields_of_a_class_file(images, wrong):
    classes = images.parent / 'classes.json'
    classes.write_text(json.dumps([dict(dict(name='cat', isthing=1), **wrong)]))
    message = refusal(images, coco(annotation()), '--classes', classes)
    assert 'classes.json: class 1' in message and f'"{next(iter(wrong))}" is' in message


PETS = dict(id=0, name='pets', supercategory='none')


@pytest.mark.parametrize('categories, used, names', [
    ([dict(id='1', name='cat')], '1', ['cat']),
    ([dict(id='1', name='cat', isthing=None, color=None)], 1, ['cat']),
    ([dict(id='c', name='cat'), dict(id='d', name='dog')], 'd', ['cat', 'dog']),
    ([dict(id=1, name='cat')] * 3, '1', ['cat']),
    ([dict(PETS, name='cat'), dict(id=1, name='cat', supercategory='cat')], 1, ['cat']),
    ([PETS, dict(id=1, name='cat', supercategory='pets')], 1, ['cat']),
])  # fmt: skip
def test_categories(images, categories, used, names):
    result = convert(images, coco(annotation(category_id=used, image_id='1'), categories=categories))
    assert [category['name'] for category in result.data['categories']] == names
    (segment,) = result.segments['a.jpg']
    assert segment['category_id'] == result.category(names[-1]) and segment['area'] == BOX.sum()
    assert type(segment['category_id']) is int


LFS = 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n'


@pytest.mark.parametrize(('text', 'words'), [(LFS, 'a Git LFS pointer'), ('[' * 99999, 'not valid JSON')])
def test_files_that_are_no_json(images, text, words):
    path = images.parent / 'in.json'
    path.write_text(text)
    for tool, more in (('coco_panoptic', []), ('polygons_panoptic', ['--things', 'cat'])):
        message = failure(tool, images, path, *more, out=images.parent / 'out')
        assert 'in.json is' in message and words in message
    (images / 'a.json').write_text(LFS)
    message = failure('polygons_panoptic', images, images, SKIP, out=images.parent / 'out')
    assert 'a.json is a Git LFS pointer' in message


def digests(folder) -> dict:
    return {p: hashlib.md5(p.read_bytes()).hexdigest() for p in folder.rglob('*.jpg')}


def test_names_never_lead_out_of_the_output(images):
    photo(images.parent / 'c.jpg', H, W)
    photo(images / 'sub\\c.jpg', H, W)  # as Linux unpacks what Windows packed
    before = digests(images.parent)
    for name, kept in (('sub\\b.jpg', 'sub/b.jpg'), ('sub\\c.jpg', 'sub\\c.jpg')):
        entry = dict(id=1, file_name=name, height=H, width=W)
        result = convert(images, coco(annotation(), images=[entry]), '--overwrite')
        assert [*result.segments] == [kept]
    for name in ('../c.jpg', str(images / 'a.jpg'), str(images.parent / 'c.jpg'), 'C:\\c.jpg'):
        entry = dict(id=1, file_name=name, height=H, width=W)
        path = written(images, coco(annotation(), images=[entry]))
        message = failure('coco_panoptic', images, path, out=images.parent / 'other')
        assert '"file_name"' in message and 'c.jpg' in message or 'a.jpg' in message
    assert digests(images.parent) == before


def test_images_of_one_png_are_refused(images):
    photo(images / 'a.png', H, W)
    entries = [dict(id=i, file_name=f'a.{end}') for i, end in enumerate(('jpg', 'png'), 1)]
    message = refusal(images, coco(annotation(), annotation(image_id=2), images=entries))
    assert 'a.jpg and a.png have the same PNG name' in message


def test_the_images_are_not_replaced_by_the_output(images):
    folder = images.rename(images.parent / 'panoptic_img')
    path, before = written(images, coco(annotation())), digests(folder)
    with pytest.raises(SystemExit, match='choose another --out or --name'):
        run('coco_panoptic', folder, path, '--out', images.parent, '--name', 'img', '--overwrite')
    assert digests(folder) == before


def test_what_no_pixel_shows_is_counted_and_named(images, capsys):
    """Objects and stuff, outside and covered; all of it in the JSON, and said again."""
    data = coco(
        annotation(),
        annotation(id=2, segmentation=[OUTSIDE]),
        annotation(id=3, segmentation=[[1, 1, 5, 5]]),
        annotation(id=4, category_id=2),
        annotation(id=5, category_id=2, segmentation=[OUTSIDE]),
        annotation(id=6, category_id=2, segmentation=[[0, 0, 4, 0, 4, 4, 0, 4]]),
        categories=[dict(id=1, name='cat'), dict(id=2, name='sky')],
    )
    arguments = '--things', 'cat', '--stuff', 'sky'
    for _ in range(2):
        result = convert(images, data, *arguments)
        text = capsys.readouterr().out
        assert '2 of 3 objects are left out' in text and '2 of 3 stuff regions are left' in text
        assert 'a.jpg: annotation 4 (covered)' in text
    outside = '(outside of the image, or without area)'
    assert result.data['info']['left_out'] == {
        'objects': [3, [f'a.jpg: annotation {i} {outside}' for i in (2, 3)]],
        'stuff regions': [3, ['a.jpg: annotation 4 (covered)', f'a.jpg: annotation 5 {outside}']],
    }


POLYGON = dict(name='polygon', all_points_x=CORNERS[::2], all_points_y=CORNERS[1::2])


def via(*shapes, **attributes) -> dict:
    regions = [dict(shape_attributes=shape, region_attributes=attributes) for shape in shapes]
    return {'a.jpg1': dict(filename='a.jpg', regions=regions)}


VIA = dict(tool='polygons_panoptic')
SKIP = '--skip-unannotated'


def test_via_without_an_attribute(images):
    path, out = written(images, via(POLYGON)), images.parent / 'out'
    run('polygons_panoptic', images, path, '--things', 'balloon', '--out', out, SKIP)
    assert [s['area'] for s in made(out, 'img').segments['a.jpg']] == [BOX.sum()]
    two = dict(out=images.parent / 'two')
    message = failure('polygons_panoptic', images, path, SKIP, '--things', 'a', 'b', **two)
    assert '--attribute NAME, or, without any, give exactly one class' in message


@pytest.mark.parametrize('shape, words', [
    (dict(name='polygon', all_points_x=[1, 2, 3]), 'has no "all_points_y"'),
    (dict(name='rect', x=1, y=2, width=3), 'has no "height"'),
    (dict(name='circle', cx=1, cy='2', r=3), '"cy" is \'2\', expected a number'),
    (dict(name='circle', cx=1, cy=2, r=1e30), '"r" is 1e+30, expected a number'),
    (dict(name='polyline', all_points_x=[1, 9, 9], all_points_y=[1, 1, 9]), 'has no area'),
    (dict(name='point', cx=1, cy=2), 'has no area'),
    (dict(POLYGON, all_points_y=[1, 2]), '4 x and 2 y'),
    (dict(POLYGON, all_points_y=[1, 2, 3, float('nan')]), 'finite numbers'),
    ({}, 'is a None'),
])  # fmt: skip
def test_regions_that_are_refused(images, shape, words):
    message = refusal(images, via(shape, kind='cat'), SKIP, '--things', 'cat', **VIA)
    assert 'in.json: a.jpg: region 1' in message and words in message


labelme = partial(labelme, size=(H, W))


def run_labelme(images, out, *arguments):
    arguments = '--things', 'cat', '--out', out, SKIP, '--workers', 1, *arguments
    run('polygons_panoptic', images, images, *arguments)
    return made(out, 'img')


MASK = dict(label='cat', shape_type='mask', points=[[3, 3], [9, 7]])


def test_ellipses_closed_lines_and_the_output_beside_the_input(images, capsys):
    labelme(
        images / 'a.json',
        dict(label='cat', shape_type='ellipse', points=[[2, 2], [18, 12]]),
        dict(label='cat', shape_type='linestrip', points=[[22, 2], [34, 2], [34, 12], [22, 2]]),
    )
    areas = [s['area'] for s in run_labelme(images, images / 'annotations').segments['a.jpg']]
    assert areas == pytest.approx([np.pi * 8 * 5, 60], abs=14)
    run_labelme(images, images / 'annotations')
    assert 'already complete' in capsys.readouterr().out


@pytest.mark.parametrize('shape, words', [
    (dict(MASK, mask=None), '"mask" is None'),
    (dict(MASK, mask='no'), 'no image in base64'),
    (dict(MASK, mask=base64.b64encode(b'no').decode()), 'no image in base64'),
    (dict(points=POINTS), 'has no "label"'),
    (dict(label='cat', points=[[1, 1], [9, 1]]), 'has no area'),
    (dict(label='cat', points=[[1, 1], [9, None], [9, 9]]), 'no list of x, y points'),
    (dict(label='cat', points=[[1, 1], [9, 1e9], [9, 9]]), 'no list of x, y points'),
    (dict(label='cat', shape_type='line', points=[[1, 1], [9, 1]]), 'has no area'),
    (dict(label='cat', shape_type='point', points=[[1, 1]]), 'has no area'),
    ('cat', "is 'cat', expected an object"),
])  # fmt: skip
def test_shapes_that_are_refused(images, shape, words):
    labelme(images / 'a.json', shape)
    message = failure('polygons_panoptic', images, images, '--things', 'cat', SKIP, out=images.parent / 'out')
    assert 'a.json: shape 1' in message and words in message


@pytest.mark.parametrize('x, y, area', [(3, 3, 24), (-2, -1, 12), (37, 28, 6), (50, 3, 0)])
def test_a_mask_of_labelme(images, capsys, x, y, area):
    mask = in_base64(np.full((4, 6), 255, np.uint8))
    labelme(images / 'a.json', dict(MASK, points=[[x, y], [x + 6, y + 4]], mask=mask))
    result = run_labelme(images, images.parent / 'out')
    assert sum(s['area'] for s in result.segments['a.jpg']) == area
    assert ('1 of 1 objects are left out' in capsys.readouterr().out) == (area == 0)


def test_shapes_without_area_and_without_pixels_are_counted(images, capsys):
    square = dict(label='cat', points=POINTS)
    labelme(
        images / 'a.json', square, dict(label='cat', shape_type='point', points=[[1, 1]]),
        dict(square, points=[[x + 50, y] for x, y in POINTS]), square,
    )  # fmt: skip
    result = run_labelme(images, images.parent / 'out', '--skip-without-area')
    assert [s['area'] for s in result.segments['a.jpg']] == [BOX.sum()]
    text = capsys.readouterr().out
    assert '1 shapes without area are left out' in text and 'shape 2 (cat) is a point' in text
    assert '2 of 3 objects are left out' in text and 'a.jpg: shape 1 (cat) (covered)' in text
    assert 'a.jpg: shape 3 (cat) (outside of the image' in text


def test_images_that_are_only_in_the_file_are_written_beside_the_output(images, capsys):
    pixels = np.random.default_rng(0).integers(0, 256, (H, W, 3), np.uint8)
    square = dict(label='cat', points=POINTS)
    labelme(images / 'a.json', square)
    labelme(images / 'sub' / 'c.json', square, imageData=in_base64(pixels))
    before = sorted(images.rglob('*')), digests(images)
    out = images.parent / 'out'
    for more in ([], [], ['--overwrite']):
        result = run_labelme(images, out, *more)
    assert [*result.segments] == ['a.jpg', 'sub/c.jpg']
    assert [[s['area'] for s in segments] for segments in result.segments.values()] == [[252]] * 2
    folder = out / 'panoptic_img.images'
    assert np.array_equal(np.array(Image.open(folder / 'sub' / 'c.jpg')), pixels)
    assert (folder / 'a.jpg').read_bytes() == (images / 'a.jpg').read_bytes()
    assert "img='panoptic_img.images/'" in capsys.readouterr().out
    assert (sorted(images.rglob('*')), digests(images)) == before
    labelme(images / 'sub' / 'c.json', square, imageData=in_base64(pixels + 1))
    with pytest.raises(SystemExit, match='c.jpg is another image than that of .*--overwrite'):
        run_labelme(images, out)
    labelme(images / 'sub' / 'c.json', square, imageData='no image')
    other = dict(out=images.parent / 'other')
    message = failure('polygons_panoptic', images, images, '--things', 'cat', SKIP, **other)
    assert 'c.json: "imageData" is no image in base64' in message


def test_a_set_that_is_only_labelme_files(tmp_path):
    pixels = in_base64(np.zeros((H, W, 3), np.uint8))
    labelme(tmp_path / 'img' / 'x.json', dict(label='cat', points=POINTS), imageData=pixels)
    for _ in range(2):  # the output lies among the input
        result = run_labelme(tmp_path / 'img', tmp_path / 'img')
        assert [*result.segments] == ['x.jpg']
