"""ONNX Runtime and OpenVINO give the same, in the precisions that they have."""

import json
import os

import numpy as np
import onnx
import pytest
from helpers.onnx_model import assert_same
from helpers.tiny_inferencer import picture

from mmpfcn.deployment.onnx_inferencer import METADATA_KEY, OnnxInferencer
from mmpfcn.deployment.runtimes import available_threads, cache_settings


@pytest.mark.parametrize('arguments, message', [
    (dict(runtime='tensorrt'), "runtime='tensorrt', expected one of onnxruntime, openvino"),
    (dict(precision='fp16'), "precision='fp16', expected one of f32, bf16, int8"),
    (dict(threads=-1, runtime='openvino'), 'threads=-1, expected a whole number from 1 on'),
    (dict(threads='2'), "threads='2', expected a whole number"),
    (dict(precision='bf16'), "precision='bf16' needs runtime='openvino'"),
    (dict(precision='int8'), 'is not quantised: quantise it by "mmpfcn quantize"$'),
    (dict(precision='f16'), 'is not quantised: quantise it by "mmpfcn quantize" --precision f16'),
    (dict(runtime='openvino', providers=['CPUExecutionProvider']), 'providers are of ONNX Runtime'),
])  # fmt: skip
def test_what_a_runtime_does_not_have(exported, arguments, message):
    with pytest.raises(ValueError, match=message):
        OnnxInferencer(exported / 'model.onnx', **arguments)


def test_threads_are_those_that_the_process_may_use(monkeypatch):
    cores = sorted(os.sched_getaffinity(0))
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    os.sched_setaffinity(0, cores[:1])
    try:
        assert available_threads() == 1
    finally:
        os.sched_setaffinity(0, cores)
    assert available_threads() == len(cores)
    for asked, threads in (('1', 1), ('10000', len(cores)), ('', len(cores)), ('2,1', len(cores))):
        monkeypatch.setenv('OMP_NUM_THREADS', asked)
        assert available_threads() == threads


def test_compiled_graphs_are_kept_where_a_folder_can_be_made(monkeypatch, tmp_path):
    (tmp_path / 'file').touch()
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
    assert cache_settings() == {}
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert cache_settings() == dict(CACHE_DIR=str(tmp_path / 'mmpfcn' / 'openvino'))
    # a user who has no home, as in containers
    monkeypatch.delenv('XDG_CACHE_HOME')
    monkeypatch.delenv('HOME')
    monkeypatch.setattr(os, 'getuid', lambda: 2**31 - 7)
    assert cache_settings() == {}


@pytest.fixture(scope='module')
def openvino(exported, tmp_path_factory):
    """Of a precision; compiled graphs are kept in a folder of the test."""
    pytest.importorskip('openvino')
    folder = tmp_path_factory.mktemp('cache')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('XDG_CACHE_HOME', str(folder))
        yield lambda precision: OnnxInferencer(
            exported / 'model.onnx', threads=1, runtime='openvino', precision=precision
        )
    assert [*(folder / 'mmpfcn' / 'openvino').rglob('*.blob')]


@pytest.mark.parametrize('size', [(64, 96), (40, 33), (1, 120), (30, 1900)])
def test_openvino_gives_the_same_at_any_size(openvino, theirs, size):
    images = [picture(*size, seed) for seed in range(2)]
    actual = openvino(None)(images, batch_size=2)['predictions']
    for expected, result in zip(theirs(images)['predictions'], actual, strict=True):
        assert_same(expected, result)


def test_bfloat16_is_near(openvino, ours):
    exact, half = (model.run_network([picture(192, 256)]) for model in (ours, openvino('bf16')))
    for name in ('region_scores', 'region_kernels', 'mask_feats'):
        difference = np.abs(exact[name] - half[name]).max() / np.abs(exact[name]).max()
        assert 1e-5 < difference < 0.05


def test_openvino_names_what_it_can_not_load(openvino, tmp_path):
    (tmp_path / 'text.onnx').write_text('no model')
    with pytest.raises(ValueError, match='text.onnx can not be loaded by OpenVINO') as error:
        OnnxInferencer(tmp_path / 'text.onnx', runtime='openvino')
    assert 'copy or export it again' in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize('runtime', ['onnxruntime', 'openvino'])
def test_a_graph_whose_sizes_were_fixed_says_so(exported, tmp_path, monkeypatch, runtime):
    pytest.importorskip(runtime)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    graph = onnx.load(exported / 'model.onnx')
    for axis, size in zip(graph.graph.input[0].type.tensor_type.shape.dim, (1, 3, 64, 96), strict=True):
        axis.dim_value = size
    onnx.save(graph, tmp_path / 'fixed.onnx')
    model = OnnxInferencer(tmp_path / 'fixed.onnx', threads=1, runtime=runtime)
    assert model.run_network([picture(64, 96)])['mask_feats'].shape[2:] == (16, 24)
    with pytest.raises(ValueError, match='fixed.onnx can not be run by .* unchanged file of'):
        model.run_network([picture(96, 96)])


def test_metadata_that_lack_something_are_refused(exported, tmp_path):
    graph = onnx.load(exported / 'model.onnx')
    entry = next(x for x in graph.metadata_props if x.key == METADATA_KEY)
    entry.value = json.dumps({k: v for k, v in json.loads(entry.value).items() if k != 'mean'})
    onnx.save(graph, tmp_path / 'model.onnx')
    with pytest.raises(ValueError, match='has no metadata of format 1'):
        OnnxInferencer(tmp_path / 'model.onnx', threads=1)
