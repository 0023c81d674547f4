"""PQ of a trained model in several precisions, memory formats and batch sizes.

    python tools/analysis_tools/compare_precision.py CONFIG CHECKPOINT

Prints a Markdown table with differences against float32 at the config's batch size; exit code 1
when one is larger than --max-difference.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial

import torch
from benchmarking.runs import numerics
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, load_checkpoint
from torch import nn

from mmpfcn import accelerate_inference
from mmpfcn.commands.cfg_options import CfgOptions
from mmpfcn.commands.options import exit_if_refused, load_config, require_file
from mmpfcn.engine import compile_network


def channels_last(model: nn.Module) -> None:
    """Weights and the network's input."""
    model.to(memory_format=torch.channels_last)
    model.backbone.register_forward_pre_hook(
        lambda module, inputs: (inputs[0].contiguous(memory_format=torch.channels_last),)
    )


VARIANTS: dict[str, dict] = {
    'float32': {},
    'batch size 1': dict(batch_size=1),
    'batch size 4': dict(batch_size=4),
    'channels_last': dict(change=channels_last),
    'accelerated': dict(change=accelerate_inference),
    'compiled': dict(change=compile_network),
    'bfloat16 (autocast)': dict(dtype='bf16'),
    'float16 (autocast)': dict(dtype='fp16'),
}
if torch.cuda.is_available():
    VARIANTS['TF32'] = dict(dtype='tf32')


def quality(
    cfg: Config,
    checkpoint: str,
    change: Callable[[nn.Module], None] | None = None,
    dtype: str = 'float32',
    batch_size: int | None = None,
) -> float:
    """PQ in percent of the config's test_dataloader."""
    device = torch.device(get_device())
    model = MODELS.build(cfg.model)
    with exit_if_refused():
        load_checkpoint(model, checkpoint, map_location='cpu')
    model = model.to(device).eval()
    if change is not None:
        change(model)
    loader = dict(cfg.test_dataloader, batch_size=batch_size or cfg.test_dataloader.batch_size)
    loader = Runner.build_dataloader(loader, seed=0)
    evaluator = Evaluator(dict(type='PanopticQualityMetric'))
    evaluator.dataset_meta = loader.dataset.metainfo
    for data in loader:
        with numerics(dtype, device), torch.no_grad():
            samples = model.test_step(data)
        evaluator.process(data_samples=samples, data_batch=data)
    return evaluator.evaluate(len(loader.dataset))['coco_panoptic/PQ']


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config')
    parser.add_argument('checkpoint', help='of a trained model')
    parser.add_argument('--variants', nargs='+', choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument('--max-difference', type=float, default=0.3, help='of PQ, in points')
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions, metavar='KEY=VALUE')
    args = parser.parse_args(argv)
    require_file(parser, 'checkpoint', args.checkpoint)
    args.launcher, args.local_rank, args.work_dir = 'none', 0, None
    cfg = load_config(parser, args)
    init_default_scope('mmdet')
    MMLogger.get_current_instance().setLevel('ERROR')  # mmcv tells of each layer it loads
    measure = partial(quality, cfg, args.checkpoint)
    base = measure()
    worst = 0.0
    print('| variant | PQ | difference |\n|---|---|---|', flush=True)
    for name in args.variants:
        found = measure(**VARIANTS[name])
        worst = max(worst, abs(found - base))
        print(f'| {name} | {found:.3f} | {found - base:+.3f} |', flush=True)
    if not worst <= args.max_difference:
        sys.exit(f'a difference of {worst:.3f} is larger than {args.max_difference}')


if __name__ == '__main__':
    main()
