"""A web page on which one drops an image, picks a model and moves the thresholds.

    python tools/web_demo.py --model shapes=configs/panoptic_fcn/r18_shapes.py,CHECKPOINT

It shows the segments over the image and in a table, and what the network says about object centres
and stuff regions on every pyramid level. A moved threshold does not run the network again. The page
needs no connection, and only this machine reaches it unless --host says otherwise: see
docs/web_demo.md before you let others in.
"""

import argparse
import importlib.util
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from functools import partial

from ..options import add_device, new_parser, wrong_ends


def model(text: str) -> tuple[str, str | None, str]:
    """Name, config and checkpoint of a model to pick on the page."""
    name, equals, files = text.partition('=')
    config, comma, checkpoint = files.rpartition(',')
    if not (name.strip() and equals and checkpoint.strip()) or (comma and not config.strip()):
        raise argparse.ArgumentTypeError(
            f'got {text!r}, expected NAME=CONFIG,CHECKPOINT, or NAME=CHECKPOINT for a checkpoint '
            'of a training, which holds its config'
        )
    return name.strip(), config.strip() or None, checkpoint.strip()


def positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float('inf'):
        raise argparse.ArgumentTypeError(f'got {text}, expected a number above 0')
    return value


def port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 2**16:
        raise argparse.ArgumentTypeError(f'got {text}, expected a port from 1 to 65535')
    return int(text)


def load_models(
    parser: argparse.ArgumentParser, models: Sequence[tuple], device: str | None
) -> dict:
    from mmpfcn.apis import PanopticInferencer

    names = [name for name, *_ in models]
    if len(set(names)) < len(names):
        parser.error(f'--model: every name is for one model, got {", ".join(names)}')
    inferencers = {}
    for name, config, checkpoint in models:
        with wrong_ends(parser, f'--model {name}: '):
            inferencers[name] = PanopticInferencer(config, checkpoint, device)
        print(f'model {name}: {checkpoint}', flush=True)
    return inferencers


def main(argv: Sequence[str] | None = None) -> None:
    parser = new_parser(__doc__)
    add = parser.add_argument
    add(
        '--model',
        type=model,
        action='append',
        required=True,
        metavar='NAME=CONFIG,CHECKPOINT',
        help='a model to pick; may be given several times. The config is a file or a name of the '
        'model index, and may be left out where the checkpoint holds it',
    )
    add_device(parser)
    add('--host', default='127.0.0.1', help='0.0.0.0 lets other machines in (127.0.0.1)')
    add('--port', type=port, default=7860, help='(7860)')
    add('--root-path', default='', help='where a proxy puts the page, such as /demo')
    add('--max-mb', type=positive, default=20, help='largest file, in MiB (20)')
    add('--max-pixels', type=positive, default=2**25, help='of an image (33554432: 8192 x 4096)')
    add(
        '--cache-mb',
        type=positive,
        default=2048,
        help='memory, in MiB, for what the networks said about the last images (2048)',
    )
    args = parser.parse_args(argv)
    if importlib.util.find_spec('gradio') is None:
        parser.error(f'gradio is missing: {sys.executable} -m pip install "gradio>=6,<7"')
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # the folder is removed as after Ctrl-C
    with tempfile.TemporaryDirectory(prefix='mmpfcn_web_demo_') as folder:
        # read at import
        os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'
        os.environ['GRADIO_TEMP_DIR'] = folder
        os.environ['OPENCV_IO_MAX_IMAGE_PIXELS'] = str(int(args.max_pixels))
        from .outputs import Outputs
        from .page import build_page
        from .server import serve

        log = partial(print, flush=True)
        models = load_models(parser, args.model, args.device)
        outputs = Outputs(models, int(args.cache_mb * 2**20), int(args.max_pixels), log)
        page = build_page(outputs, args.max_mb)
        with wrong_ends(parser, f'--host {args.host} --port {args.port}: ', (OSError,)):
            serve(page, args.host, args.port, args.root_path, args.max_mb, log)
