"""From a :class:`PanopticInferencer` to an ONNX file that is checked before it gets its name."""

import io
import json
import sys
import warnings
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import torch
from mmdet.models.backbones.swin import ShiftWindowMSA
from torch import Tensor, nn

from mmpfcn import KernelUpdate
from mmpfcn.apis import PanopticInferencer
from mmpfcn.apis.configs import inference_pipeline
from mmpfcn.deployment.kernel_update import UPDATE_INPUTS, UPDATE_KEY, UPDATE_OUTPUTS
from mmpfcn.deployment.onnx_inferencer import EXTENDED_FORMAT, FORMAT, METADATA_KEY
from mmpfcn.formats.pixels import COLOUR
from mmpfcn.ops.bicubic import resize_bicubic
from mmpfcn.version import __version__

from ..options import write_out
from .network import ExportNetwork, GraphOutput, UpdateNetwork

OPSET = 17  # ONNX Runtime 1.12 and later know it

READERS = ('LoadImage', 'LoadImageFromFile')
WITHOUT_EFFECT = ('LoadPanopticGroundTruth', 'LoadPanopticAnnotations', 'LoadAnnotations')
RESIZERS = dict(Resize='cv2', ShortSideResize='pillow')
"""The default of ``backend`` of each."""
PACKERS = ('PackPanopticInputs', 'PackDetInputs')
TOLERANCE = 1e-3  # largest difference from PyTorch, as a share of an output's largest value


def export_onnx(inferencer: PanopticInferencer, path: str | Path) -> dict[str, float]:
    """Write the model with all that inference needs to an ONNX file, when it is checked.

    The inferencer is on the CPU. Gives for each output of the graph its largest difference from
    PyTorch on noise, as a share of its largest value.

    Raises:
        ValueError: the test pipeline or the data preprocessor does what the file can not describe.
        RuntimeError: the graph has operators that are not ONNX's own, or gives other numbers.
        OSError: the file can not be written.
    """
    metadata = describe(inferencer)
    network = ExportNetwork(inferencer.model).eval()
    divisor = metadata['pad_size_divisor']
    channels = inferencer.rule.channels or 3
    graph = trace(network, noise(2, 4 * divisor, 5 * divisor, channels))
    graph.metadata_props.add(key=METADATA_KEY, value=json.dumps(metadata))
    differences = {}
    update = inferencer.model.panoptic_head.kernel_update
    if update:
        content = serialize(trace_update(update))
        differences = compare_update(content, update)
        graph.metadata_props.add(key=UPDATE_KEY, value=b64encode(content).decode())
    content = serialize(graph)
    differences |= compare(content, network, noise(1, 8 * divisor, 5 * divisor, channels))
    write_out(path, content)
    return differences


def serialize(graph: onnx.ModelProto) -> bytes:
    """The file of a graph that is valid and has no other operators than ONNX's own."""
    onnx.checker.check_model(graph, full_check=True)
    require_plain_operators(graph)
    return graph.SerializeToString()


def trace(network: nn.Module, example: Tensor) -> onnx.ModelProto:
    """The graph with free batch size, height and width.

    By the TorchScript exporter: the one on ``torch.export`` takes 25 times as long for this model
    and fixes a shape (docs/deployment.md).
    """
    sizes = {0: 'batch', 2: 'height', 3: 'width'}
    outputs = {name: {0: 'batch'} for name in GraphOutput._fields}
    outputs['mask_feats'] = {0: 'batch', 2: 'height / 4', 3: 'width / 4'}
    return _trace(network, dict(image=example), {'image': sizes, **outputs}, GraphOutput._fields)


def trace_update(update: KernelUpdate) -> onnx.ModelProto:
    """The graph of :meth:`KernelUpdate.predict` with free numbers of kernels and cells."""
    rows = {name: {0: 'kernels'} for name in (*UPDATE_INPUTS[:-1], *UPDATE_OUTPUTS)}
    cells = {1: 'height / 4', 2: 'width / 4'}
    inputs = dict(zip(UPDATE_INPUTS, update_noise(update, 4, 8, 16), strict=True))
    return _trace(UpdateNetwork(update), inputs, {**rows, 'mask_feats': cells}, UPDATE_OUTPUTS)


