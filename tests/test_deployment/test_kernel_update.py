"""The graph of the update of kernels, beside that of the network."""

import onnx
import onnxruntime
import pytest
from helpers import onnx_model
from helpers.onnx_model import assert_same
from helpers.tiny_inferencer import picture

from mmpfcn.commands.export.export import export_onnx
from mmpfcn.deployment.kernel_update import read_update
from mmpfcn.deployment.onnx_inferencer import OnnxInferencer


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    def change(config):
        onnx_model.shallow(config)
        config.model.panoptic_head.kernel_update = dict(type='KernelUpdate', channels=16)

    folder = tmp_path_factory.mktemp('updated')
    onnx_model.write_model(folder, change)
    differences = export_onnx(onnx_model.inferencer(folder), folder / 'model.onnx')
    assert differences['updated_kernels_out'] < 1e-3 > differences['updated_scores_out']
    return folder


def test_same_results_with_any_number_of_kernels(folder):
    ours, theirs = OnnxInferencer(folder / 'model.onnx', threads=1), onnx_model.inferencer(folder)
    output = theirs.run_network(picture())
    results = []
    for change in (
        dict(),
        dict(center_thr=1.0),  # no things
        dict(region_thr=1.0),  # no regions
        dict(center_thr=1.0, region_thr=1.0),
    ):
        settings = dict(ours.meta['test_cfg'])
        ours.meta['test_cfg'].update(change)
        results.append(ours(picture())['predictions'][0])
        ours.meta['test_cfg'] = settings
        assert_same(theirs.finish(output, **change), results[-1])
    ours.run_update = None
    without = ours(picture())['predictions'][0]
    assert (without.panoptic_seg != results[0].panoptic_seg).mean() > 0.05  # it does something


def test_the_graph_in_the_file(folder, tmp_path, exported):
    """With weights that are finite; earlier versions refuse the file."""
    graph = onnx.load(folder / 'model.onnx')
    metadata = {prop.key: prop.value for prop in graph.metadata_props}
    update = onnx.load_from_string(read_update(metadata))
    assert {node.domain for node in update.graph.node} == {''}
    meta = OnnxInferencer(folder / 'model.onnx').meta
    assert meta['format'] == 2
    plain = onnxruntime.InferenceSession(exported / 'model.onnx')
    assert read_update(plain.get_modelmeta().custom_metadata_map) is None
