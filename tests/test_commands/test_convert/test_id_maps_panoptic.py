"""PNGs of class ids and of instance ids."""

import json
import os

import numpy as np
import pytest
from helpers.files import claim
from helpers.own_data import assert_names, failure, grid, made, photo, run, save, save_palette
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmpfcn.datasets import LoadImage

TOOL = 'id_maps_panoptic'
CLASSES = grid("""
    7 7 7 7 0 0
    7 26 26 24 24 0
    26 26 26 24 24 23
    7 26 7 7 23 23
""")
INSTANCES = grid("""
    1 1 2 2 0 0
    1 1 1 1 1 9
    0 1 2 1 1 4
    3 0 5 5 4 4
""")
LABELS = [
    ['road', 'road', 'road', 'road', '', ''],
    ['road', 'car1', 'car1', 'person1', 'person1', ''],
    ['car crowd', 'car1', 'car2', 'person1', 'person1', 'sky'],
    ['road', 'car crowd', 'road', 'road', 'sky', 'sky'],
]
THINGS = ['--things', 'car=26', 'person=24']
STUFF = ['--stuff', 'road=7', 'sky=23']
LISTED = [*THINGS, *STUFF, '--void', 0]


@pytest.fixture
def data(tmp_path):
    """A folder `data` with one image and its two PNGs."""
    photo(tmp_path / 'train' / 'a.jpg')
    save(tmp_path / 'classes' / 'a.png', CLASSES)
    save(tmp_path / 'instances' / 'a.png', INSTANCES)
    return tmp_path


def where(data):
    return data / 'train', data / 'classes', data / 'instances'


def convert(data, *arguments):
    run(TOOL, *where(data), '--out', data / 'annotations', '--workers', 1, *arguments)
    return made(data / 'annotations', 'train')


def fail(data, *arguments) -> str:
    return failure(TOOL, *where(data), *arguments, out=data / 'annotations')


def test_objects_crowds_stuff_and_void(data, capsys):
    result = convert(data, *LISTED)
    assert result.labels('a.jpg').tolist() == LABELS
    named = [(c['id'], c['name'], c['isthing']) for c in result.data['categories']]
    assert named == [(26, 'car', 1), (24, 'person', 1), (7, 'road', 0), (23, 'sky', 0)]
    printed = capsys.readouterr().out
    assert '1 images, 3 objects, 1 crowd regions, 2 stuff segments' in printed
    for line in (
        'num_things_classes=2, num_stuff_classes=2',
        f"data_root='{data}/'",
        "ann_file='annotations/panoptic_train.json'",
        "data_prefix=dict(img='train/', seg='annotations/panoptic_train/')",
    ):
        assert line in printed


@pytest.mark.parametrize('kind', ['16 bit', 'palette'])
def test_png_types_mean_the_same(data, kind):
    write = save_palette if kind == 'palette' else lambda path, ids: save(path, ids.astype(np.uint16))
    write(data / 'classes' / 'a.png', CLASSES)
    write(data / 'instances' / 'a.png', INSTANCES)
    assert convert(data, *LISTED).labels('a.jpg').tolist() == LABELS


def test_ids_beyond_a_byte(data):
    save(data / 'classes' / 'a.png', CLASSES.astype(np.uint16) * 1000)
    save(data / 'instances' / 'a.png', INSTANCES.astype(np.uint16) * 7000)
    listed = ['--things', 'car=26000', 'person=24000', '--stuff', 'road=7000', 'sky=23000']
    assert convert(data, *listed, '--void').labels('a.jpg').tolist() == LABELS


def test_sub_folders_suffixes_and_unusual_names(tmp_path):
    names = ['a/1.jpeg', 'b/1.PNG', 'b c/größe.webp', 'x.y.bmp']
    for number, name in enumerate(names):
        stem = name.rpartition('.')[0]
        photo(tmp_path / 'train' / name, 3, 5 + number)
        for kind in ('classes', 'instances'):
            save(tmp_path / kind / f'{stem}.png', np.full((3, 5 + number), 4, np.uint8))
    result = convert(tmp_path, '--things', 'car=4', '--workers', 2)
    assert [image['file_name'] for image in result.data['images']] == sorted(names)
    for number, name in enumerate(names):
        assert set(result.labels(name).ravel()) == {'car1'}
        assert result.ids[name].shape == (3, 5 + number)


