r"""Time and memory of Panoptic FCN and of mmdet's panoptic models, measured in one run.

    python tools/analysis_tools/benchmark.py configs/panoptic_fcn/r50_coco.py \
        --peers panoptic-fpn mask2former --size 512 683 --out-size 427 640 --objects 40 0 100
    python tools/analysis_tools/benchmark.py configs/panoptic_fcn/r50_coco.py --train --memory \
        --size 320 569 --batch-size 2 --objects 10 300

Weights are random and images are noise; all models get the same images, and their runs alternate.
Random weights find next to nothing. So while the network of a Panoptic FCN runs as it is, its
output is then overwritten with one in which --objects can be found (benchmarking/drawn_output.py),
and what follows works on that; the column "found" counts the things of the panoptic map. mmdet's
models go on with what their random weights give, mostly nothing, which makes them look faster than
they are. In training all models get drawn ground truth with --objects ellipses on bands of stuff.

Every run is timed as a whole, and then once more with its stages watched. "masks" are peaks, the
pooling and embedding of kernels and their convolution; "heads with losses" are those of a two-stage
model, forward and losses together. With several values the first of each option comes first in the
tables. --accelerate, --compile, --channels-last and --plain-convs add models to the list, they
replace none.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path

import torch
from benchmarking.candidates import PEERS, Candidate, candidates
from benchmarking.memory import GRADIENTS, INFERENCE, NETWORK, STEP, Peak, peak
from benchmarking.report import conditions, markdown
from benchmarking.runs import DTYPES, Setting, with_objects
from benchmarking.timing import measure
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

import mmpfcn  # noqa: F401 (registers)
from mmpfcn.apis.configs import find_config
from mmpfcn.commands.options import (
    add_config_options,
    from_0,
    from_1,
    new_parser,
    require_file,
    require_out,
    wrong_ends,
)


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    add = parser.add_argument
    add('configs', nargs='+', metavar='CONFIG', help='configs of Panoptic FCN')
    add('--peers', nargs='+', choices=PEERS, default=[], help="mmdet's models, R50 on COCO")
    add('--onnx', nargs='+', metavar='FILE', default=[],
        help='also these files of tools/deployment/export_onnx.py, in ONNX Runtime on the CPU, '
        'with the objects of the first config')  # fmt: skip
    add('--openvino', action='store_true', help='the files of --onnx in OpenVINO as well')
    add('--plain-convs', action='store_true', help='also with plain instead of deformable convs')
    add('--train', action='store_true', help='training steps instead of inference')
    add('--memory', action='store_true', help='also peak memory')
    pair = dict(type=from_1, nargs=2, action='append', metavar=('H', 'W'))
    add('--size', **pair, help='input without padding; may be repeated; default: 800 1333')
    add('--out-size', **pair, help='size of the result; may be repeated; default: as the input')
    add('--batch-size', type=from_1, nargs='+', default=[1])
    add('--objects', type=from_0, nargs='+', default=[40], help='objects in every image')
    add('--dtype', choices=DTYPES, nargs='+', default=['float32'], help='fp16, bf16: autocast')
    add('--compile', action='store_true', help='also with torch.compile')
    add('--accelerate', action='store_true', help='also with accelerate_inference (for a CPU)')
    add('--channels-last', action='store_true', help='also with weights in channels_last')
    add('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    add('--threads', type=from_1, default=torch.get_num_threads())
    add('--repeats', type=from_1, default=10, help='rounds that count')
    add('--warmup', type=from_1, default=2, help='rounds before')
    add('--out', type=Path, help='folder for benchmark.md and benchmark.json')
    add_config_options(parser, 'model.backbone.with_cp=True')
    return parser


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = make_parser()
    args = parser.parse_args(argv)
    with wrong_ends(parser):
        args.configs = [str(find_config(config)) for config in args.configs]
    for path in args.onnx:
        require_file(parser, '--onnx', path)
    if args.out is not None:
        require_out(parser, args.out / 'benchmark.json')
    args.device = torch.device(args.device)
    if args.device.type == 'cuda' and not torch.cuda.is_available():
        parser.error('--device cuda: torch sees no CUDA device')
    if args.device.type == 'cpu' and 'tf32' in args.dtype:
        parser.error('--dtype tf32 exists on CUDA only')
    for name in ('onnx', 'out_size', 'accelerate'):
        if args.train and getattr(args, name):
            parser.error(f'--{name.replace("_", "-")} belongs to inference, not to --train')
    args.size = [tuple(size) for size in args.size or [(800, 1333)]]
    args.out_size = [tuple(size) for size in args.out_size or []] or [None]
    return args


def settings(args: argparse.Namespace) -> list[Setting]:
    """Every combination, without a number of objects."""
    combinations = product(args.dtype, args.batch_size, args.size, args.out_size)
    return [Setting(size, out or size, batch, dtype) for dtype, batch, size, out in combinations]


def measure_memory(args: argparse.Namespace, listed: Sequence[Candidate]) -> list[Peak]:
    peaks = []
    for setting, candidate in product(settings(args), listed):
        phases = (INFERENCE,) if candidate.is_peer else (NETWORK, INFERENCE)
        phases = (GRADIENTS, STEP) if args.train else phases
        ones = with_objects(candidate, setting, args.objects, args.train)
        for one, what in product(ones, phases):
            progress(f'memory: {candidate.name}, {one}, {what}')
            peaks.append(peak(candidate, one, what, args.device, args.threads))
    return peaks


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse(argv)
    torch.set_num_threads(args.threads)
    init_default_scope('mmdet')
    MMLogger.get_current_instance().setLevel('ERROR')  # initialisation is logged per weight
    flags = args.compile, args.channels_last, args.accelerate
    listed = candidates(args.configs, args.cfg_options or {}, args.plain_convs, args.peers, *flags)
    # before this process holds models itself
    peaks = measure_memory(args, listed) if args.memory else []
    if args.onnx:
        from benchmarking.onnx_runs import onnx_candidates  # ONNX Runtime is an extra

        listed += onnx_candidates(args.onnx, listed[0], args.openvino)
    rows, rounds = [], (args.warmup, args.repeats)
    for setting in settings(args):
        progress(f'times: {setting}')
        rows += measure(listed, setting, args.objects, rounds, args.device, args.train)
    facts = conditions(args.device, args.threads, *rounds)
    command = shlex.join(['benchmark.py', *(sys.argv[1:] if argv is None else argv)])
    text = f'# {command}\n\n{markdown(facts, rows, peaks, args.train)}'
    print(text)
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / 'benchmark.md').write_text(text)
        times, memory = (list(map(asdict, measured)) for measured in (rows, peaks))
        content = dict(command=command, conditions=facts, times=times, memory=memory)
        (args.out / 'benchmark.json').write_text(json.dumps(content, indent=1))
    failed = sum(item.error is not None for item in [*rows, *peaks])
    if failed:
        progress(f'{failed} figures could not be measured: see the errors in the tables')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
