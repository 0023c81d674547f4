"""The embedded data set: exact COCO annotations, the same bytes every time, nothing overwritten."""

import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers.files import contents, read_json, times
from helpers.oracle import ROOT
from helpers.shell import run, start, wait_until
from mmdet.datasets import CocoPanopticDataset
from mmdet.evaluation import INSTANCE_OFFSET, CocoPanopticMetric
from pycocotools.coco import COCO

TOOL = ROOT / 'tools' / 'dataset_converters' / 'make_shapes.py'
THINGS = ('ball', 'square', 'triangle', 'star', 'ring', 'cross')
STUFF = ('sky', 'grass', 'water', 'brick')
COUNTS = dict(train=14, val=5)
SEED = 6


def run_tool(*arguments) -> subprocess.CompletedProcess:
    return run(sys.executable, TOOL, *arguments, timeout=300)


def make(folder: Path, **options) -> Path:
    options = {**COUNTS, 'seed': SEED, 'workers': 2, **options}
    flags = [part for name, value in options.items() for part in (f'--{name}', value)]
    result = run_tool('--out', folder, '--size', 96, 128, *flags)
    assert result.returncode == 0, result.stderr
    return folder


def read_panoptic(folder: Path, split: str) -> dict:
    return read_json(folder / 'annotations' / f'panoptic_{split}.json')


def read_ids(folder: Path, split: str, annotation: dict) -> np.ndarray:
    path = folder / 'annotations' / f'panoptic_{split}' / annotation['file_name']
    blue, green, red = np.moveaxis(cv2.imread(str(path)).astype(int), -1, 0)
    return red + 256 * green + 256**2 * blue


@pytest.fixture(scope='module')
def shapes(tmp_path_factory) -> Path:
    return make(tmp_path_factory.mktemp('data') / 'shapes')


def test_an_image_depends_on_seed_split_and_index_alone(shapes, tmp_path):
    """Not on the number of workers or of images."""
    assert contents(make(tmp_path / 'again', workers=1)) == contents(shapes)
    fewer = contents(make(tmp_path / 'fewer', train=2, val=1, workers=1))
    other = contents(make(tmp_path / 'other', train=2, val=1, seed=1, workers=1))
    images = [name for name in fewer if name.endswith(('.jpg', '.png'))]
    assert len(images) == 6
    for name in images:
        assert (shapes / name).read_bytes() == fewer[name] != other[name]


@pytest.mark.parametrize('split', ['train', 'val'])
def test_segments_are_exactly_those_of_the_png(shapes, split):
    data = read_panoptic(shapes, split)
    assert len(data['images']) == len(data['annotations']) == COUNTS[split]
    for image, annotation in zip(data['images'], data['annotations'], strict=True):
        picture = cv2.imread(str(shapes / split / image['file_name']))
        ids = read_ids(shapes, split, annotation)
        assert picture.shape == (96, 128, 3) and ids.shape == (96, 128)
        assert (image['height'], image['width']) == (96, 128)
        assert image['id'] == annotation['image_id']
        assert Path(image['file_name']).stem == Path(annotation['file_name']).stem
        listed = [segment['id'] for segment in annotation['segments_info']]
        assert sorted(listed) == sorted(set(np.unique(ids)) - {0})
        for segment in annotation['segments_info']:
            rows, cols = np.nonzero(ids == segment['id'])
            assert segment['area'] == len(rows)
            assert segment['bbox'] == [cols.min(), rows.min(), np.ptp(cols) + 1, np.ptp(rows) + 1]


def test_ids_of_categories_and_images(shapes):
    categories = read_panoptic(shapes, 'train')['categories']
    assert categories == read_panoptic(shapes, 'val')['categories']
    assert tuple(c['name'] for c in categories) == THINGS + STUFF
    assert [c['isthing'] for c in categories] == [1] * 6 + [0] * 4
    assert [c['id'] for c in categories] == [1, 2, 3, 4, 5, 6, 11, 12, 13, 14]
    assert len({tuple(c['color']) for c in categories}) == 10
    ids = [image['id'] for split in COUNTS for image in read_panoptic(shapes, split)['images']]
    assert len(set(ids)) == sum(COUNTS.values())


