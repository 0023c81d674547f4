"""What do positions and classes cost, what do masks? PQ with the true centres and regions given.

    python tools/analysis_tools/true_positions.py CONFIG CHECKPOINT

The network runs over the data of val_dataloader. The first row is what it finds; for the second,
the maps of centres and regions are replaced by their training targets, so that every object is
found with its class and what is left are the faults of kernels and masks.
"""

import argparse
from collections.abc import Sequence

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import nn

from mmpfcn import ImageTargets, LevelMaps
from mmpfcn.apis.checkpoint import load_weights, read_checkpoint
from mmpfcn.commands.options import (
    add_config_options,
    load_config,
    new_parser,
    require_file,
    wrong_ends,
)
from mmpfcn.datasets.inner_datasets import inner_datasets, metainfo_of
from mmpfcn.models.losses import stack_targets

METRICS = ('PQ', 'SQ', 'RQ', 'PQ_th', 'PQ_st')


def with_true_positions(
    levels: Sequence[LevelMaps], targets: Sequence[ImageTargets]
) -> list[LevelMaps]:
    """The maps of P3..P7 with the targets' centres and regions, as logits."""
    return [
        maps._replace(centers=centers.logit(1e-6), regions=regions.logit(1e-6))
        for maps, (centers, regions) in zip(levels, stack_targets(targets), strict=True)
    ]


def with_objects(pipeline: Sequence[dict]) -> list[dict]:
    """A test pipeline that reads objects and regions too, before the image is resized."""
    others = [step for step in pipeline if step['type'] != 'LoadPanopticGroundTruth']
    return [others[0], dict(type='LoadPanopticGroundTruth', panoptic=True), *others[1:]]


@torch.no_grad()
def measure(model: nn.Module, loader: object, given: bool) -> dict[str, float]:
    """Metrics in percent of ``PanopticQualityMetric``, with the true positions ``given`` or not."""
    evaluator = Evaluator(dict(type='PanopticQualityMetric'))
    evaluator.dataset_meta = metainfo_of(loader.dataset)
    head = model.panoptic_head
    for batch in loader:
        data = model.data_preprocessor(batch, False)
        samples = data['data_samples']
        levels, mask_feats = head(model.extract_feat(data['inputs']))
        if given:
            targets = head.get_targets(levels, mask_feats, samples)
            levels = with_true_positions(levels, targets)
        found = head.predict_by_feat(levels, mask_feats)
        results = model.panoptic_fusion_head.predict(*found, samples, rescale=True)
        samples = model.add_pred_to_datasample(samples, results)
        evaluator.process(data_samples=samples, data_batch=batch)
    return evaluator.evaluate(len(loader.dataset))


def build(
    parser: argparse.ArgumentParser, args: argparse.Namespace, cfg: Config
) -> tuple[nn.Module, object]:
    """The trained model, and the loader of the validation data."""
    if not cfg.get('val_dataloader'):
        parser.error(f'{args.config} has no val_dataloader, whose data is measured on')
    for dataset in inner_datasets(cfg.val_dataloader.dataset):
        dataset.pipeline = with_objects(dataset.pipeline)
    with wrong_ends(parser):
        model = MODELS.build(cfg.model)
        load_weights(model, read_checkpoint(args.checkpoint)['state_dict'], args.checkpoint)
        return model.eval(), Runner.build_dataloader(cfg.val_dataloader, seed=0)


def main(argv: Sequence[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument('config')
    parser.add_argument('checkpoint', help='of a trained model')
    add_config_options(parser, 'val_dataloader.dataset.data_root=my/data')
    args = parser.parse_args(argv)
    require_file(parser, 'checkpoint', args.checkpoint)
    cfg = load_config(parser, args)
    init_default_scope('mmdet')
    MMLogger.get_current_instance().setLevel('ERROR')  # mmcv tells of each layer it loads
    model, loader = build(parser, args, cfg)
    print(f'| positions and classes | {" | ".join(METRICS)} |\n|---{"|---" * len(METRICS)}|')
    for name, given in (('found', False), ('given', True)):
        metrics = measure(model, loader, given)
        cells = [f'{metrics[f"coco_panoptic/{key}"]:.1f}' for key in METRICS]
        print(f'| {name} | {" | ".join(cells)} |', flush=True)


if __name__ == '__main__':
    main()
