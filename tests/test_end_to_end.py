"""The tools as a user runs them: draw a data set, train, test, resume; and the COCO config."""

import json
import re
import shutil
from pathlib import Path

import cv2
import pytest
import torch
from helpers.files import read_json
from helpers.forked import Program
from helpers.oracle import ROOT, coco200

from mmpfcn.visualization.drawing import GAP, title_height

CONFIGS = ROOT / 'configs' / 'panoptic_fcn'
SIZE = (96, 128)  # of the drawn images, in pixels
QUICK = ['default_hooks.logger.interval=1', 'train_dataloader.batch_size=2']
for loader in ('train', 'val', 'test'):
    QUICK += [f'{loader}_dataloader.{option}' for option in ('num_workers=0', 'persistent_workers=False')]
ANY_PREDICTION = [f'model.test_cfg.{key}=0' for key in ('center_thr', 'region_thr', 'score_thr')]
"""Options after which even an untrained model has something for every metric."""


def run_tool(name: str, *arguments, cwd: Path) -> tuple[int, str]:
    """The exit code of a tool, and what it printed."""
    program = Program(ROOT / 'tools' / name, *arguments, cwd=cwd)
    output, _ = program.communicate(timeout=300)
    return program.returncode, output


def ran(name: str, *arguments, cwd: Path) -> str:
    """What a tool that must succeed printed."""
    code, output = run_tool(name, *arguments, cwd=cwd)
    assert code == 0, output[-3000:]
    return output


def train_shapes(max_iters: int, *options: str, flags: tuple[str, ...] = ()) -> list[str]:
    """Arguments of train.py for a few iterations of r18_shapes."""
    few = [f'train_cfg.max_iters={max_iters}', 'default_hooks.checkpoint.interval=2', *options]
    return [str(CONFIGS / 'r18_shapes.py'), *flags, '--cfg-options', *QUICK, *few]


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """A folder with the drawn data set where r18_shapes looks for it."""
    folder = tmp_path_factory.mktemp('user')
    counts = ['--train', 8, '--val', 4, '--size', *SIZE, '--workers', 1]
    ran('dataset_converters/make_shapes.py', '--out', 'data/shapes', *counts, cwd=folder)
    return folder


@pytest.fixture(scope='module')
def trained(folder) -> Path:
    """The work dir of two iterations."""
    ran('train.py', *train_shapes(2), cwd=folder)
    return folder / 'work_dirs' / 'r18_shapes'


def newest(work_dir: Path, pattern: str) -> str:
    """A file of the last run."""
    return max(work_dir.glob(f'*/{pattern}'), key=lambda path: path.stat().st_mtime_ns).read_text()


def test_train_leaves_checkpoint_config_and_log(trained):
    assert Path((trained / 'last_checkpoint').read_text()).name == 'iter_2.pth'
    checkpoint = torch.load(trained / 'iter_2.pth', weights_only=False)
    assert checkpoint['meta']['iter'] == 2
    assert checkpoint['optimizer']['state'] and checkpoint['param_schedulers']
    config = (trained / 'r18_shapes.py').read_text()
    assert "type='PanopticFCNHead'" in config and 'max_iters=2' in config  # complete, as run
    log = newest(trained, '*.log')
    for i in (1, 2):
        line = re.search(rf'Iter\(train\) \[{i}/2\].*', log)[0]
        assert 'eta: ' in line
        for name in ('loss_center', 'loss_region', 'loss_thing', 'loss_stuff'):
            assert float(re.search(rf'{name}: ([\d.]+)', line)[1]) > 0


def test_training_measures_at_its_end(trained):
    figures = [json.loads(line) for line in newest(trained, 'vis_data/scalars.json').splitlines()]
    assert {'coco_panoptic/PQ', 'coco/segm_mAP', 'mIoU'} < set(figures[-1])
    assert [line['step'] for line in figures] == [1, 2, 2]  # two losses, one measurement


