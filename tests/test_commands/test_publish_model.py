"""Publishing a checkpoint: small, safe to load, the same predictions."""

import hashlib
import os

import numpy as np
import pytest
import torch
from helpers import tiny_inferencer
from helpers.oracle import ROOT, import_file
from mmengine.logging import HistoryBuffer

from mmpfcn import PanopticInferencer


@pytest.fixture(scope='module')
def publish():
    return import_file(ROOT / 'tools' / 'model_converters' / 'publish_model.py').main


def training_checkpoint(folder):
    """As mmengine leaves it, with an optimizer and logs."""
    content = torch.load(tiny_inferencer.write_checkpoint(folder))
    config = tiny_inferencer.config(**tiny_inferencer.ANY_PREDICTION)
    content['message_hub'] = dict(
        log_scalars=dict(loss=HistoryBuffer([1.0], [1])), runtime_info=dict(cfg=config.pretty_text, iter=3)
    )
    content['optimizer'] = dict(state={0: torch.zeros(10**6)})
    path = folder / 'iter_3.pth'
    torch.save(content, path)
    return path


def test_weights_names_and_config_stay_and_the_rest_goes(publish, tmp_path):
    source = training_checkpoint(tmp_path)
    assert publish([str(source), str(tmp_path / 'out' / 'model.pth')]) == 0
    (file,) = (tmp_path / 'out').iterdir()
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert file.name == f'model-{digest[:8]}.pth'
    content = torch.load(file, weights_only=True)
    assert set(content) == {'state_dict', 'meta'}
    assert set(content['meta']) == {'mmpfcn_version', 'dataset_meta', 'cfg'}
    assert file.stat().st_size < source.stat().st_size - 3_000_000
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    before, after = (
        PanopticInferencer(None, str(path), 'cpu', show_progress=False)(image)['predictions'][0]
        for path in (source, file)
    )
    assert before.segments_info == after.segments_info
    assert np.array_equal(before.panoptic_seg, after.panoptic_seg)


def test_wrong_input(publish, tmp_path, refused):
    (tmp_path / 'a.pth').write_text('no checkpoint')
    for source, target, message in (
        ('none.pth', 'b.pth', 'none.pth is not there'),
        ('a.pth', 'b.pth', 'is no checkpoint'),
        ('a.pth', 'b.bin', 'OUT must end in .pth'),
    ):
        assert message in refused(publish, tmp_path / source, tmp_path / target)
    assert os.listdir(tmp_path) == ['a.pth']