def _trace(
    network: nn.Module,
    inputs: Mapping[str, Tensor],
    free: Mapping[str, Mapping[int, str]],
    outputs: Sequence[str],
) -> onnx.ModelProto:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad(), traceable_windows(), traceable_positions():
        warnings.simplefilter('ignore')  # of sizes that the tracer takes for constants
        torch.onnx.export(
            network,
            tuple(inputs.values()),
            buffer,
            dynamo=False,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=dict(free),
        )
    return onnx.load_from_string(buffer.getvalue())


@contextmanager
def traceable_windows() -> Iterator[None]:
    """Lets the tracer see the batch size in Swin's windows, which mmdet's code makes a constant."""

    def reverse(self: ShiftWindowMSA, windows: Tensor, height: int, width: int) -> Tensor:
        size, channels = self.window_size, windows.shape[-1]
        x = windows.view(-1, height // size, width // size, size, size, channels)
        return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, height, width, channels)

    before = ShiftWindowMSA.window_reverse
    ShiftWindowMSA.window_reverse = reverse
    try:
        yield
    finally:
        ShiftWindowMSA.window_reverse = before


@contextmanager
def traceable_positions() -> Iterator[None]:
    """Fits positions of timm's transformers to the image by what ONNX can do."""

    def interpolate(x: Tensor, size: tuple, mode: str, antialias: bool, align_corners: bool | None):
        assert mode == 'bicubic' and antialias and not align_corners
        return resize_bicubic(x, size)

    module = sys.modules.get('timm.layers.pos_embed')
    if module is None:
        yield
        return
    before, module.F = module.F, SimpleNamespace(interpolate=interpolate)
    try:
        yield
    finally:
        module.F = before


def require_plain_operators(graph: onnx.ModelProto) -> None:
    """Raise RuntimeError for operators of other domains than ONNX's own."""
    foreign = {f'{node.domain}::{node.op_type}' for node in graph.graph.node if node.domain}
    foreign |= {opset.domain for opset in graph.opset_import if opset.domain}
    if foreign or graph.functions:
        raise RuntimeError(f"the graph has operators that are not ONNX's own: {sorted(foreign)}")


def compare(content: bytes, network: nn.Module, image: Tensor) -> dict[str, float]:
    """Run the graph on an image of another size and batch size than it was traced with.

    RuntimeError where the numbers are not PyTorch's.
    """
    session = onnxruntime.InferenceSession(content, providers=['CPUExecutionProvider'])
    actual = session.run(list(GraphOutput._fields), {'image': image.numpy()})
    with torch.no_grad():
        expected = network(image)
    return _differences(GraphOutput._fields, actual, expected)


def compare_update(content: bytes, update: KernelUpdate) -> dict[str, float]:
    """The same for the graph of the update, on other numbers than it was traced with."""
    session = onnxruntime.InferenceSession(content, providers=['CPUExecutionProvider'])
    inputs = update_noise(update, 7, 16, 12)
    values = (x.numpy() for x in inputs)
    actual = session.run(UPDATE_OUTPUTS, dict(zip(UPDATE_INPUTS, values, strict=True)))
    with torch.no_grad():
        expected = update.predict(*inputs)
    return _differences([f'updated_{name}' for name in UPDATE_OUTPUTS], actual, expected)


def _differences(
    names: Sequence[str], actual: Sequence[np.ndarray], expected: Sequence[Tensor]
) -> dict[str, float]:
    differences = {}
    for name, ours, theirs in zip(names, actual, expected, strict=True):
        theirs = theirs.numpy()
        if ours.shape != theirs.shape:
            raise RuntimeError(f'the graph gives {name} {ours.shape}, PyTorch {theirs.shape}')
        if name in ('thing_labels', 'thing_kernels'):
            continue  # peaks of nearly the same score may change places
        largest = max(np.abs(theirs).max(), 1e-6)
        differences[name] = float(np.abs(ours - theirs).max() / largest)
    wrong = {name: value for name, value in differences.items() if not value <= TOLERANCE}
    if wrong:
        raise RuntimeError(
            f'the graph differs from PyTorch by {wrong} of the largest value, allowed {TOLERANCE}'
        )
    return differences


