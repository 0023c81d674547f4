from dataclasses import dataclass

import numpy as np
from mmdet.structures import DetDataSample
from torch import Tensor

from ..formats.inputs import Input
from .level_maps import LevelMaps


@dataclass
class NetworkOutput:
    """What the network says about one image, before any threshold.

    Attributes:
        input: the image's name and where it is from.
        image: (H, W, 3) uint8 RGB, as it was given.
        levels: maps of P3..P7, of a batch of one.
        mask_feats: (1, E, H/4, W/4) of the padded input.
        data_sample: with ``img_shape`` and ``ori_shape``.
    """

    input: Input
    image: np.ndarray
    levels: list[LevelMaps]
    mask_feats: Tensor
    data_sample: DetDataSample
