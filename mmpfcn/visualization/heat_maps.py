"""Pictures of what the network says on every pyramid level, and of what single kernels make.

Centres and regions are drawn as their targets are (:mod:`mmpfcn.visualization.targets`), over the
image turned grey and dark, without the padding: RGB, (H, W, 3), uint8. All pictures of an image
have one size: its longer side is :data:`LONG_SIDE` pixels, or less where most of the input is
padding.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np
from torch import Tensor

from ..models import sampling
from ..models.settings import InferenceSettings
from ..structures import LevelMaps, NetworkOutput
from .colors import Color, class_palette
from .drawing import blend, outline, resize, resize_nearest
from .labels import font_size, write_beside
from .targets import NO_LEVEL, background, brightest, cell_box, draw_heat, target_names
from .targets import draw_regions as draw_level_regions

LONG_SIDE = 640  # px
MAX_CANVAS = 2 * LONG_SIDE  # px, of an image with its padding
PEAK = OUTLINE = (255, 255, 255)
TAKEN = NO_LEVEL
MASK_ALPHA = 0.85  # of a kernel's mask where the probability is 1


class Peak(NamedTuple):
    """An object candidate of one level."""

    label: int
    cell: tuple[int, int]  # row, column on the level
    score: float  # the smoothed probability of a centre, in [0, 1]


def level_peaks(levels: Sequence[LevelMaps], settings: InferenceSettings) -> list[list[Peak]]:
    """The candidates of every level that become kernels, best first, before they are fused.

    Of maps of P3..P7, of a batch of one; ``center_thr``, ``pool_sizes`` and ``max_per_img`` count.
    """
    levels = [maps.float() for maps in levels]
    return [
        [
            Peak(label, divmod(cell, level.centers.shape[-1]), score)
            for score, label, cell in zip(*(x[0].tolist() for x in peaks), strict=True)
            if score > settings.center_thr
        ]
        for level, peaks in zip(levels, sampling.level_peaks(levels, settings), strict=True)
    ]


def draw_centers(
    output: NetworkOutput,
    settings: InferenceSettings,
    dataset_meta: Mapping,
    texts: Sequence[Sequence[str]] | None = None,
) -> list[np.ndarray]:
    """Per level the probabilities of centres of all classes in one picture, with the peaks.

    A cell has the colour of its best class, the whiter the more probable it is. Every peak of
    :func:`level_peaks` has a ring and, where there is room, its name and score, or instead what
    ``texts`` has for it, by level.
    """
    (canvas, (height, width)), classes = _canvas(output), dataset_meta['classes']
    palette, radius = class_palette(dataset_meta), font_size(*canvas.shape[:2]) // 3
    pictures = []
    peaks_of_levels = level_peaks(output.levels, settings)
    if texts is None:
        texts = [[f'{classes[p.label]} {p.score:.2f}' for p in peaks] for peaks in peaks_of_levels]
    for level, peaks, level_texts in zip(output.levels, peaks_of_levels, texts, strict=True):
        drawn = draw_heat(canvas, _probabilities(level.centers), palette)
        level_size = level.centers.shape[-2:]
        boxes = [cell_box(peak.cell, level_size, canvas.shape[:2]) for peak in peaks]
        for x0, y0, x1, y1 in boxes:
            cv2.circle(drawn, ((x0 + x1) // 2, (y0 + y1) // 2), radius, PEAK, 2, cv2.LINE_AA)
        drawn = write_beside(drawn, level_texts, boxes)
        pictures.append(np.ascontiguousarray(drawn[:height, :width]))
    return pictures


def draw_regions(output: NetworkOutput, dataset_meta: Mapping) -> list[np.ndarray]:
    """Per level the best region class of each cell, the more opaque the more probable it is."""
    (canvas, (height, width)), maps = _canvas(output), output.levels[0]
    classes = dataset_meta['classes']
    num_things, num_regions = maps.centers.shape[1], maps.regions.shape[1]
    separate = num_regions > len(classes) - num_things + 1
    names = target_names(classes, class_palette(dataset_meta), num_things, separate)
    draw = partial(draw_level_regions, names=names.regions, palette=names.region_palette)
    pictures = [draw(canvas, _probabilities(level.regions)) for level in output.levels]
    return [np.ascontiguousarray(picture[:height, :width]) for picture in pictures]


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


def _probabilities(logits: Tensor) -> np.ndarray:
    """(1, channels, h, w) logits to (channels, h, w) float32 in [0, 1]."""
    return logits[0].float().sigmoid().cpu().numpy()


def _canvas(output: NetworkOutput) -> tuple[np.ndarray, tuple[int, int]]:
    """The image at the size of the pictures, padded as the maps are, (H, W, 3); and that size."""
    height, width = output.image.shape[:2]
    # the padding of a tiny image is many times its size
    scale = min(LONG_SIDE / max(height, width), MAX_CANVAS / max(_padded(output, (height, width))))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    canvas = np.zeros((*_padded(output, size), 3), np.uint8)
    canvas[: size[0], : size[1]] = resize(output.image, size)
    return canvas, size


def _padded(output: NetworkOutput, size: tuple[int, int]) -> list[int]:
    """(H, W) of an image of this size with the padding that the maps cover as well."""
    sample = output.data_sample
    sides = zip(size, sample.batch_input_shape, sample.img_shape[:2], strict=True)
    return [round(side * pad / inside) for side, pad, inside in sides]
