r"""Quantise an exported model: int8 where it costs little, for CPUs, or float16, for GPUs.

    mmpfcn quantize r50_coco.onnx photos/ --out r50_coco_int8.onnx
    mmpfcn quantize r50_coco.onnx photos/ --precision f16 --out r50_coco_f16.onnx

The photos, which need no annotations, are such as the model will see; they tell how large the
numbers inside it become, and the two files are compared on the first of them. The new file is used
like the old one: by ONNX Runtime, and int8 faster by OpenVINO
(mmpfcn predict --model r50_coco_int8.onnx --runtime openvino photo.jpg).
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
from mmpfcn.formats.batches import read_batches
from mmpfcn.formats.inputs import list_files, list_inputs, require_one
from mmpfcn.formats.read_image import ImageSource

from .options import WRONG_FILE, from_1, new_parser, require_out, write_out, wrong_ends

if TYPE_CHECKING:
    from onnx import ModelProto

CHECKED = 4  # images on which the two graphs are compared
FLOAT32_PARTS = (
    r'/[A-Z].*',  # peaks and pooled regions
    r'/(thing|stuff)_embed/.*',
    r'/panoptic_head/\w+/[A-Z].*',  # coordinates, places, the sum of the pyramid
    r'/panoptic_head/.*/conv(_\d+)?/(?!Conv(_\d+)?$).*',  # deformable convolutions
)
"""Names of nodes that have large numbers, or small differences of them."""

FLOAT_PARTS = (
    *FLOAT32_PARTS,
    r'/neck/.*',  # OpenVINO's int8 of an FPN behind a ResNet is far off
    r'.*/gn(_\d+)?/.*',  # group norm
    r'.*/(center|region|kernel)_out(_\d+)?/.*',
    r'/panoptic_head/feature_encoder/convs.*',
)
"""Names of nodes that int8 leaves alone, see docs/deployment.md."""


def main(argv: list[str] | None = None) -> int:
    parser = new_parser(__doc__)
    add = parser.add_argument
    add('model', help='file of "mmpfcn export"')
    add('images', nargs='+', help='images, folders, patterns or videos to calibrate with')
    add('--out', type=Path, required=True, metavar='FILE.onnx')
    add('--num-images', type=from_1, default=100, help='of them, evenly chosen (%(default)s)')
    add('--precision', choices=('int8', 'f16'), default='int8', help='%(default)s; f16 is for GPUs')
    args = parser.parse_args(argv)
    if args.out.suffix != '.onnx':
        parser.error(f'--out is a file that ends in .onnx, got {args.out}')
    if args.out.resolve() == Path(args.model).resolve():
        parser.error(f'--out {args.out} is the model itself: give another name')
    require_out(parser, args.out)
    with wrong_ends(parser, kinds=(*WRONG_FILE, ImportError)):
        differences = quantize(args.model, args.images, args.out, args.num_images, args.precision)
    print(f'{args.out}: {args.out.stat().st_size / 2**20:.0f} MiB')
    print('root mean square difference from the model, as a share of the standard deviation:')
    for runtime, found in differences.items():
        print(f'  {RUNTIMES[runtime]}: ' + ', '.join(f'{k} {v:.3f}' for k, v in found.items()))
    return 0


def quantize(
    path: str | Path,
    images: Sequence[ImageSource],
    out: str | Path,
    num_images: int,
    precision: str = 'int8',
) -> dict[str, dict[str, float]]:
    """Write the quantised model; how much its outputs differ in each runtime, see :func:`compare`.

    Float16 (``'f16'``) is compared in ONNX Runtime alone, OpenVINO's CPU has none.

    Raises:
        ImportError: NNCF or onnx is not installed.
        OSError, ValueError: model or images can not be used, or the model is quantised already.
    """
    inferencer = OnnxInferencer(path, providers=['CPUExecutionProvider'], precision='f32')
    number = num_images if precision == 'int8' else min(num_images, CHECKED)
    chosen = load_images(inferencer, images, number)
    try:
        if precision == 'int8':
            graph, facts = to_int8(path, inferencer, chosen)
        else:
            graph, facts = to_float16(path), dict(precision=precision)
    except ImportError as error:
        raise ImportError(f"{error}: pip install 'mmpfcn[quantize]'") from error
    graph.metadata_props.add(key=QUANTIZED_KEY, value=json.dumps(facts))
    content = graph.SerializeToString()
    runtimes = RUNTIMES if precision == 'int8' else ['onnxruntime']
    checked = chosen[:CHECKED]
    differences = {x: compare(inferencer, path, content, checked, x, precision) for x in runtimes}
    write_out(out, content)
    return differences


def to_int8(
    path: str | Path, inferencer: OnnxInferencer, images: Sequence[np.ndarray]
) -> tuple['ModelProto', dict]:
    """The graph with what NNCF quantises after a look at these images, and how it was made."""
    import nncf
    import onnx

    graph = onnx.load(path)
    nncf.set_log_level('ERROR')
    graph = nncf.quantize(
        graph,
        nncf.Dataset(images, lambda image: dict(image=normalize([image], inferencer.meta))),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(images),
        ignored_scope=nncf.IgnoredScope(names=float_nodes(graph), validate=False),
    )
    return graph, dict(nncf=nncf.__version__, images=len(images))


def to_float16(path: str | Path) -> 'ModelProto':
    """The graph in float16 but for :data:`FLOAT32_PARTS`, its inputs and its outputs.

    ONNX Runtime's converter makes each node of these parts end in float16, which has neither the
    squares of places nor the cells of a large map; so what goes to float32 again stays there.
    """
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    graph = onnx.load(path)
    floats = matching_nodes(graph, FLOAT32_PARTS)
    graph = convert_float_to_float16(graph, keep_io_types=True, node_block_list=floats)
    nodes = graph.graph.node
    half, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    casts = [node for node in nodes if node.op_type == 'Cast']
    narrowing = {
        node.output[0]: node
        for node in casts
        if node.attribute[0].i == half and '_output_cast' in node.name  # the converter's, of floats
    }
    for node in casts:
        if node.attribute[0].i == single and node.input[0] in narrowing:
            node.input[0] = narrowing[node.input[0]].input[0]
    used = {name for node in nodes for name in node.input}
    for name in narrowing.keys() - used:
        nodes.remove(narrowing[name])
    return graph


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
    """Names of the nodes that are not quantised to int8.

    Beside :data:`FLOAT_PARTS`: convolutions with groups (their channels differ too much in size),
    and the first one.
    """
    nodes = [node for node in graph.graph.node if node.name]
    convs = [node for node in nodes if node.op_type == 'Conv']
    grouped = [n for n in convs for a in n.attribute if a.name == 'group' and a.i > 1]
    floats = {node.name for node in (*grouped, *convs[:1])}
    return sorted(floats.union(matching_nodes(graph, FLOAT_PARTS)))


def matching_nodes(graph: 'ModelProto', parts: Sequence[str]) -> list[str]:
    """Names of the nodes that one of these patterns fits."""
    names = [node.name for node in graph.graph.node if node.name]
    return [name for name in names if any(re.fullmatch(part, name) for part in parts)]


def compare(
    inferencer: OnnxInferencer,
    path: str | Path,
    content: bytes,
    images: Sequence[np.ndarray],
    runtime: str,
    precision: str,
) -> dict[str, float]:
    """How far the quantised graph is from the model, output by output.

    Raises ValueError where the runtime can not load it, or gets numbers that are not finite.
    """
    run = load_graph(path, runtime, precision, content=content)
    squares: dict[str, list[float]] = {}
    for image in images:
        actual = run(dict(image=normalize([image], inferencer.meta)))
        infinite = [name for name, x in actual.items() if not np.isfinite(x).all()]
        if infinite:
            advice = 'calibrate with more images, such as the model will see'
            if precision == 'f16':
                advice = 'use the exported file as it is'
            raise ValueError(
                f'the quantised graph gives numbers that are not finite in {RUNTIMES[runtime]} '
                f'({", ".join(infinite)}): {advice}'
            )
        for name, expected in inferencer.run_network([image]).items():
            if name in ('thing_labels', 'thing_kernels', 'thing_scores'):
                continue  # peaks change places
            axes = (0, 2, 3) if expected.ndim == 4 else None  # channels of places are larger
            spread = expected.std(axes, keepdims=True).clip(1e-6)
            error = np.sqrt(np.mean(np.square((actual[name] - expected) / spread)))
            squares.setdefault(name, []).append(float(error))
    return {name: float(np.mean(values)) for name, values in squares.items()}
