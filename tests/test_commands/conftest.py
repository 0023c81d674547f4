"""What the tests of train and test share, and those of predict."""

import pytest
from helpers import tiny_inferencer

CONFIG = """
train_cfg = dict(max_iters=10)
test_cfg = dict(type='TestLoop')
train_dataloader = dict(batch_size=2)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01))
visualizer = dict(type='PanopticVisualizer', vis_backends=[dict(type='LocalVisBackend')])
default_hooks = dict(visualization=dict(type='DetVisualizationHook'))
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Of a run that is not started."""
    monkeypatch.setenv('LOCAL_RANK', '0')
    path = tmp_path / 'tiny.py'
    path.write_text(CONFIG)
    return str(path)


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / 'weights.pth'
    path.touch()
    return str(path)


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    """Arguments that name a tiny model."""
    folder = tmp_path_factory.mktemp('model')
    config = tiny_inferencer.config(**tiny_inferencer.ANY_PREDICTION)
    config.dump(folder / 'tiny.py')
    checkpoint = tiny_inferencer.write_checkpoint(folder)
    return ['--config', str(folder / 'tiny.py'), '--checkpoint', checkpoint, '--device', 'cpu']
