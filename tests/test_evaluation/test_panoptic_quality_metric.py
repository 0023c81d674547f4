"""Counted as panopticapi counts, in one process or several, from maps that stay as they are.

Random maps, crowds and void: test_fuzz/test_any_panoptic_map.py.
"""

import csv
import json
import os
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from helpers import panoptic_files
from helpers.files import read_json
from helpers.forked import run_processes
from helpers.shell import free_port
from mmdet.evaluation import CocoPanopticMetric
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import Evaluator
from mmengine.structures import PixelData
from panopticapi.evaluation import pq_compute

from mmpfcn.datasets import PanopticDataset
from mmpfcn.evaluation import PanopticQualityMetric
from mmpfcn.formats.panoptic_png import read_panoptic_png, write_panoptic_png

NAMES = ('car', 'cat', 'sky', 'sea', 'road')
THINGS = NAMES[:2]
VOID = len(NAMES)
META = dict(classes=NAMES, thing_classes=THINGS, category_ids=[7, 3, 200, 12, 90])
KEYS = ('', '_th', '_st')


def metric(meta: dict = META, **arguments) -> PanopticQualityMetric:
    result = PanopticQualityMetric(**arguments)
    result.dataset_meta = meta
    return result


def measure(samples: list[dict], meta: dict = META, **arguments) -> dict:
    """The figures of all samples of a data set."""
    measured = metric(meta, **arguments)
    measured.process({}, samples)
    return measured.evaluate(len(samples))


def write_image(folder: Path, name: str, ids: np.ndarray, segments: list[tuple]) -> dict:
    """A ground truth in files: (id, label, crowd) of the segments; its record in the data set."""
    write_panoptic_png(folder / name, ids)
    infos = [
        dict(id=id_, category=label, is_thing=label < len(THINGS) and not crowd, iscrowd=crowd)
        for id_, label, crowd in segments
    ]
    height, width = ids.shape
    return dict(
        img=np.zeros((height, width, 3), np.uint8),
        img_id=name.removesuffix('.png'),
        img_path=f'images/{name.replace(".png", ".jpg")}',
        **dict(ori_shape=ids.shape, img_shape=ids.shape, height=height, width=width),
        **dict(seg_map_path=str(folder / name), seg_file_name=name, segments_info=infos),
    )


def with_prediction(sample: dict, pred: np.ndarray, **metainfo) -> dict:
    return dict(sample, pred_panoptic_seg=dict(sem_seg=torch.tensor(pred)[None], **metainfo))


def test_crowds_and_void(tmp_path):
    """As in panopticapi: the same case is an example in test_fuzz/test_any_panoptic_map.py."""
    gt, pred = np.array([[5, 5, 5, 9, 9, 9]]), np.array([[1000, 1000, 1000, 2000, 2000, 2000]])
    record = write_image(tmp_path, 'a.png', gt, [(9, 0, True), (5, 0, True)])
    measured = metric()
    measured.process({}, [with_prediction(record, pred)])
    ((labels, statistics, _),) = measured._images
    assert labels.tolist() == [0] and statistics.tolist() == [[0, 0, 1, 0]]
    # ``is_thing`` False on a thing class is all that they say; stuff says the same, being none.
    record = write_image(tmp_path, 'a.png', np.array([[5, 5, 8, 8]]), [(5, 0, True), (8, 2, False)])
    for info in record['segments_info']:
        del info['iscrowd']
    measured = metric()
    measured.process({}, [with_prediction(record, np.array([[VOID] * 4]))])
    ((labels, statistics, _),) = measured._images
    missed = dict(zip(labels.tolist(), statistics[:, 3].tolist(), strict=True))
    assert missed.pop(2) == 1 and not any(missed.values())  # only the stuff is missed
    record = write_image(tmp_path, 'a.png', np.array([[5, 5, 5, 0]]), [(5, 2, False)])
    sample = with_prediction(record, np.array([[2, 2, 255, VOID]]), ignore_index=255)
    assert measure([sample])['coco_panoptic/PQ'] == pytest.approx(200 / 3)


def perturbed(gt: torch.Tensor, number: int) -> torch.Tensor:
    """A prediction: the ground truth shifted, with some segments dropped and some merged."""
    pred = gt.roll((number, 2 * number), (1, 2))
    pred[pred == 255] = 133
    values = pred.unique().tolist()
    for value in values[number % 3 :: 5]:
        pred[pred == value] = 133
    for first, second in zip(values[1::4], values[2::4], strict=False):
        pred[pred == second] = first
    return pred


