"""int8 of the tiny model: near the original, used like it, and refused where it can not be."""

import shutil

import cv2
import numpy as np
import onnx
import pytest
from helpers.tiny_inferencer import picture

from mmpfcn.commands.onnx_infer import main as predict
from mmpfcn.commands.quantize import float_nodes, main
from mmpfcn.deployment.onnx_inferencer import METADATA_KEY, QUANTIZED_KEY, OnnxInferencer
from mmpfcn.deployment.weights import read_properties


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp('photos')
    for seed in range(6):
        cv2.imwrite(str(folder / f'{seed}.png'), picture(64, 96 - 30 * (seed % 2), seed))
    return folder


@pytest.fixture(scope='module')
def half(exported, photos, tmp_path_factory):
    out = tmp_path_factory.mktemp('f16') / 'f16.onnx'
    assert main([str(exported / 'model.onnx'), str(photos), '--out', str(out), '--precision', 'f16']) == 0
    return out


@pytest.fixture(scope='module')
def quantized(exported, photos, tmp_path_factory):
    pytest.importorskip('nncf')
    out = tmp_path_factory.mktemp('int8') / 'int8.onnx'
    assert main([str(exported / 'model.onnx'), str(photos), '--out', str(out), '--num-images', '4']) == 0
    return out


def difference(one: OnnxInferencer, other: OnnxInferencer, image: np.ndarray) -> float:
    """Of mask_feats: root mean square, as a share of the standard deviation."""
    exact, near = (model.run_network([image])['mask_feats'] for model in (one, other))
    return float(np.sqrt(np.mean((exact - near) ** 2)) / exact.std())


def test_which_nodes_stay_float(exported):
    graph = onnx.load(exported / 'model.onnx')
    floats = set(float_nodes(graph))
    convs = [node.name for node in graph.graph.node if node.op_type == 'Conv']
    assert convs[0] in floats
    for part, stays in (
        ('kernel_generator/kernel_convs', False), ('kernel_generator/kernel_out', True),
        ('kernel_generator/center_out', True), ('feature_encoder/convs', True),
        ('feature_encoder/semantic_fpn', False),
    ):  # fmt: skip
        found = {name in floats for name in convs if part in name}
        assert found == {stays}, part
    for part, stays in (('/backbone', False), ('/neck', True)):
        assert {name in floats for name in convs[1:] if name.startswith(part)} == {stays}


def test_it_is_near_the_model_and_as_small_as_int8(exported, quantized, ours):
    graph = onnx.load(quantized)
    types = [node.op_type for node in graph.graph.node]
    assert types.count('QuantizeLinear') > 10
    assert {node.domain for node in graph.graph.node} == {''} and graph.opset_import[0].version == 17
    before, after = (read_properties(path) for path in (exported / 'model.onnx', quantized))
    assert after[METADATA_KEY] == before[METADATA_KEY] and '"images": 4' in after[QUANTIZED_KEY]
    int8 = OnnxInferencer(quantized, threads=1, precision='int8')
    # the outputs of the tiny model are weights of chance times 30
    for size, most in (((64, 96), 0.15), ((128, 192), 0.3)):  # calibrated with, and another
        assert 1e-4 < difference(ours, int8, picture(*size)) < most
    assert int8(picture())['predictions'][0].segments_info


def test_openvino_gives_the_same(quantized, ours, monkeypatch, tmp_path):
    pytest.importorskip('openvino')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    model = OnnxInferencer(quantized, threads=1, runtime='openvino')
    for size in ((64, 96), (96, 40)):
        assert 1e-4 < difference(ours, model, picture(*size)) < 0.3


def test_float16_is_near_the_model_and_half_its_weights(exported, half, ours):
    graph = onnx.load(half)
    sizes = {x.name: (x.data_type, np.prod(x.dims)) for x in graph.graph.initializer}
    halves = sum(size for kind, size in sizes.values() if kind == onnx.TensorProto.FLOAT16)
    assert halves > 0.9 * sum(size for _, size in sizes.values())
    embeddings = [x for x in graph.graph.node if '_embed/' in x.name and x.op_type in ('MatMul', 'Gemm')]
    kinds = [sizes[name][0] for node in embeddings for name in node.input if name in sizes]
    assert kinds and set(kinds) == {onnx.TensorProto.FLOAT}  # places have large squares
    casts = {x.output[0]: x for x in graph.graph.node if x.op_type == 'Cast'}
    narrow = {name for name, x in casts.items() if x.attribute[0].i == onnx.TensorProto.FLOAT16}
    widened = [x for x in casts.values() if x.attribute[0].i == onnx.TensorProto.FLOAT]
    assert widened and not [x.name for x in widened if '_output_cast' in x.input[0] and x.input[0] in narrow]
    assert {node.domain for node in graph.graph.node} == {''} and graph.opset_import[0].version == 17
    before, after = (read_properties(path) for path in (exported / 'model.onnx', half))
    assert after[METADATA_KEY] == before[METADATA_KEY]
    model = OnnxInferencer(half, threads=1)
    for size in ((64, 96), (128, 192)):
        assert 1e-5 < difference(ours, model, picture(*size)) < 0.02
    one, other = (x(picture(96, 160, seed=2))['predictions'][0] for x in (ours, model))
    assert len(one.segments_info) == len(other.segments_info) > 1
    assert np.mean(one.panoptic_seg == other.panoptic_seg) > 0.98


def test_what_is_refused(exported, quantized, half, photos, tmp_path, refused):
    model = shutil.copy(exported / 'model.onnx', tmp_path)
    out = tmp_path / 'out.onnx'
    for arguments, message in (
        ((quantized, photos, '--out', out), 'precision='),
        ((half, photos, '--out', out), "or precision='f16'"),
        ((model, photos, '--out', tmp_path / 'out.xml'), 'ends in .onnx, got'),
        ((model, photos, '--out', model), 'is the model itself'),
        ((model, tmp_path / 'no.png', '--out', out), 'no.png is not there'),
        ((tmp_path / 'no.onnx', photos, '--out', out), 'no.onnx is not there'),
    ):
        assert message in refused(main, *arguments)
    assert not out.exists()
    below = photos / '0.png' / 'out.onnx'
    error = refused(main, model, photos, '--out', below, '--precision', 'f16')
    assert f'{below} can not be written (' in error and error.endswith('give another --out')
    for out, message in ((below, 'can not be written'), (tmp_path / 'a.onnx', 'is a folder')):
        (tmp_path / 'a.onnx').mkdir(exist_ok=True)
        assert message in refused(main, 'no.onnx', 'no.png', '--out', out)  # before all else
    given = quantized, photos / '0.png', '--out-dir', tmp_path / 'results', '--precision', 'f32'
    assert 'is quantised: give the exported file' in refused(predict, *given)
