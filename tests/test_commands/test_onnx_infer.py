"""The tool that predicts with an exported model, in an environment without torch."""

import os
import shutil
import sys

import cv2
import numpy as np
import onnx
import pytest
from helpers.files import read_json
from helpers.onnx_model import IDS
from helpers.oracle import ROOT
from helpers.shell import run
from helpers.tiny_inferencer import picture

from mmpfcn.__main__ import main as mmpfcn
from mmpfcn.commands.onnx_infer import main
from mmpfcn.formats import read_panoptic_png

TOOL = ROOT / 'tools' / 'deployment' / 'onnx_infer.py'
NEEDLESS = ('torch', 'mmcv', 'mmdet', 'mmengine', 'PIL', 'onnx')
BLOCKER = f"""import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in {NEEDLESS}:
            raise ImportError(f'{{name}} is blocked')
sys.meta_path.insert(0, Blocker())
"""


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


def test_tool_without_torch(exported, photos, theirs, tmp_path):
    (tmp_path / 'sitecustomize.py').write_text(BLOCKER)
    alone = {**os.environ, 'PYTHONPATH': os.pathsep.join([str(tmp_path), str(ROOT)])}
    blocked = run(sys.executable, '-c', 'import torch', env=alone)
    assert 'torch is blocked' in blocked.stderr
    out = tmp_path / 'out'
    options = ('--out-dir', out, '--threads', 1, '--batch-size', 2)
    done = run(sys.executable, TOOL, exported / 'model.onnx', photos, *options, env=alone)
    assert done.returncode == 1, done.stderr
    for name, message in (
        ('cut.jpg', 'is cut off'), ('text.jpg', 'is no image'), ('empty.png', 'is cut off'),
        ('thin.png', 'nothing is left of its shorter side'),
    ):  # fmt: skip
        assert f'not done: {photos / name}: ' in done.stderr and message in done.stderr
    assert 'Traceback' not in done.stderr
    content = read_json(out / 'panoptic.json')
    assert content['categories'][0] == dict(id=11, name='disc', isthing=1)
    assert [c['isthing'] for c in content['categories']] == [1] * 6 + [0] * 4
    stems = {'a', 'a_2', 'sub/a', 'deep'}
    assert {a['file_name'] for a in content['annotations']} == {f'{stem}.png' for stem in stems}
    assert {p.name for p in out.iterdir()} == {'panoptic.json', 'panoptic'}
    for image, annotation in zip(content['images'], content['annotations'], strict=True):
        expected = theirs(image['file_name'])['predictions'][0]
        ids = read_panoptic_png(str(out / 'panoptic' / annotation['file_name']))
        assert (ids == expected.panoptic_seg).mean() >= 0.999
        assert annotation['image_id'] == image['id']
        assert (image['height'], image['width']) == (64, 96)
        for segment, info in zip(annotation['segments_info'], expected.segments_info, strict=True):
            assert segment['id'] == info['id'] and segment['category_id'] == IDS[info['label']]
            assert segment['area'] == np.count_nonzero(ids == segment['id'])


