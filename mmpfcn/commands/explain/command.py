"""Why was an image segmented as it was? One page with everything between network and result.

    python tools/analysis_tools/explain.py photo.jpg --config configs/panoptic_fcn/r50_coco.py \\
        --checkpoint work_dirs/r50_coco/iter_90000.pth --out photo.html

Centres and regions of every level, which kernels were fused, the mask of every kernel, and what the
panoptic merge kept and dropped and why. It is one HTML file that needs nothing else. Thresholds:
--cfg-options model.test_cfg.center_thr=0.1
"""

from itertools import islice
from pathlib import Path

from mmpfcn import PanopticInferencer
from mmpfcn.apis import Explanation, Outcome, explain
from mmpfcn.formats import list_inputs
from mmpfcn.visualization.heat_maps import TAKEN
from mmpfcn.visualization.targets import level_name

from .. import options
from ..page import fill_template
from . import texts
from .pictures import Pictures


def explanation_page(explanation: Explanation, model: str) -> str:
    """The page; ``model`` says what the image was segmented with."""
    height, width = explanation.output.image.shape[:2]
    h, w = explanation.output.data_sample.img_shape[:2]

    def level_title(number: int) -> str:
        rows, columns = explanation.output.levels[number].centers.shape[-2:]
        return f'{level_name(number)}, {rows} x {columns} cells'

    return fill_template(
        'explain.html',
        title=f'How {Path(explanation.result.name).name} was segmented',
        note=f'{width} x {height} pixels, resized to {w} x {h}. {model}',
        explanation=explanation,
        cfg=explanation.settings,
        pictures=Pictures(explanation),
        segments=explanation.result.segments_info,
        num_pixels=explanation.result.panoptic_seg.size,
        num_void=int((explanation.result.panoptic_seg == 0).sum()),
        ranked=sorted(explanation.kernels, key=lambda kernel: -(kernel.rescored or kernel.score)),
        by_key={candidate.key: candidate for candidate in explanation.candidates},
        fused_of=lambda kernels: [kernel for kernel in kernels if len(kernel.members) > 1],
        num_members=lambda kernels: sum(len(kernel.members) for kernel in kernels),
        level_title=level_title,
        texts=texts,
        Outcome=Outcome,
        TAKEN=TAKEN,
    )


def main(argv: list[str] | None = None) -> None:
    parser = options.new_parser(__doc__)
    add = parser.add_argument
    add('image', help='path or address of an image')
    add('--config', required=True, help='config file of the model')
    add('--checkpoint', required=True, help='its weights, a path or an address')
    add('--out', type=Path, metavar='HTML', help='default: the name of the image with .html, here')
    options.add_device(parser)
    options.add_config_options(parser, 'model.test_cfg.center_thr=0.1')
    args = parser.parse_args(argv)
    options.require_file(parser, 'image', args.image)
    options.require_checkpoint(parser, '--checkpoint', args.checkpoint)
    path = args.out or Path(f'{Path(args.image).stem}.html')
    options.require_out(parser, path)
    cfg = options.load_config(parser, args)
    wrong_model = (*options.WRONG, AttributeError)
    with options.wrong_ends(parser, 'the model can not be built: ', wrong_model):
        inferencer = PanopticInferencer(cfg, args.checkpoint, args.device, show_progress=False)
    with options.wrong_ends(parser, kinds=(OSError, ValueError, TypeError)):
        if len(list(islice(list_inputs(args.image), 2))) > 1:
            parser.error(f'{args.image} is several images: give one of them')
        explanation = explain(inferencer, inferencer.run_network(args.image))
    model = f'Model: {Path(args.config).stem}, weights: {Path(args.checkpoint).name}.'
    options.write_or_exit(parser, path, explanation_page(explanation, model).encode(), 'page')
