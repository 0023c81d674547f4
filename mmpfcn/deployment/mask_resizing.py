"""Masks from stride 4 to the output size; see ``mmpfcn/ops/mask_resizing.py``."""

from typing import NamedTuple

import cv2
import numpy as np


class MaskResizer(NamedTuple):
    """Resize the maps of one image: bilinear x 4, cut to the image, bilinear to the output."""

    map_shape: tuple[int, int]  # (H/4, W/4) of the padded input
    img_shape: tuple[int, int]  # (H, W) of the network's input without padding
    out_shape: tuple[int, int]  # (H, W) of the results

    def resize(self, values: np.ndarray) -> np.ndarray:
        """(H/4, W/4) float32 -> (H, W) of the output."""
        height, width = self.map_shape
        pixels = cv2.resize(values, (4 * width, 4 * height), interpolation=cv2.INTER_LINEAR)
        pixels = pixels[: self.img_shape[0], : self.img_shape[1]]
        return cv2.resize(pixels, self.out_shape[::-1], interpolation=cv2.INTER_LINEAR)


def best_labels(maps: np.ndarray, labels: np.ndarray, resizer: MaskResizer) -> np.ndarray:
    """Label of the map that is the greatest at a pixel, of equal ones the first.

    K >= 1 maps (K, H/4, W/4) -> (H, W) of the labels' type.
    """
    best = resizer.resize(maps[0])
    result = np.full(resizer.out_shape, labels[0])
    for values, label in zip(maps[1:], labels[1:], strict=True):
        values = resizer.resize(values)
        np.copyto(result, label, where=values > best)
        np.maximum(best, values, out=best)
    return result
