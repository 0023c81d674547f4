r"""How many training images a worker of the data loader makes in a second, and where its time goes.

    python tools/analysis_tools/benchmark_dataloader.py configs/panoptic_fcn/r50_coco.py
    python tools/analysis_tools/benchmark_dataloader.py configs/panoptic_fcn/r50_coco.py \
        --workers 1 2 --cfg-options train_dataloader.dataset.data_root=my/coco/

First every transform of the config's training pipeline is timed in this process, with one thread,
as in a worker. With --workers the config's data loader runs as in a training, with so many
processes; its figure includes batching and the way to the main process. A training waits for its
data where its images per second exceed those of its workers together.
"""

import argparse
import itertools
import platform
import time
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, set_random_seed

import mmpfcn  # noqa: F401 (registers)
from mmpfcn.commands.cfg_options import CfgOptions
from mmpfcn.commands.options import load_config

WRONG_DATA = (OSError, ValueError, KeyError, TypeError)


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'got {text}, expected a whole number from 1 on')
    return int(text)


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file, such as configs/panoptic_fcn/r50_coco.py')
    parser.add_argument('--images', type=positive, default=100, help='images that count')
    parser.add_argument(
        '--workers', type=positive, nargs='+', default=[], help='also with so many processes'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=CfgOptions,
        metavar='KEY=VALUE',
        help='override settings of the config, such as train_dataloader.dataset.data_root=my/coco/',
    )
    return parser


def time_transforms(dataset: BaseDataset, number: int) -> dict[str, list[float]]:
    """Seconds of every transform of every image, after one that does not count.

    An image that a transform refuses (it returns None) is left out.
    """
    transforms = dataset.pipeline.transforms
    names = [f'{i}. {type(transform).__name__}' for i, transform in enumerate(transforms, 1)]
    seconds = {name: [] for name in names}
    order = itertools.cycle(np.random.permutation(len(dataset)).tolist())
    for index in itertools.islice(order, number + 1):
        record, spent = dataset.get_data_info(index), []
        for transform in transforms:
            start = time.perf_counter()
            record = transform(record)
            spent.append(time.perf_counter() - start)
            if record is None:
                break
        else:
            for name, value in zip(names, spent, strict=True):
                seconds[name].append(value)
    return {name: values[1:] for name, values in seconds.items()}


def loader_rate(cfg: Config, workers: int, number: int) -> float:
    """Images per second of the config's loader, once every worker has delivered."""
    loader_cfg = dict(cfg.train_dataloader, num_workers=workers, persistent_workers=False)
    loader = Runner.build_dataloader(loader_cfg, seed=0)
    batches = iter(loader)
    for _ in range(2 * workers):  # what the workers had prepared while they started
        next(batches)
    count, start = 0, time.perf_counter()
    while count < number:
        count += len(next(batches)['inputs'])
    return count / (time.perf_counter() - start)


def transform_table(seconds: dict[str, list[float]]) -> str:
    means = {name: float(np.mean(values)) for name, values in seconds.items()}
    total = sum(means.values())
    lines = [
        f'| {name} | {1000 * mean:.1f} ms | {mean / total:.0%} |' for name, mean in means.items()
    ]
    lines.append(f'| sum: {1 / total:.1f} images/s a worker | {1000 * total:.1f} ms | 100% |')
    return '\n'.join(['| transform | mean of an image | share |', '|---|---|---|', *lines])


def main(argv: Sequence[str] | None = None) -> None:
    parser = make_parser()
    args = parser.parse_args(argv)
    cfg = load_config(parser, args)
    init_default_scope('mmdet')
    set_random_seed(0)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    try:
        dataset = DATASETS.build(cfg.train_dataloader.dataset)
        seconds = time_transforms(dataset, args.images)
    except WRONG_DATA as error:
        parser.error(f'the training data of {args.config} can not be read: {error}')
    if not min(map(len, seconds.values())):
        parser.error(f'no image of {args.config} passes its training pipeline')
    print(
        f'{platform.processor() or platform.machine()}, Python {platform.python_version()}, '
        f'numpy {np.__version__}, OpenCV {cv2.__version__}, torch {torch.__version__}\n'
    )
    print(transform_table(seconds))
    if args.workers:
        print('\n| workers | images/s | a worker |\n|---|---|---|')
    for workers in args.workers:
        rate = loader_rate(cfg, workers, args.images)
        print(f'| {workers} | {rate:.1f} | {rate / workers:.1f} |')


if __name__ == '__main__':
    main()