def test_the_set_holds_every_case(shapes):
    """All classes, touching things, no things, one stuff class, void, a crowd, small and large."""
    data = read_panoptic(shapes, 'train')
    isthing = {c['id']: c['isthing'] for c in data['categories']}
    images = [annotation['segments_info'] for annotation in data['annotations']]
    things = [[s for s in x if isthing[s['category_id']] and not s['iscrowd']] for x in images]
    stuff = [[s for s in segments if not isthing[s['category_id']]] for segments in images]
    assert {s['category_id'] for segments in images for s in segments} == set(isthing)
    assert min(map(len, things)) == 0 and max(map(len, things)) >= 8
    assert min(map(len, stuff)) == 1 and max(map(len, stuff)) == 3
    for segments in stuff:  # one segment a stuff class
        assert len({s['category_id'] for s in segments}) == len(segments)
    crowds = [s for segments in images for s in segments if s['iscrowd']]
    assert crowds and all(isthing[s['category_id']] for s in crowds)
    assert any((read_ids(shapes, 'train', a) == 0).any() for a in data['annotations'])
    touching = 0
    for annotation, segments in zip(data['annotations'], things, strict=True):
        ids = read_ids(shapes, 'train', annotation)
        thing = np.isin(ids, [s['id'] for s in segments])
        touching += (thing[:, 1:] & thing[:, :-1] & (ids[:, 1:] != ids[:, :-1])).sum()
    assert touching
    extents = [max(s['bbox'][2:]) for segments in things for s in segments]
    assert min(extents) <= 12 and max(extents) >= 48


@pytest.mark.parametrize('split', ['train', 'val'])
def test_instances_equal_the_thing_segments(shapes, split):
    coco = COCO(str(shapes / 'annotations' / f'instances_{split}.json'))
    assert [c['name'] for c in coco.loadCats(coco.getCatIds())] == list(THINGS)
    for annotation in read_panoptic(shapes, split)['annotations']:
        ids = read_ids(shapes, split, annotation)
        segments = [s for s in annotation['segments_info'] if s['category_id'] <= 6]
        instances = coco.loadAnns(coco.getAnnIds(imgIds=annotation['image_id'], iscrowd=None))
        assert len(instances) == len(segments)
        for instance, segment in zip(instances, segments, strict=True):
            for key in ('category_id', 'iscrowd', 'bbox', 'area'):
                assert instance[key] == segment[key]
            assert np.array_equal(coco.annToMask(instance), ids == segment['id'])


def test_stock_mmdet_reads_it_and_scores_100(shapes):
    folder = shapes / 'annotations' / 'panoptic_train'
    dataset = CocoPanopticDataset(
        ann_file=f'{folder}.json', data_prefix=dict(img=str(shapes / 'train'), seg=str(folder)),
        metainfo=dict(classes=THINGS + STUFF, thing_classes=THINGS, stuff_classes=STUFF),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='mmdet.LoadPanopticAnnotations')], test_mode=True,
    )  # fmt: skip
    label_of = {c: i for i, c in enumerate([1, 2, 3, 4, 5, 6, 11, 12, 13, 14])}
    data = read_panoptic(shapes, 'train')
    assert len(dataset) == COUNTS['train']
    for sample, annotation in zip(dataset, data['annotations'], strict=True):
        ids = read_ids(shapes, 'train', annotation)
        expected = np.full((96, 128), 255)
        for segment in annotation['segments_info']:
            expected[ids == segment['id']] = label_of[segment['category_id']]
        assert np.array_equal(sample['gt_seg_map'], expected)
        segments = [s for s in annotation['segments_info'] if s['category_id'] <= 6]
        things = [s for s in segments if not s['iscrowd']]
        masks = sample['gt_masks'].masks
        assert [int(mask.sum()) for mask in masks] == [s['area'] for s in things]
        labels = [i['bbox_label'] for i in sample['instances'] if not i['ignore_flag']]
        assert labels == [label_of[s['category_id']] for s in things]
    metric = CocoPanopticMetric(ann_file=f'{folder}.json', seg_prefix=str(folder))
    metric.dataset_meta = dataset.metainfo
    metric.process({}, [perfect_prediction(sample) for sample in dataset])
    scores = metric.evaluate(len(dataset))
    for name in ('PQ', 'SQ', 'RQ', 'PQ_th', 'PQ_st'):
        assert scores[f'coco_panoptic/{name}'] == 100


def perfect_prediction(sample: dict) -> dict:
    """The ground truth of a sample as mmdet's panoptic prediction; crowds are left void."""
    panoptic = np.full((96, 128), len(THINGS + STUFF))
    stuff = (sample['gt_seg_map'] >= len(THINGS)) & (sample['gt_seg_map'] != 255)
    panoptic[stuff] = sample['gt_seg_map'][stuff]
    labels = [i['bbox_label'] for i in sample['instances'] if not i['ignore_flag']]
    pairs = zip(sample['gt_masks'].masks, labels, strict=True)
    for number, (mask, label) in enumerate(pairs, start=1):
        panoptic[mask > 0] = label + number * INSTANCE_OFFSET
    seg = dict(sem_seg=torch.from_numpy(panoptic)[None])
    about = dict(img_id=sample['img_id'], img_path=sample['img_path'], ori_shape=(96, 128))
    return dict(about, pred_panoptic_seg=seg)


