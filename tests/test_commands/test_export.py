"""A tiny model, exported by the tool, against PyTorch."""

import json

import numpy as np
import onnx
import pytest
import torch
from helpers import onnx_model, tiny_inferencer
from helpers.onnx_model import IDS, assert_same
from helpers.tiny import CONFIGS
from helpers.tiny_inferencer import picture
from mmengine.config import Config

from mmpfcn import PanopticInferencer
from mmpfcn.commands.export import export
from mmpfcn.commands.export.command import main
from mmpfcn.commands.export.network import ExportNetwork, find_padded_peaks
from mmpfcn.deployment.images import resize
from mmpfcn.deployment.onnx_inferencer import OnnxInferencer
from mmpfcn.formats.inputs import list_inputs
from mmpfcn.models.sampling import find_peaks


def test_the_file(exported, ours, theirs):
    """Operators of ONNX alone, free sizes, and what inference needs."""
    graph = onnx.load(exported / 'model.onnx')
    assert [(opset.domain, opset.version) for opset in graph.opset_import] == [('', 17)]
    assert {node.domain for node in graph.graph.node} == {''} and not graph.functions
    shape = graph.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in shape] == ['batch', 3, 'height', 'width']
    meta = ours.meta
    assert meta['dataset_meta']['classes'] == tiny_inferencer.CLASSES
    assert meta['dataset_meta']['category_ids'] == IDS
    assert meta['test_cfg']['pool_sizes'] == [3, 3, 3, 5, 5]
    assert meta['test_cfg']['stuff_area_limit'] == 64
    assert (meta['scale'], meta['keep_ratio'], meta['pad_size_divisor']) == ([96, 64], True, 32)
    assert meta['mean'] == pytest.approx(theirs.model.data_preprocessor.mean.flatten().tolist())
    assert meta['bgr_to_rgb'] is True and meta['num_things_classes'] == 6
    assert meta['region_labels'] == [6, 7, 8, 9, 10]


def test_other_numbers_and_operators_are_noticed(exported, theirs):
    """Of a graph that is compared with a network of other weights."""
    content = (exported / 'model.onnx').read_bytes()
    network = ExportNetwork(theirs.model).eval()
    assert max(export.compare(content, network, export.noise(3, 96, 32)).values()) < 1e-4
    bias = theirs.model.panoptic_head.kernel_generator.region_out.bias.data
    bias += 0.1
    with pytest.raises(RuntimeError, match='differs from PyTorch by .*region_scores'):
        export.compare(content, network, export.noise(1, 64, 64))
    bias -= 0.1
    node = onnx.helper.make_node('DeformConv', ['x'], ['y'], domain='mmdeploy')
    graph = onnx.helper.make_graph([node], 'g', [], [])
    with pytest.raises(RuntimeError, match='mmdeploy::DeformConv'):
        export.require_plain_operators(onnx.helper.make_model(graph))


@pytest.mark.parametrize('size', [(1, 1), (2, 3), (9, 7)])
def test_padded_peaks_are_the_peaks(size):
    logits = torch.randn(2, 4, *size)
    some, padded = find_peaks(logits, 3, 12), find_padded_peaks(logits, 3, 12)
    assert padded.scores.shape == (2, 12)
    for one, other in zip(some, padded, strict=True):
        found = other[:, : one.shape[1]]
        assert torch.equal(one[some.scores > 0], found[some.scores > 0])
    assert not padded.scores[:, some.scores.shape[1] :].any()
    assert 0 <= padded.cells.min() and padded.cells.max() < size[0] * size[1]


def star_with_separate_regions(config: Config) -> None:
    config.model.panoptic_head.feature_encoder.conv_cfg = dict(type='ModulatedDeformConv')
    config.model.panoptic_head.separate_thing_regions = True
    config.model.data_preprocessor.update(bgr_to_rgb=False, std=[1.0, 1.0, 1.0])


def swin(config: Config) -> None:
    backbone = Config.fromfile(CONFIGS / 'swin-t_coco_3x.py').model.backbone
    backbone.update(embed_dims=8, num_heads=(1, 2, 4, 8), depths=(2, 2, 2, 2), init_cfg=None)
    config.model.backbone = backbone
    config.model.neck.in_channels = [8, 16, 32, 64]
    # to save time; it is in the other models
    config.model.panoptic_head.kernel_generator.position_conv_cfg = None


