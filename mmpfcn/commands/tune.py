"""Choose the thresholds of a trained model on the validation set.

    mmpfcn tune CONFIG CHECKPOINT --out CONFIG_WITH_THRESHOLDS.py

The network runs once over the data of val_dataloader; then one threshold of model.test_cfg at a
time is moved, value by value, as long as PQ does not fall, until none gains. It prints PQ before
and after and the thresholds as --cfg-options. Measure on another set than this one what was gained.
"""

import argparse
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from math import inf
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import DATASETS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from rich.progress import track
from torch import Tensor

from mmpfcn import PanopticInferencer, PanopticQualityMetric
from mmpfcn.datasets.inner_datasets import metainfo_of
from mmpfcn.structures import LevelMaps

from . import options

CANDIDATES = dict(
    mask_thr_binary=(0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6),
    fusion_iou_thr=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7),
    similarity_thr=(-1.0, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998, 0.999),
    panoptic_score_thr=(0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5),
    center_thr=(0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3),
    region_thr=(0.02, 0.05, 0.1, 0.2),
    mask_overlap=(0.3, 0.5, 0.7),
    stuff_area_limit=(0, 64, 256, 1024, 4096),
)
"""What is tried, beside the value of the config; the first ones matter most."""

Sample = tuple[list[LevelMaps], Tensor, DetDataSample]
LEAST_GAIN = 0.005  # of PQ, in percent: what is less is not worth another value


def make_parser() -> argparse.ArgumentParser:
    parser = options.new_parser(__doc__)
    parser.add_argument('config', help='config file of the model, with a val_dataloader')
    parser.add_argument('checkpoint', help='file or address of the weights')
    parser.add_argument('--out', type=Path, metavar='CONFIG', help='also write a config file, .py')
    parser.add_argument(
        '--images', type=int, default=100, help='look at so many images (their maps stay in memory)'
    )
    options.add_device(parser)
    options.add_config_options(parser, 'val_dataloader.dataset.data_root=data/mine')
    return parser


@torch.no_grad()
def run_network(inferencer: PanopticInferencer, dataset: Sequence) -> Iterator[Sample]:
    """The network's output for every image, on the CPU, and its ground truth."""
    model = inferencer.model
    for item in track(dataset, description='Network'):
        data = model.data_preprocessor(pseudo_collate([item]), False)
        levels, mask_feats = model.panoptic_head(model.extract_feat(data['inputs']))
        levels = [LevelMaps(*(maps.cpu() for maps in level)) for level in levels]
        yield levels, mask_feats.cpu(), data['data_samples'][0].cpu()


@torch.no_grad()
def quality(
    inferencer: PanopticInferencer, samples: Sequence[Sample], meta: Mapping, settings: Mapping
) -> float:
    """PQ of what the network said, with any thresholds."""
    only_the_map = dict(panoptic_on=True, instance_on=False, semantic_on=False)
    head, fusion = inferencer.heads({**settings, **only_the_map})
    metric = PanopticQualityMetric()
    metric.dataset_meta = meta
    for levels, mask_feats, sample in samples:
        things, regions = head.predict_by_feat(levels, mask_feats)
        (result,) = fusion.predict(things, regions, [sample])
        prediction = DetDataSample(metainfo=sample.metainfo)
        prediction.pred_panoptic_seg = result['pan_results']
        record = prediction.to_dict()
        if 'gt_panoptic_seg' in sample:
            record['gt_panoptic_seg'] = sample.gt_panoptic_seg.to_dict()
        metric.process({}, [record])
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('WARNING')  # it prints a table, many times
    try:
        return metric.evaluate(len(samples))['coco_panoptic/PQ']
    finally:
        logger.setLevel(level)


def search(measure: Callable[[Mapping], float], start: Mapping[str, Any]) -> dict[str, Any]:
    """Coordinate search: move one threshold at a time up and down, value by value, as long as PQ
    does not fall, to its best value; until none gains.
    """
    best, best_pq = dict(start), measure(start)
    print(f'PQ {best_pq:.2f} with the thresholds of the config')
    gained = True
    while gained:
        gained = False
        for name, values in CANDIDATES.items():
            now = inf if best[name] is None else best[name]  # fusion_iou_thr that is off
            below = sorted((value for value in values if value < now), reverse=True)
            for ladder in sorted(value for value in values if value > now), below:
                for value in ladder:
                    pq = measure({**best, name: value})
                    if pq > best_pq + LEAST_GAIN:
                        best, best_pq, gained = {**best, name: value}, pq, True
                        print(f'PQ {pq:.2f} with {name}={value}', flush=True)
                    elif pq < best_pq - LEAST_GAIN:
                        break
    return best


def build(
    parser: argparse.ArgumentParser, args: argparse.Namespace, cfg: Config
) -> tuple[PanopticInferencer, Sequence]:
    """The model, and the validation data (at most ``args.images``)."""
    if not cfg.get('val_dataloader'):
        parser.error(f'{args.config} has no val_dataloader: thresholds are chosen on its data')
    with options.wrong_ends(parser):
        inferencer = PanopticInferencer(cfg, args.checkpoint, args.device, show_progress=False)
        dataset = DATASETS.build(copy.deepcopy(cfg.val_dataloader.dataset))
        metainfo_of(dataset)  # refuses joined data sets of different classes
    number = min(len(dataset), args.images)
    if not number:
        parser.error(f'the validation data of {args.config} has no image')
    # spread over the set: neighbours are often alike
    places = [len(dataset) * i // number for i in range(number)]
    return inferencer, torch.utils.data.Subset(dataset, places)


def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser()
    args = parser.parse_args(argv)
    options.require_checkpoint(parser, 'checkpoint', args.checkpoint)
    if args.images < 1:
        parser.error(f'--images {args.images}, expected at least 1')
    if args.out is not None and args.out.suffix != '.py':
        parser.error(f'--out must end in .py, got {args.out}')
    cfg = options.load_config(parser, args)
    if args.out is not None and args.out.exists() and args.out.samefile(args.config):
        parser.error(f'--out {args.out} is the config itself: choose another name')
    if args.out is not None:
        options.require_out(parser, args.out)
    for key in (args.cfg_options or {}) if args.out is not None else ():
        if any(part.isdigit() for part in key.split('.')):
            parser.error(f'--cfg-options {key}: a place in a list can not be written to --out')
    inferencer, images = build(parser, args, cfg)
    samples = list(run_network(inferencer, images))
    known, metainfo = {}, metainfo_of(images.dataset)

    def measure(settings: Mapping[str, Any]) -> float:
        key = tuple(settings[name] for name in CANDIDATES)
        if key not in known:
            known[key] = quality(inferencer, samples, metainfo, settings)
        return known[key]

    before = asdict(inferencer.settings)
    after = search(measure, before)
    changes = {name: after[name] for name in CANDIDATES if after[name] != before[name]}
    print(f'PQ {measure(before):.2f} -> {measure(after):.2f} on {len(samples)} validation images')
    if changes:
        given = ' '.join(f'model.test_cfg.{name}={value}' for name, value in changes.items())
        print(f'--cfg-options {given}')
    if args.out is not None:
        tuned = Config(dict(model=dict(test_cfg=changes)))
        tuned.merge_from_dict(args.cfg_options or {})
        tuned.merge_from_dict({f'model.test_cfg.{name}': value for name, value in changes.items()})
        text = f'_base_ = {str(Path(args.config).resolve())!r}\n{tuned.pretty_text}'
        options.write_or_exit(parser, args.out, text.encode(), 'config')
    return 0