@pytest.fixture(scope='module')
def coco() -> PanopticDataset:
    load = dict(type='LoadPanopticGroundTruth', instances=False, panoptic=True)
    pipeline = dict(type='LoadImage'), load, dict(type='PackPanopticInputs')
    return panoptic_files.coco(*pipeline, test_mode=True, indices=10)


def coco_samples(dataset: PanopticDataset, predict) -> list[dict]:
    samples = [dataset[i]['data_samples'].to_dict() for i in range(len(dataset))]
    for number, sample in enumerate(samples):
        pred = predict(sample['gt_panoptic_seg']['sem_seg'], number)
        sample['pred_panoptic_seg'] = dict(sem_seg=pred)
    return samples


def ten_annotations(folder: Path, dataset: PanopticDataset) -> str:
    """The JSON of the images of ``dataset`` only: mmdet's metric wants a result for each."""
    content = json.loads(Path(dataset.ann_file).read_text())
    ids = {dataset.get_data_info(i)['img_id'] for i in range(len(dataset))}
    content['images'] = [image for image in content['images'] if image['id'] in ids]
    content['annotations'] = [a for a in content['annotations'] if a['image_id'] in ids]
    path = folder / 'ten.json'
    path.write_text(json.dumps(content))
    return str(path)


def test_coco_equals_mmdets_metric_and_the_files_for_the_server(coco, tmp_path):
    samples = coco_samples(coco, perturbed)
    ann_file = ten_annotations(tmp_path, coco)
    folder = coco.data_prefix['seg']
    ours = metric(coco.metainfo, outfile_prefix=str(tmp_path / 'out' / 'r'), classwise=True)
    before = [sample['pred_panoptic_seg']['sem_seg'].clone() for sample in samples]
    ours.process({}, samples)
    for sample, map_ in zip(samples, before, strict=True):
        assert torch.equal(sample['pred_panoptic_seg']['sem_seg'], map_)
    result = ours.evaluate(len(samples))

    stock = CocoPanopticMetric(ann_file=ann_file, seg_prefix=folder)  # changes the predictions
    stock.dataset_meta = coco.metainfo
    stock.process({}, samples)
    expected = stock.evaluate(len(samples))
    assert result == pytest.approx(expected, abs=1e-9)
    assert 10 < result['coco_panoptic/PQ'] < 90

    ours = [str(tmp_path / 'out' / name) for name in ('r.panoptic.json', 'r.panoptic')]
    server = pq_compute(ann_file, ours[0], folder, ours[1])
    assert 100 * server['All']['pq'] == pytest.approx(result['coco_panoptic/PQ'], abs=1e-9)
    assert {path.name for path in (tmp_path / 'out').iterdir()} == {'r.panoptic', 'r.panoptic.json'}


def test_coco_perfect_predictions(coco):
    samples = [coco[i]['data_samples'] for i in range(len(coco))]
    for sample in samples:
        gt = sample.gt_panoptic_seg.sem_seg
        sample.pred_panoptic_seg = PixelData(sem_seg=gt.where(gt != 255, 133))
    evaluator = Evaluator(dict(type='PanopticQualityMetric'))
    evaluator.dataset_meta = coco.metainfo
    result = evaluator.offline_evaluate(samples, chunk_size=4)
    names = [f'coco_panoptic/{name}{group}' for name in ('PQ', 'SQ', 'RQ') for group in KEYS]
    assert result == dict.fromkeys(names, 100)


def test_coco_by_mmdets_data_set(coco):
    """The same ground truth read by the metric itself."""
    keys = ('img_id', 'img_path', 'seg_map_path', 'segments_info')
    pipeline = dict(type='LoadImageFromFile'), dict(type='PackDetInputs', meta_keys=keys)
    usual = dict(kind='CocoPanopticDataset', test_mode=True, indices=10)
    stock = panoptic_files.coco(*pipeline, **usual)
    samples = coco_samples(coco, perturbed)
    others = [
        dict(stock[i]['data_samples'].to_dict(), pred_panoptic_seg=sample['pred_panoptic_seg'])
        for i, sample in enumerate(samples)
    ]
    assert measure(samples, coco.metainfo) == measure(others, stock.metainfo)


def drawn_samples(folder: Path, count: int) -> list[dict]:
    """Images with a car, a sky and some void each, worse and worse predicted."""
    samples = []
    for number in range(count):
        gt = np.zeros((8, 20), int)
        gt[:4], gt[4:7, :10] = 11, 12
        record = write_image(folder, f'{number}.png', gt, [(11, 2, False), (12, 0, False)])
        pred = np.full((8, 20), VOID)
        pred[: 4 - number % 2], pred[4:7, number:10] = 2, 1000
        samples.append(with_prediction(record, pred))
    return samples


