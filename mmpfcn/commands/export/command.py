r"""Export a Panoptic FCN to ONNX.

    python tools/deployment/export_onnx.py configs/panoptic_fcn/r50_coco.py \
        work_dirs/r50_coco/iter_90000.pth --out r50_coco.onnx

The file holds the network, up to embedded kernels and mask features, with any batch size, height
and width, and everything else that inference needs (classes, thresholds, sizes). It is compared
with PyTorch before it gets its name. tools/deployment/onnx_infer.py predicts with it, without
torch.
"""

from pathlib import Path

from mmengine.logging import MMLogger

from ..options import (
    add_config_options,
    load_config,
    new_parser,
    require_checkpoint,
    require_out,
    wrong_ends,
)


def main(argv: list[str] | None = None) -> None:
    parser = new_parser(__doc__)
    add = parser.add_argument
    add('config', help='config of a Panoptic FCN')
    add('checkpoint', help='file of the weights; no code in it is run')
    add('--out', type=Path, metavar='FILE.onnx', help='default: beside the checkpoint')
    add_config_options(parser, 'model.test_cfg.center_thr=0.2')
    args = parser.parse_args(argv)
    require_checkpoint(parser, 'checkpoint', args.checkpoint)
    out = args.out or Path(args.checkpoint).with_suffix('.onnx')
    if out.suffix != '.onnx':
        parser.error(f'--out is a file that ends in .onnx, got {out}')
    require_out(parser, out)
    config = load_config(parser, args)
    try:
        from .export import export_onnx
    except ImportError as error:
        parser.error(f'{error}: install what exporting needs by "pip install mmpfcn[onnx]"')
    from mmpfcn import PanopticInferencer

    MMLogger.get_current_instance().setLevel('ERROR')  # initialisation is logged per weight
    with wrong_ends(parser, kinds=(OSError, ValueError, TypeError)):
        inferencer = PanopticInferencer(config, args.checkpoint, 'cpu', accelerate=False)
        differences = export_onnx(inferencer, out)
    print(f'{out}: {out.stat().st_size / 2**20:.0f} MiB')
    print('largest difference from PyTorch on noise, as a share of the largest value:')
    for name, difference in differences.items():
        print(f'  {name:15} {difference:.1e}')
