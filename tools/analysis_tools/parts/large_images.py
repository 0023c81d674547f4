"""Memory that one large image takes on its way from the file to PQ.

    python tools/analysis_tools/benchmark_parts.py large_images --megapixels 20

The network itself is left out: it sees the image at the size of the config. Peaks are what a step
adds to a process of its own that has imported everything. --things objects, and the classes of
Mapillary Vistas.
"""

import argparse
from collections.abc import Iterator
from functools import partial
from tempfile import TemporaryDirectory

import torch
from benchmarking.memory import MEBIBYTE
from mmdet.registry import TRANSFORMS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData

from mmpfcn import PanopticFCNFusionHead
from mmpfcn.apis.configs import read_config
from mmpfcn.commands.options import from_1
from mmpfcn.evaluation import PanopticQualityMetric

from . import panoptic_metric, peak_growth
from .loading import OURS, STOCK, draw_record

CONFIG = '_base_/models/panoptic_fcn_r50_mapillary'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--megapixels', type=float, default=20)
    parser.add_argument('--things', type=from_1, default=200, help='objects in the image')


def merge(config: Config, size: tuple[int, int], num_things: int, instance_on: bool) -> None:
    """Post-processing of random masks of a network input of 2048 pixels."""
    classes = config.num_things_classes, config.num_stuff_classes
    settings = dict(config.model.test_cfg, instance_on=instance_on, score_thr=0.0)
    image = (2048 * size[0] // size[1], 2048)
    generator = torch.Generator().manual_seed(0)

    def kernels(labels: torch.Tensor) -> list[InstanceData]:
        coarse = torch.randn(len(labels), 1, 8, 8, generator=generator) * 4 - 2
        logits = torch.nn.functional.interpolate(coarse, [s // 4 for s in image])[:, 0]
        ones = torch.ones(len(labels))
        return [InstanceData(labels=labels, scores=ones, num_kernels=ones, mask_logits=logits)]

    things = kernels(torch.arange(num_things) % classes[0])
    regions = kernels(torch.arange(classes[0], sum(classes) + 1))
    sample = DetDataSample(metainfo=dict(img_shape=image, ori_shape=size))
    PanopticFCNFusionHead(*classes, settings).predict(things, regions, [sample])


def measure(args: argparse.Namespace) -> Iterator[dict[str, str]]:
    height = int((args.megapixels * 1e6 * 3 / 4) ** 0.5)
    size = (height, height * 4 // 3)
    config = read_config(CONFIG)
    with TemporaryDirectory() as folder:
        record = draw_record(folder, size, args.things, panoptic_metric.NUM_THINGS)
        steps = {
            name: partial(TRANSFORMS.build(dict(type=name)), dict(record)) for name in (STOCK, OURS)
        }
        for instance_on in (True, False):
            step = partial(merge, config, size, args.things, instance_on)
            steps[f'fusion head, instance_on={instance_on}'] = step
        metric = PanopticQualityMetric()
        metric.dataset_meta = panoptic_metric.META
        sample = panoptic_metric.data_sample(record)
        steps['PQ of one image'] = partial(metric.process, {}, [sample])
        from_file = {k: v for k, v in sample.items() if k != 'gt_panoptic_seg'}
        steps['PQ of one image, the PNG read'] = partial(metric.process, {}, [from_file])
        for name, step in steps.items():
            mebibytes = peak_growth(step)
            yield {
                f'{size[1]} x {size[0]} pixels': name,
                'peak memory': f'{mebibytes:.0f} MiB',
                'bytes per pixel': f'{mebibytes * MEBIBYTE / (size[0] * size[1]):.0f}',
            }
