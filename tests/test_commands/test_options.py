"""How command lines read a config; what they say of a wrong one: test_train.py."""

import sys

import pytest

from mmpfcn.apis.checkpoint import CheckpointError
from mmpfcn.commands.options import base_parser, error_text, exit_if_refused, load_config


def read(*argv: str):
    parser = base_parser('')
    return load_config(parser, parser.parse_args(argv))


def test_configs_and_what_is_refused(config, capsys, monkeypatch):
    cfg = read(config, '--compile', '--launcher', 'slurm', '--cfg-options', 'train_cfg.max_iters=3')
    assert cfg.custom_hooks == [dict(type='CompileNetworkHook')] and cfg.launcher == 'slurm'
    assert cfg.train_cfg.max_iters == 3 and cfg.work_dir == './work_dirs/tiny'
    monkeypatch.setattr(sys, 'argv', ['tools/train.py'])
    with pytest.raises(SystemExit) as end, exit_if_refused():
        raise CheckpointError('evil.pth is refused')
    assert end.value.code == 2
    assert capsys.readouterr().err == 'train.py: error: evil.pth is refused\n'
    assert error_text(KeyError('no x')) == 'no x' == error_text(ValueError('no x'))
