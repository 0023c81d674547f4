"""The process group of a run; distributed runs: test_distributed_runs.py."""

import re

import pytest
import torch
from helpers import tiny
from helpers.shell import free_port
from mmdet.registry import MODELS
from mmengine.config import Config

from mmpfcn.commands.processes import build_runner, processes


def test_one_process_has_no_group():
    with processes(Config(dict(launcher='none'))):
        assert not torch.distributed.is_initialized()


def test_a_group_of_gloo_without_an_accelerator(monkeypatch):
    names = dict(RANK='0', LOCAL_RANK='0', WORLD_SIZE='1', MASTER_ADDR='127.0.0.1')
    for name, value in dict(names, MASTER_PORT=free_port()).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr('mmpfcn.commands.processes.get_device', lambda: 'cpu')
    cfg = Config(dict(launcher='pytorch', find_unused_parameters=True))
    with processes(cfg):
        assert torch.distributed.get_backend() == 'gloo'
    assert not torch.distributed.is_initialized()
    assert cfg.model_wrapper_cfg.device_ids is None
    assert cfg.model_wrapper_cfg.find_unused_parameters


@pytest.mark.parametrize(
    ('backbone', 'message'),
    [
        (dict(model_name='resnet17'), 'has no model .resnet17.: did you mean resnet'),
        (dict(model_name='resnet10t'), 'expects .* set model.neck.in_channels=.64, 128, 256, 512.'),
        (dict(model='resnet10t'), "unexpected keyword argument 'model'"),
        (dict(type='Timmbackbone'), 'Timmbackbone is not in the'),
    ],
)
def test_a_wrong_model_ends_with_its_message(backbone, message, tmp_path, refused):
    pytest.importorskip('timm')
    model = tiny.config()
    model.backbone = {'type': 'TimmBackbone', **backbone}
    model.neck.in_channels = [1, 2, 3, 4]
    cfg = Config(dict(model=model, work_dir=str(tmp_path), default_scope='mmdet'))
    assert re.search(message, refused(lambda _: build_runner(cfg)))


def test_weights_of_another_backbone_end_a_training(tmp_path, refused):
    """They are read when it starts, not when it is built."""
    pytest.importorskip('timm')
    kind = dict(type='TimmBackbone', model_name='test_resnet', checkpoint=str(tmp_path / 'other.pth'))
    torch.save(dict(a=torch.zeros(1)), tmp_path / 'other.pth')

    def start(_) -> None:
        with processes(Config(dict(launcher='none'))):
            MODELS.build(kind).init_weights()

    assert 'other.pth is not of test_resnet, whose weights are named as in' in refused(start)