def test_per_image_file_and_memory(tmp_path):
    samples = drawn_samples(tmp_path, 8)
    samples.append(with_prediction(
        write_image(tmp_path, 'nothing.png', np.zeros((2, 2), int), []), np.full((2, 2), VOID)
    ))  # fmt: skip
    path = tmp_path / 'out' / 'images.csv'
    measured = metric(per_image_file=str(path))
    measured.process({}, samples)
    assert measured.results == [] and not path.exists()
    last = weakref.ref(samples[-1]['pred_panoptic_seg']['sem_seg'])
    del samples
    assert last() is None  # no map is kept
    measured.evaluate(9)
    assert [p.name for p in path.parent.iterdir()] == ['images.csv']
    with open(path, newline='') as file:
        rows = list(csv.DictReader(file))
    assert [row['img_id'] for row in rows] == ['5', '7', '6', '3', '4', '1', '2', '0', 'nothing']
    assert rows[0] == dict(
        img_id='5', img_path='images/5.jpg', PQ='37.500', SQ='37.500', RQ='50.000', TP='1', FP='1', FN='1',
    )  # fmt: skip
    assert rows[-2]['PQ'] == '100.000'
    assert rows[-1]['PQ'] == '' and rows[-1]['FN'] == '0'


def test_evaluate_starts_anew_and_leaves_nothing_half_written(tmp_path):
    samples = drawn_samples(tmp_path, 5)
    measured = metric()
    measured.process({}, samples)
    first = measured.evaluate(5)
    measured.process({}, samples[:1])
    assert measured.evaluate(1)['coco_panoptic/PQ'] == 100 != first['coco_panoptic/PQ']
    samples = drawn_samples(tmp_path / 'gt', 3)
    del samples[2]['pred_panoptic_seg']
    measured = metric(per_image_file=str(tmp_path / 'out' / 'a.csv'))
    with pytest.raises(ValueError, match='images/2.jpg'):
        measured.process({}, samples)
    del measured
    assert list((tmp_path / 'out').iterdir()) == []


@pytest.fixture
def logged(monkeypatch) -> list[str]:
    texts = []
    module = 'mmpfcn.evaluation.panoptic_quality_metric.print_log'
    monkeypatch.setattr(module, lambda text, logger: texts.append(text))
    return texts


def test_absent_groups_and_names_in_any_order(tmp_path, logged):
    record = write_image(tmp_path, 'a.png', np.array([[5, 5, 5, 9]]), [(5, 3, False), (9, 2, True)])
    sample = with_prediction(record, np.array([[3, 3, VOID, 2]]))
    result = measure([sample], classwise=True)
    assert np.isnan([result[f'coco_panoptic/{name}_th'] for name in ('PQ', 'SQ', 'RQ')]).all()
    assert result['coco_panoptic/PQ'] == result['coco_panoptic/PQ_st'] == pytest.approx(200 / 3)
    lines = [line.replace(' ', '').strip('|') for text in logged for line in text.splitlines()]
    assert {'Things|-|-|-|0', 'Stuff|66.667|66.667|100.000|1'} <= set(lines)
    assert {'car|-|-|-|0|0|0', 'sea|66.667|66.667|100.000|1|0|0', 'sky|-|-|-|0|0|0'} <= set(lines)
    # Stuff before things: a group is told by the name, not by the label.
    meta = dict(classes=('sea', 'cat'), thing_classes=('cat',))
    record = write_image(tmp_path, 'a.png', np.array([[5, 5, 9]]), [(5, 0, False), (9, 1, False)])
    record['segments_info'][0]['is_thing'], record['segments_info'][1]['is_thing'] = False, True
    sample = with_prediction(record, np.array([[0, 0, 2]]))  # 2 is void
    result = measure([sample], meta, classwise=True)
    assert (result['coco_panoptic/PQ_st'], result['coco_panoptic/PQ_th']) == (100, 0)
    lines = [line.replace(' ', '').strip('|') for line in logged[-1].splitlines()]
    assert 'sea|100.000|100.000|100.000|1|0|0' in lines
    assert 'cat|0.000|0.000|0.000|0|0|1' in lines


