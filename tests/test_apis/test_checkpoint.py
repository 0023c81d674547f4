"""Checkpoints: no code is run, nothing is half-written, nothing is loaded in part."""

import os
import resource
import sys
import zipfile

import numpy as np
import pytest
import torch
from helpers.malicious import Call
from helpers.oracle import ROOT
from helpers.shell import environment, run
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader, load_checkpoint
from torch import nn

from mmpfcn.apis.checkpoint import (
    CheckpointError,
    config_of,
    load_weights,
    read_checkpoint,
    use_safe_loader,
    write_checkpoint,
)

WEIGHTS = dict(weight=torch.ones(2, 3), bias=torch.zeros(2))


def test_code_in_a_file_is_not_run(tmp_path, schemes):
    trap = tmp_path / 'run'
    torch.save(dict(state_dict=WEIGHTS, meta=Call(os.mkdir, str(trap))), tmp_path / 'evil.pth')
    with pytest.raises(CheckpointError, match=r'evil.pth is refused.*would run \w+.mkdir.*--trust'):
        read_checkpoint(tmp_path / 'evil.pth')
    assert not trap.exists()
    read_checkpoint(tmp_path / 'evil.pth', trust=True)
    assert trap.exists()
    # train.py (load_from, --resume), test.py and init_cfg load by this function.
    use_safe_loader()
    trap.rmdir()
    with pytest.raises(CheckpointError, match=r'evil.pth is refused.*would run \w+.mkdir'):
        load_checkpoint(nn.Linear(3, 2), str(tmp_path / 'evil.pth'))
    assert not trap.exists()
    torch.save(WEIGHTS, tmp_path / 'bare.pth')
    model = nn.Linear(3, 2)
    load_checkpoint(model, str(tmp_path / 'bare.pth'), strict=True)
    assert model.weight.eq(1).all()


@pytest.fixture
def schemes(monkeypatch):
    """mmengine's loaders by prefix, put back afterwards."""
    monkeypatch.setattr(CheckpointLoader, '_schemes', dict(CheckpointLoader._schemes))
    return lambda: dict(CheckpointLoader._schemes)


def in_a_fresh_process(code: str) -> list[str]:
    python = sys.executable, '-W', 'ignore'
    done = run(*python, '-c', code, cwd=ROOT, timeout=120, env=environment(PYTHONPATH=ROOT))
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()[-1].split()  # the libraries say something before


SCHEMES = """
from mmengine.runner import CheckpointLoader
def schemes():
    return {p: f'{f.__module__}.{f.__name__}' for p, f in CheckpointLoader._schemes.items()}
"""


@pytest.mark.ops  # all of mmdet, before mmpfcn
def test_importing_changes_nothing_and_registering_twice_neither():
    """Not in its loaders, and in its registries nothing that was there."""
    code = f"""{SCHEMES}
import mmengine.registry, mmdet.registry, mmdet.utils
mmdet.utils.register_all_modules()
registries = [v for m in (mmengine.registry, mmdet.registry) for v in vars(m).values()
              if isinstance(v, mmengine.registry.Registry)]
before, modules = schemes(), [dict(r.module_dict) for r in registries]
import mmpfcn, mmpfcn.apis.checkpoint
assert schemes() == before, schemes()
for registry, old in zip(registries, modules):
    assert dict(registry.module_dict).items() >= old.items(), registry
print(len(before), len(registries))
"""
    assert [int(n) > 3 for n in in_a_fresh_process(code)] == [True, True]
    code = """
from mmdet.utils import register_all_modules
from mmengine.utils import import_modules_from_strings
from mmdet.registry import HOOKS, MODELS
register_all_modules()
import_modules_from_strings(['mmpfcn', 'mmpfcn'])
once = dict(MODELS.module_dict), dict(HOOKS.module_dict)
import_modules_from_strings(['mmpfcn', 'mmdet.models', 'mmpfcn.apis.safe_loading'])
register_all_modules()
assert (dict(MODELS.module_dict), dict(HOOKS.module_dict)) == once
print(MODELS.get('PanopticFCN').__module__, MODELS.get('PanopticFPN').__module__)
"""
    found = in_a_fresh_process(code)
    assert found == ['mmpfcn.models.panoptic_fcn', 'mmdet.models.detectors.panoptic_fpn']


