"""A tiny model, exported by the tool, against PyTorch."""

import json
import os
import shutil
import subprocess
import sys

import cv2
import numpy as np
import onnx
import pytest
import torch
from helpers import onnx_model, oracle, tiny_inferencer
from helpers.onnx_model import IDS, assert_same, run
from helpers.tiny import CONFIGS
from helpers.tiny_inferencer import picture
from mmengine.config import Config

from mmpfcn.commands.export import export
from mmpfcn.commands.export.network import ExportNetwork, find_padded_peaks
from mmpfcn.deployment.onnx_inferencer import OnnxInferencer
from mmpfcn.formats import read_panoptic_png
from mmpfcn.models.sampling import find_peaks

NEEDLESS = ('torch', 'mmcv', 'mmdet', 'mmengine', 'PIL', 'onnx')
BLOCKER = f"""import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in {NEEDLESS}:
            raise ImportError(f'{{name}} is blocked')
sys.meta_path.insert(0, Blocker())
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """With model.py, model.pth and the exported model.onnx."""
    folder = tmp_path_factory.mktemp('exported')
    config, checkpoint = onnx_model.write_model(folder, lambda config: None)
    done = run('export_onnx.py', config, checkpoint)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f'{folder}/model.onnx: ' in done.stdout and 'mask_feats' in done.stdout
    assert sorted(path.name for path in folder.iterdir()) == [
        'model.onnx', 'model.pth', 'model.py',
    ]  # fmt: skip
    return folder


@pytest.fixture(scope='module')
def theirs(folder):
    return onnx_model.inferencer(folder)


@pytest.fixture
def ours(folder, _session):
    """With thresholds that a test may change."""
    settings = dict(_session.meta['test_cfg'])
    yield _session
    _session.meta['test_cfg'] = settings


@pytest.fixture(scope='module')
def _session(folder):
    return OnnxInferencer(folder / 'model.onnx', threads=1)


# ---- the file ----


def test_graph_has_onnx_operators_only_and_free_sizes(folder):
    graph = onnx.load(folder / 'model.onnx')
    assert [(opset.domain, opset.version) for opset in graph.opset_import] == [('', 17)]
    assert {node.domain for node in graph.graph.node} == {''} and not graph.functions
    shape = graph.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in shape] == ['batch', 3, 'height', 'width']


def test_file_describes_the_model(ours, theirs):
    meta = ours.meta
    assert meta['dataset_meta']['classes'] == tiny_inferencer.CLASSES
    assert meta['dataset_meta']['category_ids'] == IDS
    assert meta['test_cfg']['pool_sizes'] == [3, 3, 3, 5, 5]
    assert meta['test_cfg']['stuff_area_limit'] == 64
    assert (meta['scale'], meta['keep_ratio'], meta['pad_size_divisor']) == ([96, 64], True, 32)
    assert meta['mean'] == pytest.approx(theirs.model.data_preprocessor.mean.flatten().tolist())
    assert meta['bgr_to_rgb'] is True and meta['num_things_classes'] == 6
    assert meta['region_labels'] == [6, 7, 8, 9, 10]


def test_other_numbers_are_noticed(folder, theirs):
    """Of a graph that is compared with a network of other weights."""
    content = (folder / 'model.onnx').read_bytes()
    network = ExportNetwork(theirs.model).eval()
    assert max(export.compare(content, network, export.noise(3, 96, 32)).values()) < 1e-4
    bias = theirs.model.panoptic_head.kernel_generator.region_out.bias.data
    bias += 0.1
    with pytest.raises(RuntimeError, match='differs from PyTorch by .*region_scores'):
        export.compare(content, network, export.noise(1, 64, 64))
    bias -= 0.1


def test_foreign_operators_are_refused():
    node = onnx.helper.make_node('DeformConv', ['x'], ['y'], domain='mmdeploy')
    graph = onnx.helper.make_graph([node], 'g', [], [])
    with pytest.raises(RuntimeError, match='mmdeploy::DeformConv'):
        export.require_plain_operators(onnx.helper.make_model(graph))


@pytest.mark.parametrize('size', [(1, 1), (2, 3), (9, 7)])
def test_padded_peaks_are_the_peaks(size):
    logits = torch.randn(2, 4, *size)
    some, padded = find_peaks(logits, 3, 12), find_padded_peaks(logits, 3, 12)
    assert padded.scores.shape == (2, 12)
    for one, other in zip(some, padded, strict=True):
        found = other[:, : one.shape[1]]
        assert torch.equal(one[some.scores > 0], found[some.scores > 0])
    assert not padded.scores[:, some.scores.shape[1] :].any()
    assert 0 <= padded.cells.min() and padded.cells.max() < size[0] * size[1]


# ---- results ----


@pytest.mark.parametrize(
    'size', [(64, 96), (96, 64), (480, 640), (40, 33), (1, 1), (1, 120), (120, 1), (30, 1900)]
)
def test_same_results_at_any_size(ours, theirs, size):
    image = picture(*size)
    (expected,), (actual,) = theirs(image)['predictions'], ours(image)['predictions']
    assert_same(expected, actual)
    assert actual.segments_info


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
        expected = theirs.finish(output, **change)
        if 'max_per_img' in change:  # its half is in the graph: candidates of a level
            candidates = theirs.settings.max_per_img
            expected = None
        settings = dict(ours.meta['test_cfg'])
        ours.meta['test_cfg'].update(change)
        actual = ours(picture())['predictions'][0]
        ours.meta['test_cfg'] = settings
        if expected is None:
            assert candidates > 2 and len([s for s in actual.segments_info if s['isthing']]) <= 2
        else:
            assert_same(expected, actual)


def test_batches_equal_single_images(ours, theirs):
    sizes = [(64, 96), (64, 96), (40, 96), (96, 40), (64, 96), (64, 90)]
    images = [picture(*size, seed) for seed, size in enumerate(sizes)]
    batched = ours(images, batch_size=2)['predictions']
    assert [result.name for result in batched] == [f'image {i}' for i in range(6)]
    for expected, actual in zip(theirs(images)['predictions'], batched, strict=True):
        assert_same(expected, actual)


def star_with_separate_regions(config: Config) -> None:
    config.model.panoptic_head.feature_encoder.conv_cfg = dict(type='ModulatedDeformConv')
    config.model.panoptic_head.separate_thing_regions = True
    config.model.data_preprocessor.update(bgr_to_rgb=False, std=[1.0, 1.0, 1.0])


def swin(config: Config) -> None:
    backbone = Config.fromfile(CONFIGS / 'swin-t_coco_3x.py').model.backbone
    backbone.update(embed_dims=8, num_heads=(1, 2, 4, 8), depths=(2, 2, 2, 2), init_cfg=None)
    config.model.backbone = backbone
    config.model.neck.in_channels = [8, 16, 32, 64]
    # to save time; it is in the other models
    config.model.panoptic_head.kernel_generator.position_conv_cfg = None


@pytest.mark.parametrize('change', [star_with_separate_regions, swin])
def test_other_architectures(tmp_path, change):
    onnx_model.write_model(tmp_path, change)
    theirs = onnx_model.inferencer(tmp_path)
    export.export_onnx(theirs, tmp_path / 'model.onnx')
    ours = OnnxInferencer(tmp_path / 'model.onnx', threads=1)
    for size in ((64, 96), (96, 50)):
        image = picture(*size)
        assert_same(theirs(image)['predictions'][0], ours(image)['predictions'][0])


# ---- images from files, without torch ----


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    """Files of all kinds, good ones and bad ones."""
    photos = tmp_path_factory.mktemp('photos')
    (photos / 'sub').mkdir()
    cv2.imwrite(str(photos / 'a.jpg'), picture())
    cv2.imwrite(str(photos / 'a.png'), picture()[..., :1])  # grey
    alpha = np.dstack([picture(seed=2), np.full((64, 96), 99, np.uint8)])
    cv2.imwrite(str(photos / 'sub' / 'a.png'), alpha)
    cv2.imwrite(str(photos / 'deep.png'), picture(seed=3).astype(np.uint16) * 257)
    whole = (photos / 'a.jpg').read_bytes()
    (photos / 'cut.jpg').write_bytes(whole[: len(whole) // 2])
    (photos / 'text.jpg').write_text('no image')
    (photos / 'empty.png').write_bytes(b'')
    cv2.imwrite(str(photos / 'thin.png'), picture(8, 6000))
    return photos


def test_tool_without_torch(folder, photos, theirs, tmp_path):
    (tmp_path / 'sitecustomize.py').write_text(BLOCKER)
    alone = {**os.environ, 'PYTHONPATH': os.pathsep.join([str(tmp_path), str(oracle.ROOT)])}
    blocked = subprocess.run([sys.executable, '-c', 'import torch'], env=alone, capture_output=True)
    assert b'torch is blocked' in blocked.stderr
    out = tmp_path / 'out'
    done = run('onnx_infer.py', folder / 'model.onnx', photos, '--out-dir', out, '--threads', 1,
               '--batch-size', 2, env=alone)  # fmt: skip
    assert done.returncode == 1, done.stderr
    for name, message in (
        ('cut.jpg', 'is cut off'), ('text.jpg', 'is no image'), ('empty.png', 'is cut off'),
        ('thin.png', 'nothing is left of its shorter side'),
    ):  # fmt: skip
        assert f'not done: {photos / name}: ' in done.stderr and message in done.stderr
    assert 'Traceback' not in done.stderr
    content = json.loads((out / 'panoptic.json').read_text())
    assert content['categories'][0] == dict(id=11, name='disc', isthing=1)
    assert [c['isthing'] for c in content['categories']] == [1] * 6 + [0] * 4
    stems = {'a', 'a_2', 'sub/a', 'deep'}
    assert {a['file_name'] for a in content['annotations']} == {f'{stem}.png' for stem in stems}
    assert {p.name for p in out.iterdir()} == {'panoptic.json', 'panoptic'}
    for image, annotation in zip(content['images'], content['annotations'], strict=True):
        expected = theirs(image['file_name'])['predictions'][0]
        ids = read_panoptic_png(str(out / 'panoptic' / annotation['file_name']))
        assert (ids == expected.panoptic_seg).mean() >= 0.999
        assert annotation['image_id'] == image['id'] and (image['height'], image['width']) == (
            64,
            96,
        )
        for segment, info in zip(annotation['segments_info'], expected.segments_info, strict=True):
            assert segment['id'] == info['id'] and segment['category_id'] == IDS[info['label']]
            assert segment['area'] == np.count_nonzero(ids == segment['id'])


def test_exif_rotation(ours, theirs, tmp_path):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    Image.fromarray(picture()).save(tmp_path / 'turned.jpg', exif=exif)
    path = tmp_path / 'turned.jpg'
    (expected,), (actual,) = theirs(str(path))['predictions'], ours(path)['predictions']
    assert actual.panoptic_seg.shape == (96, 64)
    assert_same(expected, actual)


def test_bad_images_in_a_call(ours, photos, tmp_path):
    result = ours([photos / 'cut.jpg', str(photos / 'a.jpg'), photos / 'missing.jpg'])
    assert [r.stem for r in result['predictions']] == ['a']
    names, messages = zip(*result['failures'], strict=True)
    assert names == (str(photos / 'cut.jpg'), str(photos / 'missing.jpg'))
    assert 'cut off' in messages[0] and 'is not there' in messages[1]
    with pytest.raises(ValueError, match=r'float32 with shape \(4, 4\)'):
        list(ours.stream(np.zeros((4, 4), np.float32)))
    with pytest.raises(ValueError, match='no image in the folder'):
        ours(tmp_path)


# ---- wrong input ----


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['missing.onnx', 'a.jpg', '--out-dir', 'out'], 'model missing.onnx is not there'),
        (['text.onnx', 'a.jpg', '--out-dir', 'out'], 'can not be loaded by ONNX Runtime'),
        (['foreign.onnx', 'a.jpg', '--out-dir', 'out'], "no metadata of format 1 under 'mmpfcn'"),
        (['model.onnx', 'no/*.jpg', '--out-dir', 'out'], 'no file matches the pattern no/*.jpg'),
        (['model.onnx', 'a.jpg', '--out-dir', 'out', '--threads', '0'], '--threads is 0'),
        (['model.onnx', 'a.jpg', '--out-dir', 'text.onnx/out'], 'text.onnx'),
    ],
)
def test_wrong_arguments_of_inference(
    folder, photos, tmp_path, arguments, message, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    shutil.copy(folder / 'model.onnx', tmp_path)
    shutil.copy(photos / 'a.jpg', tmp_path)
    (tmp_path / 'text.onnx').write_text('no model')
    value = onnx.helper.make_tensor_value_info('x', onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node('Identity', ['x'], ['y'])
    out = onnx.helper.make_tensor_value_info('y', onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([node], 'g', [value], [out])
    opset = onnx.helper.make_opsetid('', 17)
    foreign = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
    onnx.save(foreign, tmp_path / 'foreign.onnx')
    before = set(tmp_path.iterdir())
    assert message in refused('onnx_infer', arguments, capsys)
    assert set(tmp_path.iterdir()) == before


def refused(tool: str, arguments: list, capsys) -> str:
    """The message of a tool that ends with exit code 2."""
    from helpers.oracle import import_file

    module = import_file(onnx_model.TOOLS / f'{tool}.py')
    path = list(sys.path)
    with pytest.raises(SystemExit) as error:
        module.main([str(x) for x in arguments])
    sys.path[:] = path
    assert error.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--out', 'model.pt'], '--out is a file that ends in .onnx, got model.pt'),
        (['--out', 'file/model.onnx'], 'file'),
        (['--cfg-options', 'model.panoptic_head.num_stuff_classes=3',
          'model.panoptic_fusion_head.num_stuff_classes=3'], 'classes'),
        (['--cfg-options', 'model.neck.out_channels=32'], 'belongs to another model'),
        (['--cfg-options', 'test_dataloader.dataset.pipeline.1.interpolation=bicubic'],
         'expected a bilinear Resize'),
        (['--cfg-options', 'model.data_preprocessor.pad_value=7'], 'pads with 7'),
    ],
)  # fmt: skip
def test_wrong_arguments_of_the_export(folder, tmp_path, options, message, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'file').write_text('')
    graph = onnx.load(folder / 'model.onnx')
    graph.ClearField('metadata_props')
    monkeypatch.setattr(export, 'trace', lambda *_: graph)  # saves time
    if options[0] == '--cfg-options':
        options = ['--out', 'model.onnx', *options]
    arguments = [folder / 'model.py', folder / 'model.pth', *options]
    assert message in refused('export_onnx', arguments, capsys)
    assert [path.name for path in tmp_path.iterdir()] == ['file']