def test_test_measures_and_draws(folder, trained):
    """PQ, segm AP and mIoU in one run, the predictions of --out and a picture an image."""
    pictures = folder / 'pictures'
    output = ran(
        'test.py', CONFIGS / 'r18_shapes.py', trained / 'iter_2.pth', '--out', 'results',
        '--show-dir', pictures, '--cfg-options', *QUICK, *ANY_PREDICTION, cwd=folder,
    )  # fmt: skip
    assert 'Iter(test) [1/1]    eta: ' in output
    figures = json.loads(newest(trained, '*.json'))
    for name in ('PQ', 'SQ', 'RQ', 'PQ_th', 'PQ_st'):
        assert 0 <= figures[f'coco_panoptic/{name}'] <= 100
    assert 0 <= figures['coco/segm_mAP'] <= 1
    assert 0 < figures['mIoU'] <= 100  # some stuff pixel is right even untrained
    written = read_json(folder / 'results.panoptic.json')['annotations']
    maps = [cv2.imread(str(folder / 'results.panoptic' / item['file_name'])) for item in written]
    assert [item.shape for item in maps] == [(*SIZE, 3)] * 4
    assert all(0 < info['score'] <= 1 for item in written for info in item['segments_info'])
    names = {path.name for path in (folder / 'data' / 'shapes' / 'val').iterdir()}
    assert {path.name for path in pictures.iterdir()} == names
    for name in names:
        image = cv2.imread(str(folder / 'data' / 'shapes' / 'val' / name))
        height, width = 480, 640  # small images are enlarged to this height
        picture = cv2.imread(str(pictures / name))
        strip = title_height(height, width)
        assert picture.shape == (strip + height, 3 * width + 2 * GAP, 3)
        shown = cv2.resize(picture[strip:, :width], SIZE[::-1], interpolation=cv2.INTER_AREA)
        assert abs(shown.astype(int) - image).mean() < 10  # the first panel is the image


def test_resume_goes_on_after_the_checkpoint(folder, trained):
    shutil.copytree(trained, folder / 'resumed')
    flags = ('--work-dir', 'resumed', '--resume')
    ran('train.py', *train_shapes(3, flags=flags), cwd=folder)
    log = newest(folder / 'resumed', '*.log')
    assert 'resumed epoch: 0, iter: 2' in log
    assert 'Iter(train) [3/3]' in log and 'Iter(train) [2/3]' not in log
    assert (folder / 'resumed' / 'iter_3.pth').is_file()


def test_wrong_class_counts_are_explained(folder):
    counts = [f'model.{head}.num_things_classes=5' for head in ('panoptic_head', 'panoptic_fusion_head')]
    code, output = run_tool('train.py', *train_shapes(1, *counts, flags=('--work-dir', 'wrong')), cwd=folder)
    assert code != 0
    message = 'the model has num_things_classes=5, but the data set has 6 thing_classes: set '
    assert f'ValueError: {message}model.panoptic_head.num_things_classes=6' in output
    assert not list((folder / 'wrong').rglob('*.pth'))


@pytest.mark.parametrize('name, sizes', [
    ('r50_coco', ['2.scales=[(128,96)]']),
    ('r50_plus_coco', ['2.scale=(128,128)', '3.crop_size=(96,96)']),
])  # fmt: skip
def test_coco_config_trains_elsewhere_by_options_alone(tmp_path, name, sizes):
    """One iteration on small versions of real photos, and no validation."""
    photos = coco200()
    roots = [f'{split}_dataloader.dataset.data_root={photos}' for split in ('train', 'val')]
    options = [*roots, f'val_evaluator.1.ann_file={photos}/annotations/instances_val2017.json', *QUICK]
    options += ['model.backbone.init_cfg=None', *(f'train_dataloader.dataset.pipeline.{s}' for s in sizes)]
    options += ['train_cfg.max_iters=1', 'train_cfg.val_begin=2', 'default_hooks.checkpoint.save_last=False']
    ran('train.py', CONFIGS / f'{name}.py', '--cfg-options', *options, cwd=tmp_path)
    log = newest(tmp_path / 'work_dirs' / name, '*.log')
    line = re.search(r'Iter\(train\) \[1/1\].*', log)[0]
    assert float(re.search(r' loss: ([\d.]+)', line)[1]) > 0