def test_our_configs_ask_for_the_safe_loader_and_other_plug_ins_stay():
    code = f"""{SCHEMES}
from mmengine.config import Config
CheckpointLoader.register_scheme('early://', dict)
before = schemes()
for _ in range(2):
    Config.fromfile('configs/panoptic_fcn/r18_shapes.py')
CheckpointLoader.register_scheme('late://', dict)
changed = {{p: f for p, f in schemes().items() if before.get(p) != f}}
print(*sorted(changed), *sorted(set(changed.values())))
"""
    ours = 'mmpfcn.apis.checkpoint.load_from_local_or_http'
    assert in_a_fresh_process(code) == ['http://', 'https://', 'late://', 'builtins.dict', ours]


def test_asking_twice_is_asking_once(schemes):
    use_safe_loader()
    once = schemes()
    use_safe_loader()
    assert schemes() == once and list(schemes()) == list(once)
    CheckpointLoader.register_scheme('other://', dict)
    use_safe_loader()
    assert schemes() == dict(once, **{'other://': dict})


@pytest.mark.parametrize('numpy', [1, 2])
def test_what_mmengine_writes_is_read(tmp_path, numpy):
    path, log = tmp_path / 'iter_3.pth', HistoryBuffer([1.0, 2.0], [1, 1])
    hub = dict(log_scalars=dict(loss=log), runtime_info=dict(iter=3, best=np.float64(0.5)))
    torch.save(dict(state_dict=WEIGHTS, message_hub=hub), path)
    if numpy == 1:
        as_numpy_1_wrote_it(path)
    content = read_checkpoint(path)
    assert content['message_hub']['log_scalars']['loss'].mean() == 1.5
    assert content['message_hub']['runtime_info']['best'] == 0.5


def as_numpy_1_wrote_it(path):
    with zipfile.ZipFile(path) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, 'w') as file:
        for name, content in entries.items():
            if name.endswith('data.pkl'):
                assert b'numpy._core.multiarray' in content
                content = content.replace(b'numpy._core.', b'numpy.core.')
            file.writestr(name, content)


def test_bare_weights_and_unusable_files(tmp_path):
    torch.save(WEIGHTS, tmp_path / 'weights.pth')
    assert read_checkpoint(tmp_path / 'weights.pth')['state_dict'].keys() == WEIGHTS.keys()
    path = tmp_path / 'a.pth'
    with pytest.raises(FileNotFoundError, match='a.pth is not there'):
        read_checkpoint(path)
    torch.save(WEIGHTS, path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(CheckpointError, match='no checkpoint, or a damaged one'):
        read_checkpoint(path)
    path.write_bytes(b'# text')
    with pytest.raises(CheckpointError, match=r'copy it again \(\w+: Unsupported operand 35\)'):
        read_checkpoint(path)
    torch.save([1, 2], path)
    with pytest.raises(CheckpointError, match='holds no weights'):
        read_checkpoint(path)


def test_full_disk_leaves_the_old_file(tmp_path):
    """A limit on file sizes, in a child, stands for the disk: the system refuses the write."""
    path = tmp_path / 'a.pth'
    write_checkpoint(WEIGHTS, path)
    before = path.read_bytes()
    child = os.fork()
    if not child:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            write_checkpoint(dict(big=torch.zeros(10**6)), path)
        except OSError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert path.read_bytes() == before and os.listdir(tmp_path) == ['a.pth']


def test_weights_of_another_model_and_configs_that_are_code_are_refused(tmp_path):
    model = nn.Linear(3, 2)
    load_weights(model, {f'module.{key}': value for key, value in WEIGHTS.items()}, 'a.pth')
    assert model.weight.eq(1).all()
    wrong = dict(weight=torch.ones(4, 3), extra=torch.ones(1))
    message = (
        r'a.pth belongs to another model.*3 of 2 weights do not fit \(weight is \(4, 3\), '
        r'expected \(2, 3\); bias is missing; extra is unknown\)'
    )
    with pytest.raises(ValueError, match=message):
        load_weights(model, wrong, 'a.pth')
    config = Config(dict(model=dict(type='X', scales=[(1, 2.5), (-3, None)]), a={'b c': 'd'}))
    checkpoint = dict(message_hub=dict(runtime_info=dict(cfg=config.pretty_text)))
    assert config_of(checkpoint, 'a.pth') == config._cfg_dict
    for text in ("import os\nos.mkdir('x')", "a = __import__('os').mkdir('x')", 'a = dict([1])'):
        with pytest.raises(ValueError, match='a.pth is not just values'):
            config_of(dict(meta=dict(cfg=text)), 'a.pth')
    with pytest.raises(ValueError, match='neither a config nor one in the checkpoint'):
        config_of({}, 'a.pth')
