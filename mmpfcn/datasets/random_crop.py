"""The crop that Panoptic FCN is trained with on large images."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import BaseBoxes, autocast_box_type


@TRANSFORMS.register_module()
class RandomCropWithInstance(BaseTransform):
    """Cut out a window that contains the centre of an object drawn at random.

    Every position inside the image that contains the centre of the object's box is equally likely;
    an image without objects gets a window anywhere. (mmdet's ``RandomCrop`` draws a position first,
    and another image where it hits no object.) Objects cut to nothing go, with their labels and
    flags; the boxes of the others are those of what is left of their masks, or, without masks, the
    part of the box inside.

    Modifies ``img`` (H, W, 3), ``img_shape``, ``gt_bboxes`` (G, 4), ``gt_bboxes_labels``,
    ``gt_ignore_flags``, ``gt_masks``, ``gt_seg_map`` (H, W) and ``homography_matrix`` (3, 3), where
    they are there.

    Args:
        crop_size: (width, height) in pixels, as in mmdet's ``RandomCrop``; a side of the image that
            is smaller stays whole.

    Raises:
        ValueError: ``crop_size`` is not two positive whole numbers.
    """

    def __init__(self, crop_size: Sequence[int]) -> None:
        if len(crop_size) != 2 or not all(isinstance(s, int) and s > 0 for s in crop_size):
            raise ValueError(
                f'{type(self).__name__} got crop_size={crop_size}, expected (width, height) in '
                'pixels, such as (1024, 512)'
            )
        self.crop_size = tuple(crop_size)

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        return self.crop(results, self._centers(results))

    def crop(self, results: dict, centers: np.ndarray) -> dict:
        """Cut out a window that contains one of the points (x, y), (n, 2) in pixels."""
        height, width = results['img'].shape[:2]
        size = np.minimum(self.crop_size, (width, height))
        left, top = self._draw_corner(centers, np.array([width, height]), size)
        right, bottom = (left, top) + size
        results['img'] = results['img'][top:bottom, left:right]
        results['img_shape'] = results['img'].shape[:2]
        if results.get('gt_seg_map') is not None:
            results['gt_seg_map'] = results['gt_seg_map'][top:bottom, left:right]
        if results.get('gt_bboxes') is not None:
            self._crop_objects(results, np.array([left, top, right, bottom]))
        shift = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]], np.float32)
        before = results.get('homography_matrix')
        results['homography_matrix'] = shift if before is None else shift @ before
        return results

    def _centers(self, results: dict) -> np.ndarray:
        """Middles (x, y) of the boxes that are not to be ignored, (n, 2) in pixels."""
        boxes: BaseBoxes | None = results.get('gt_bboxes')
        if boxes is None:
            return np.zeros((0, 2))
        centers = boxes.centers.numpy()
        ignored = results.get('gt_ignore_flags')
        return centers if ignored is None else centers[~np.asarray(ignored, bool)]

    @cache_randomness
    def _draw_corner(
        self, centers: np.ndarray, image_size: np.ndarray, size: np.ndarray
    ) -> tuple[int, int]:
        """Left and top of a window of ``size`` (w, h) in an image of ``image_size`` (w, h)."""
        low, high = np.zeros(2, int), image_size - size
        if len(centers):
            center = centers[np.random.randint(len(centers))]
            pixel = np.clip(np.floor(center).astype(int), 0, image_size - 1)
            low, high = np.maximum(pixel - size + 1, low), np.minimum(pixel, high)
        left, top = np.random.randint(low, high + 1)
        return int(left), int(top)

    def _crop_objects(self, results: dict, window: np.ndarray) -> None:
        boxes: BaseBoxes = results['gt_bboxes']
        if results.get('gt_masks') is not None:
            results['gt_masks'] = results['gt_masks'].crop(window)
            boxes = results['gt_masks'].get_bboxes(type(boxes))
        else:
            boxes.translate_([-int(window[0]), -int(window[1])])
            boxes.clip_(results['img_shape'])
        kept = (boxes.areas > 0).numpy()
        results['gt_bboxes'] = boxes[kept]
        for key in ('gt_bboxes_labels', 'gt_ignore_flags', 'gt_instances_ids'):
            if results.get(key) is not None:
                results[key] = results[key][kept]
        if results.get('gt_masks') is not None:
            results['gt_masks'] = results['gt_masks'][kept.nonzero()[0]]

    def __repr__(self) -> str:
        return f'{type(self).__name__}(crop_size={self.crop_size})'
