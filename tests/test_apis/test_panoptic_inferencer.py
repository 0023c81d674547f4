"""From images to results with a tiny model."""

import sys
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import torch
from helpers import tiny_inferencer
from helpers.files import read_json
from helpers.onnx_model import IDS
from helpers.oracle import ROOT
from helpers.shell import run
from helpers.tiny_inferencer import picture
from mmengine.hub import get_config

from mmpfcn import PanopticInferencer
from mmpfcn.apis import PanopticResult, explain
from mmpfcn.datasets import PanopticDataset


def same(a: PanopticResult, b: PanopticResult) -> bool:
    scores = [[s['score'] for s in result.segments_info] for result in (a, b)]
    rest = [[{**s, 'score': 0} for s in result.segments_info] for result in (a, b)]
    maps_are_same = np.array_equal(a.panoptic_seg, b.panoptic_seg)
    return maps_are_same and rest[0] == rest[1] and scores[0] == pytest.approx(scores[1], abs=1e-5)


def test_result_is_what_the_detector_predicts(inferencer):
    """Through test_step, as tools/test.py runs it."""
    image = picture()
    result = inferencer(image)['predictions'][0]
    data = inferencer.pipeline(dict(img=image, img_shape=(64, 96), ori_shape=(64, 96)))
    with torch.no_grad():
        (sample,) = inferencer.model.test_step(inferencer.collate_fn([data]))
    expected = sample.pred_panoptic_seg.sem_seg[0].numpy()
    void = len(tiny_inferencer.CLASSES)
    assert np.array_equal(result.panoptic_seg, np.where(expected == void, 0, expected))
    assert (expected == void).any() and (expected != void).any()
    infos = sample.pred_panoptic_seg.segments_info
    assert [s['id'] for s in result.segments_info] == [s['id'] for s in infos]
    assert sum(s['num_kernels'] > 1 for s in result.segments_info) > 0
    assert np.array_equal(result.kernels, sample.pred_panoptic_seg.segment_kernels.numpy())
    assert len(result.kernels) == len(infos)


@pytest.mark.parametrize('batch_size', [2, 3])
def test_batches_equal_single_images_of_any_sizes(inferencer, batch_size):
    sizes = [(64, 96), (64, 96), (40, 96), (96, 40), (64, 96), (64, 90)]
    images = [picture(*size, seed) for seed, size in enumerate(sizes)]
    single = inferencer(images)['predictions']
    batched = inferencer(images, batch_size=batch_size)['predictions']
    assert [r.name for r in single] == [r.name for r in batched]
    assert all(same(a, b) for a, b in zip(single, batched, strict=True))


def test_finishing_an_output(inferencer, checkpoint):
    """With other thresholds, and again: an output stays as it was."""
    output = inferencer.run_network(picture())
    assert same(inferencer.finish(output), inferencer(picture())['predictions'][0])
    none = inferencer.finish(output, center_thr=1.0, region_thr=1.0)
    assert none.segments_info == [] and not none.panoptic_seg.any()
    changed = tiny_inferencer.config(**tiny_inferencer.ANY_PREDICTION, similarity_thr=0.99)
    other = PanopticInferencer(changed, checkpoint, 'cpu', show_progress=False)
    assert same(inferencer.finish(output, similarity_thr=0.99), other(picture())['predictions'][0])
    with pytest.raises(ValueError, match="unknown key 'centre_thr'.*did you mean 'center_thr'"):
        inferencer.finish(output, centre_thr=0.3)
    # A second call, an explanation and the data sample's own fields.
    output = inferencer.run_network(picture())
    fields = set(output.data_sample.all_keys()), dict(output.data_sample.metainfo_items())
    levels = [maps.clone() for level in output.levels for maps in level]
    first = inferencer.finish(output, instances=True, semantic=True)
    found = set(output.data_sample.all_keys()), dict(output.data_sample.metainfo_items())
    assert found == fields and 'pred_panoptic_seg' not in str(output.data_sample)
    after = [maps for level in output.levels for maps in level]
    assert all(torch.equal(a, b) for a, b in zip(levels, after, strict=True))
    again = inferencer.finish(output)
    assert same(first, again) and again.instances is None and again.semantic_seg is None
    explain(inferencer, output)
    assert same(first, inferencer.finish(output, instances=True, semantic=True))


