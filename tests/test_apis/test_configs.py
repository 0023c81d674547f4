"""Configs by the name of one that comes with the package, from a clone and from a wheel's files."""

import shutil
import sys

import pytest
from helpers.oracle import ROOT
from helpers.shell import run
from mmengine.config import Config

from mmpfcn.apis.configs import configs_folder, find_config, inference_pipeline, read_config

NAMES = ('r50_coco', 'r50_coco.py', 'panoptic_fcn/r50_coco', 'panoptic_fcn/r50_coco.py')


@pytest.mark.parametrize('name', [*NAMES, *(f'mmpfcn::{name}' for name in NAMES)])
def test_names(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert find_config(name) == ROOT / 'configs' / 'panoptic_fcn' / 'r50_coco.py'


def test_a_file_of_the_user_comes_first(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'r50_coco.py').write_text('x = 1')
    assert read_config('r50_coco.py').x == 1
    assert 'x' not in read_config('mmpfcn::r50_coco.py')


@pytest.mark.parametrize('base', ['mmpfcn::panoptic_fcn/r50_coco.py', 'mmpfcn::r50_coco'])
def test_a_config_inherits_by_name_and_mmengine_stays_as_it_was(base, tmp_path):
    before = Config._get_cfg_path
    (tmp_path / 'mine.py').write_text(f"_base_ = ['{base}']\nmodel = dict(test_cfg=dict(max_per_img=7))")
    cfg = read_config(str(tmp_path / 'mine.py'))
    expected = Config.fromfile(configs_folder() / 'panoptic_fcn' / 'r50_coco.py')
    expected.merge_from_dict({'model.test_cfg.max_per_img': 7})
    assert cfg.to_dict() == expected.to_dict()
    assert Config._get_cfg_path is before


def test_from_the_files_of_a_wheel(tmp_path):
    """No clone beside the package; another package's `configs` is not ours."""
    site, user = tmp_path / 'site', tmp_path / 'user'
    user.mkdir()
    (site / 'configs').mkdir(parents=True)
    ignore = shutil.ignore_patterns('__pycache__')
    shutil.copytree(ROOT / 'mmpfcn', site / 'mmpfcn', ignore=ignore)
    shutil.copytree(ROOT / 'configs', site / 'mmpfcn' / '.mim' / 'configs')
    (user / 'mine.py').write_text("_base_ = 'mmpfcn::r18_shapes'")
    code = (
        'import sys; from mmpfcn.commands.train import train_config as t; '
        "print(t(['r18_shapes']).filename, t(['mine.py']).work_dir, t(['mine.py']).model.type)"
    )
    env = {'PYTHONPATH': str(site), 'PATH': ''}
    result = run(sys.executable, '-W', 'ignore', '-c', code, cwd=user, env=env)
    assert result.returncode == 0, result.stderr
    file, work_dir, model = result.stdout.splitlines()[-1].split()
    assert file == str(site / 'mmpfcn/.mim/configs/panoptic_fcn/r18_shapes.py')
    assert (work_dir, model) == ('./work_dirs/mine', 'PanopticFCN')


def test_the_pipeline_of_joined_data_sets_is_one():
    steps = [dict(type='LoadImage'), dict(type='Resize', scale=(64, 48)), dict(type='PackPanopticInputs')]
    truth = dict(type='LoadPanopticGroundTruth', panoptic=True)

    def config(*pipelines):
        datasets = [dict(type='X', ann_file=f'{i}.json', pipeline=p) for i, p in enumerate(pipelines)]
        repeated = dict(type='RepeatDataset', times=2, dataset=datasets.pop())
        dataset = dict(type='ConcatDataset', datasets=[*datasets, repeated])
        return Config(dict(test_dataloader=dict(dataset=dataset)))

    assert inference_pipeline(config(steps)) == steps
    assert inference_pipeline(config(steps, [steps[0], truth, *steps[1:]])) == steps
    larger = [steps[0], dict(type='Resize', scale=(96, 72)), steps[2]]
    with pytest.raises(ValueError, match=r'0.json has .*\(64, 48\).*, 1.json has .*\(96, 72\)'):
        inference_pipeline(config(steps, larger))
    deeper = [dict(type='LoadImage', channels=1), *steps[1:]]
    for other in (deeper, steps[:2]):
        with pytest.raises(ValueError, match='joins data sets with different pipelines'):
            inference_pipeline(config(steps, steps, other))
    for none in (Config(), Config(dict(test_dataloader=None)), config([]), config(steps, None)):
        with pytest.raises(ValueError, match='no test_dataloader.dataset with a pipeline'):
            inference_pipeline(none)
