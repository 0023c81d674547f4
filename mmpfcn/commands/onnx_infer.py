r"""Panoptic segmentation with an exported model; needs numpy, OpenCV and ONNX Runtime or
OpenVINO, no torch.

    python tools/deployment/onnx_infer.py r50_coco.onnx photos/ more/*.jpg --out-dir results

Writes COCO's panoptic format: results/panoptic.json, and results/panoptic/*.png whose colours are
segment ids (R + 256 G + 65536 B, 0 is void), of a video those of each frame. Images that can not be
used are listed at the end, and the exit code is then 1. Ctrl-C keeps what is finished.
"""

import sys
from pathlib import Path

from mmpfcn.deployment.runtimes import PRECISIONS, RUNTIMES

from .options import WRONG_FILE, from_1, new_parser, require_out, wrong_ends


def main(argv: list[str] | None = None) -> int:
    parser = new_parser(__doc__)
    add = parser.add_argument
    add('model', help='file of tools/deployment/export_onnx.py')
    add('inputs', nargs='+', help='images, folders, patterns such as "a/*.jpg", addresses, videos')
    add('--out-dir', type=Path, default='results', help='folder of the results (results)')
    add(
        '--batch-size',
        type=from_1,
        default=1,
        help='images at once, as far as they have one padded size',
    )
    add('--threads', type=from_1, help='default: one on each core')
    add('--runtime', choices=RUNTIMES, default='onnxruntime', help='%(default)s is the default')
    add(
        '--precision',
        choices=PRECISIONS,
        help='bf16: with --runtime openvino, fastest on CPUs that know it; int8, f16: of a '
        'file of "mmpfcn quantize"; default: that of the file',
    )
    add('--instances', action='store_true', help='write overlapping instances as well (COCO RLE)')
    args = parser.parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors='backslashreplace')  # for names that are no text
    require_out(parser, args.out_dir / 'panoptic.json', '--out-dir')
    try:
        from mmpfcn.deployment.onnx_inferencer import OnnxInferencer
        from mmpfcn.formats.coco_results import written
        from mmpfcn.formats.inputs import list_files, require_one
    except ImportError as error:
        parser.error(f'{error}: install numpy, opencv-python-headless and a runtime')
    num_done, failures, stopped = 0, [], False
    try:
        with wrong_ends(parser, kinds=(*WRONG_FILE, ImportError)):
            given = dict(threads=args.threads, runtime=args.runtime, precision=args.precision)
            inferencer = OnnxInferencer(args.model, **given)
            inputs = list_files(args.inputs, args.out_dir)
            require_one(inputs)
            results = inferencer.stream(inputs, args.batch_size, failures, args.instances)
            for result in written(results, args.out_dir, inferencer.dataset_meta):
                print(f'{result.name}: {len(result.segments_info)} segments', flush=True)
                num_done += 1
    except KeyboardInterrupt:
        stopped = True
    print(f'{args.out_dir}: {num_done} images' + ', stopped by Ctrl-C' * stopped)
    for name, message in failures:
        print(f'not done: {name}: {message}', file=sys.stderr)
    return 130 if stopped else int(bool(failures))
