"""Arguments of test; runs are tested in test_end_to_end.py."""

from pathlib import Path

import pytest
import torch

from mmpfcn.commands.test import test_config as read_config


def test_arguments(config, checkpoint):
    faster = [] if torch.cuda.is_available() else ['AccelerateInferenceHook']
    for flags, hooks in ((), faster), (('--accelerate',), faster), (('--no-accelerate',), []):
        cfg = read_config([config, checkpoint, *flags])
        assert [hook.type for hook in cfg.get('custom_hooks', [])] == hooks
    cfg = read_config([config, checkpoint, '--show-dir', 'b', '--show', '--wait-time', '.5'])
    assert cfg.load_from == checkpoint
    hook = cfg.default_hooks.visualization
    assert hook.draw and hook.show and hook.wait_time == 0.5 and hook.test_out_dir == 'b'
    cfg = read_config([config, 'https://example.com/weights.pth'])
    assert 'test_evaluator' not in cfg and 'draw' not in cfg.default_hooks.visualization
    # One after it may change the map, as CocoPanopticMetric does.
    with open(config, 'a') as file:
        file.write("test_evaluator = dict(type='CocoPanopticMetric')")
    first, second = read_config([config, checkpoint, '--out', 'a/b']).test_evaluator
    assert first == dict(type='PanopticQualityMetric', outfile_prefix='a/b', format_only=True)
    assert second.type == 'CocoPanopticMetric'


def test_amp_of_a_test(config, checkpoint, monkeypatch, refused):
    monkeypatch.setattr(torch, 'set_autocast_dtype', lambda *given: given_dtype.append(given))
    given_dtype = []
    cfg = read_config([config, checkpoint, '--amp', 'bf16'])
    assert cfg.test_cfg.fp16 is True
    assert given_dtype == [('cuda' if torch.cuda.is_available() else 'cpu', torch.bfloat16)]
    assert 'fp16' not in read_config([config, checkpoint]).test_cfg
    if not torch.cuda.is_available():
        error = refused(read_config, config, checkpoint, '--amp', 'fp16')
        assert '--amp fp16 needs a GPU, and PyTorch finds none: use --amp bf16' in error


@pytest.mark.parametrize('options, message', [
    (['--out', 'a.pkl'], '--out is the start of the names of a JSON and a folder of PNGs'),
    (['--tta'], 'no --tta'),
])  # fmt: skip
def test_bad_test_arguments(config, checkpoint, refused, options, message):
    assert message in refused(read_config, config, checkpoint, *options)


def test_what_is_missing(config, refused, checkpoint):
    assert 'checkpoint is not a file: none.pth' in refused(read_config, config, 'none.pth')
    Path(config).write_text('default_hooks = dict()')
    for option in (['--show'], ['--show-dir', 'a']):
        error = refused(read_config, config, checkpoint, *option)
        assert 'no default_hooks.visualization' in error
