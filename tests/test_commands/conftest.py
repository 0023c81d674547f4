"""What the tests of train and test share."""

import pytest

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
