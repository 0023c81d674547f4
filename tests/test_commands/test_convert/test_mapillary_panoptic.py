"""Mapillary Vistas, in its layouts and with its categories."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.files import contents, cut, edited, read_json, times
from helpers.frames import SIZE, write_vistas
from helpers.oracle import vistas_categories
from PIL import Image

from mmpfcn.commands.convert import mapillary_panoptic  # noqa: E402
from mmpfcn.datasets import PanopticDataset
from mmpfcn.formats.panoptic_png import read_panoptic_png, write_panoptic_png

STEMS = ['--jRsD9anHdGxv4ZOCQktA', 'aB_3', '0-x']
TRAINING = 'training/panoptic/panoptic_2018.json'
V1 = ('panoptic', 'panoptic_2018.json')
V1_BESIDE_V2 = ('v1.2/panoptic', 'panoptic_2018.json')
V2 = ('v2.0/panoptic', 'panoptic_2020.json')


def write(root: Path, *versions: tuple[str, str]) -> dict:
    """Draw three images for training and two for validation; the JSON of training."""
    for place, name in versions:
        training = write_vistas(root / 'training', STEMS, vistas_categories(), place, name)
        write_vistas(root / 'validation', ['v_1', 'v-2'], vistas_categories(), place, name)
    return training


@pytest.fixture
def raw(tmp_path) -> Path:
    """A download of v1.2, in a folder that needs quoting."""
    write(tmp_path / 'vistas ä', V1)
    return tmp_path / 'vistas ä'


def prepare(root: Path, *arguments) -> Path:
    mapillary_panoptic.main([str(root), '--workers', '1', *arguments])
    return root / 'annotations'


def refusal(root: Path, *arguments) -> str:
    with pytest.raises(SystemExit) as caught:
        prepare(root, *arguments)
    assert isinstance(caught.value.code, str)
    return caught.value.code


def test_right_annotations_are_kept_and_things_come_first(raw, capsys):
    said = read_json(raw / TRAINING)
    found = read_json(prepare(raw) / 'panoptic_train.json')
    assert found['images'] == said['images']
    for ours, theirs in zip(found['annotations'], said['annotations'], strict=True):
        assert dict(ours, file_name='') == dict(theirs, file_name='')
    assert any(s['iscrowd'] for a in found['annotations'] for s in a['segments_info'])
    assert 'warning' not in capsys.readouterr().err
    names = sorted(p.name for p in (raw / 'annotations').iterdir())
    assert names == ['panoptic_train.json', 'panoptic_val.json']
    said = vistas_categories()
    assert [c['isthing'] for c in said] != [1] * 37 + [0] * 28
    found = read_json(prepare(raw) / 'panoptic_val.json')['categories']
    assert [c['isthing'] for c in found] == [1] * 37 + [0] * 28
    assert sorted(found, key=lambda c: c['id']) == sorted(said, key=lambda c: c['id'])
    things = [c['name'] for c in said if c['isthing']]
    assert [c['name'] for c in found][:37] == things  # their order is kept


@pytest.mark.parametrize('version', [V1, V1_BESIDE_V2])
def test_the_data_set_finds_every_file_with_one_prefix(tmp_path, version):
    write(tmp_path, version)
    prepare(tmp_path)
    where = dict(data_root=str(tmp_path), data_prefix=dict(img='training/images/', seg='training/'))
    dataset = PanopticDataset(ann_file='annotations/panoptic_train.json', **where)
    assert len(dataset) == 3
    for index in range(3):
        record = dataset.get_data_info(index)
        assert Path(record['img_path']).is_file()
        ids = set(np.unique(read_panoptic_png(record['seg_map_path']))) - {0}
        assert ids == {segment['id'] for segment in record['segments_info']}


def test_both_versions_of_one_download(tmp_path):
    write(tmp_path, V1_BESIDE_V2, V2)
    folder = prepare(tmp_path)
    names = {path.name: read_json(path)['annotations'][0] for path in folder.iterdir()}
    assert {name: entry['file_name'] for name, entry in names.items()} == {
        'panoptic_train.json': f'v1.2/panoptic/{STEMS[0]}.png',
        'panoptic_train_v2.0.json': f'v2.0/panoptic/{STEMS[0]}.png',
        'panoptic_val.json': 'v1.2/panoptic/v_1.png',
        'panoptic_val_v2.0.json': 'v2.0/panoptic/v_1.png',
    }
    shutil.rmtree(folder)
    prepare(tmp_path, '--version', 'v2.0', '--splits', 'validation')
    assert [path.name for path in folder.iterdir()] == ['panoptic_val_v2.0.json']


def test_exchanged_sides_are_put_right(raw, capsys):
    """As in the panoptic_2018.json of v1.2."""
    with edited(raw / TRAINING) as content:
        for image in content['images']:
            image.update(height=image['width'], width=image['height'])
    images = read_json(prepare(raw) / 'panoptic_train.json')['images']
    assert [(i['height'], i['width']) for i in images] == [SIZE] * 3
    message = capsys.readouterr().err
    assert 'height and width were exchanged in the JSON' in message and '3 images' in message


def test_other_differences_are_put_right_and_counted(raw, capsys):
    said = read_json(raw / TRAINING)
    with edited(raw / TRAINING) as content:
        first, second, third = (a['segments_info'] for a in content['annotations'])
        first[0]['area'] += 1
        second[0]['bbox'][2] += 1
        third[0]['area'] += 1
        third.append(dict(third[0], id=2**24 - 1))
        content['images'][0]['height'] += 1
    found = read_json(prepare(raw) / 'panoptic_train.json')
    assert found['images'] == said['images']
    for ours, theirs in zip(found['annotations'], said['annotations'], strict=True):
        assert ours['segments_info'] == theirs['segments_info']
    warnings = [w for w in capsys.readouterr().err.splitlines() if w.startswith('warning')]
    assert sorted(w.split(': ', 1)[1] for w in warnings) == [
        f'area of a segment was not that of its pixels and is put right: 2 images, such as {STEMS[0]}.jpg',
        'bbox of a segment was not that of its pixels and is put right: 1 images, such as aB_3.jpg',
        f'height and width were wrong in the JSON and are put right: 1 images, such as {STEMS[0]}.jpg',
        'segments without pixels are left out: 1 images, such as 0-x.jpg',
    ]


def test_the_files_on_the_disk_give_the_names(raw):
    """Images converted to another format, and PNGs called after the image."""
    image = raw / 'training' / 'images' / 'aB_3.jpg'
    Image.open(image).save(image.with_suffix('.png'))
    image.unlink()
    with edited(raw / TRAINING) as content:
        for annotation in content['annotations']:
            annotation['file_name'] = annotation['file_name'].replace('.png', '.jpg')
    found = read_json(prepare(raw) / 'panoptic_train.json')
    names = [i['file_name'] for i in found['images']]
    assert names == [f'{STEMS[0]}.jpg', 'aB_3.png', '0-x.jpg']
    assert [a['file_name'] for a in found['annotations']] == [f'panoptic/{s}.png' for s in STEMS]


def test_two_workers_write_the_same_bytes_and_a_complete_result_stays(raw, capsys):
    folder = prepare(raw)
    at_once, before = contents(folder), times(folder)
    prepare(raw)
    assert times(folder) == before
    assert capsys.readouterr().out.count('already complete') == 2
    shutil.rmtree(folder)
    prepare(raw, '--workers', '2')
    assert contents(folder) == at_once


def test_it_goes_on_after_an_error(raw):
    """What was checked is not checked again: its PNG may even have gone."""
    png = raw / 'training' / 'panoptic' / '0-x.png'
    whole = png.read_bytes()
    png.write_bytes(whole[:-30])
    message = refusal(raw)
    assert str(png) in message and 'the same command goes on from there' in message
    records = raw / 'annotations' / 'panoptic_train.partial' / 'records' / 'panoptic'
    assert sorted(p.name for p in records.iterdir()) == [f'{s}.png.json' for s in STEMS[:2]]
    assert [p.name for p in (raw / 'annotations').iterdir()] == ['panoptic_train.partial']
    png.write_bytes(whole)
    (raw / 'training' / 'panoptic' / 'aB_3.png').write_bytes(b'')
    prepare(raw)
    assert len(read_json(raw / 'annotations' / 'panoptic_train.json')['images']) == 3


def halve(path: Path) -> None:
    with Image.open(path) as image:
        half = image.crop((0, 0, SIZE[1] // 2, SIZE[0]))
    half.save(path)


def turn(path: Path) -> None:
    with Image.open(path) as image:
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(path, exif=exif)


def strange_id(path: Path) -> None:
    ids = read_panoptic_png(str(path))
    ids[-3:] = 1234567
    write_panoptic_png(path, ids)


IMAGE, PNG = f'images/{STEMS[0]}.jpg', f'panoptic/{STEMS[0]}.png'


@pytest.mark.parametrize('name, damage, expected', [
    (IMAGE, lambda path: cut(path, 2 / 3), 'is cut off'),
    (IMAGE, lambda path: os.truncate(path, 200), 'copy it again'),
    (IMAGE, lambda path: cut(path, 0), 'is cut off (0 bytes)'),
    (IMAGE, lambda path: path.write_text('<html>'), 'no readable image (unknown format)'),
    (PNG, lambda path: cut(path, 2 / 3), 'is cut off'),
    (IMAGE, halve, 'they must have the same size'),
    (IMAGE, turn, 'has 96 x 48 pixels (width x height)'),
    (PNG, halve, 'they must have the same size'),
    (PNG, lambda path: Image.new('L', SIZE[::-1]).save(path), 'expected 8 bits and RGB'),
    (PNG, strange_id, 'has pixels of the ids [1234567], for which the JSON has no segment'),
    (IMAGE, Path.unlink, 'is missing'),
    (PNG, Path.unlink, 'is missing'),
])  # fmt: skip
def test_bad_files_are_named_and_nothing_is_left(raw, name, damage, expected):
    path = raw / 'training' / name
    damage(path)
    message = refusal(raw)
    assert str(path) in message and expected in message
    assert not any(path.is_file() for path in (raw / 'annotations').rglob('*'))


@pytest.mark.parametrize('edit, expected', [
    (lambda c: c['annotations'][0]['segments_info'][0].update(category_id=999),
     'category id 999 is none of [1, 2, 3'),
    (lambda c: c['images'].pop(1), "has the id 'aB_3' only in its annotations"),
    (lambda c: c['annotations'].pop(1), "has the id 'aB_3' only in its images"),
    (lambda c: c['categories'][0].pop('isthing'),
     "is no complete panoptic JSON of Mapillary Vistas (KeyError: 'isthing')"),
    (dict.clear, 'is no complete panoptic JSON of Mapillary Vistas'),
    (lambda content: content.update(images=[], annotations=[]), 'there are no images for'),
])  # fmt: skip
def test_a_bad_json_is_named(raw, edit, expected):
    with edited(raw / TRAINING) as content:
        edit(content)
    message = refusal(raw)
    assert expected in message
    assert 'panoptic_2018.json' in message or STEMS[0] in message or 'panoptic_train' in message
    assert not (raw / 'annotations' / 'panoptic_train.json').exists()


def test_the_layout_is_told(raw, capsys):
    path = raw / 'validation' / 'panoptic' / 'panoptic_2018.json'
    path.write_bytes(path.read_bytes()[:-5])
    message = refusal(raw, '--splits', 'validation')
    assert str(path) in message and 'unpack it again' in message
    with pytest.raises(SystemExit) as caught:
        prepare(raw / 'training')
    message = capsys.readouterr().err
    assert caught.value.code == 2 and 'has no folder training/images' in message
    assert 'panoptic/: panoptic_2018.json, *.png' in message
    message = refusal(raw, '--version', 'v2.0')
    assert str(raw / 'training') in message and 'panoptic_2020.json' in message
    (raw / 'validation' / 'panoptic' / 'panoptic_2018.json').unlink()
    message = refusal(raw)
    assert str(raw / 'validation') in message and 'panoptic_2018.json' in message
    assert not (raw / 'annotations').exists()
