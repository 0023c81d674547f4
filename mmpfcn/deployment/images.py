"""Images for the graph: resized, normalised and padded, without mmcv and torch."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from ..formats.batches import padded_shape
from ..formats.short_side import nothing_left, short_side_size


def resize(image: np.ndarray, meta: Mapping, name: str) -> np.ndarray:
    """As the test pipeline: (h, w, C) bilinear to ``meta['scale']``, or by the
    ``meta['scale_factor']`` (x, y), or as it is where both are None.

    By mmdet's ``'Resize'`` and ``'cv2'`` in older files, which lack ``resize_type`` and
    ``resize_backend``. Raises ValueError where nothing is left of the shorter side.
    """
    h, w = image.shape[:2]
    if meta.get('scale_factor'):
        x, y = meta['scale_factor']
        size = int(w * x + 0.5), int(h * y + 0.5)
    elif meta['scale'] is None:
        return image
    else:
        size = tuple(meta['scale'])
    if meta.get('resize_type', 'Resize') == 'ShortSideResize':
        size = short_side_size((h, w), size, name)
    elif meta['keep_ratio']:
        factor = min(max(size) / max(h, w), min(size) / min(h, w))
        size = int(w * factor + 0.5), int(h * factor + 0.5)
    if min(size) < 1:
        raise ValueError(nothing_left(name, (h, w), meta['scale'] or meta['scale_factor']))
    if meta.get('resize_backend', 'cv2') == 'cv2':
        resized = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        return resized.reshape(*size[::-1], -1)
    from PIL import Image

    return np.array(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


def normalize(images: Sequence[np.ndarray], meta: Mapping) -> np.ndarray:
    """A batch for the graph: (N, C, H, W) float32, zeros below and right of each image.

    The images are (h, w, C), three are BGR, all of one padded shape.
    """
    shape = padded_shape(images[0].shape[:2], meta['pad_size_divisor'])
    mean, std = (np.array(meta[key], np.float32)[:, None, None] for key in ('mean', 'std'))
    batch = np.zeros((len(images), images[0].shape[2], *shape), np.float32)
    for place, image in zip(batch, images, strict=True):
        h, w = image.shape[:2]
        channels = image[..., ::-1] if meta['bgr_to_rgb'] else image
        place[:, :h, :w] = (channels.transpose(2, 0, 1) - mean) / std
    return batch