@pytest.mark.parametrize('arguments, message', [
    ('missing.onnx a.jpg --out-dir out', 'model missing.onnx is not there'),
    ('text.onnx a.jpg --out-dir out', 'can not be loaded by ONNX Runtime'),
    ('foreign.onnx a.jpg --out-dir out', "no metadata of format 1 under 'mmpfcn'"),
    ('model.onnx no.jpg --out-dir out', 'input no.jpg is not there'),
    ('no.onnx photos --out-dir model.onnx/out', 'give another --out-dir'),
    ('model.onnx no/*.jpg --out-dir out', 'no file matches the pattern no/*.jpg'),
    ('model.onnx a.jpg --out-dir out --threads 0', '--threads: got 0, expected a whole number from 1 on'),
    ('model.onnx a.jpg --out-dir text.onnx/out', 'text.onnx'),
])  # fmt: skip
def test_wrong_arguments(exported, photos, tmp_path, arguments, message, refused, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(exported / 'model.onnx', tmp_path)
    shutil.copy(photos / 'a.jpg', tmp_path)
    (tmp_path / 'text.onnx').write_text('no model')
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in 'xy')
    node = onnx.helper.make_node('Identity', ['x'], ['y'])
    graph = onnx.helper.make_graph([node], 'g', [x], [y])
    opset = onnx.helper.make_opsetid('', 17)
    foreign = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
    onnx.save(foreign, tmp_path / 'foreign.onnx')
    before = set(tmp_path.iterdir())
    assert message in refused(main, *arguments.split())
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize('out', ['results', 'sub/results'])
def test_results_inside_the_inputs_are_no_inputs(exported, photos, tmp_path, out):
    shutil.copytree(photos, tmp_path / 'in')
    before = {path: path.read_bytes() for path in (tmp_path / 'in').rglob('*.*')}
    for _ in range(2):
        arguments = exported / 'model.onnx', tmp_path / 'in', '--out-dir', tmp_path / 'in' / out
        assert main([*map(str, arguments)]) == 1
        content = read_json(tmp_path / 'in' / out / 'panoptic.json')
        assert len(content['images']) == 4
    assert all(path.read_bytes() == content for path, content in before.items())


def test_results_do_not_replace_inputs(exported, photos, tmp_path, refused):
    shutil.copytree(photos, tmp_path / 'out' / 'panoptic')
    before = {path: path.read_bytes() for path in tmp_path.rglob('*.*')}
    for given, message in (
        (tmp_path / 'out' / 'panoptic', 'would take the place of the input'),
        (tmp_path / 'out' / 'panoptic' / 'a.png', 'lies among the results'),
        (tmp_path / 'out', 'is an input and the folder of the results'),
    ):
        arguments = [exported / 'model.onnx', given, '--out-dir', tmp_path / 'out']
        assert message in refused(main, *arguments)
    assert {path: path.read_bytes() for path in tmp_path.rglob('*.*')} == before


def test_instances_of_a_video(exported, theirs, tmp_path, monkeypatch):
    writer = cv2.VideoWriter(str(tmp_path / 'a.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 5, (96, 64))
    for seed in range(2):
        writer.write(picture(seed=seed))
    writer.release()
    options = (
        '--model',
        exported / 'model.onnx',
        '--instances',
        '--runtime',
        'onnxruntime',
        '--precision',
        'f32',
    )
    arguments = ['predict', tmp_path / 'a.avi', *options, '--out-dir', tmp_path / 'out']
    assert mmpfcn([*map(str, arguments)]) == 0
    found = read_json(tmp_path / 'out' / 'instances.json')
    expected = theirs(str(tmp_path / 'a.avi'), instances=True)['predictions']
    for image, result in enumerate(expected):
        labels = [x['category_id'] for x in found if x['image_id'] == image]
        assert labels == [x['category_id'] for x in result.instances] and labels


def test_a_video_that_is_cut_off_is_not_finished(exported, tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / 'a.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 5, (96, 64))
    for seed in range(6):
        writer.write(picture(seed=seed))
    writer.release()
    content = (tmp_path / 'a.avi').read_bytes()
    (tmp_path / 'a.avi').write_bytes(content[: len(content) // 2])
    name = tmp_path / f'{"n" * 251}.png'
    name.write_bytes(cv2.imencode('.png', picture())[1])
    arguments = exported / 'model.onnx', tmp_path / 'a.avi', name, '--out-dir', tmp_path / 'out'
    done = run(sys.executable, TOOL, *arguments)
    assert done.returncode == 1 and 'is cut off or damaged: it has' in done.stderr
    content = read_json(tmp_path / 'out' / 'panoptic.json')
    names = [image['file_name'] for image in content['images']]
    assert f'{tmp_path}/a.avi#0' in names and f'{tmp_path}/a.avi#5' not in names
    assert sum(name.endswith('n.png') for name in names) == 1