def noise(batch_size: int, height: int, width: int, channels: int = 3) -> Tensor:
    """A batch like normalised images."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch_size, channels, height, width, generator=generator)


def update_noise(update: KernelUpdate, num_kernels: int, height: int, width: int) -> list[Tensor]:
    """Kernels, labels, scores and mask_feats (E, height, width) of one image."""
    generator = torch.Generator().manual_seed(0)
    kernels = torch.randn(num_kernels, update.embed_channels, generator=generator)
    labels = torch.arange(num_kernels) % (update.num_classes + 1)
    scores = torch.rand(num_kernels, generator=generator)
    mask_feats = torch.randn(update.embed_channels, height, width, generator=generator)
    return [kernels, labels, scores, mask_feats]


def describe(inferencer: PanopticInferencer) -> dict:
    """What stands around the graph; ValueError where it is more than ``OnnxInferencer`` does."""
    model = inferencer.model
    dataset_meta = {
        key: [list(x) if isinstance(x, tuple) else x for x in inferencer.dataset_meta[key]]
        for key in ('classes', 'thing_classes', 'stuff_classes', 'palette', 'category_ids')
        if inferencer.dataset_meta.get(key)
    }
    pipeline = _describe_pipeline(inference_pipeline(inferencer.cfg))
    if inferencer.rule != COLOUR:
        pipeline['pixels'] = asdict(inferencer.rule)
    extended = model.panoptic_head.kernel_update or {'scale_factor', 'pixels'} & {*pipeline}
    return dict(
        format=EXTENDED_FORMAT if extended else FORMAT,
        version=__version__,
        opset=OPSET,
        dataset_meta=dataset_meta,
        num_things_classes=model.num_things_classes,
        region_labels=model.panoptic_head.region_labels,
        test_cfg=asdict(inferencer.settings),
        **pipeline,
        **_describe_preprocessor(model.data_preprocessor),
    )


def _describe_pipeline(pipeline: list[Mapping]) -> dict:
    """What :func:`mmpfcn.deployment.images.resize` is to do; ``scale`` is None for nothing."""
    result = dict(scale=None, keep_ratio=True)
    for step in pipeline:
        known = (*READERS, *WITHOUT_EFFECT, *PACKERS)
        factor = step.get('scale_factor')
        if step['type'] in RESIZERS and ('scale' in step or factor):
            known = RESIZERS if step.get('interpolation', 'bilinear') == 'bilinear' else ()
            keep_ratio = step['type'] == 'ShortSideResize' or step.get('keep_ratio', False)
            result = dict(scale=step.get('scale') and list(step['scale']), keep_ratio=keep_ratio)
            if factor and not result['scale']:
                result['scale_factor'] = (
                    [factor] * 2 if isinstance(factor, int | float) else list(factor)
                )
            result['resize_type'] = step['type']
            result['resize_backend'] = step.get('backend', RESIZERS[step['type']])
        if step['type'] not in known:
            raise ValueError(
                f'the test pipeline has the step {dict(step)}, which an ONNX file of ours can not '
                'describe: expected a bilinear Resize to one scale, reading and packing'
            )
    return result


def _describe_preprocessor(preprocessor: nn.Module) -> dict:
    """``mean``, ``std``, ``bgr_to_rgb`` and ``pad_size_divisor``."""
    if preprocessor.pad_value != 0 or not preprocessor._enable_normalize:
        raise ValueError(
            f'data_preprocessor pads with {preprocessor.pad_value} and has '
            f'{"a" if preprocessor._enable_normalize else "no"} mean; an ONNX file of ours can '
            'describe pad_value=0 and images with mean and std only'
        )
    return dict(
        mean=preprocessor.mean.flatten().tolist(),
        std=preprocessor.std.flatten().tolist(),
        bgr_to_rgb=preprocessor._channel_conversion,
        pad_size_divisor=preprocessor.pad_size_divisor,
    )
