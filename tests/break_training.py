"""Break one thing after the other in a small training, and print what the log says.

    python tests/break_training.py --steps 120

Drawn images, the tiny model, seed 0. docs/troubleshooting.md quotes the table.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
from helpers import tiny, tiny_run
from helpers.files import edited
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image

NAMES = (
    'loss', 'things_p3', 'stuff_p3', 'positives_per_object', 'unguided_objects', 'positive_score',
    'thing_kernel_norm', 'thing_cosine_other', 'stuff_cosine_other', 'data_time / time',
)  # fmt: skip
SPLIT = Path('data/shapes/annotations')
TRAINING = SPLIT / 'panoptic_train.json'


def nothing(folder: Path) -> None:
    """The data stay as they are."""


def only_crowds(folder: Path) -> None:
    """Every object of the training images is a crowd, as after a bad conversion."""
    with edited(folder / TRAINING) as content:
        things = {category['id'] for category in content['categories'] if category['isthing']}
        for annotation in content['annotations']:
            for segment in annotation['segments_info']:
                segment['iscrowd'] = int(segment['category_id'] in things)


def all_void(folder: Path) -> None:
    """Nothing is labelled in the training images."""
    with edited(folder / TRAINING) as content:
        for annotation in content['annotations']:
            annotation['segments_info'] = []
            png = folder / SPLIT / 'panoptic_train' / annotation['file_name']
            Image.fromarray(np.zeros_like(np.asarray(Image.open(png)))).save(png)


def pipeline(*steps: dict) -> list[dict]:
    """That of training, with steps before the last one."""
    usual = Config.fromfile(tiny.CONFIGS / 'r18_shapes.py').train_dataloader.dataset.pipeline
    return [*usual[:-1], *steps, usual[-1]]


def warm_up(factor: float, end: int) -> list[dict]:
    return [dict(type='LinearLR', start_factor=factor, by_epoch=False, end=end)]


SLOW = pipeline(*(dict(type='Resize', scale=scale) for scale in ((1536, 1024), (96, 64))))
NO_LEVEL = [(1, 8), (8, 16), (500, 600), (500, 600), (500, 600)]
KEEP_EMPTY = dict(train_dataloader__dataset__filter_cfg=dict(filter_empty_gt=False))
BREAKAGES: dict[str, tuple[Callable[[Path], None], dict]] = {
    'healthy': (nothing, {}),
    'learning rate x 100': (nothing, dict(optim_wrapper__optimizer__lr=0.1)),
    'only crowds': (only_crowds, KEEP_EMPTY),
    'all void': (all_void, KEEP_EMPTY),
    'scale_ranges of larger images': (nothing, dict(model__train_cfg__assigner__scale_ranges=NO_LEVEL)),
    'std of another scale': (nothing, dict(model__data_preprocessor__std=[1e4, 1e4, 1e4])),
    'warm-up that does not end': (nothing, dict(param_scheduler=warm_up(1e-3, 10**6))),
    'slow pipeline': (nothing, dict(train_dataloader__dataset__pipeline=SLOW)),
}  # fmt: skip


def logged(work_dir: Path) -> list[dict[str, float]]:
    """The training steps in the log of the only run of a work dir."""
    [file] = work_dir.glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    steps = [line for line in lines if 'loss' in line]
    return [{**line, 'data_time / time': line['data_time'] / line['time']} for line in steps]


def run(name: str, steps: int) -> dict[str, float]:
    """Train with this broken; means of the numbers of the last ten steps that are not NaN, NaN if all are."""
    change, settings = BREAKAGES[name]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        tiny_run.draw_data(folder, train=32, val=1)
        change(folder)
        length = dict(train_cfg__max_iters=steps, train_cfg__val_begin=steps + 1)
        usual = dict(length, param_scheduler=warm_up(0.01, 10))
        tiny_run.write_config(folder, **{**usual, **settings})
        tool = tiny_run.start('train.py', 'tiny.py', '--work-dir=run', cwd=folder)
        tiny_run.finish(tool, timeout=3600)
        lines = logged(folder / 'run')
    found = {}
    for key in NAMES:
        values = [line[key] for line in lines if key in line][-10:]
        values = [value for value in values if value == value] or values  # nan: nothing there
        found[key] = fmean(values) if values else float('nan')
    return found


def arguments(description: str, steps: int, names: Iterable[str]) -> argparse.Namespace:
    """Those of both programs: how long the training is, and which rows are made."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--steps', type=int, default=steps)
    parser.add_argument('--only', nargs='+', choices=names, default=[*names])
    return parser.parse_args()


def print_row(name: str, cells: Iterable[str | float]) -> None:
    """Of a table as the page has it."""
    cells = (cell if isinstance(cell, str) else f'{cell:.3g}' for cell in cells)
    print(f'| {name} | ' + ' | '.join(cells) + ' |', flush=True)


def print_head(names: Sequence[str]) -> None:
    print_row('broken', names)
    print('|---' * (len(names) + 1) + '|')


def main() -> None:
    args = arguments(__doc__.splitlines()[0], 120, BREAKAGES)
    init_default_scope('mmdet')
    print_head(NAMES)
    for name in args.only:
        print_row(name, run(name, args.steps).values())


if __name__ == '__main__':
    main()