def relative(config: Config) -> None:
    """Kernels with places, and objects told apart by their masks."""
    onnx_model.shallow(config)
    config.model.panoptic_head.kernel_generator.type = 'RelativeKernelGenerator'
    config.model.panoptic_head.feature_encoder.type = 'RelativeFeatureEncoder'
    config.model.test_cfg.update(similarity_thr=-1.0, fusion_iou_thr=0.3)


def updated(config: Config) -> None:
    """Kernels with places, updated."""
    relative(config)
    config.model.panoptic_head.kernel_update = dict(type='KernelUpdate', channels=16, class_embedding=True)


def on_timm(name: str, in_channels: list[int]):
    def change(config: Config) -> None:
        config.model.backbone = dict(type='TimmBackbone', model_name=name)
        config.model.neck.in_channels = in_channels
        config.model.panoptic_head.kernel_generator.position_conv_cfg = None

    return change


convnext = on_timm('test_convnext', [24, 32, 48, 64])
rotary = on_timm('vit_tiny_patch16_dinov3_qkvb', [48, 96, 192, 192])
absolute = on_timm('test_vit', [16, 32, 64, 64])


@pytest.mark.parametrize(
    'change', [star_with_separate_regions, swin, relative, updated, convnext, rotary, absolute]
)
def test_other_architectures(tmp_path, change):
    onnx_model.write_model(tmp_path, change)
    theirs = onnx_model.inferencer(tmp_path)
    export.export_onnx(theirs, tmp_path / 'model.onnx')
    ours = OnnxInferencer(tmp_path / 'model.onnx', threads=1)
    for size in ((64, 96), (96, 50)):
        image = picture(*size)
        assert_same(theirs(image)['predictions'][0], ours(image)['predictions'][0])


@pytest.mark.parametrize('step', [
    dict(type='ShortSideResize', scale=(133, 80), backend='pillow'),
    dict(type='ShortSideResize', scale=(133, 80)),
    dict(type='ShortSideResize', scale=(133, 80), backend='cv2'),
    dict(type='Resize', scale=(133, 80), keep_ratio=True, backend='pillow'),
    dict(type='Resize', scale=(133, 80), keep_ratio=True),
    dict(type='Resize', scale=(133, 80)),
    dict(type='Resize', scale_factor=1.75, keep_ratio=True),
    dict(type='Resize', scale_factor=(0.7, 1.3)),
])  # fmt: skip
def test_pixels_of_the_pipeline(tmp_path, step):
    """To the last one, also where the rounding of the two types of resizing differs."""
    config = tiny_inferencer.config()
    config.test_dataloader.dataset.pipeline[1] = step
    weights = tiny_inferencer.write_checkpoint(tmp_path)
    theirs = PanopticInferencer(config, weights, 'cpu', show_progress=False)
    meta = json.loads(json.dumps(export.describe(theirs)))
    for size in ((37, 62), (64, 97), (201, 133), (5, 9)):
        ((loaded,),) = theirs.preprocess(list_inputs(picture(*size)))
        ours = resize(picture(*size), meta, 'a')
        assert np.array_equal(loaded.data['inputs'].permute(1, 2, 0).numpy(), ours)


@pytest.mark.parametrize('options, message', [
    (['--out', 'model.pt'], '--out is a file that ends in .onnx, got model.pt'),
    (['--out', 'file/model.onnx'], 'file'),
    (['--out', 'file/model.onnx', '--cfg-options', 'model.neck.out_channels=32'], 'give another --out'),
    (['--cfg-options', 'model.panoptic_head.num_stuff_classes=3',
      'model.panoptic_fusion_head.num_stuff_classes=3'], 'classes'),
    (['--cfg-options', 'model.neck.out_channels=32'], 'belongs to another model'),
    (['--cfg-options', 'test_dataloader.dataset.pipeline.1.interpolation=bicubic'],
     'expected a bilinear Resize'),
    (['--cfg-options', 'model.data_preprocessor.pad_value=7'], 'pads with 7'),
])  # fmt: skip
def test_wrong_arguments_of_the_export(exported, tmp_path, options, message, refused, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'file').write_text('')
    graph = onnx.load(exported / 'model.onnx')
    graph.ClearField('metadata_props')
    monkeypatch.setattr(export, 'trace', lambda *_: graph)  # saves time
    if options[0] == '--cfg-options':
        options = ['--out', 'model.onnx', *options]
    assert message in refused(main, exported / 'model.py', exported / 'model.pth', *options)
    assert [path.name for path in tmp_path.iterdir()] == ['file']