def test_a_complete_set_is_left_as_it_is(shapes):
    before = times(shapes)
    make(shapes)
    assert times(shapes) == before
    assert not shapes.with_name('shapes.partial').exists()


def interrupt_when_some_are_drawn(folder: Path, *arguments) -> str:
    """Start the tool, press Ctrl-C after a few images, and return what it said."""
    process = start(sys.executable, TOOL, '--out', folder, *arguments)
    drawn = '*.partial/records/train/*.json'
    wait_until(lambda: len(list(folder.parent.glob(drawn))) >= 5, process)
    process.send_signal(signal.SIGINT)
    message = process.communicate(timeout=120)[0]
    assert process.returncode != 0
    return message


def test_an_interrupted_run_goes_on(tmp_path):
    """Images already drawn are kept, torn files replaced, and the result is the usual one."""
    folder, partial = tmp_path / 'shapes', tmp_path / 'shapes.partial'
    arguments = ('--size', 96, 128, '--train', 80, '--val', 1, '--seed', SEED, '--workers', 2)
    message = interrupt_when_some_are_drawn(folder, *arguments)
    assert 'the same command goes on' in message and not folder.exists()
    kept = partial / 'train' / '000000000001.jpg'
    drawn_at = kept.stat().st_mtime_ns
    assert not (partial / 'records' / 'train' / '000000000080.json').exists()
    (partial / 'train' / '000000000080.jpg').write_bytes(b'torn')
    (partial / 'train' / '000000000080.jpg.1.tmp').write_bytes(b'torn')
    make(folder, train=80, val=1)
    assert contents(folder) == contents(make(tmp_path / 'at_once', train=80, val=1))
    assert (folder / 'train' / '000000000001.jpg').stat().st_mtime_ns == drawn_at
    assert not partial.exists()


def test_another_or_a_damaged_set_is_replaced_only_on_request(shapes, tmp_path):
    folder = make(tmp_path / 'shapes', train=1, val=1, workers=1)
    before = contents(folder)
    arguments = ('--out', folder, '--size', 64, 64, '--train', 1, '--val', 2)
    refused = run_tool(*arguments)
    assert refused.returncode != 0 and '--overwrite' in refused.stderr
    assert contents(folder) == before
    assert run_tool(*arguments, '--overwrite').returncode == 0
    assert len(list((folder / 'val').iterdir())) == 2
    assert [path.name for path in tmp_path.iterdir()] == ['shapes']
    folder = make(tmp_path / 'damaged', train=1, val=1, workers=1)
    (folder / 'train' / '000000000001.jpg').unlink()
    refused = run_tool('--out', folder, '--size', 96, 128, '--train', 1, '--val', 1, '--seed', SEED)
    assert refused.returncode != 0 and 'misses some of its files' in refused.stderr


@pytest.mark.parametrize('name', ['shapes', 'shapes.partial'])
def test_a_foreign_folder_is_left_alone(tmp_path, name):
    foreign = tmp_path / name / 'thesis.txt'
    foreign.parent.mkdir()
    foreign.write_text('mine')
    result = run_tool('--out', tmp_path / 'shapes', '--train', 1, '--val', 1, '--overwrite')
    assert result.returncode != 0 and 'not made by' in result.stderr
    assert [path for path in tmp_path.rglob('*') if path.is_file()] == [foreign]
    assert foreign.read_text() == 'mine'


@pytest.mark.parametrize('arguments, message', [
    (('--train', -3), 'got -3, expected a whole number from 1 to 999999'),
    (('--val', 0), 'got 0, expected a whole number from 1 to 999999'),
    (('--size', 63, 256), 'got 63, expected a whole number at least 64'),
    (('--seed', -1), 'got -1, expected a whole number at least 0'),
    (('--workers', 0), 'got 0, expected a whole number at least 1'),
    (('--train', 'many'), "invalid whole number value: 'many'"),
])  # fmt: skip
def test_wrong_arguments_are_named(tmp_path, arguments, message):
    result = run_tool('--out', tmp_path / 'shapes', *arguments)
    assert result.returncode != 0 and message in result.stderr
    assert not list(tmp_path.iterdir())
