"""Arguments of tools/train.py, tools/test.py and their shell scripts; runs are tested elsewhere."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmpfcn.commands import test as test_command
from mmpfcn.commands import train as train_command

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / 'tools'

CONFIG = """
train_cfg = dict(max_iters=10)
test_cfg = dict(type='TestLoop')
train_dataloader = dict(batch_size=2)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01))
visualizer = dict(type='PanopticVisualizer', vis_backends=[dict(type='LocalVisBackend')])
default_hooks = dict(visualization=dict(type='DetVisualizationHook'))
"""


@pytest.fixture
def train(monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '0')
    return train_command.train_config


@pytest.fixture
def test(monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '0')
    return test_command.test_config


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'tiny.py'
    path.write_text(CONFIG)
    return str(path)


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / 'weights.pth'
    path.touch()
    return str(path)


def fails(tool, argv, capsys):
    """The message of a command line that must end with exit code 2."""
    with pytest.raises(SystemExit) as error:
        tool(argv)
    assert error.value.code == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_train_defaults(train, config):
    cfg = train([config])
    assert cfg.work_dir == './work_dirs/tiny'
    assert cfg.launcher == 'none'
    assert cfg.optim_wrapper.type == 'OptimWrapper'
    assert 'resume' not in cfg


def test_work_dir_of_the_config_and_of_the_command_line(train, config):
    assert train([config, '--cfg-options', 'work_dir=a']).work_dir == 'a'
    assert train([config, '--cfg-options', 'work_dir=a', '--work-dir', 'b']).work_dir == 'b'


def test_cfg_options_are_merged(train, config):
    options = ['train_cfg.max_iters=3', 'visualizer.vis_backends.0.type=X', 'scale=(1,2)']
    cfg = train([config, '--cfg-options', *options])
    assert cfg.train_cfg.max_iters == 3
    assert cfg.visualizer.vis_backends[0].type == 'X'
    assert cfg.scale == (1, 2)


@pytest.mark.parametrize(
    'option, message',
    [
        ('max_iters', "KEY=VALUE .* got 'max_iters'"),
        ('a=[1,2', 'balanced brackets'),
        ('visualizer.vis_backends.5.type=X', 'does not fit .*tiny.py: Index 5 exceeds'),
        ('train_cfg.max_iters.x=1', 'does not fit .*tiny.py: max_iters='),
    ],
)
def test_bad_cfg_options(train, config, capsys, option, message):
    error = fails(train, [config, '--cfg-options', option], capsys)
    assert re.search(message, error), error


@pytest.mark.parametrize(
    ('name', 'text', 'problem'),
    [
        ('a.py', 'a = (', "config .*a.py can not be read: .*'\\(' was never closed"),
        ('a.py', 'a = b', "config .*a.py can not be read: NameError: name 'b'"),
        ('a.py', '_base_ = "none.py"', 'none.py'),
        ('a.txt', 'a = 1', 'config .*a.txt can not be read: .* py/yml/yaml/json'),
        ('a.json', '{"a": ', 'config .*a.json can not be read: JSONDecodeError'),
    ],
)
def test_a_config_that_can_not_be_read(train, tmp_path, capsys, name, text, problem):
    (tmp_path / name).write_text(text)
    error = fails(train, [str(tmp_path / name)], capsys)
    assert re.search(problem, error), error


def test_resume(train, config, checkpoint, capsys):
    latest = train([config, '--resume'])
    assert latest.resume is True and latest.load_from is None
    given = train([config, '--resume', checkpoint])
    assert given.resume is True and given.load_from == checkpoint
    error = fails(train, [config, '--resume', 'none.pth'], capsys)
    assert '--resume is not a file: none.pth' in error


def test_auto_scale_lr(train, config, capsys):
    error = fails(train, [config, '--auto-scale-lr'], capsys)
    assert 'no auto_scale_lr.base_batch_size' in error
    cfg = train([config, '--auto-scale-lr', '--cfg-options', 'auto_scale_lr.base_batch_size=16'])
    assert cfg.auto_scale_lr == dict(base_batch_size=16, enable=True)


def test_tensorboard(train, config, monkeypatch, capsys):
    types = [backend.type for backend in train([config]).visualizer.vis_backends]
    assert types == ['LocalVisBackend']
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    error = fails(train, [config, '--tensorboard'], capsys)
    assert error.endswith('pip install tensorboard')
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: True)
    for existing in ([], ['visualizer.vis_backends=None']):
        options = ['--cfg-options', *existing] if existing else []
        backends = train([config, '--tensorboard', *options]).visualizer.vis_backends
        assert backends[-1] == dict(type='TensorboardVisBackend')
    option = 'visualizer.vis_backends.0.type=TensorboardVisBackend'
    backends = train([config, '--tensorboard', '--cfg-options', option]).visualizer.vis_backends
    assert len(backends) == 1


def test_amp(train, config, capsys):
    if torch.cuda.is_available():
        wrapper = train([config, '--amp']).optim_wrapper
        assert wrapper.type == 'AmpOptimWrapper' and wrapper.loss_scale == 'dynamic'
        assert wrapper.dtype == 'float16'
        assert train([config, '--amp', 'bf16']).optim_wrapper.dtype == 'bfloat16'
    else:
        assert '--amp needs one of cuda' in fails(train, [config, '--amp'], capsys)
    assert "invalid choice: 'fp8'" in fails(train, [config, '--amp', 'fp8'], capsys)


def test_accelerate(test, config, checkpoint):
    for flags, hooks in ((), []), (('--accelerate',), ['AccelerateInferenceHook']):
        cfg = test([config, checkpoint, *flags])
        assert [hook.type for hook in cfg.get('custom_hooks', [])] == hooks


def test_amp_of_a_test(test, config, checkpoint, monkeypatch, capsys):
    monkeypatch.setattr(torch, 'set_autocast_dtype', lambda *given: given_dtype.append(given))
    given_dtype = []
    cfg = test([config, checkpoint, '--amp', 'bf16'])
    assert cfg.test_cfg.fp16 is True
    assert given_dtype == [('cuda' if torch.cuda.is_available() else 'cpu', torch.bfloat16)]
    assert 'fp16' not in test([config, checkpoint]).test_cfg
    if not torch.cuda.is_available():
        error = fails(test, [config, checkpoint, '--amp', 'fp16'], capsys)
        assert '--amp fp16 needs a GPU, and PyTorch finds none: use --amp bf16' in error


@pytest.mark.parametrize('flag', ['--local_rank=3', '--local-rank=3'])
def test_local_rank(train, config, monkeypatch, flag):
    monkeypatch.delenv('LOCAL_RANK')
    assert train([config, flag, '--launcher', 'pytorch']).launcher == 'pytorch'
    assert os.environ['LOCAL_RANK'] == '3'


def test_test_arguments(test, config, checkpoint):
    cfg = test([config, checkpoint, '--show-dir', 'b', '--show', '--wait-time', '.5'])
    assert cfg.load_from == checkpoint
    hook = cfg.default_hooks.visualization
    assert hook.draw and hook.show and hook.wait_time == 0.5 and hook.test_out_dir == 'b'
    cfg = test([config, 'https://example.com/weights.pth'])
    assert 'test_evaluator' not in cfg and 'draw' not in cfg.default_hooks.visualization


@pytest.mark.parametrize(
    'options, message',
    [
        (['--out', 'a.pkl'], '--out is the start of the names of a JSON and a folder of PNGs'),
        (['--tta'], 'no --tta'),
    ],
)
def test_bad_test_arguments(test, config, checkpoint, capsys, options, message):
    assert message in fails(test, [config, checkpoint, *options], capsys)


def test_show_needs_the_hook(test, config, checkpoint, capsys):
    Path(config).write_text('default_hooks = dict()')
    for option in (['--show'], ['--show-dir', 'a']):
        error = fails(test, [config, checkpoint, *option], capsys)
        assert 'no default_hooks.visualization' in error


def test_missing_checkpoint(test, config, capsys):
    assert 'checkpoint is not a file: none.pth' in fails(test, [config, 'none.pth'], capsys)


@pytest.mark.parametrize('script, rest', [('train.py', []), ('test.py', [__file__])])
def test_missing_config_from_the_shell(script, rest, tmp_path):
    result = subprocess.run(
        [sys.executable, str(TOOLS / script), 'none.py', *rest],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert result.returncode == 2
    assert f'config is not a file: none.py (looked for in {tmp_path})' in result.stderr
    assert 'Traceback' not in result.stderr
    assert not list(tmp_path.iterdir())


def test_out_writes_before_the_metrics_of_the_config(test, config, checkpoint):
    """One after it may change the map, as CocoPanopticMetric does."""
    with open(config, 'a') as file:
        file.write("test_evaluator = dict(type='CocoPanopticMetric')")
    first, second = test([config, checkpoint, '--out', 'a/b']).test_evaluator
    assert first == dict(type='PanopticQualityMetric', outfile_prefix='a/b', format_only=True)
    assert second.type == 'CocoPanopticMetric'


SCRIPTS = {
    'dist_train.sh': ['c.py', '4'],
    'dist_test.sh': ['c.py', 'w.pth', '4'],
    'slurm_train.sh': ['part', 'job', 'c.py', 'dir'],
    'slurm_test.sh': ['part', 'job', 'c.py', 'w.pth'],
}


def run_script(script, arguments, bin_dir, **env):
    return subprocess.run(
        ['bash', str(TOOLS / script), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, 'PATH': f'{bin_dir}:{os.environ["PATH"]}', **env},
    )


@pytest.fixture
def bin_dir(tmp_path):
    """A folder with programs that print their arguments one a line."""
    for name in ('srun', 'args'):
        program = tmp_path / name
        program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
        program.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize('script', SCRIPTS)
def test_usage(script, bin_dir):
    result = run_script(script, SCRIPTS[script][:-1], bin_dir)
    assert result.returncode == 2
    assert result.stderr.startswith('usage: ') and result.stdout == ''


@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh'])
def test_dist(script, bin_dir):
    options = ['--cfg-options', 'key="[a b]"']
    result = run_script(script, [*SCRIPTS[script], *options], bin_dir, PYTHON='args', PORT='1234')
    lines = result.stdout.splitlines()
    assert lines[:2] == ['-m', 'torch.distributed.run']
    assert {'--nproc_per_node=4', '--nnodes=1', '--node_rank=0', '--master_port=1234'} <= set(lines)
    tool = str(TOOLS / script.replace('dist_', '').replace('.sh', '.py'))
    start = lines.index(tool)
    assert lines[start + 1 :] == [*SCRIPTS[script][:-1], '--launcher', 'pytorch', *options]


@pytest.mark.parametrize('script', ['slurm_train.sh', 'slurm_test.sh'])
def test_slurm(script, bin_dir):
    result = run_script(
        script,
        [*SCRIPTS[script], '--cfg-options', 'a=1'],
        bin_dir,
        GPUS='4',
        SRUN_ARGS='--mem=8G --exclusive',
    )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert {
        '--job-name=job',
        '--gres=gpu:4',
        '--ntasks=4',
        '--ntasks-per-node=4',
        '--mem=8G',
        '--exclusive',
    } <= set(lines)
    assert lines[-3:] == ['--launcher=slurm', '--cfg-options', 'a=1']
    last = SCRIPTS[script][-1]
    assert lines[-4] == (f'--work-dir={last}' if 'train' in script else last)


def test_shellcheck_has_nothing_to_say():
    scripts = [str(path) for path in sorted(TOOLS.rglob('*.sh'))]
    assert len(scripts) >= 5
    checker = Path(sys.executable).with_name('shellcheck')
    result = subprocess.run([checker, *scripts], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
