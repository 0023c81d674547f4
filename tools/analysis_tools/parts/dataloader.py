r"""How many training images a worker of the data loader makes in a second, and where its time goes.

    python tools/analysis_tools/benchmark_parts.py dataloader configs/panoptic_fcn/r50_coco.py \
        --workers 1 2 --cfg-options train_dataloader.dataset.data_root=my/coco/

First every transform of the config's training pipeline is timed in this process, with one thread,
as in a worker. With --workers the config's data loader runs as in a training, with so many
processes; its figure includes batching and the way to the main process. A training waits for its
data where its images per second exceed those of its workers together.
"""

import argparse
import itertools
import time
from collections.abc import Iterator

import numpy as np
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.runner import Runner

from mmpfcn.commands.options import add_config_options, from_1, load_config
from mmpfcn.datasets.inner_datasets import dataset_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(parser=parser)
    add = parser.add_argument
    add('config', help='config file, such as configs/panoptic_fcn/r50_coco.py')
    add('--images', type=from_1, default=100, help='images that count')
    add('--workers', type=from_1, nargs='+', default=[], help='also with so many processes')
    add_config_options(parser, 'train_dataloader.dataset.data_root=my/coco/')


def time_transforms(dataset: BaseDataset, number: int) -> dict[str, list[float]]:
    """Seconds of every transform of every image, after one that does not count.

    An image that a transform refuses (it returns None) is left out.
    """
    images: list[dict[str, float]] = []
    order = itertools.cycle(np.random.permutation(len(dataset)).tolist())
    for index in itertools.islice(order, number + 1):
        record, spent = dataset.get_data_info(index), {}
        transforms = dataset_of(dataset, record['img_path']).pipeline.transforms
        for i, transform in enumerate(transforms, 1):
            start = time.perf_counter()
            record = transform(record)
            spent[f'{i}. {type(transform).__name__}'] = time.perf_counter() - start
            if record is None:
                break
        else:
            images.append(spent)
    names = dict.fromkeys(name for spent in images for name in spent)
    return {name: [spent.get(name, 0.0) for spent in images[1:]] for name in names}


def loader_rate(cfg: Config, workers: int, number: int) -> float:
    """Images per second of the config's loader, once every worker has delivered."""
    loader_cfg = dict(cfg.train_dataloader, num_workers=workers, persistent_workers=False)
    batches = iter(Runner.build_dataloader(loader_cfg, seed=0))
    for _ in range(2 * workers):  # what the workers had prepared while they started
        next(batches)
    count, start = 0, time.perf_counter()
    while count < number:
        count += len(next(batches)['inputs'])
    return count / (time.perf_counter() - start)


def measure(args: argparse.Namespace) -> Iterator[dict[str, str]]:
    cfg = load_config(args.parser, args)
    try:
        seconds = time_transforms(DATASETS.build(cfg.train_dataloader.dataset), args.images)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f'the training data of {args.config} can not be read: {error}') from error
    if not min(map(len, seconds.values()), default=0):
        raise ValueError(f'no image of {args.config} passes its training pipeline')
    means = {name: float(np.mean(values)) for name, values in seconds.items()}
    total = sum(means.values())
    means[f'sum: {1 / total:.1f} images/s a worker'] = total
    for name, mean in means.items():
        yield {
            'transform': name,
            'mean of an image': f'{1000 * mean:.1f} ms',
            'share': f'{mean / total:.0%}',
        }
    for workers in args.workers:
        rate = loader_rate(cfg, workers, args.images)
        yield {
            'workers': str(workers),
            'images/s': f'{rate:.1f}',
            'a worker': f'{rate / workers:.1f}',
        }
