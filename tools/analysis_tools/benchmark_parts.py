r"""Time, and the memory, of one part of Panoptic FCN beside what it is compared with.

    python tools/analysis_tools/benchmark_parts.py losses --threads 1
    python tools/analysis_tools/benchmark_parts.py losses --help

The parts are dataloader, deform_conv, large_images, loading, losses, onnx_deform_conv,
panoptic_metric and statistics. What is compared takes turns, so that a busy machine is unfair to
none; times are medians after a round that does not count. Tables are Markdown.
"""

import importlib
import sys
from pathlib import Path

import cv2
import torch
from benchmarking.report import conditions
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import set_random_seed
from parts import print_rows

import mmpfcn  # noqa: F401 (registers)
from mmpfcn.commands.options import from_1, new_parser, wrong_ends

PARTS = sorted(path.stem for path in Path(__file__).with_name('parts').glob('[a-z]*.py'))


def main(argv: list[str] | None = None) -> None:
    argv = sys.argv[1:] if argv is None else argv
    parser = new_parser(__doc__)
    parser.add_argument('part', choices=PARTS)
    name = parser.parse_args(argv[:1]).part
    part = importlib.import_module(f'parts.{name}')
    prog = f'{parser.prog} {name}'
    parser = new_parser(part.__doc__)
    parser.prog = prog
    parser.add_argument('--threads', type=from_1, default=1)
    parser.add_argument('--repeats', type=from_1, default=10, help='rounds that count')
    part.add_arguments(parser)
    args = parser.parse_args(argv[1:])
    init_default_scope('mmdet')
    MMLogger.get_current_instance().setLevel('ERROR')  # initialisation is logged per weight
    set_random_seed(0)
    cv2.setNumThreads(args.threads)
    torch.set_num_threads(args.threads)
    facts = conditions(torch.device('cpu'), args.threads, 1, args.repeats)
    print(', '.join(f'{name} {value}' for name, value in facts.items()))
    with wrong_ends(parser, kinds=(ValueError,)):
        print_rows(part.measure(args))


if __name__ == '__main__':
    main()
