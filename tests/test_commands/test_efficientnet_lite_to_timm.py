"""Weights that come inside a package, in timm's names."""

import numpy as np
import pytest
import timm
import torch
from efficientnet_lite_pytorch import EfficientNet
from helpers.oracle import coco200
from mmdet.registry import MODELS
from PIL import Image

from mmpfcn.commands import efficientnet_lite_to_timm as tool


@pytest.mark.parametrize('name, size', [('lite0', (64, 96)), ('lite2', (260, 260))])
def test_the_features_are_those_of_the_original_layers(tmp_path, name, size):
    """Lite2 at the size of its training: elsewhere the original pads for that one."""
    out = tmp_path / 'weights.pth'
    assert tool.main([name, str(out)]) == 0
    kind = dict(type='TimmBackbone', model_name=f'tf_efficientnet_{name}', checkpoint=str(out))
    backbone = MODELS.build(kind).eval()
    backbone.init_weights()
    original = EfficientNet.from_pretrained(
        f'efficientnet-{name}', weights_path=str(tool.find_weights(name))
    ).eval()
    by_channels = {}  # the last block of each width
    for block in original._blocks:
        block.register_forward_hook(lambda module, inputs, out: by_channels.update({out.shape[1]: out}))
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        original.extract_features(images)
        feats = backbone(images)
    for feat in feats:
        assert torch.allclose(feat, by_channels[feat.shape[1]], atol=1e-4)


PHOTOS = {
    'val2017/000000015278.jpg': 937,  # broccoli
    'val2017/000000017115.jpg': 340,  # zebra
    'train2017/000000010166.jpg': 963,  # pizza
    'train2017/000000010432.jpg': 954,  # banana
}
"""Photos of one large thing, and the number of its class in ImageNet."""


def test_photos_have_their_classes_of_imagenet(tmp_path):
    folder = coco200()
    assert tool.main(['lite0', str(tmp_path / 'lite0.pth')]) == 0
    network = timm.create_model('tf_efficientnet_lite0').eval()
    network.load_state_dict(torch.load(tmp_path / 'lite0.pth'))
    found = {}
    for name in PHOTOS:
        photo = np.array(Image.open(folder / name).convert('RGB').resize((224, 224)), np.float32)
        with torch.no_grad():
            classes = network(torch.from_numpy((photo - 127) / 128).permute(2, 0, 1)[None])
        found[name] = classes.argmax().item()
    assert found == PHOTOS


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
