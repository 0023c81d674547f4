r"""Panoptic segmentation with an exported model; needs numpy, OpenCV and ONNX Runtime, no torch.

    python tools/deployment/onnx_infer.py r50_coco.onnx photos/ more/*.jpg --out-dir results

Writes COCO's panoptic format: results/panoptic.json, and results/panoptic/*.png whose colours are
segment ids (R + 256 G + 65536 B, 0 is void). Images that can not be used are listed at the end, and
the exit code is then 1. Ctrl-C keeps what is finished.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from .options import from_1, new_parser


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_argument('model', help='file of tools/deployment/export_onnx.py')
    parser.add_argument('inputs', nargs='+', help='images, folders, or patterns such as "a/*.jpg"')
    parser.add_argument(
        '--out-dir', type=Path, default='results', help='folder of the results (results)'
    )
    parser.add_argument(
        '--batch-size',
        type=from_1,
        default=1,
        help='images at once, as far as they have one padded size',
    )
    parser.add_argument('--threads', type=from_1, help='of ONNX Runtime; default: one on each core')
    return parser


def predict(inferencer, args: argparse.Namespace, failures: list) -> Iterator[dict]:
    """Write the PNG of each image, and give its part of the JSON."""
    from mmpfcn.formats.coco_results import coco_record, write_png
    from mmpfcn.formats.inputs import list_files

    inputs = list_files(args.inputs, args.out_dir)
    for result in inferencer.stream(inputs, args.batch_size, failures):
        write_png(result, args.out_dir)
        print(f'{result.name}: {len(result.segments_info)} segments', flush=True)
        yield coco_record(result)


def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser()
    args = parser.parse_args(argv)
    try:
        from mmpfcn.deployment.onnx_inferencer import OnnxInferencer
        from mmpfcn.formats.coco_results import write_coco_json
    except ImportError as error:
        parser.error(f'{error}: install numpy, opencv-python-headless and onnxruntime')
    try:
        inferencer = OnnxInferencer(args.model, threads=args.threads)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    records, failures, stopped = [], [], False
    try:
        try:
            for record in predict(inferencer, args, failures):
                records.append(record)
        finally:  # what is finished is kept
            if records:
                write_coco_json(records, inferencer.dataset_meta, args.out_dir)
    except KeyboardInterrupt:
        stopped = True
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print(f'{args.out_dir}: {len(records)} images' + ', stopped by Ctrl-C' * stopped)
    for name, message in failures:
        print(f'not done: {name}: {message}', file=sys.stderr)
    return 130 if stopped else int(bool(failures))