def test_threads_share_an_output(inferencer):
    output = inferencer.run_network(picture())
    tasks = [dict(instances=bool(n & 1), semantic=bool(n & 2)) for n in range(32)]
    alone = inferencer.finish(output)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda task: inferencer.finish(output, **task), tasks))
    for task, result in zip(tasks, results, strict=True):
        assert same(alone, result)
        found = result.instances is not None, result.semantic_seg is not None
        assert found == (task['instances'], task['semantic'])
    output = inferencer.run_network(picture())
    thresholds = [0.0, 1.0, 0.3, 0.02] * 8
    alone = {t: inferencer.finish(output, center_thr=t) for t in set(thresholds)}
    with ThreadPoolExecutor(4) as pool:
        together = pool.map(lambda t: inferencer.finish(output, center_thr=t), thresholds)
        assert all(same(alone[t], r) for t, r in zip(thresholds, together, strict=True))


def test_bad_images(inferencer, tmp_path):
    with pytest.raises(ValueError, match=r'image is 2000 x 8 pixels .*crop it'):
        list(inferencer.stream(picture(8, 2000)))
    for name in ('a.png', 'c.png'):
        cv2.imwrite(str(tmp_path / name), picture())
    (tmp_path / 'b.jpg').write_text('no image')
    answer = inferencer(tmp_path, batch_size=2)
    assert [r.stem for r in answer['predictions']] == ['a', 'c']
    (failure,) = answer['failures']
    assert failure.name == str(tmp_path / 'b.jpg') and failure.stem == 'b'
    assert 'is no image' in failure.message
    with pytest.raises(ValueError, match='b.jpg is no image'):
        list(inferencer.stream(tmp_path))


def test_outputs_that_are_not_finite_are_failures(checkpoint):
    """Of each image; the call ends, and says so."""
    config = tiny_inferencer.config(**tiny_inferencer.ANY_PREDICTION)
    broken = PanopticInferencer(config, checkpoint, 'cpu', show_progress=False)
    broken.model.data_preprocessor.mean.fill_(float('nan'))
    answer = broken([picture(), picture(seed=1)], batch_size=2)
    assert answer['predictions'] == []
    assert [failure.name for failure in answer['failures']] == ['image 0', 'image 1']
    assert all('gave NaN' in failure.message for failure in answer['failures'])
    with pytest.raises(ValueError, match='gave NaN'):
        list(broken.stream(picture()))


@pytest.mark.parametrize('given', ['panoptic', 'list', 'vis/0.jpg'])
def test_results_do_not_replace_inputs(inferencer, tmp_path, given):
    for name in ('panoptic/0.png', 'vis/0.jpg', 'more/1.png'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name), picture())
    before = {path: path.read_bytes() for path in tmp_path.rglob('*.*')}
    inputs = tmp_path / given
    if given == 'list':
        inputs = [tmp_path / 'more' / '1.png', tmp_path / 'panoptic' / '0.png']
    with pytest.raises(ValueError, match='would take the place of the input|among the results'):
        inferencer(inputs, out_dir=tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob('*.*')} == before


