"""Models by name: published folders, the cache of the Hugging Face Hub, the model index."""

import json
import os
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers import tiny_inferencer, tiny_run
from mmdet.registry import MODELS
from mmengine.runner import CheckpointLoader
from safetensors import safe_open
from safetensors.torch import save_file

from mmpfcn import PanopticInferencer
from mmpfcn.apis.checkpoint import CheckpointError, file_hash, read_checkpoint, use_safe_loader
from mmpfcn.apis.configs import model_index, read_config
from mmpfcn.apis.pretrained import find_pretrained
from mmpfcn.commands import publish_model
from mmpfcn.commands.predict.command import main as predict

COMMIT = '0123456789abcdef0123456789abcdef01234567'
NUM_THINGS = 6
IMAGE = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)


@pytest.fixture(scope='module')
def training(tmp_path_factory) -> Path:
    """A checkpoint of a training, with its config."""
    folder = tmp_path_factory.mktemp('training')
    content = torch.load(tiny_inferencer.write_checkpoint(folder))
    cfg = tiny_inferencer.config(**tiny_inferencer.ANY_PREDICTION)
    content['message_hub'] = dict(runtime_info=dict(cfg=cfg.pretty_text))
    torch.save(content, folder / 'iter_3.pth')
    return folder / 'iter_3.pth'


@pytest.fixture
def published(training, tmp_path) -> Path:
    assert publish_model.main([str(training), str(tmp_path / 'tiny')]) == 0
    return tmp_path / 'tiny'


def segments(inferencer: PanopticInferencer) -> tuple[list, list]:
    result = inferencer(IMAGE)['predictions'][0]
    return result.segments_info, result.panoptic_seg.tolist()


def load(name: object) -> PanopticInferencer:
    return PanopticInferencer.from_pretrained(name, 'cpu', show_progress=False)


@pytest.mark.parametrize('file', ['', 'model.safetensors'])
def test_a_folder_and_its_file_predict_as_the_training_did(file, training, published):
    assert sorted(os.listdir(published)) == ['README.md', 'config.py', 'model.safetensors']
    inferencer = load(published / file)
    assert segments(inferencer) == segments(load(training))
    assert segments(inferencer)[0]
    assert inferencer.dataset_meta['classes'] == tiny_inferencer.CLASSES


def test_every_reader_of_checkpoints_takes_the_folder(published):
    use_safe_loader()
    expected = read_checkpoint(published / 'model.safetensors')
    for content in (read_checkpoint(published), CheckpointLoader.load_checkpoint(str(published), 'cpu')):
        assert content['state_dict'].keys() == expected['state_dict'].keys()
        for name, weight in content['state_dict'].items():
            assert torch.equal(weight, expected['state_dict'][name])
    assert file_hash(published) == file_hash(published / 'model.safetensors')


def test_a_config_that_was_changed_in_the_folder_counts_and_is_not_run(published, tmp_path):
    config = published / 'config.py'
    text = config.read_text()
    assert read_config(str(config)).model.test_cfg.score_thr == 0
    config.write_text(re.sub(r'mask_overlap=[\d.]+', 'mask_overlap=0.125', text))
    assert load(published).settings.mask_overlap == 0.125
    config.write_text(f'{text}\nimport os\nos.mkdir({str(tmp_path / "trap")!r})\n')
    with pytest.raises(ValueError, match='not just values, and is not run'):
        load(published)
    assert not (tmp_path / 'trap').exists()


def test_predict_by_name_writes_to_results(published, tmp_path, monkeypatch, capsys):
    """In any folder; thresholds of the model's own config can be set."""
    monkeypatch.chdir(tmp_path)
    cv2.imwrite('photo.png', IMAGE)
    assert predict(['photo.png', '--model', 'tiny']) == 0
    found = json.loads(Path('results/panoptic.json').read_text())['annotations'][0]
    areas = [segment['area'] for segment in segments(load('tiny'))[0]]
    assert [s['area'] for s in found['segments_info']] == areas
    assert min(segment['category_id'] for segment in found['segments_info']) < NUM_THINGS
    few = ['--out-dir', 'few', '--cfg-options', 'model.test_cfg.panoptic_score_thr=2.0']
    assert predict(['photo.png', '--model', 'tiny', *few]) == 0
    found = json.loads(Path('few/panoptic.json').read_text())['annotations'][0]
    assert min(segment['category_id'] for segment in found['segments_info']) >= NUM_THINGS
    with pytest.raises(SystemExit) as error:
        predict(['photo.png', '--model', 'published/r50_coco'])
    assert error.value.code == 2
    assert 'mmpfcn convert detectron2 DOWNLOADED published/r50_coco.pth' in capsys.readouterr().err


def in_hub_cache(folder: Path, cache: Path, revision: str) -> None:
    """As huggingface_hub lays it out: blobs, a snapshot of links, a revision that names it."""
    repo = cache / 'models--someone--tiny'
    snapshot = repo / 'snapshots' / COMMIT
    snapshot.mkdir(parents=True)
    (repo / 'blobs').mkdir()
    (repo / 'refs').mkdir()
    (repo / 'refs' / revision).write_text(COMMIT)
    for file in folder.iterdir():
        blob = repo / 'blobs' / file_hash(file)
        shutil.copy(file, blob)
        (snapshot / file.name).symlink_to(os.path.relpath(blob, snapshot))


