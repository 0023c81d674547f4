"""ONNX Runtime against PyTorch: the tiny model, and R50 with the oracle's weights on photos."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import cv2
import numpy as np
import pytest
import torch
from helpers import oracle
from helpers.onnx_model import assert_same
from helpers.tiny_inferencer import picture
from mmengine.config import Config
from PIL import Image

from mmpfcn import PanopticInferencer
from mmpfcn.commands import detectron2_to_mmpfcn as converter
from mmpfcn.commands.export.export import export_onnx
from mmpfcn.deployment.onnx_inferencer import OnnxInferencer


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """The address of a folder."""
    handler = partial(SimpleHTTPRequestHandler, directory=folder)
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_port}'
        server.shutdown()


@pytest.mark.parametrize(
    'size', [(64, 96), (96, 64), (480, 640), (40, 33), (1, 1), (1, 120), (120, 1), (30, 1900)]
)
def test_same_results_at_any_size(ours, theirs, size):
    image = picture(*size)
    (expected,), (actual,) = theirs(image)['predictions'], ours(image)['predictions']
    assert_same(expected, actual)
    assert actual.segments_info


@pytest.mark.parametrize('size', [(64, 96), (150, 70), (1, 120)])
def test_instances_and_semantic_map(ours, theirs, size):
    images = [picture(*size, seed) for seed in range(2)]
    wanted = dict(instances=True, semantic=True)
    expected, actual = (model(images, **wanted)['predictions'] for model in (theirs, ours))
    for one, other in zip(expected, actual, strict=True):
        assert_same(one, other)
        assert len(other.instances) > sum(s['isthing'] for s in other.segments_info)
        assert len(np.unique(other.semantic_seg)) > 1
    alone = next(ours.stream(images, semantic=True))
    assert alone.instances is None and np.array_equal(alone.semantic_seg, actual[0].semantic_seg)


def test_videos_and_addresses(ours, theirs, tmp_path):
    for seed in range(3):
        cv2.imwrite(str(tmp_path / f'{seed}.png'), picture(seed=seed))
    video = tmp_path / 'clip.avi'
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*'MJPG'), 5, (96, 64))
    for seed in range(3):
        writer.write(picture(seed=seed))
    writer.release()
    with serve(tmp_path) as address:
        inputs = [f'{address}/0.png', str(video), f'{address}/missing.png']
        results = [model(inputs) for model in (theirs, ours)]
    names = [[result.name for result in found['predictions']] for found in results]
    assert names[0] == names[1] == [inputs[0], *(f'{video}#{i}' for i in range(3))]
    for one, other in zip(*(found['predictions'] for found in results), strict=True):
        assert_same(one, other)
    assert [found['failures'][0][0] for found in results] == [inputs[2]] * 2


def test_thresholds(ours, theirs):
    output = theirs.run_network(picture())
    for change in (
        dict(center_thr=1.0),  # no things
        dict(region_thr=1.0),  # no regions
        dict(center_thr=1.0, region_thr=1.0),
        dict(similarity_thr=0.5, score_thr=0.1, mask_thr_binary=0.45),
        dict(max_per_img=2, mask_overlap=0.1),
        dict(stuff_area_limit=2000, panoptic_score_thr=0.4),
    ):
        settings = dict(ours.meta['test_cfg'])
        ours.meta['test_cfg'].update(change)
        actual = ours(picture())['predictions'][0]
        ours.meta['test_cfg'] = settings
        if 'max_per_img' in change:  # its half is in the graph: candidates of a level
            assert theirs.settings.max_per_img > 2
            assert len([s for s in actual.segments_info if s['isthing']]) <= 2
        else:
            assert_same(theirs.finish(output, **change), actual)


def test_batches_and_turned_images(ours, theirs, tmp_path):
    sizes = [(64, 96), (64, 96), (40, 96), (96, 40), (64, 96), (64, 90)]
    images = [picture(*size, seed) for seed, size in enumerate(sizes)]
    batched = ours(images, batch_size=2)['predictions']
    assert [result.name for result in batched] == [f'image {i}' for i in range(6)]
    for expected, actual in zip(theirs(images)['predictions'], batched, strict=True):
        assert_same(expected, actual)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    Image.fromarray(picture()).save(tmp_path / 'turned.jpg', exif=exif)
    path = tmp_path / 'turned.jpg'
    (expected,), (actual,) = theirs(str(path))['predictions'], ours(path)['predictions']
    assert actual.panoptic_seg.shape == (96, 64)
    assert_same(expected, actual)


def test_bad_images_in_a_call(ours, tmp_path):
    photos = tmp_path / 'photos'
    photos.mkdir()
    cv2.imwrite(str(photos / 'a.jpg'), picture())
    (photos / 'cut.jpg').write_bytes((photos / 'a.jpg').read_bytes()[:300])
    result = ours([photos / 'cut.jpg', str(photos / 'a.jpg'), photos / 'missing.jpg'])
    assert [r.stem for r in result['predictions']] == ['a']
    names, messages = zip(*result['failures'], strict=True)
    assert names == (str(photos / 'cut.jpg'), str(photos / 'missing.jpg'))
    assert 'cut off' in messages[0] and 'is not there' in messages[1]
    with pytest.raises(ValueError, match=r'float32 with shape \(4, 4\)'):
        list(ours.stream(np.zeros((4, 4), np.float32)))
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match='no image in the folder'):
        ours(tmp_path / 'empty')


@pytest.fixture(scope='module')
def models(tmp_path_factory):
    """Both, at 160 x 256 px at most to save time."""
    folder = tmp_path_factory.mktemp('r50')
    model = converter.build_model(False)
    weights = converter.convert(oracle.published_weights(False), model.state_dict())
    torch.save(dict(state_dict=weights), folder / 'r50.pth')
    config = Config.fromfile(oracle.ROOT / 'configs/panoptic_fcn/r50_coco.py')
    config.test_dataloader.dataset.pipeline[1].scale = (256, 160)
    with pytest.warns(UserWarning, match="taking COCO's"):
        theirs = PanopticInferencer(config, folder / 'r50.pth', 'cpu', show_progress=False)
    export_onnx(theirs, folder / 'r50.onnx')
    return theirs, OnnxInferencer(folder / 'r50.onnx')


def photos() -> list:
    """Upright, square and wide ones."""
    paths = sorted((oracle.coco200() / 'val2017').glob('*.jpg'))
    small = (cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_8) for path in paths)
    ratios = [np.divide(*image.shape[:2]) for image in small]
    order = np.argsort(ratios)
    return [paths[i] for i in order[[0, len(order) // 4, len(order) // 2, -20, -1]]]


def test_photos(models):
    theirs, ours = models
    paths, wanted = photos(), dict(instances=True, semantic=True)
    expected = theirs([str(p) for p in paths], **wanted)['predictions']
    actual = ours(paths, **wanted)['predictions']
    assert len({result.panoptic_seg.shape for result in actual}) >= 4
    assert sum(s['isthing'] for result in actual for s in result.segments_info) >= 3
    assert sum(not s['isthing'] for result in actual for s in result.segments_info) >= 10
    for one, other in zip(expected, actual, strict=True):
        sides = one.panoptic_seg.shape
        factor = min(256 / max(sides), 160 / min(sides))
        assert_same(one, other, cell_pixels=(4 / factor) ** 2)
    paths = sorted((oracle.coco200() / 'val2017').glob('*.jpg'))
    images = [image for image in map(lambda p: cv2.imread(str(p)), paths[:20])]
    images = [image for image in images if image.shape == (480, 640, 3)][:2]
    assert len(images) == 2
    expected, actual = theirs(images)['predictions'], ours(images, batch_size=2)['predictions']
    for one, other in zip(expected, actual, strict=True):
        assert_same(one, other)


def test_a_generator_streams(ours):
    """Each image is asked for when those before it are predicted."""
    asked = []

    def images():
        for seed in range(3):
            asked.append(seed)
            yield picture(seed=seed)

    seen = [(result.stem, len(asked)) for result in ours.stream(images())]
    assert seen == [('000000', 1), ('000001', 2), ('000002', 3)]
    assert len(ours(images())['predictions']) == 3


def test_outputs_that_are_not_finite_are_named(ours):
    shape = (64, 96)
    output = {name: x[0] for name, x in ours.run_network([picture()]).items()}
    assert ours.finish(output, shape, shape)[1]
    for name in ('mask_feats', 'thing_scores', 'thing_kernels', 'region_scores', 'region_kernels'):
        for value in (np.nan, np.inf, -np.inf):
            broken = dict(output, **{name: output[name].copy()})
            broken[name].flat[-1] = value
            with pytest.raises(ValueError, match='gave NaN or an infinite number'):
                ours.finish(broken, shape, shape)
