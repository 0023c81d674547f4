"""Resizing as the published code does it for testing."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.datasets.transforms import Resize
from mmdet.registry import TRANSFORMS

from ..formats.short_side import short_side_size


@TRANSFORMS.register_module()
class ShortSideResize(BaseTransform):
    """mmdet's bilinear ``Resize`` to the size, and by the library, that the published code takes.

    Two numbers differ from ``Resize(keep_ratio=True)``: the size, see :func:`short_side_size`, and
    with pillow the pixels, which are means over all that they cover where an image gets smaller.

    Args:
        scale: the longest side at most and the shortest one, in pixels.
        backend: ``'pillow'``, or ``'cv2'``, which is faster and takes four pixels at most.

    Raises:
        ValueError: ``scale`` is no pair of sizes, or nothing is left of the shorter side of an
            image, which is named.
    """

    def __init__(self, scale: tuple[int, int], backend: str = 'pillow') -> None:
        if np.shape(scale) != (2,) or min(scale) < 1:
            raise ValueError(
                f'ShortSideResize got scale={scale}, expected sides in pixels such as (1333, 800)'
            )
        self.scale = scale
        self.backend = backend

    def transform(self, results: dict) -> dict:
        name = results.get('img_path', 'the image')
        size = short_side_size(results['img'].shape[:2], self.scale, name)
        return Resize(size, backend=self.backend)(results)
