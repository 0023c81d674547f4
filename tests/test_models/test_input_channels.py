"""Networks for other than three channels."""

import pytest
import timm
import torch
from helpers import tiny
from mmdet.registry import MODELS
from mmengine.runner.checkpoint import load_state_dict

from mmpfcn.formats.pixels import COLOUR, PixelRule
from mmpfcn.models.input_channels import first_convolution, require_input


def model(channels: int, **preprocessor):
    config = tiny.config()
    config.backbone.in_channels = channels
    config.data_preprocessor.update(preprocessor)
    return MODELS.build(config).eval()


@pytest.mark.parametrize('channels', [1, 4, 5])
@pytest.mark.parametrize('load', [load_state_dict, torch.nn.Module.load_state_dict])
def test_weights_of_three_channels_are_spread(channels, load):
    """A grey image gives the features that it gives in three channels."""
    torch.manual_seed(0)
    three, other = model(3), model(channels)
    load(other, three.state_dict())
    grey = torch.rand(1, 1, 64, 64)
    expected, actual = (m.extract_feat(grey.repeat(1, c, 1, 1)) for m, c in ((three, 3), (other, channels)))
    for a, b in zip(expected, actual, strict=True):
        assert torch.allclose(a, b, atol=1e-4 * a.abs().max().item())
    again = model(channels)
    load(again, other.state_dict())  # its own weights stay
    assert all(torch.equal(a, b) for a, b in zip(other.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize('name', ['test_resnet', 'test_convnext', 'test_vit'])
def test_timms_weights_are_spread(tmp_path, name):
    torch.save(timm.create_model(name).state_dict(), tmp_path / 'a.pth')
    three, five = (
        MODELS.build(
            dict(type='TimmBackbone', model_name=name, checkpoint=str(tmp_path / 'a.pth'), in_channels=c)
        )
        for c in (3, 5)
    )
    three.init_weights()
    five.init_weights()
    if five.pyramid is not None:
        five.pyramid.load_state_dict(three.pyramid.state_dict())
    grey = torch.rand(1, 1, 64, 64)
    for a, b in zip(*(m.eval()(grey.expand(1, c, 64, 64)) for m, c in ((three, 3), (five, 5))), strict=True):
        assert torch.allclose(a, b, atol=1e-4 * a.abs().max().item())


def test_mean_and_std_of_each_channel():
    config = dict(type='ChannelDataPreprocessor', mean=[1, 2, 3, 4], std=[1, 2, 4, 8], pad_size_divisor=4)
    data = dict(inputs=[torch.full((4, 2, 3), 9.0)])
    batch = MODELS.build(config)(data)['inputs']
    assert batch.shape == (1, 4, 4, 4)
    assert batch[0, :, 0, 0].tolist() == [8, 3.5, 1.5, 0.625]
    assert batch[0, :, 2:].eq(0).all() and batch[0, :, :, 3].eq(0).all()
    turned = MODELS.build(dict(config, mean=[1, 2, 3], std=[1, 1, 1], bgr_to_rgb=True))
    batch = turned(dict(inputs=[torch.tensor([30.0, 20, 10]).view(3, 1, 1)]))['inputs']
    assert batch[0, :, 0, 0].tolist() == [9, 18, 27]


@pytest.mark.parametrize('channels, preprocessor, rule, message', [
    (3, dict(), PixelRule(4), r'images of 4 channel\(s\), but model.backbone takes 3: set .*in_channels=4'),
    (4, dict(), COLOUR, r'images of 3 .* takes 4: .* LoadImage\(channels=4\)'),
    (4, dict(), PixelRule(4), 'images of 4 .*: set model.data_preprocessor.bgr_to_rgb=False'),
    (4, dict(bgr_to_rgb=False), PixelRule(4), 'data_preprocessor.mean has 3 numbers: set .* 1 or 4'),
])  # fmt: skip
def test_what_does_not_fit(channels, preprocessor, rule, message):
    with pytest.raises(ValueError, match=message):
        require_input(model(channels, **preprocessor), rule)


def test_what_fits():
    require_input(model(3), COLOUR)
    require_input(model(3), PixelRule(3, percentiles=(1, 99)))
    require_input(model(4, bgr_to_rgb=False, mean=[110.0], std=[60.0]), PixelRule(4))
    assert first_convolution(torch.nn.Linear(3, 4)) is None
