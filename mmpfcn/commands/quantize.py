r"""Quantise an exported model: int8 where it costs little, for CPUs.

    mmpfcn quantize r50_coco.onnx photos/ --out r50_coco_int8.onnx

The photos, which need no annotations, are such as the model will see; they tell how large the
numbers inside it become. The new file is used like the old one: by ONNX Runtime, and faster by
OpenVINO (mmpfcn predict --model r50_coco_int8.onnx --runtime openvino photo.jpg).
"""

import json
import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmpfcn.deployment.images import normalize
from mmpfcn.deployment.onnx_inferencer import QUANTIZED_KEY, OnnxInferencer
from mmpfcn.deployment.runtimes import RUNTIMES, load_graph
from mmpfcn.formats.atomic_files import write_atomic
from mmpfcn.formats.batches import read_batches
from mmpfcn.formats.inputs import list_files, list_inputs, require_one
from mmpfcn.formats.read_image import ImageSource

from .options import WRONG_FILE, from_1, new_parser, wrong_ends

if TYPE_CHECKING:
    from onnx import ModelProto

CHECKED = 4  # images on which the two graphs are compared
FLOAT_PARTS = (
    r'/neck/.*',  # OpenVINO's int8 of an FPN behind a ResNet is far off
    r'/[A-Z].*',  # peaks and pooled regions
    r'/(thing|stuff)_embed/.*',
    r'/panoptic_head/\w+/[A-Z].*',  # coordinates, places, the sum of the pyramid
    r'.*/gn(_\d+)?/.*',  # group norm
    r'.*/(center|region|kernel)_out(_\d+)?/.*',
    r'/panoptic_head/feature_encoder/convs.*',
    r'/panoptic_head/.*/conv(_\d+)?/(?!Conv(_\d+)?$).*',  # deformable convolutions
)
"""Names of nodes that stay float, see docs/deployment.md."""


def main(argv: list[str] | None = None) -> int:
    parser = new_parser(__doc__)
    add = parser.add_argument
    add('model', help='file of "mmpfcn export"')
    add('images', nargs='+', help='images, folders, patterns or videos to calibrate with')
    add('--out', type=Path, required=True, metavar='FILE.onnx')
    add('--num-images', type=from_1, default=100, help='of them, evenly chosen (%(default)s)')
    args = parser.parse_args(argv)
    if args.out.suffix != '.onnx' or args.out.is_dir():
        parser.error(f'--out is a file that ends in .onnx, got {args.out}')
    if args.out.resolve() == Path(args.model).resolve():
        parser.error(f'--out {args.out} is the model itself: give another name')
    with wrong_ends(parser, kinds=(*WRONG_FILE, ImportError)):
        differences = quantize(args.model, args.images, args.out, args.num_images)
    print(f'{args.out}: {args.out.stat().st_size / 2**20:.0f} MiB')
    print('root mean square difference from the model, as a share of the standard deviation:')
    for runtime, found in differences.items():
        print(f'  {RUNTIMES[runtime]}: ' + ', '.join(f'{k} {v:.3f}' for k, v in found.items()))
    return 0


def quantize(
    path: str | Path, images: Sequence[ImageSource], out: str | Path, num_images: int
) -> dict[str, dict[str, float]]:
    """Write the quantised model; how much its outputs differ in each runtime, see :func:`compare`.

    Raises:
        ImportError: NNCF or onnx is not installed.
        OSError, ValueError: model or images can not be used, or the model is quantised already.
    """
    try:
        import nncf
        import onnx
    except ImportError as error:
        raise ImportError(f"{error}: pip install 'mmpfcn[quantize]'") from error
    inferencer = OnnxInferencer(path, providers=['CPUExecutionProvider'], precision='f32')
    chosen = load_images(inferencer, images, num_images)
    graph = onnx.load(path)
    nncf.set_log_level('ERROR')
    graph = nncf.quantize(
        graph,
        nncf.Dataset(chosen, lambda image: dict(image=normalize([image], inferencer.meta))),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(chosen),
        ignored_scope=nncf.IgnoredScope(names=float_nodes(graph), validate=False),
    )
    facts = dict(nncf=nncf.__version__, images=len(chosen))
    graph.metadata_props.add(key=QUANTIZED_KEY, value=json.dumps(facts))
    content = graph.SerializeToString()
    checked = chosen[:CHECKED]
    differences = {x: compare(inferencer, path, content, checked, x) for x in RUNTIMES}
    write_atomic(out, content)
    return differences


def load_images(
    inferencer: OnnxInferencer, images: Sequence[ImageSource], number: int
) -> list[np.ndarray]:
    """At most as many images, evenly chosen and resized for the network; of a video the first."""
    files = list(list_files(images))
    require_one(files)
    files = [files[i] for i in np.unique(np.linspace(0, len(files) - 1, number).astype(int))]
    found = read_batches(list_inputs(files), inferencer.prepare, 1, None, inferencer.rule)
    return [loaded.data for (loaded,) in islice(found, number)]


def float_nodes(graph: 'ModelProto') -> list[str]:
    """Names of the nodes that are not quantised.

    Beside :data:`FLOAT_PARTS`: convolutions with groups (their channels differ too much in size),
    and the first one.
    """
    nodes = [node for node in graph.graph.node if node.name]
    convs = [node for node in nodes if node.op_type == 'Conv']
    grouped = [n for n in convs for a in n.attribute if a.name == 'group' and a.i > 1]
    floats = {node.name for node in (*grouped, *convs[:1])}
    matched = [n.name for n in nodes if any(re.fullmatch(part, n.name) for part in FLOAT_PARTS)]
    return sorted(floats.union(matched))


def compare(
    inferencer: OnnxInferencer,
    path: str | Path,
    content: bytes,
    images: Sequence[np.ndarray],
    runtime: str,
) -> dict[str, float]:
    """How far the quantised graph is from the model, output by output.

    Raises ValueError where the runtime can not load it, or gets numbers that are not finite.
    """
    run = load_graph(path, runtime, 'int8', content=content)
    squares: dict[str, list[float]] = {}
    for image in images:
        actual = run(dict(image=normalize([image], inferencer.meta)))
        for name, expected in inferencer.run_network([image]).items():
            if name in ('thing_labels', 'thing_kernels', 'thing_scores'):
                continue  # peaks change places
            axes = (0, 2, 3) if expected.ndim == 4 else None  # channels of places are larger
            spread = expected.std(axes, keepdims=True).clip(1e-6)
            error = np.sqrt(np.mean(np.square((actual[name] - expected) / spread)))
            squares.setdefault(name, []).append(float(error))
    differences = {name: float(np.mean(values)) for name, values in squares.items()}
    if not np.isfinite([*differences.values()]).all():
        raise ValueError(
            f'the quantised graph gives numbers that are not finite in {RUNTIMES[runtime]} '
            f'({differences}): calibrate with more images, such as the model will see'
        )
    return differences
