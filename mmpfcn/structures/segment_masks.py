"""Instance masks of a panoptic map, which never overlap, kept as one map."""

from collections.abc import Sequence

import mmcv
import numpy as np
import torch
from mmdet.structures.bbox import BaseBoxes, get_box_type
from mmdet.structures.mask import BitmapMasks

from ..formats.label_map import segment_areas, segment_boxes


class SegmentMasks(BitmapMasks):
    """mmdet's ``BitmapMasks`` in the memory of one map, however many objects there are.

    Resizing, flipping, cropping, padding and indexing work on the map and give the masks that
    ``BitmapMasks`` would; its other operations make an array of all masks first. The array
    ``masks`` can be replaced, by masks that do not overlap, but not written into.

    Args:
        index_map: (H, W) uint16.
        values: (G,) different values; the i-th mask is where ``index_map`` has the i-th of them.
    """

    def __init__(self, index_map: np.ndarray, values: Sequence[int]) -> None:
        self.index_map = index_map
        self.values = np.asarray(values, np.uint16)
        self.height, self.width = index_map.shape

    @property
    def masks(self) -> np.ndarray:
        """(G, H, W) uint8, in {0, 1}; made anew by every call, so read-only.

        Set to another shape, or to masks that overlap, it raises ValueError.
        """
        masks = (self.index_map == self.values[:, None, None]).view(np.uint8)
        masks.setflags(write=False)
        return masks

    @masks.setter
    def masks(self, masks: np.ndarray) -> None:
        expected = (len(self), self.height, self.width)
        if masks.shape != expected:
            raise ValueError(f'masks are set to {masks.shape} (G, H, W), expected {expected}')
        index_map = np.zeros(expected[1:], np.uint16)
        for value, mask in enumerate(masks.astype(bool), 1):
            if index_map[mask].any():
                raise ValueError(
                    'masks of a panoptic map do not overlap, those given do: use BitmapMasks'
                )
            index_map[mask] = value
        self.index_map, self.values = index_map, np.arange(1, len(self) + 1, dtype=np.uint16)

    @classmethod
    def cat(cls, masks: Sequence[BitmapMasks]) -> BitmapMasks:
        """Masks of several images may overlap: they are no longer one map."""
        return BitmapMasks.cat([BitmapMasks(m.masks, m.height, m.width) for m in masks])

    @classmethod
    def random(cls, *args, **kwargs) -> BitmapMasks:
        """Random masks overlap: they are no map."""
        return BitmapMasks.random(*args, **kwargs)

    def __getitem__(self, index) -> 'SegmentMasks':
        return SegmentMasks(self.index_map, self.values[index].reshape(-1))

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        return f'SegmentMasks(num_masks={len(self)}, height={self.height}, width={self.width})'

    def rescale(self, scale, interpolation='nearest') -> 'SegmentMasks':
        _require_nearest(interpolation)
        return self._with(mmcv.imrescale(self.index_map, scale, interpolation='nearest'))

    def resize(self, out_shape, interpolation='nearest') -> 'SegmentMasks':
        _require_nearest(interpolation)
        return self._with(mmcv.imresize(self.index_map, out_shape[::-1], interpolation='nearest'))

    def flip(self, flip_direction='horizontal') -> 'SegmentMasks':
        return self._with(mmcv.imflip(self.index_map, direction=flip_direction))

    def pad(self, out_shape, pad_val=0) -> BitmapMasks:
        if pad_val != 0:  # every mask is 1 there
            return BitmapMasks(self.masks, self.height, self.width).pad(out_shape, pad_val)
        return self._with(mmcv.impad(self.index_map, shape=out_shape, pad_val=0))

    def crop(self, bbox: np.ndarray) -> 'SegmentMasks':
        x1, x2 = np.clip(bbox[0::2], 0, self.width)
        y1, y2 = np.clip(bbox[1::2], 0, self.height)
        return self._with(self.index_map[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)])

    def crop_and_resize(self, *args, **kwargs) -> BitmapMasks:
        masks = BitmapMasks(self.masks.copy(), self.height, self.width)
        return masks.crop_and_resize(*args, **kwargs)

    def to_ndarray(self) -> np.ndarray:
        return self.masks.copy()

    @property
    def areas(self) -> np.ndarray:
        """(G,) pixels."""
        return segment_areas(self.index_map, self._highest)[self.values]

    def get_bboxes(self, dst_type: str = 'hbox') -> BaseBoxes:
        """Boxes around the masks; an empty mask has the box 0, 0, 0, 0.

        For 'hbox' they are (G, 4) float32 as x1, y1, x2, y2 in pixels.
        """
        _, box_type = get_box_type(dst_type)
        if box_type is not get_box_type('hbox')[1]:
            return super().get_bboxes(dst_type)
        boxes = segment_boxes(self.index_map, self._highest)
        return box_type(boxes[self.values.astype(np.int64) - 1].astype(np.float32))

    def to_tensor(self, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        index_map = torch.from_numpy(self.index_map.astype(np.int32)).to(device)
        values = torch.from_numpy(self.values.astype(np.int32)).to(device)
        return (index_map == values[:, None, None]).to(dtype)

    @property
    def _highest(self) -> int:
        """Highest value of the map or of a mask, which need not have pixels."""
        return int(max(self.index_map.max(initial=0), self.values.max(initial=0)))

    def _with(self, index_map: np.ndarray) -> 'SegmentMasks':
        return SegmentMasks(index_map, self.values)


def _require_nearest(interpolation: str) -> None:
    if interpolation != 'nearest':
        raise ValueError(
            f'masks of a panoptic map are resized by interpolation="nearest", got {interpolation!r}'
        )