PREDICT = """
import sys, numpy
from mmpfcn import PanopticInferencer
image = numpy.random.default_rng(0).integers(0, 256, (64, 96, 3), numpy.uint8)
for name in sys.argv[1:]:
    try:
        inferencer = PanopticInferencer.from_pretrained(name, 'cpu', show_progress=False)
        print(inferencer(image)['predictions'][0].segments_info)
    except Exception as error:
        print(type(error).__name__, error)
"""


def predict_by_name(names: list[str], cache: Path, offline: str) -> list[str]:
    """A line for each name, from a process for which nobody answers at the hub's address."""
    hub = dict(HF_HUB_CACHE=str(cache), HF_HUB_OFFLINE=offline, HF_ENDPOINT='http://127.0.0.1:9')
    (cache / 'predict.py').write_text(PREDICT)
    output = tiny_run.run(cache / 'predict.py', *names, cwd=cache, **hub)
    return output.splitlines()[-len(names) :]


@pytest.mark.parametrize('offline', ['1', '0'])
def test_from_the_cache_of_the_hub_without_network(offline, published, tmp_path):
    """Told that there is none, or finding out."""
    in_hub_cache(published, tmp_path, 'v1')
    (line,) = predict_by_name(['hf://someone/tiny@v1'], tmp_path, offline)
    assert line == str(segments(load(published))[0])


def test_names_of_the_hub_that_are_not_in_the_cache(published, tmp_path):
    in_hub_cache(published, tmp_path, 'main')
    known = ['hf://someone/tiny', f'hf://someone/tiny@{COMMIT}']
    wrong = ['hf://someone/tiny@v2', 'hf://someone/other', 'hf://tiny']
    lines = predict_by_name(known + wrong, tmp_path, '1')
    assert lines[:2] == [str(segments(load(published))[0])] * 2
    for name, line in zip(wrong[:2], lines[2:4], strict=True):
        assert line.startswith(f'CheckpointError {name} could not be downloaded, and is not in the')
    assert lines[4] == ('CheckpointError hf://tiny names no repository: expected hf://user/name[@revision]')


def test_weights_of_the_authors_that_are_not_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    published = {name: entry for name, entry in model_index().items() if 'Weights' in entry}
    assert len(published) == 6
    for name, entry in published.items():
        with pytest.raises(FileNotFoundError) as error:
            load(name)
        message = str(error.value)
        assert f'checkpoint {name} is not there (looked for in {tmp_path}). Its authors' in message
        assert 'https://github.com/dvlab-research/PanopticFCN' in message
        command = f'mmpfcn convert detectron2 DOWNLOADED {name}.pth' + ' --star' * ('star' in name)
        assert message.endswith(f'Then: {command}')
        assert name == f'published/{entry["Config"].removeprefix("mmpfcn::")}'


@pytest.mark.parametrize('by', [load, lambda name: PanopticInferencer(name, device='cpu')])
def test_converted_weights_of_the_authors_come_with_their_config(by, tmp_path, monkeypatch):
    """No published weights here: those that a network of this config begins with."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'published').mkdir()
    cfg = read_config('r50_400_coco_3x')
    cfg.model.backbone.init_cfg = None
    state = MODELS.build(cfg.model).state_dict()
    torch.save(dict(state_dict=state), 'published/r50_400_coco_3x.pth')
    inferencer = by('published/r50_400_coco_3x')
    assert inferencer.cfg.test_dataloader.dataset.pipeline[1].scale == (666, 400)
    name = 'neck.fpn_convs.0.conv.weight'
    assert torch.equal(inferencer.model.state_dict()[name], state[name])


@pytest.mark.parametrize('name, message', [
    ('r50_coco', r'r50_coco is not there .* a config without published weights'),
    ('published/r50_coco_2x', 'did you mean published/r50_coco_3x'),
    ('empty', 'empty has neither model.safetensors nor model.pth: mmpfcn publish writes'),
    ('run', 'run has neither .*: name one of iter_3.pth'),
    ('none.pth', r'none.pth is not there \(looked for in'),
])  # fmt: skip
def test_a_name_without_weights(name, message, training, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'run').mkdir()
    shutil.copy(training, tmp_path / 'run')
    with pytest.raises(FileNotFoundError, match=message):
        find_pretrained(name)


def test_safetensors_of_others_and_damaged_ones(tmp_path):
    save_file(dict(a=torch.ones(3)), tmp_path / 'bare.safetensors')
    assert read_checkpoint(tmp_path / 'bare.safetensors')['meta'] == {}
    with pytest.raises(ValueError, match='neither a config nor one in the checkpoint'):
        load(tmp_path / 'bare.safetensors')
    whole = (tmp_path / 'bare.safetensors').read_bytes()
    save_file(dict(a=torch.ones(3)), tmp_path / 'meta.safetensors', {'mmpfcn': '7'})
    for name, content in (('cut', whole[:-1]), ('text', b'no weights'), ('empty', b'')):
        (tmp_path / f'{name}.safetensors').write_bytes(content)
    for name in ('cut', 'text', 'empty', 'meta'):
        with pytest.raises(CheckpointError, match=f'{name}.safetensors is no checkpoint'):
            read_checkpoint(tmp_path / f'{name}.safetensors')


def test_metadata_is_where_other_programs_find_it(published):
    with safe_open(published / 'model.safetensors', 'np') as file:
        assert set(file.metadata()) == {'format', 'mmpfcn'} and file.metadata()['format'] == 'pt'