def test_predictions_are_kept_apart_and_below_their_folder(tmp_path):
    """Whatever the data set calls its PNGs."""
    theirs = tmp_path / 'x.png'
    theirs.write_bytes(b'a photo')
    names = [str(theirs), '../../x.png', 'x.png', 'a\\x.png', 'a/x.png', 'a.x/../x.png']
    measured = metric(format_only=True, outfile_prefix=str(tmp_path / 'a' / 'b' / 'out'))
    for number, name in enumerate(names, 1):
        seg = dict(sem_seg=torch.zeros(1, 1, number, dtype=torch.int32))
        sample = dict(img_id=number, img_path='i.jpg', seg_file_name=name, pred_panoptic_seg=seg)
        measured.process({}, [sample])
    measured.evaluate(len(names))
    written = json.loads((tmp_path / 'a/b/out.panoptic.json').read_text())['annotations']
    for annotation in written:
        ids = read_panoptic_png(str(tmp_path / 'a/b/out.panoptic' / annotation['file_name']))
        assert ids.shape == (1, annotation['image_id'])
    assert theirs.read_bytes() == b'a photo'
    assert {p for p in tmp_path.rglob('*.png') if 'out.panoptic' not in p.parts} == {theirs}


def test_format_only_needs_no_ground_truth(tmp_path):
    pred = torch.tensor([[[0, 0, 1 + 7000, 2 + 3000, VOID]]])  # value 0 is the label 0, not void
    samples = [
        dict(img_id=id_, img_path=f'{id_}/x.jpeg', seg_file_name=f'{id_}/x.png', **extra)
        for id_, extra in [('Nord', {}), ('Süd', {})]
    ]
    samples = [dict(s, pred_panoptic_seg=dict(sem_seg=pred)) for s in samples]
    written = dict(format_only=True, outfile_prefix=str(tmp_path / 'my results'))
    assert measure(samples, **written) == {}
    annotations = read_json(tmp_path / 'my results.panoptic.json')['annotations']
    infos = [dict(id=i, category_id=c, area=a) for i, c, a in ((1, 7, 2), (2, 200, 1), (3, 3, 1))]
    assert annotations[1] == dict(image_id='Süd', file_name='Süd/x.png', segments_info=infos)
    png = read_panoptic_png(str(tmp_path / 'my results.panoptic' / 'Süd' / 'x.png'))
    assert png.tolist() == [[1, 1, 3, 2, 0]]
    del samples[0]['seg_file_name'], samples[1]['seg_file_name']
    with pytest.raises(ValueError, match="'Nord' and 'Süd' both have .* x.png.*seg_file_name"):
        measure(samples, **written)


def joined_samples(folder: Path) -> list[dict]:
    """Of two data sets, whose images have the same names and ids."""
    samples = drawn_samples(folder / 'a', 3) + drawn_samples(folder / 'b', 5)[2:]
    for number, sample in enumerate(samples):
        sample.update(img_id=number % 3, seg_file_name=f'{number % 3}.png')
    return samples


def test_images_of_joined_data_sets_are_kept_apart(tmp_path):
    samples = joined_samples(tmp_path)
    kept = measure(samples, outfile_prefix=str(tmp_path / 'out'))
    for number, sample in enumerate(samples):
        sample.update(img_id=number, seg_file_name=f'{number}.png')
    assert kept == measure(samples, outfile_prefix=str(tmp_path / 'own'))
    out, own = (read_json(tmp_path / f'{name}.panoptic.json')['annotations'] for name in ('out', 'own'))
    assert [a['image_id'] for a in out] == [0, 1, 2, '0_2', '1_2', '2_2']
    assert [a['segments_info'] for a in out] == [a['segments_info'] for a in own]
    for a, b in zip(out, own, strict=True):
        pngs = [tmp_path / f'{x}.panoptic' / y['file_name'] for x, y in (('out', a), ('own', b))]
        assert pngs[0].read_bytes() == pngs[1].read_bytes()
    assert len(list((tmp_path / 'out.panoptic').iterdir())) == 6
    assert len({(tmp_path / 'own.panoptic' / a['file_name']).read_bytes() for a in own}) > 2


COUNTS = (1, 5, 6)


def samples_of(count: int, folder: Path) -> list[dict]:
    return joined_samples(folder) if count == 6 else drawn_samples(folder, count)


