"""Shared set-up: registries, determinism, and commands that must fail."""

import gc
from collections.abc import Callable

import pytest
import torch
from helpers import formatting, onnx_model, tiny_run
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

import mmpfcn  # noqa: E402, F401 (registers)
from mmpfcn.compat import has_operators
from mmpfcn.deployment.onnx_inferencer import OnnxInferencer

# What is imported stays, and a look through it takes a quarter of a second, for each data set.
gc.freeze()
formatting.remember()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without mmcv's operators leaves out what is marked ``ops``; pytest counts it."""
    if not has_operators():
        out = [item for item in items if item.get_closest_marker('ops')]
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]


@pytest.fixture(autouse=True, scope='session')
def scope():
    """For the fixtures of modules, which come before those of tests."""
    init_default_scope('mmdet')


@pytest.fixture(autouse=True)
def scope_and_seed():
    init_default_scope('mmdet')
    MMLogger.get_current_instance().setLevel('WARNING')  # initialisation is logged per weight
    torch.manual_seed(0)


@pytest.fixture
def refused(capsys) -> Callable:
    """Calls a command that must end with one of some exit codes and one message; the message."""

    def call(main: Callable, *arguments: object, codes: tuple = (2,)) -> str:
        with pytest.raises(SystemExit) as error:
            main([*map(str, arguments)])
        text = capsys.readouterr().err.strip()
        assert error.value.code in codes and 'Traceback' not in text and text.count('error: ') == 1
        return text.splitlines()[-1]

    return call


@pytest.fixture(scope='session')
def exported(tmp_path_factory):
    """With model.py, model.pth and the exported model.onnx."""
    folder = tmp_path_factory.mktemp('exported')
    config, checkpoint = onnx_model.write_model(folder, onnx_model.shallow)
    output = tiny_run.run('deployment/export_onnx.py', config, checkpoint, cwd=folder)
    assert f'{folder}/model.onnx: ' in output and 'mask_feats' in output
    names = sorted(path.name for path in folder.iterdir())
    assert names == ['model.onnx', 'model.pth', 'model.py']
    return folder


@pytest.fixture(scope='session')
def theirs(exported):
    """The exported model in PyTorch."""
    return onnx_model.inferencer(exported)


@pytest.fixture
def ours(_session):
    """The exported model in ONNX Runtime, with thresholds that a test may change."""
    settings = dict(_session.meta['test_cfg'])
    yield _session
    _session.meta['test_cfg'] = settings


@pytest.fixture(scope='session')
def _session(exported):
    return OnnxInferencer(exported / 'model.onnx', threads=1)
