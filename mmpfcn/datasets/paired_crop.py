"""The crop of an image of a pair."""

from collections.abc import Sequence

import numpy as np
from mmdet.datasets.transforms import Resize
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import autocast_box_type

from .paired_sampler import PairIndex
from .random_crop import RandomCropWithInstance
from .replayable_sampler import SampleIndex


@TRANSFORMS.register_module()
class PairedCrop(RandomCropWithInstance):
    """Bring a segment of the pair's class to the pair's size, and cut out a window with its centre.

    The class is :class:`PairedSampler`'s. An object of it is drawn, and the image resized so that
    sqrt(box area) of the object is one of ``scales``, the same in both images, as far as the limits
    allow. A region of stuff is only brought into the limits. An image that came without a pair
    (``dataset[0]``) shows one of its objects, of any class, at any of the scales. Where there is no
    such segment behind the transforms before, the window is anywhere.

    Modifies what mmdet's ``Resize`` and :class:`RandomCropWithInstance` do.

    Args:
        crop_size: (width, height) of the window in pixels; a side that is smaller stays whole.
        scales: sizes of an object in pixels, of which one is drawn for a pair.
        short_side: least and greatest short side of the resized image in pixels.
        max_long_side: greatest long side of the resized image in pixels; it counts more than the
            least short side.

    Raises:
        ValueError: a size is not positive, the limits are the wrong way round, or another sampler
            than :class:`PairedSampler` gave the image.
    """

    def __init__(
        self,
        crop_size: Sequence[int],
        scales: Sequence[float] = (32, 64, 128, 256, 512),
        short_side: tuple[float, float] = (512, 3096),
        max_long_side: float = 6192,
    ) -> None:
        super().__init__(crop_size)
        if not scales or min(scales) <= 0:
            raise ValueError(f'PairedCrop got scales={scales}, expected sizes above 0, such as 64')
        if len(short_side) != 2 or not 0 < short_side[0] <= short_side[1] <= max_long_side:
            raise ValueError(
                f'PairedCrop got short_side={short_side} and max_long_side={max_long_side}, '
                'expected (least, greatest) above 0 and not above max_long_side'
            )
        self.scales = tuple(scales)
        self.short_side = tuple(short_side)
        self.max_long_side = max_long_side

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        index = results['sample_idx']
        if isinstance(index, SampleIndex) and not isinstance(index, PairIndex):
            raise ValueError(
                'PairedCrop got an image without a pair: set train_dataloader.sampler='
                'dict(_delete_=True, type="PairedSampler"), or use RandomCropWithInstance'
            )
        label, choose = None, np.random.choice
        if isinstance(index, PairIndex):
            label, choose = index.label, index.choose
        objects = self._boxes_of(results, label)
        factor, center = 1.0, np.zeros((0, 2))
        if len(objects):
            box = objects[np.random.randint(len(objects))]
            factor = choose(self.scales) / np.sqrt(np.prod(np.maximum(box[2:] - box[:2], 1)))
            center = box.reshape(2, 2).mean(0, keepdims=True)
        elif label is not None and results.get('gt_seg_map') is not None:
            center = _middle(results['gt_seg_map'] == label)
        factor = self._within_limits(factor, results['img'].shape[:2])
        results = Resize(scale_factor=float(factor), keep_ratio=True)(results)
        return self.crop(results, center * results['scale_factor'])

    def _boxes_of(self, results: dict, label: int | None) -> np.ndarray:
        """(n, 4) of the objects of a class, or of any for None, that are not to be ignored."""
        if results.get('gt_bboxes') is None:
            return np.zeros((0, 4))
        labels = np.asarray(results['gt_bboxes_labels'])
        ignored = np.asarray(results.get('gt_ignore_flags', np.zeros(len(labels))), bool)
        chosen = ~ignored if label is None else ~ignored & (labels == label)
        return results['gt_bboxes'].numpy()[chosen]

    def _within_limits(self, factor: float, size: tuple[int, int]) -> float:
        least, greatest = self.short_side
        factor = np.clip(factor, least / min(size), greatest / min(size))
        return min(factor, self.max_long_side / max(size))

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(crop_size={self.crop_size}, scales={self.scales}, '
            f'short_side={self.short_side}, max_long_side={self.max_long_side})'
        )


def _middle(mask: np.ndarray) -> np.ndarray:
    """Middle (x, y) of the box around a mask (H, W), (1, 2) in pixels; (0, 2) of an empty one."""
    rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
    if not len(rows):
        return np.zeros((0, 2))
    return np.array([[columns[0] + columns[-1] + 1, rows[0] + rows[-1] + 1]]) / 2