def test_large_maps_are_read_in_parts(tmp_path):
    """An object that reaches from the first part into the last is still one."""
    classes, instances = np.full((600, 8), 7, np.uint8), np.zeros((600, 8), np.uint8)
    classes[:, 2:4], instances[:, 2:4] = 26, 1
    photo(tmp_path / 'train' / 'a.jpg', 600, 8)
    save(tmp_path / 'classes' / 'a.png', classes)
    save(tmp_path / 'instances' / 'a.png', instances)
    result = convert(tmp_path, '--things', 'car=26', '--stuff', 'road=7')
    assert sorted(s['area'] for s in result.segments['a.jpg']) == [1200, 3600]


def test_photos_are_as_large_as_the_loader_makes_them(data):
    """A camera's "turn by 90 degrees" swaps the sides, and masks are drawn on the turned photo."""
    image = Image.fromarray(np.zeros((6, 4, 3), np.uint8))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(data / 'train' / 'a.jpg', exif=exif)
    result = convert(data, *LISTED)
    assert result.labels('a.jpg').tolist() == LABELS
    assert LoadImage()(dict(img_path=str(data / 'train' / 'a.jpg')))['img'].shape == (4, 6, 3)


def test_a_file_of_classes_says_what_the_arguments_say(data):
    categories = convert(data, *LISTED).data['categories']
    file = data / 'classes.json'
    for content in (categories, dict(categories=categories)):
        file.write_text(json.dumps(content))
        options = '--name', 'x', '--classes', file, '--void', 0, '--workers', 1, '--overwrite'
        run(TOOL, *where(data), '--out', data / 'again', *options)
        again = made(data / 'again', 'x')
        assert again.data['categories'] == categories
        assert again.labels('a.jpg').tolist() == LABELS


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_every_pair_of_ids_is_a_segment(tmp_path_factory, data):
    """What the tool makes of random maps, against the rule pixel by pixel."""
    folder = tmp_path_factory.mktemp('maps')
    numbers = st.lists(st.integers(0, 3), min_size=20, max_size=20)
    classes = np.array(data.draw(numbers), np.uint8).reshape(4, 5)
    instances = np.array(data.draw(numbers), np.uint8).reshape(4, 5)
    photo(folder / 'train' / 'a.jpg', 4, 5)
    save(folder / 'classes' / 'a.png', classes)
    save(folder / 'instances' / 'a.png', instances)
    listed = ['--things', 'ball=1', 'ring=2', '--stuff', 'sky=3', '--void', 0]
    result = convert(folder, *listed)
    by_id = {s['id']: s for s in result.segments['a.jpg']}
    pairs = {}
    for row, column in np.ndindex(4, 5):
        category, instance = int(classes[row, column]), int(instances[row, column])
        found = by_id.get(int(result.ids['a.jpg'][row, column]))
        if category == 0:
            assert found is None
            continue
        instance = 0 if category == 3 else instance
        assert found['category_id'] == category
        assert found['iscrowd'] == (category != 3 and instance == 0)
        assert pairs.setdefault((category, instance), found['id']) == found['id']
    assert len(set(pairs.values())) == len(pairs) == len(by_id)


def test_changed_annotations_are_not_taken_for_converted(data):
    convert(data, *LISTED)
    convert(data, *LISTED)  # complete: left as it is
    save(data / 'instances' / 'a.png', np.where(CLASSES == 24, 0, INSTANCES).astype(np.uint8))
    with pytest.raises(SystemExit, match='--overwrite'):
        convert(data, *LISTED)
    assert 'person crowd' in convert(data, *LISTED, '--overwrite').labels('a.jpg')


