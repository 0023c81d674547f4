"""Arguments of train; runs are tested in test_end_to_end.py."""

import importlib.util
import os
import re

import pytest
import torch

from mmpfcn.commands.train import train_config as read


def test_what_a_config_becomes(config):
    cfg = read([config])
    assert cfg.work_dir == './work_dirs/tiny'
    assert cfg.launcher == 'none'
    assert cfg.optim_wrapper.type == 'OptimWrapper'
    assert 'resume' not in cfg
    assert read([config, '--cfg-options', 'work_dir=a']).work_dir == 'a'
    assert read([config, '--cfg-options', 'work_dir=a', '--work-dir', 'b']).work_dir == 'b'
    options = ['train_cfg.max_iters=3', 'visualizer.vis_backends.0.type=X', 'scale=(1,2)']
    cfg = read([config, '--cfg-options', *options])
    assert cfg.train_cfg.max_iters == 3
    assert cfg.visualizer.vis_backends[0].type == 'X'
    assert cfg.scale == (1, 2)


@pytest.mark.parametrize('option, message', [
    ('max_iters', "KEY=VALUE .* got 'max_iters'"),
    ('a=[1,2', 'balanced brackets'),
    ('visualizer.vis_backends.5.type=X', 'does not fit .*tiny.py: Index 5 exceeds'),
    ('train_cfg.max_iters.x=1', 'does not fit .*tiny.py: max_iters='),
])  # fmt: skip
def test_bad_cfg_options(config, refused, option, message):
    error = refused(read, config, '--cfg-options', option)
    assert re.search(message, error), error


@pytest.mark.parametrize('name, text, problem', [
    ('a.py', 'a = (', "config .*a.py can not be read: .*'\\(' was never closed"),
    ('a.py', 'a = b', "config .*a.py can not be read: NameError: name 'b'"),
    ('a.py', '_base_ = "none.py"', 'none.py'),
    ('a.txt', 'a = 1', 'config .*a.txt can not be read: .* py/yml/yaml/json'),
    ('a.json', '{"a": ', 'config .*a.json can not be read: JSONDecodeError'),
])  # fmt: skip
def test_a_config_that_can_not_be_read(tmp_path, refused, name, text, problem):
    (tmp_path / name).write_text(text)
    error = refused(read, tmp_path / name)
    assert re.search(problem, error), error


def test_resume_and_scaled_learning_rates(config, checkpoint, refused):
    latest = read([config, '--resume'])
    assert latest.resume is True and latest.load_from is None
    given = read([config, '--resume', checkpoint])
    assert given.resume is True and given.load_from == checkpoint
    error = refused(read, config, '--resume', 'none.pth')
    assert '--resume is not a file: none.pth' in error
    error = refused(read, 'lite0_plus_shapes', '--cfg-options', 'model.backbone.checkpoint=none.pth')
    assert 'the checkpoint of model.backbone is not a file: none.pth' in error
    error = refused(read, config, '--auto-scale-lr')
    assert 'no auto_scale_lr.base_batch_size' in error
    cfg = read([config, '--auto-scale-lr', '--cfg-options', 'auto_scale_lr.base_batch_size=16'])
    assert cfg.auto_scale_lr == dict(base_batch_size=16, enable=True)


def test_tensorboard(config, monkeypatch, refused):
    types = [backend.type for backend in read([config]).visualizer.vis_backends]
    assert types == ['LocalVisBackend']
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    error = refused(read, config, '--tensorboard')
    assert error.endswith('pip install tensorboard')
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: True)
    for existing in ([], ['visualizer.vis_backends=None']):
        options = ['--cfg-options', *existing] if existing else []
        backends = read([config, '--tensorboard', *options]).visualizer.vis_backends
        assert backends[-1] == dict(type='TensorboardVisBackend')
    option = 'visualizer.vis_backends.0.type=TensorboardVisBackend'
    backends = read([config, '--tensorboard', '--cfg-options', option]).visualizer.vis_backends
    assert len(backends) == 1


def test_amp(config, refused):
    if torch.cuda.is_available():
        wrapper = read([config, '--amp']).optim_wrapper
        assert wrapper.type == 'AmpOptimWrapper' and wrapper.loss_scale == 'dynamic'
        assert wrapper.dtype == 'float16'
        assert read([config, '--amp', 'bf16']).optim_wrapper.dtype == 'bfloat16'
    else:
        error = refused(read, config, '--amp')
        assert '--amp needs one of cuda' in error and error.endswith('or use --amp bf16')
        wrapper = read([config, '--amp', 'bf16']).optim_wrapper
        assert wrapper.type == 'Bfloat16OptimWrapper' and 'loss_scale' not in wrapper
    assert "invalid choice: 'fp8'" in refused(read, config, '--amp', 'fp8')


def test_amp_replaces_what_the_config_names(config, refused):
    if torch.cuda.is_available():
        pytest.skip('AmpOptimWrapper is for a GPU')
    kept = dict(optimizer=dict(type='SGD', lr=0.01), accumulative_counts=2)
    options = ['type=AmpOptimWrapper', 'loss_scale=dynamic', 'dtype=float16', 'accumulative_counts=2']
    given = [config, '--cfg-options', *(f'optim_wrapper.{x}' for x in options)]
    assert read([*given, '--amp', 'bf16']).optim_wrapper == dict(type='Bfloat16OptimWrapper', **kept)
    error = refused(read, *given)
    assert "optim_wrapper.type='AmpOptimWrapper' needs one of cuda" in error and error.endswith('--amp bf16')


@pytest.mark.parametrize('flag', ['--local_rank=3', '--local-rank=3'])
def test_local_rank(config, monkeypatch, flag):
    monkeypatch.delenv('LOCAL_RANK')
    assert read([config, flag, '--launcher', 'pytorch']).launcher == 'pytorch'
    assert os.environ['LOCAL_RANK'] == '3'
