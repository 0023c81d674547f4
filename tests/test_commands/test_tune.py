"""Thresholds chosen on validation data: measured as a test run measures, and never worse."""

import re
from dataclasses import asdict

import pytest
import torch
from helpers import tiny_inferencer, tiny_run
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from mmpfcn.commands import tune
from mmpfcn.models.settings import InferenceSettings, read_settings

WHOLE = ['tiny.py', 'run/iter_80.pth']


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Drawn data, a config and a checkpoint of a model that knows two images by heart."""
    folder = tmp_path_factory.mktemp('tune')
    tiny_run.draw_data(folder, 2, 2)
    shapes = folder / 'data' / 'shapes'
    for name in ('val', 'annotations/panoptic_val', 'annotations/panoptic_val.json'):
        (shapes / name).rename(shapes / f'{name}.unused')
        (shapes / name).symlink_to(shapes / name.replace('val', 'train'))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        tiny_run.write_config(
            folder, model__test_cfg__region_thr=0.4, model__test_cfg__center_thr=0.3,
            val_evaluator=[dict(type='PanopticQualityMetric')],
            test_evaluator=[dict(type='PanopticQualityMetric')], train_cfg__max_iters=80,
            param_scheduler=[], optim_wrapper__optimizer__lr=0.006,
        )  # fmt: skip
        cfg = Config.fromfile('tiny.py')
        cfg.work_dir = 'run'
        Runner.from_cfg(cfg).train()
    return folder


def measured(folder, config, monkeypatch, **test_cfg) -> float:
    """PQ of a test run."""
    monkeypatch.chdir(folder)
    cfg = Config.fromfile(config)
    cfg.merge_from_dict({f'model.test_cfg.{name}': value for name, value in test_cfg.items()})
    cfg.work_dir, cfg.load_from = 'test', 'run/iter_80.pth'
    return Runner.from_cfg(cfg).test()['coco_panoptic/PQ']


def test_before_and_after_are_what_a_test_run_measures(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    tables = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'handle', tables.append)
    given = ['--cfg-options', 'train_cfg.max_iters=7', 'model.test_cfg.pool_sizes=(3, 3, 3, 5, 5)']
    assert tune.main([*WHOLE, '--device=cpu', '--out=tuned.py', *given]) == 0
    output = capsys.readouterr().out
    assert not any('Panoptic quality' in table.getMessage() for table in tables)
    monkeypatch.undo()
    before, after = map(float, re.search(r'PQ (\S+) -> (\S+) on 2 ', output).groups())
    assert after > before
    assert measured(folder, 'tiny.py', monkeypatch) == pytest.approx(before, abs=0.006)
    assert measured(folder, 'tuned.py', monkeypatch) == pytest.approx(after, abs=0.006)
    options = re.search(r'--cfg-options (.+)', output)[1].split()
    changes = dict(option.removeprefix('model.test_cfg.').split('=') for option in options)
    assert Config.fromfile('tuned.py').train_cfg.max_iters == 7
    tuned = Config.fromfile('tuned.py').model.test_cfg
    assert {name: str(tuned[name]) for name in changes} == changes


def test_a_search_moves_one_threshold_at_a_time_to_the_best_value():
    tiny = tiny_inferencer.config().model.test_cfg
    start = asdict(read_settings(InferenceSettings, 'test_cfg', tiny))
    target = dict(center_thr=0.15, similarity_thr=0.98, mask_thr_binary=0.5)
    calls = []

    def measure(settings):
        calls.append(settings)
        return -sum(abs(settings[name] - value) for name, value in target.items())

    best = tune.search(measure, start)
    assert best == {**start, **target}
    assert measure(start) < -0.05 and len(calls) < 80


def test_wrong_input(folder, monkeypatch, refused):
    monkeypatch.chdir(folder)
    torch.save(dict(state_dict=dict(a=torch.zeros(1))), 'other.pth')
    for arguments, message in (
        (['tiny.py', 'none.pth'], 'none.pth'),
        (['tiny.py', 'other.pth'], 'belongs to another model'),
        ([*WHOLE, '--images=0'], '--images 0, expected at least 1'),
        ([*WHOLE, '--out=a.txt'], '--out must end in .py, got a.txt'),
        ([*WHOLE, '--out=tiny.py'], 'is the config itself'),
        (['tiny.py', 'other.pth', '--out=tiny.py/x.py'], 'give another --out'),  # before a model
        (
            [*WHOLE, '--out=x.py', '--cfg-options', 'val_evaluator.0.classwise=True'],
            '0.classwise: a place in a',
        ),
        (['tiny.py', 'run/iter_80.pth', '--cfg-options', 'val_dataloader=None'], 'no val_dataloader'),
        (['tiny.py', 'run/iter_80.pth', '--cfg-options', 'val_dataloader.dataset.ann_file=x.json'], 'x.json'),
    ):
        assert message in refused(tune.main, *arguments)
