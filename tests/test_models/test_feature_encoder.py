"""The map on which every kernel is convolved."""

import pytest
import torch
from helpers import tiny

from mmpfcn import FeatureEncoder


def test_input_that_is_not_padded_to_32():
    model = tiny.build(data_preprocessor=dict(pad_size_divisor=1))
    with pytest.raises(ValueError, match='pad_size_divisor=32'):
        tiny.losses(model, tiny.sample((50, 70), boxes=[]))


@pytest.mark.parametrize('conv_cfg', [None, dict(type='ModulatedDeformConv')])
def test_it_has_the_size_of_the_finest_level(conv_cfg):
    encoder = FeatureEncoder(16, 16, 8, conv_cfg=conv_cfg, norm_cfg=dict(type='GN', num_groups=4))
    feats = [torch.randn(2, 16, 32 >> i, 48 >> i) for i in range(4)]
    assert encoder(feats).shape == (2, 8, 32, 48)
    with pytest.raises(ValueError, match='num_levels=4 pyramid levels but got 3'):
        encoder(feats[:3])
