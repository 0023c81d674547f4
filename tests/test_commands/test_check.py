"""The check names every problem of a data set, and what it says of a run is what a run does."""

import io
import os
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from helpers.breakable_data import CAR, CARS, PERSON, SIZE, SKY, BreakableData
from helpers.files import cut, read_json, tree
from helpers.oracle import ROOT, coco200
from helpers.shell import children, start, wait_until
from PIL import Image

from mmpfcn.commands.check.command import main
from mmpfcn.commands.check.problems import KINDS
from mmpfcn.formats import read_panoptic_png
from mmpfcn.formats.pixels import warn_of_lost_bits

TOOL = ROOT / 'tools' / 'misc' / 'check_dataset.py'


def check(*arguments, workers: int = 1) -> int:
    return main(['--workers', str(workers), *map(str, arguments)])


def report_of(*arguments, out: Path, workers: int = 1) -> dict:
    code = check(*arguments, '--out', out, workers=workers)
    report = read_json(out)
    assert code == int(report['unfit'])
    return report


def write_image(path: Path, size: tuple[int, int], orientation: int | None = None) -> None:
    exif = Image.Exif()
    if orientation is not None:
        exif[274] = orientation
    Image.new('RGB', size[::-1], (90, 120, 60)).save(path, exif=exif)


def two_channels() -> bytes:
    """A TIFF of them."""
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((*SIZE, 2), np.uint8), photometric='minisblack', planarconfig='contig')
    return file.getvalue()


BREAKERS: dict[str, Callable[[BreakableData], object]] = {
    'field': lambda f: f.data['images'][1].pop('height'),
    'start': lambda f: [a.update(image_id=a['image_id'] + 9) for a in f.data['annotations']],
    'no_annotations': lambda f: f.data.pop('annotations'),
    'category_id': lambda f: f.data['categories'][1].update(id=21),
    'category_name': lambda f: f.data['categories'][1].update(name='road'),
    'isthing': lambda f: f.data['categories'][1].pop('isthing'),
    'image_id': lambda f: f.data['images'][1].update(id=0),
    'annotation_twice': lambda f: f.data['annotations'][1].update(image_id=0),
    'unknown_category': lambda f: f.segment(CAR).update(category_id=99),
    'segment_range': lambda f: f.segment(CAR).update(id=2**24),
    'segment_id': lambda f: f.segment(CAR).update(id=PERSON),
    'image_missing': lambda f: f.image().unlink(),
    'image_broken': lambda f: cut(f.image()),
    'channels': lambda f: f.image().write_bytes(two_channels()),
    'png_missing': lambda f: f.png().unlink(),
    'png_broken': lambda f: cut(f.png()),
    'png_type': lambda f: cv2.imwrite(str(f.png()), np.zeros((*SIZE, 3), np.uint16)),
    'png_size': lambda f: write_image(f.image(), (SIZE[0], SIZE[1] + 1)),
    'exif_turned': lambda f: write_image(f.image(), SIZE, orientation=6),
    'bits': lambda f: f.image().write_bytes(cv2.imencode('.png', np.zeros(SIZE, np.uint16))[1]),
    'exif_unsure': lambda f: write_image(f.image(), SIZE, orientation=3),
    'png_name': lambda f: f.data['annotations'][1].update(file_name='0.png'),
    'stuff_twice': lambda f: f.segment(SKY).update(category_id=21),
    'unknown_pixels': lambda f: f.repaint(CAR, 4711),
    'no_pixels': lambda f: f.repaint(CAR, 0),
    'no_annotation': lambda f: f.data['annotations'].pop(1),
    'no_image': lambda f: f.data['images'].pop(1),
    'image_name': lambda f: f.data['images'][1].update(file_name='0.jpg'),
    'json_size': lambda f: f.data['images'][0].update(height=41),
    'area': lambda f: f.segment(CAR).update(area=3),
    'bbox': lambda f: f.segment(CAR).update(bbox=[0, 0, 3, 3]),
}
ALONG = {
    # An id that is wrong in one place is missing in another.
    'start': {'no_annotation', 'no_image'},
    'category_id': {'unknown_category'},
    'image_id': {'no_image'},
    'annotation_twice': {'no_annotation'},
    'segment_range': {'unknown_pixels'},
    'segment_id': {'unknown_pixels', 'area', 'bbox'},
    'field': {'no_image'},
    'unknown_pixels': {'no_pixels'},
}