def evaluate_part(rank: int, port: str, folder: str) -> None:
    """A process of a test: the loader's share of five images, of one and of six, two at a time."""
    os.chdir(folder)
    torch.set_num_threads(1)
    dist.init_process_group('gloo', f'tcp://127.0.0.1:{port}', rank=rank, world_size=2)
    for count in COUNTS:
        samples = samples_of(count, Path(folder) / f'gt{rank}')
        order = list(DefaultSampler(samples, shuffle=False))
        out = f'{folder}/two{count}'
        measured = metric(per_image_file=f'{out}.csv', outfile_prefix=out)
        for start in range(0, len(order), 2):
            measured.process({}, [samples[i] for i in order[start : start + 2]])
        Path(f'{out}.{rank}.json').write_text(json.dumps(measured.evaluate(count)))
    dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path):
    run_processes(evaluate_part, free_port(), str(tmp_path), number=2)
    for count in COUNTS:
        arguments = dict(per_image_file=str(tmp_path / 'one.csv'), outfile_prefix=str(tmp_path / 'one'))
        expected = measure(samples_of(count, tmp_path / 'gt'), **arguments)
        for rank in range(2):
            result = read_json(tmp_path / f'two{count}.{rank}.json')
            assert result == pytest.approx(expected, abs=1e-12)
        for end in ('.csv', '.panoptic.json'):
            two, one = tmp_path / f'two{count}{end}', tmp_path / f'one{end}'
            assert two.read_text() == one.read_text()
        written = list((tmp_path / f'two{count}.panoptic').iterdir())
        assert len(written) == count
        for path in written:
            assert path.read_bytes() == (tmp_path / 'one.panoptic' / path.name).read_bytes()
    assert not list(tmp_path.glob('.*.part'))


SAMPLE = dict(img_id=4, img_path='photos/four.jpg')
GROUND_TRUTH = dict(sem_seg=torch.zeros(1, 2, 3, dtype=torch.int), segments_info=[])


@pytest.mark.parametrize('pred, gt, message', [
    (None, None, 'no pred_panoptic_seg for photos/four.jpg.*panoptic_on=True'),
    ([[2, 2, 2]] * 2, None, 'no panoptic ground truth for photos/four.jpg.*'
     "LoadPanopticGroundTruth.*'seg_map_path' and 'segments_info'"),
    ([[2, 2]], GROUND_TRUTH, r'photos/four.jpg is \(1, 2\) .*truth \(2, 3\)'),
    ([[2, 2, 2006]] * 2, GROUND_TRUTH, 'four.jpg has the value 2006, label 6, but'
     ' labels run from 0 to 4 and 5 is void'),
    ([[2, 2, -1]] * 2, GROUND_TRUTH, 'four.jpg has the value -1'),
    ([[2.0, 2, 2]] * 2, GROUND_TRUTH, r'four.jpg is \(1, 2, 3\) float32'),
])  # fmt: skip
def test_what_is_wrong_with_a_sample(pred, gt, message):
    bad = with_prediction(SAMPLE, pred) if pred else dict(SAMPLE)
    bad |= dict(gt_panoptic_seg=gt) if gt else {}
    with pytest.raises(ValueError, match=message):
        metric().process({}, [bad])


def test_what_it_needs(tmp_path):
    sample = with_prediction(dict(SAMPLE, gt_panoptic_seg=GROUND_TRUTH), np.full((2, 3), 2))
    with pytest.raises(ValueError, match="needs thing_classes .* has .'classes'.*PanopticDataset"):
        metric(dict(classes=NAMES)).process({}, [sample])
    no_ids = {key: value for key, value in META.items() if key != 'category_ids'}
    with pytest.raises(ValueError, match='needs category_ids'):
        metric(no_ids, outfile_prefix=str(tmp_path / 'x')).process({}, [sample])
    measured = metric()
    measured.process({}, drawn_samples(tmp_path, 3))
    with pytest.raises(ValueError, match='3 samples came to process 0 of 1 for a data set of 1'):
        measured.evaluate(1)
    bad = dict(SAMPLE, seg_map_path=str(tmp_path / 'no such.png'), segments_info=[])
    with pytest.raises(FileNotFoundError, match='no such.png'):
        metric().process({}, [with_prediction(bad, np.array([[VOID]]))])


@pytest.mark.parametrize('arguments, message', [
    (dict(format_only=True), 'outfile_prefix'),
    (dict(format_only=True, outfile_prefix='x', per_image_file='y'), "per_image_file='y'"),
])  # fmt: skip
def test_contradictory_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        PanopticQualityMetric(**arguments)


@pytest.mark.parametrize('argument', ['per_image_file', 'outfile_prefix'])
def test_unwritable_target_is_told_at_the_first_batch(tmp_path, argument):
    (tmp_path / 'file').touch()
    target = str(tmp_path / 'file' / 'result')
    with pytest.raises(OSError, match=f'can not write {target}.*give per_image_file or outfile'):
        metric(**{argument: target}).process({}, drawn_samples(tmp_path, 1))
