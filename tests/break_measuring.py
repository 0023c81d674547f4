"""Break one thing after the other in the test of a small training, and print what is measured.

    python tests/break_measuring.py

Drawn images, the tiny model, seed 0. docs/troubleshooting.md quotes the table.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import torch
from break_training import SPLIT, TRAINING, arguments, nothing, print_head, print_row, warm_up
from helpers import tiny_run
from helpers.files import edited
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from PIL import Image

FIGURES = ('PQ', 'PQ_th', 'SQ_th', 'RQ_th', 'PQ_st')


def on_split(name: str) -> dict:
    """Settings of a test with the images of this split."""
    dataset, folder = 'test_dataloader__dataset', f'annotations/panoptic_{name}'
    prefix = dict(img=f'{name}/', seg=f'{folder}/')
    return {f'{dataset}__ann_file': f'{folder}.json', f'{dataset}__data_prefix': prefix}


HEALTHY = dict(
    **on_split('train'),
    train_dataloader__batch_size=4,
    optim_wrapper__optimizer__lr=0.003,
    param_scheduler=warm_up(0.01, 10),
    model__test_cfg__center_thr=0.1,
    model__test_cfg__region_thr=0.05,
    model__test_cfg__score_thr=0.05,
    # CocoMetric would stop the run with another order of classes
    test_evaluator=[dict(type='PanopticQualityMetric'), dict(type='RegionSemSegMetric')],
)


def other_order(folder: Path) -> None:
    """The same images with the same ids; the classes are listed in another order."""
    with edited(folder / TRAINING) as content:
        content['categories'].reverse()


def interpolated(folder: Path) -> None:
    """The PNGs of the ground truth were made smaller and larger as if they were pictures."""
    for path in (folder / SPLIT / 'panoptic_train').iterdir():
        image = Image.open(path)
        half = image.resize((image.width // 2, image.height // 2), Image.BILINEAR)
        half.resize(image.size, Image.BILINEAR).save(path)


def other_names(folder: Path) -> None:
    """The weights as another framework might name them."""
    [path] = folder.glob('run/*.pth')
    weights = torch.load(path, weights_only=False)['state_dict']
    torch.save({f'net.{name}': weight for name, weight in weights.items()}, path)


TESTS: dict[str, tuple[Callable[[Path], None], dict]] = {
    'healthy': (nothing, {}),
    'weights with other names': (other_names, {}),
    'another order of classes in the test': (other_order, {}),
    'center_thr too high': (nothing, dict(model__test_cfg__center_thr=0.9)),
    'stuff_area_limit of larger images': (nothing, dict(model__test_cfg__stuff_area_limit=4096)),
    'RGB and BGR swapped in the test': (nothing, dict(model__data_preprocessor__bgr_to_rgb=False)),
    'std of another scale in the test': (nothing, dict(model__data_preprocessor__std=[255.0] * 3)),
    'PNGs resized with interpolation': (interpolated, {}),
    'tested with other images than those of the training': (nothing, on_split('val')),
}


def train(folder: Path, steps: int) -> None:
    """A healthy model, into ``run``."""
    tiny_run.write_config(folder, train_cfg__max_iters=steps, **HEALTHY)
    tool = tiny_run.start('train.py', 'tiny.py', '--work-dir=run', cwd=folder)
    tiny_run.finish(tool, timeout=3600)


def measured(folder: Path, name: str) -> dict[str, float]:
    """Test what was trained with this broken."""
    change, settings = TESTS[name]
    change(folder)
    [weights] = folder.glob('run/*.pth')
    tiny_run.write_config(folder, **{**HEALTHY, **settings, 'load_from': str(weights)})
    os.chdir(folder)  # where the config looks for the data
    cfg = Config.fromfile('tiny.py')
    cfg.update(work_dir='test', experiment_name=name, log_level='ERROR')
    with redirect_stdout(sys.stderr):  # of the table
        found = Runner.from_cfg(cfg).test()
    return {**{k: found[f'coco_panoptic/{k}'] for k in FIGURES}, 'mIoU': found['mIoU']}


def main() -> None:
    args = arguments(__doc__.splitlines()[0], 400, TESTS)
    init_default_scope('mmdet')
    print_head([*FIGURES, 'mIoU'])
    with tempfile.TemporaryDirectory() as temporary:
        trained = Path(temporary) / 'trained'
        trained.mkdir()
        tiny_run.draw_data(trained, train=8, val=8)
        train(trained, args.steps)
        for name in args.only:
            broken = Path(temporary) / name
            shutil.copytree(trained, broken)
            print_row(name, measured(broken, name).values())


if __name__ == '__main__':
    main()