@pytest.fixture
def files(tmp_path) -> BreakableData:
    return BreakableData(tmp_path / 'my data é')


def found(report: dict) -> dict[str, dict]:
    return {problem['kind']: problem for problem in report['problems']}


@pytest.mark.parametrize('kind', BREAKERS)
def test_each_problem_is_found_and_nothing_else_and_a_run_does_what_is_said(files, tmp_path, capsys, kind):
    BREAKERS[kind](files)
    files.save()
    before = tree(files.root)
    problems = found(report_of(files.json, out=tmp_path / 'report.json'))
    assert set(problems) == {kind} | ALONG.get(kind, set())
    assert problems[kind]['count'] >= problems[kind]['places'] == 1
    printed = capsys.readouterr().out
    about = KINDS[kind]
    assert about.title in printed and about.remedy in printed
    assert problems[kind]['examples'][0] in printed
    assert tree(files.root) == before
    warn_of_lost_bits.cache_clear()
    if about.outcome == 'stops':
        with pytest.raises((ValueError, FileNotFoundError)):
            run_over(files)
    else:
        assert bool(run_over(files)) == (kind in ('unknown_pixels', 'no_pixels', 'bits'))


def run_over(files: BreakableData) -> list[str]:
    """Load every image as a training does; the messages of warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        dataset = files.dataset()
        for number in range(len(dataset)):
            dataset[number]
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize('change, message', [
    (lambda f: f.data['categories'][0].update(isthing='1'), 'unusable isthing'),
    (lambda f: f.data['categories'][0].update(isthing=1.0), 'unusable isthing'),
    (lambda f: f.data['categories'][1].update(color='#00ff00'), 'unusable color'),
    (lambda f: f.data['categories'][1].update(color=[1, 2]), 'unusable color'),
    (lambda f: f.data['categories'][1].update(color=[1, 2, None]), 'unusable color'),
    (lambda f: f.segment(CAR).update(iscrowd='0'), 'unusable iscrowd'),
    (lambda f: f.segment(CAR).update(bbox=[1, 2, 3]), 'unusable bbox'),
    (lambda f: f.segment(CAR).update(bbox={'x': 1}), 'unusable bbox'),
    (lambda f: f.segment(CAR).update(id='7'), "has the id '7', expected a number"),
    (lambda f: f.segment(CAR).pop('category_id'), 'without category_id'),
    (lambda f: f.data['images'][0].update(width=0), 'expected 1 to 1048576 a side'),
    (lambda f: f.data['images'][0].update(height='40'), 'unusable height'),
])  # fmt: skip
def test_what_the_reader_refuses_is_found(files, tmp_path, change, message):
    change(files)
    files.save()
    with pytest.raises(ValueError, match=message) as refused:
        files.dataset()
    problems = found(report_of(files.json, out=tmp_path / 'report.json'))
    (example,) = problems['field']['examples']
    assert message in example and str(refused.value).endswith(example.partition(':')[2])


def test_everything_is_listed(files, tmp_path):
    files.data['categories'][0]['isthing'] = '1'
    files.data['images'][1].pop('height')
    files.segment(CAR)['bbox'] = [1, 2]
    files.save()
    problems = found(report_of(files.json, out=tmp_path / 'report.json'))
    assert problems['field']['count'] == 3
    others = {'json', 'metainfo', 'class_counts'}  # below
    assert set(KINDS) == set(BREAKERS) | others


def test_a_right_data_set_is_counted(files, tmp_path, capsys):
    report = report_of(files.json, out=tmp_path / 'report.json')
    assert report['problems'] == [] and not report['unfit']
    [held] = report['datasets']
    classes = {c['name']: c for c in held['classes']}
    assert [*classes] == ['car', 'person', 'road', 'sky']
    ids = read_panoptic_png(files.png())
    assert classes['car'] == dict(
        name='car', isthing=True, images=3, segments=6, crowds=3,
        pixels=3 * int(np.isin(ids, [CAR, CARS]).sum()),
    )  # fmt: skip
    assert [classes[n]['isthing'] for n in ('person', 'road', 'sky')] == [True, False, False]
    assert sum(c['pixels'] for c in classes.values()) + held['void_pixels'] == 3 * ids.size
    assert held['void_pixels'] == 3 * 25
    assert held['sizes'] == [dict(size=[*SIZE], images=3)]
    assert held['things_per_image'] == {'2': 3}
    # sqrt(15 x 10) = 12.2 and sqrt(6 x 16) = 9.8, both on the first level only
    assert [level['objects'] for level in held['levels']] == [6, 0, 0, 0, 0]
    assert held['objects_without_level'] == 0 and held['sides'] == [9.8, 11, 12.2]
    printed = capsys.readouterr().out
    assert 'of the files: 5 % up to 9.8, median 11, 5 % from 12.2' in printed
    assert 'Nothing that stops a run or makes it wrong.' in printed
    assert 'Void: 1.0 %' in printed and 'least 2, median 2, most 2' in printed
    assert f'{SIZE[0]} x {SIZE[1]} (3 images)' in printed
    files.json.write_bytes(b'\xef\xbb\xbf' + files.json.read_bytes())
    assert check(files.json) == 0
    assert len(files.dataset()) == 3
    files.save()
    path = config(files, tmp_path / 'config.py')
    key = 'train_dataloader.dataset.dataset.filter_cfg.min_size'
    report = report_of(path, '--cfg-options', f'{key}=9999', out=tmp_path / 'report.json')
    assert set(found(report)) == {'start'}
    assert 'none of the 3 images' in found(report)['start']['examples'][0]


def test_processes_give_the_same_report(tmp_path):
    files = BreakableData(tmp_path / 'data', num_images=20)
    for kind in ('no_pixels', 'image_missing', 'png_type', 'area'):
        BREAKERS[kind](files)
    files.save()
    one = report_of(files.json, out=tmp_path / 'one.json')
    assert report_of(files.json, out=tmp_path / 'two.json', workers=2) == one


def config(files: BreakableData, path: Path, **model) -> Path:
    """A config of the data set that resizes to twice the size."""
    scales = [(60, 40), (120, 80), (180, 120)]
    resize = dict(type='RandomChoiceResize', scales=scales, resize_type='Resize', keep_ratio=True)
    name = 'annotations/panoptic_train'
    where = dict(data_root=str(files.root), ann_file=f'{name}.json', data_prefix=dict(img='train/', seg=name))
    pipeline = [dict(type='LoadImage'), dict(type='LoadPanopticGroundTruth'), resize]
    dataset = dict(type='PanopticDataset', pipeline=pipeline, **where)
    train = dict(dataset=dict(type='RepeatDataset', times=2, dataset=dataset))
    val = dict(dataset=dict(type='ConcatDataset', datasets=[dataset, dataset]))
    settings = dict(train_dataloader=train, val_dataloader=val, model=model)
    path.write_text('\n'.join(f'{key} = {value!r}' for key, value in settings.items()))
    return path


def test_a_config_gives_scale_ranges_and_class_counts(files, tmp_path, capsys):
    counts = dict(num_things_classes=2, num_stuff_classes=3)
    heads = dict(panoptic_head=counts, panoptic_fusion_head=counts)
    ranges = dict(assigner=dict(scale_ranges=((1, 20), (21, 24), (23, 24))))
    path = config(files, tmp_path / 'config.py', **heads, train_cfg=ranges)
    report = report_of(path, out=tmp_path / 'report.json')
    assert found(report)['class_counts']['examples'] == [
        'model.panoptic_head.num_stuff_classes is 3: set model.panoptic_head.num_stuff_classes=2',
        'model.panoptic_fusion_head.num_stuff_classes is 3: set '
        'model.panoptic_fusion_head.num_stuff_classes=2',
    ]
    # at twice the size sqrt(30 x 20) = 24.5 is too large for all, and sqrt(12 x 32) = 19.6 fits
    [held] = report['datasets']
    assert [level['objects'] for level in held['levels']] == [3, 0, 0]
    assert held['objects_without_level'] == 3
    printed = capsys.readouterr().out
    assert 'at the scale (120, 80)' in printed and 'larger' in printed


def test_what_a_config_says_is_checked(files, tmp_path, capsys):
    """Its kind of data set, joined ones, its metainfo."""
    path = config(files, tmp_path / 'config.py')
    kind = 'train_dataloader.dataset.dataset.type'
    assert check(path, '--cfg-options', f'{kind}=CocoPanopticDataset') == 0
    assert 'The config uses CocoPanopticDataset: what follows' in capsys.readouterr().out
    assert len(report_of(path, '--split', 'val', out=tmp_path / 'r.json')['datasets']) == 2
    metainfo = 'train_dataloader.dataset.dataset.metainfo.classes'
    kept = report_of(path, '--cfg-options', f'{metainfo}=[car,road]', out=tmp_path / 'report.json')
    assert kept['problems'] == []
    assert [c['name'] for c in kept['datasets'][0]['classes']] == ['car', 'road']
    wrong = report_of(path, '--cfg-options', f'{metainfo}=[cra]', out=tmp_path / 'report.json')
    assert "did you mean 'car'?" in found(wrong)['metainfo']['examples'][0]


@pytest.mark.parametrize('content, message', [
    (b'', 'is no complete JSON'),
    (b'{"images": [', 'is no complete JSON'),
    (b'[]', 'has no list of images'),
    (b'{"images": [], "categories": []}', 'has no images'),
])  # fmt: skip
def test_unusable_json_is_a_finding(files, capsys, content, message):
    files.json.write_bytes(content)
    assert check(files.json) == 1
    printed = capsys.readouterr().out
    assert f'{files.json} {message}' in printed and 'what to do' in printed


@pytest.mark.parametrize('arguments, message', [
    ('{root}/nothing.json', 'is not a file'),
    ('{json} --workers 0', '--workers got 0, expected at least 1'),
    ('{json} --split val', '--split goes with a CONFIG'),
    ('{json} --images {root}/nowhere', 'nowhere is not a folder'),
    ('{json} --out {root}', 'is a folder, expected the name of a file'),
    ('{root}/config.py --png {root}', '--png goes with a JSON'),
    ('{root}/config.py --split test', 'has no test_dataloader'),
    ('{root}/broken.py', 'broken.py'),
    ('{root}/panoptic_x.json', 'give their folder by --images'),
    ('{json} --out {json}/report.json', 'can not be written'),
])  # fmt: skip
def test_wrong_usage_is_named(tmp_path, refused, arguments, message):
    files = BreakableData(tmp_path / 'data')
    (files.root / 'broken.py').write_text('model = dict(')
    (files.root / 'panoptic_x.json').write_text('{}')
    config(files, files.root / 'config.py')
    before = tree(tmp_path)
    argv = arguments.format(root=files.root, json=files.json).split()
    assert message in refused(main, '--workers', 1, *argv)
    assert tree(tmp_path) == before


def test_real_photos_are_right(tmp_path):
    source = coco200() / 'annotations' / 'panoptic_val2017.json'
    report = report_of(source, out=tmp_path / 'r.json', workers=2)
    assert report['problems'] == []
    data = read_json(source)
    segments = [s for a in data['annotations'] for s in a['segments_info']]
    [held] = report['datasets']
    assert sum(c['segments'] for c in held['classes']) == len(segments)
    assert sum(c['pixels'] for c in held['classes']) == sum(s['area'] for s in segments)
    assert len(held['classes']) == 133


def test_an_interrupted_check_ends_quietly(tmp_path):
    files = BreakableData(tmp_path / 'data', num_images=1)
    for number in range(1, 3000):
        files.data['images'].append({**files.data['images'][0], 'id': number})
        files.data['annotations'].append({**files.data['annotations'][0], 'image_id': number})
    files.save()
    out = tmp_path / 'report.json'
    command = sys.executable, TOOL, files.json, '--workers', 2, '--out', out
    process = start(*command, start_new_session=True)
    wait_until(lambda: len(children(process.pid)) >= 2, process)
    os.killpg(process.pid, signal.SIGINT)
    message = process.communicate(timeout=60)[0]
    assert process.returncode == 130 and 'Interrupted' in message
    assert 'Traceback' not in message and not out.exists()
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
