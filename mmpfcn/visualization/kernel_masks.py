"""Small pictures of what single kernels make."""

import cv2
import numpy as np

from .colors import Color
from .drawing import blend, outline, resize_nearest
from .targets import NO_LEVEL, background, brightest

TAKEN = NO_LEVEL
MASK_ALPHA = 0.85  # where the probability is 1
OUTLINE = (255, 255, 255)


def draw_mask(
    canvas: np.ndarray,
    prob: np.ndarray,
    color: Color,
    threshold: float | None = None,
    taken: np.ndarray | None = None,
) -> np.ndarray:
    """The mask of one kernel over the image turned grey and dark: (H, W, 3) uint8 RGB.

    Args:
        canvas: (H, W, 3) uint8 RGB, the image at the size of the picture.
        prob: (h, w) in [0, 1]: the colour is the more opaque the higher it is.
        color: of the kernel's class.
        threshold: of the mask, whose border is drawn; None for a kernel without one.
        taken: (H', W') bool, what belongs to others: in the colour :data:`TAKEN` inside the mask.
    """
    size = canvas.shape[:2]
    prob = cv2.resize(prob.astype(np.float32), size[::-1], interpolation=cv2.INTER_LINEAR)
    colors = np.broadcast_to(np.array(brightest(color), np.float32), canvas.shape)
    if taken is not None:
        inside = resize_nearest(taken, size) & (prob > threshold)
        colors = np.where(inside[..., None], np.array(TAKEN, np.float32), colors)
    weight = MASK_ALPHA * prob[..., None]
    drawn = blend(background(canvas), weight, colors)
    if threshold is not None:
        outline(drawn, (prob > threshold).astype(np.uint8), OUTLINE, 1)
    return drawn