def test_a_run_goes_on_after_the_file_is_mended(data):
    photo(data / 'train' / 'b.jpg')
    save(data / 'classes' / 'b.png', CLASSES + 1)
    save(data / 'instances' / 'b.png', INSTANCES)
    message = fail(data, *LISTED)
    assert 'classes/b.png has the values 1, 8' in message and 'goes on' in message
    kept = next((data / 'annotations').rglob('*.partial/**/a.png')).stat()
    save(data / 'classes' / 'b.png', CLASSES)
    assert convert(data, *LISTED).labels('b.jpg').tolist() == LABELS
    moved = (data / 'annotations' / 'panoptic_train' / 'a.png').stat()
    assert (moved.st_ino, moved.st_mtime_ns) == (kept.st_ino, kept.st_mtime_ns)


def test_images_without_masks(data):
    photo(data / 'train' / 'new' / 'b.jpg')
    message = fail(data, *LISTED)
    assert 'new/b.jpg' in message and '--skip-unannotated' in message
    result = convert(data, *LISTED, '--skip-unannotated')
    assert [image['file_name'] for image in result.data['images']] == ['a.jpg']


def rename(old: str, new: str):
    return lambda data: (data / old).rename(data / new)


RANDOM = np.random.default_rng(0).integers(0, 9, (4, 6), 'u1')
SPOILS = {
    'rgb': lambda d: save(d / 'classes' / 'a.png', np.stack([CLASSES] * 3, -1)),
    'truncated': lambda d: os.truncate(save(d / 'instances' / 'a.png', RANDOM), 50),
    'other size': lambda d: save(d / 'classes' / 'a.png', CLASSES[:3]),
    'claims much': lambda d: claim(d / 'classes' / 'a.png', 14000),
    'claims too much': lambda d: claim(d / 'classes' / 'a.png', 20000),
    'masks as jpeg': rename('classes/a.png', 'classes/a.jpg'),
    'no instances': rename('instances/a.png', 'instances/b.png'),
    'broken photo': lambda d: (d / 'train' / 'a.jpg').write_bytes(b'no image'),
    'two photos': lambda d: photo(d / 'train' / 'a.png'),
    'no folder': rename('train', 'images'),
}


@pytest.mark.parametrize('spoil, arguments, parts', [
    (None, [*THINGS, *STUFF], ['classes/a.png', 'values 0,', '--void 0']),
    (None, [*THINGS, '--stuff', 'road=7', '--void', 0], ['values 23,', '--void 23']),
    (None, ['--things', 'car', *STUFF], ["'car' has no value", 'car=VALUE']),
    (None, ['--things', 'car=x', *STUFF], ["'car=x'", 'NAME=VALUE']),
    (None, ['--things', 'car=7', *STUFF], ['the id 7 more than once']),
    (None, [*THINGS, '--stuff', 'car=7'], ["the name 'car' more than once"]),
    (None, [], ['no classes given', '--things', '--stuff']),
    (None, [*THINGS, '--classes', 'x.json'], ['not both']),
    (None, ['--classes', 'x.json'], ['x.json is not a file']),
    ('rgb', LISTED, ['classes/a.png has RGB pixels', 'one id per pixel']),
    ('truncated', LISTED, ['instances/a.png cannot be decoded', 'write it again']),
    ('other size', LISTED, ['classes/a.png is 6 x 3', 'a.jpg is 6 x 4', 'same size']),
    ('claims much', LISTED, ['classes/a.png cannot be decoded']),
    ('claims too much', LISTED, ['a.png is refused', 'cut it into tiles', '_PIXELS']),
    ('masks as jpeg', LISTED, ['CLASS_IDS', 'no file that ends in .png']),
    ('no instances', LISTED, ['instance ids without image: b.png', 'matched by']),
    ('broken photo', LISTED, ['train/a.jpg', 'again']),
    ('two photos', LISTED, ['a.jpg', 'a.png', 'rename one']),
    ('no folder', LISTED, ['IMAGES', 'train is not a folder']),
])  # fmt: skip
def test_mistakes_are_named(data, spoil, arguments, parts):
    SPOILS.get(spoil, lambda data: None)(data)
    assert_names(fail(data, *arguments), parts)