def test_models_by_name_from_a_training_and_wrong_ones(checkpoint, inferencer, tmp_path):
    with pytest.raises(ValueError, match='r50_cocoo is neither a config.*did you mean r50_coco'):
        PanopticInferencer('r50_cocoo')
    with pytest.raises(ValueError, match='belongs to another model than the config'):
        PanopticInferencer('r18_shapes', checkpoint, 'cpu')
    stock = get_config('mmdet::panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py')
    with pytest.raises(TypeError, match='PanopticFPN without PanopticFCNHead'):
        PanopticInferencer(stock, None, 'cpu')
    # The config that mmengine keeps in it, and the names of the data set.
    config = tiny_inferencer.config(**tiny_inferencer.ANY_PREDICTION)
    content = torch.load(tiny_inferencer.write_checkpoint(tmp_path))
    content['message_hub'] = dict(runtime_info=dict(cfg=config.pretty_text))
    torch.save(content, tmp_path / 'iter_1.pth')
    alone = PanopticInferencer(None, str(tmp_path / 'iter_1.pth'), 'cpu', show_progress=False)
    image = picture()
    assert same(alone(image)['predictions'][0], inferencer(image)['predictions'][0])


def test_works_without_panopticapi(checkpoint, tmp_path):
    """In a process in which it can not be imported."""
    cv2.imwrite(str(tmp_path / 'a.png'), picture())
    code = (
        'import sys; sys.modules["panopticapi"] = None; sys.path[:0] = ["tests"]\n'
        'from helpers import tiny_inferencer\n'
        'from mmpfcn import PanopticInferencer\n'
        f'i = PanopticInferencer(tiny_inferencer.config(), {checkpoint!r}, "cpu")\n'
        f'print(len(i({str(tmp_path / "a.png")!r}, out_dir={str(tmp_path)!r})["predictions"]))'
    )
    done = run(sys.executable, '-c', code, cwd=ROOT, timeout=120)
    assert done.stdout.split()[-1:] == ['1'], done.stderr[-2000:]


def test_files_are_a_panoptic_data_set(inferencer, tmp_path):
    """PanopticDataset reads what was written; the ids and categories are those of the results."""
    (tmp_path / 'in' / 'sub').mkdir(parents=True)
    for seed, name in enumerate(('a.png', 'sub/a.png')):
        cv2.imwrite(str(tmp_path / 'in' / name), picture(seed=seed))
    answer = inferencer(tmp_path / 'in', out_dir=tmp_path / 'out', instances=True, return_vis=True)
    files = {p.relative_to(tmp_path / 'out').as_posix() for p in tmp_path.glob('out/**/*.*')}
    assert files == {
        'panoptic.json', 'instances.json',
        'panoptic/a.png', 'panoptic/sub/a.png', 'vis/a.jpg', 'vis/sub/a.jpg',
    }  # fmt: skip
    out = tmp_path / 'out'
    pipeline = [dict(type='LoadPanopticGroundTruth', panoptic=True)]
    where = dict(data_prefix=dict(img='', seg=str(out / 'panoptic')), pipeline=pipeline)
    dataset = PanopticDataset(str(out / 'panoptic.json'), **where)
    assert list(dataset.metainfo['category_ids']) == IDS
    for record, result in zip(dataset, answer['predictions'], strict=True):
        assert record['img_path'] == result.name
        areas = {s['label']: s['area'] for s in result.segments_info if not s['isthing']}
        read = {s['label']: s['area'] for s in record['gt_panoptic_segments'] if not s['isthing']}
        assert read == areas
        assert len(record['gt_masks']) == sum(s['isthing'] for s in result.segments_info)
    instances = read_json(tmp_path / 'out' / 'instances.json')
    assert len(instances) == sum(len(r.instances) for r in answer['predictions'])
    drawn = cv2.imread(str(tmp_path / 'out' / 'vis' / 'a.jpg'))[..., ::-1]
    assert abs(drawn.astype(int) - answer['visualization'][0]).mean() < 8


def test_results_so_far_are_kept_when_a_run_is_broken_off(inferencer, tmp_path):
    def images():
        yield picture()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        inferencer(images(), out_dir=tmp_path)
    content = read_json(tmp_path / 'panoptic.json')
    assert [a['file_name'] for a in content['annotations']] == ['000000.png']
    assert (tmp_path / 'panoptic' / '000000.png').is_file()
