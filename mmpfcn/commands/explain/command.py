"""Why was an image segmented as it was? One page with everything between network and result.

    python tools/analysis_tools/explain.py photo.jpg --config configs/panoptic_fcn/r50_coco.py \\
        --checkpoint work_dirs/r50_coco/iter_90000.pth --out photo.html

Centres and regions of every level, which kernels were fused, the mask of every kernel, and what the
panoptic merge kept and dropped and why. It is one HTML file that needs nothing else. Thresholds:
--cfg-options model.test_cfg.center_thr=0.1
"""

import argparse
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from mmengine.config import Config

from mmpfcn import PanopticInferencer  # noqa: E402
from mmpfcn.apis import explain  # noqa: E402
from mmpfcn.formats import list_inputs
from mmpfcn.formats.panoptic_png import write_atomic  # noqa: E402

from ..options import add_config_options, error_text, load_config, require_checkpoint, require_file
from .page import explanation_page

WRONG_MODEL = (OSError, ValueError, KeyError, TypeError, AttributeError)
WRONG_IMAGE = (OSError, ValueError, TypeError)


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('image', help='path or address of an image')
    parser.add_argument('--config', required=True, help='config file of the model')
    parser.add_argument('--checkpoint', required=True, help='its weights, a path or an address')
    parser.add_argument(
        '--out', type=Path, metavar='HTML', help='default: the name of the image with .html, here'
    )
    parser.add_argument('--device', help='such as cuda:0; default: the best there is')
    add_config_options(parser, 'model.test_cfg.center_thr=0.1')
    return parser


def build_model(
    parser: argparse.ArgumentParser, args: argparse.Namespace, cfg: Config
) -> PanopticInferencer:
    try:
        return PanopticInferencer(cfg, args.checkpoint, args.device, show_progress=False)
    except WRONG_MODEL as error:
        parser.error(f'the model can not be built: {error_text(error)}')


def main(argv: Sequence[str] | None = None) -> None:
    parser = make_parser()
    args = parser.parse_args(argv)
    require_file(parser, 'image', args.image)
    require_checkpoint(parser, '--checkpoint', args.checkpoint)
    path = args.out or Path(f'{Path(args.image).stem}.html')
    if path.is_dir():
        parser.error(f'--out {path} is a folder, expected the name of a file')
    inferencer = build_model(parser, args, load_config(parser, args))
    try:
        if len(list(islice(list_inputs(args.image), 2))) > 1:
            parser.error(f'{args.image} is several images: give one of them')
        explanation = explain(inferencer, inferencer.run_network(args.image))
    except WRONG_IMAGE as error:
        parser.error(str(error))
    model = f'Model: {Path(args.config).stem}, weights: {Path(args.checkpoint).name}.'
    page = explanation_page(explanation, model)
    try:
        write_atomic(path, page.encode())
    except OSError as error:
        parser.error(f'{path} can not be written ({error}): give another --out')
    print(f'page: {path}')


if __name__ == '__main__':
    main()
