"""PQ of a trained model in several precisions, memory formats and batch sizes.

    python tools/analysis_tools/compare_precision.py CONFIG CHECKPOINT

With --onnx also of exported and quantised models, in ONNX Runtime and, with --openvino, there.
Prints a Markdown table with differences against float32 at the config's batch size; exit code 1
when one is larger than --max-difference.
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from benchmarking.candidates import channels_last
from benchmarking.runs import numerics
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, load_checkpoint
from mmengine.structures import PixelData
from torch import nn

from mmpfcn import accelerate_inference
from mmpfcn.commands import options
from mmpfcn.datasets.inner_datasets import metainfo_of
from mmpfcn.deployment.onnx_inferencer import OnnxInferencer
from mmpfcn.engine import compile_network

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
    with options.exit_if_refused():
        load_checkpoint(model, checkpoint, map_location='cpu')
    model = model.to(device).eval()
    if change is not None:
        change(model)
    loader = dict(cfg.test_dataloader, batch_size=batch_size or cfg.test_dataloader.batch_size)
    loader = Runner.build_dataloader(loader, seed=0)
    evaluator = Evaluator(dict(type='PanopticQualityMetric'))
    evaluator.dataset_meta = metainfo_of(loader.dataset)
    for data in loader:
        with numerics(dtype, device), torch.no_grad():
            samples = model.test_step(data)
        evaluator.process(data_samples=samples, data_batch=data)
    return evaluator.evaluate(len(loader.dataset))['coco_panoptic/PQ']


def onnx_quality(cfg: Config, path: str, **given: str) -> float:
    """The same of an .onnx file; ``given`` are arguments of :class:`OnnxInferencer`."""
    inferencer = OnnxInferencer(path, **given)
    loader = Runner.build_dataloader(dict(cfg.test_dataloader, batch_size=1), seed=0)
    evaluator = Evaluator(dict(type='PanopticQualityMetric'))
    evaluator.dataset_meta = metainfo_of(loader.dataset)
    void = len(inferencer.dataset_meta['classes'])
    for data in loader:
        (sample,) = data['data_samples']
        (result,) = inferencer.stream(sample.img_path)
        ids = np.where(result.panoptic_seg == 0, void, result.panoptic_seg)
        sample.pred_panoptic_seg = PixelData(sem_seg=torch.from_numpy(ids)[None])
        evaluator.process(data_samples=[sample], data_batch=data)
    return evaluator.evaluate(len(loader.dataset))['coco_panoptic/PQ']


def main(argv: Sequence[str] | None = None) -> None:
    parser = options.new_parser(__doc__)
    parser.add_argument('config')
    parser.add_argument('checkpoint', help='of a trained model')
    parser.add_argument('--variants', nargs='*', choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument('--onnx', nargs='+', metavar='FILE', default=[], help='of the same model')
    parser.add_argument('--openvino', action='store_true', help='these in OpenVINO as well')
    parser.add_argument('--max-difference', type=float, default=0.3, help='of PQ, in points')
    options.add_config_options(parser, 'test_dataloader.dataset.data_root=my/data')
    args = parser.parse_args(argv)
    options.require_file(parser, 'checkpoint', args.checkpoint)
    cfg = options.load_config(parser, args)
    init_default_scope('mmdet')
    MMLogger.get_current_instance().setLevel('ERROR')  # mmcv tells of each layer it loads
    measure = partial(quality, cfg, args.checkpoint)
    base = measure()
    worst = 0.0
    print('| variant | PQ | difference |\n|---|---|---|', flush=True)
    measures = {name: partial(measure, **VARIANTS[name]) for name in args.variants}
    if args.onnx:
        from benchmarking.onnx_runs import runs_of  # ONNX Runtime is an extra

        for path in args.onnx:
            for name, given in runs_of(path, args.openvino).items():
                measures[name] = partial(onnx_quality, cfg, path, **given)
    for name, one in measures.items():
        found = one()
        worst = max(worst, abs(found - base))
        print(f'| {name} | {found:.3f} | {found - base:+.3f} |', flush=True)
    if not worst <= args.max_difference:
        sys.exit(f'a difference of {worst:.3f} is larger than {args.max_difference}')


if __name__ == '__main__':
    main()
