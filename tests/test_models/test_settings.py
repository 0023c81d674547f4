"""Keys of train_cfg and test_cfg are all known and all there."""

import pytest
from helpers import tiny
from mmdet.registry import MODELS

from mmpfcn.models.settings import InferenceSettings


def test_unknown_and_missing_thresholds_are_named():
    with pytest.raises(ValueError, match="unknown key 'centre_thr'.*did you mean 'center_thr'"):
        tiny.build(test_cfg=dict(centre_thr=0.3))
    model = tiny.config()
    del model.train_cfg['num_positives']
    with pytest.raises(ValueError, match="train_cfg: missing key 'num_positives'"):
        MODELS.build(model)
    model = tiny.config()
    del model.test_cfg['mask_overlap']
    with pytest.raises(ValueError, match="test_cfg: missing key 'mask_overlap'"):
        MODELS.build(model)


@pytest.mark.parametrize('most, peaks', [(100, 50), (3, 1), (1, 1)])
def test_a_level_gives_half_of_the_instances(most, peaks):
    settings = {key: None for key in list(InferenceSettings.__annotations__)[:10]}
    assert InferenceSettings(**{**settings, 'max_per_img': most}).peaks_per_level == peaks
