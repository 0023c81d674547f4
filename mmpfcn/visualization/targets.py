"""Pictures of what the network is taught: objects, centres and regions of every pyramid level.

Images are RGB, (H, W, 3), uint8, in and out. A *canvas* is the padded input at the size of a panel.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from ..structures import LevelTargets, region_labels
from .colors import ANY_THING, LEVELS, Color
from .drawing import blend, draw_outlines, join_panels, outline, resize_nearest
from .labels import Box, write_beside, write_inside

BACKGROUND = 0.35  # brightness of the photo, turned grey, under targets
REGION_ALPHA = 0.75  # of a cell that a region covers whole
NO_LEVEL = (255, 0, 90)


class TargetObject(NamedTuple):
    """An object of the ground truth and what became of it."""

    label: int
    box: tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels of the input
    mask: np.ndarray | None  # (H/4, W/4) in [0, 1]; None for one that vanishes at stride 4
    levels: list[int]  # numbers of the levels that have it, from 0

    @property
    def scale(self) -> float:
        """Square root of the box area, in pixels: what the level is chosen by."""
        x1, y1, x2, y2 = self.box
        return ((x2 - x1) * (y2 - y1)) ** 0.5


class Names(NamedTuple):
    """Class names and colours by label, and those of the region channels."""

    classes: Sequence[str]
    palette: Sequence[Color]
    regions: Sequence[str]
    region_palette: Sequence[Color]


def level_name(number: int) -> str:
    return f'P{number + 3}'


def level_row(
    number: int,
    canvas: np.ndarray,
    level: LevelTargets,
    objects: Sequence[TargetObject],
    scale_range: tuple[float, float],
    names: Names,
) -> np.ndarray:
    """One level: its objects | its centre heat maps | its region targets."""
    name, (h, w), (low, high) = level_name(number), level.regions.shape[-2:], scale_range
    centers, regions = level.centers.numpy(), level.regions.numpy()
    num_classes = np.count_nonzero(centers.any((1, 2)))
    titles = (
        f'{name} ({h} x {w}): objects of {low:g} to {high:g} px: {len(level.objects)}',
        f'{name} centres: {num_classes} {"class" if num_classes == 1 else "classes"}',
        f'{name} regions: {len(level.region_rows)}',
    )
    panels = (
        draw_level_objects(canvas, objects, number, names.classes),
        draw_centers(canvas, centers, names.classes, names.palette),
        draw_regions(canvas, regions, names.regions, names.region_palette),
    )
    return join_panels([*zip(titles, panels, strict=True)])


def draw_objects_by_level(
    canvas: np.ndarray, objects: Sequence[TargetObject], stride: float, classes: Sequence[str]
) -> np.ndarray:
    """Outline every object in the colours of its levels, and name them.

    One without a level is crossed out. ``stride`` is pixels of the input per pixel of the canvas.
    """
    drawn = canvas.copy()
    texts, spots = [], []
    for item in sorted(objects, key=lambda item: -item.scale):
        levels = ' '.join(map(level_name, item.levels)) or 'no level'
        texts.append(f'{classes[item.label]} {levels}')
        if not item.levels:
            corners = np.rint(np.array(item.box) / stride).astype(int)
            x1, y1, x2, y2 = corners.clip(0, [*canvas.shape[1::-1]] * 2).tolist()
            spots.append((x1, y1, x2, y2))
            for start, end in (((x1, y1), (x2, y2)), ((x1, y2), (x2, y1))):
                cv2.line(drawn, start, end, NO_LEVEL, 2)
            cv2.rectangle(drawn, (x1, y1), (x2, y2), NO_LEVEL, 2)
            continue
        mask = _mask_on(canvas, item.mask)
        spots.append(_inner_box(mask))
        for level in item.levels:  # the second inside the first
            outline(drawn, mask, LEVELS[level % len(LEVELS)], 2)
            mask = cv2.erode(mask, np.ones((5, 5), np.uint8), borderValue=0)
    return write_beside(drawn, texts, spots)


def draw_level_objects(
    canvas: np.ndarray, objects: Sequence[TargetObject], level: int, classes: Sequence[str]
) -> np.ndarray:
    """The objects of one level, of those of all, in full colour with name and scale, the rest of
    the image dark.
    """
    drawn = background(canvas)
    chosen = [item for item in objects if level in item.levels]
    masks = [_mask_on(canvas, item.mask) for item in chosen]
    for mask in masks:
        drawn[mask > 0] = canvas[mask > 0]
    for mask in masks:
        outline(drawn, mask, LEVELS[level % len(LEVELS)], 2)
    texts = [f'{classes[item.label]} {item.scale:.0f}' for item in chosen]
    return write_beside(drawn, texts, [*map(_inner_box, masks)])


def draw_centers(
    canvas: np.ndarray, centers: np.ndarray, classes: Sequence[str], palette: Sequence[Color]
) -> np.ndarray:
    """Heat maps of all classes, (T, h, w) in [0, 1], in one: the colour of the class, white at the
    centre of an object.
    """
    peaks = np.argwhere(centers == 1).tolist()
    spots = [cell_box((y, x), centers.shape[1:], canvas.shape[:2]) for _, y, x in peaks]
    texts = [classes[label] for label, _, _ in peaks]
    return write_beside(draw_heat(canvas, centers, palette), texts, spots)


def draw_heat(canvas: np.ndarray, centers: np.ndarray, palette: Sequence[Color]) -> np.ndarray:
    """:func:`draw_centers` without names."""
    size = canvas.shape[:2]
    best = centers.argmax(0)
    heat = np.take_along_axis(centers, best[None], 0)[0]
    bright = np.array([brightest(color) for color in palette[: len(centers)]], np.float32)
    # from the colour of the class to white in the upper half of the range
    white = np.clip(2 * heat - 1, 0, 1)[..., None]
    colors = (1 - white) * bright[best] + white * 255
    weight = resize_nearest(heat, size)[..., None] ** 0.7
    return blend(background(canvas), weight, resize_nearest(colors, size))


def draw_regions(
    canvas: np.ndarray, regions: np.ndarray, names: Sequence[str], palette: Sequence[Color]
) -> np.ndarray:
    """The region class of each cell, the more opaque the more of the cell it covers.

    ``regions`` are (R, h, w) in {0} or [0.5, 1]; ``names`` and ``palette`` those of the R channels.
    """
    size = canvas.shape[:2]
    best = regions.argmax(0)
    share = np.take_along_axis(regions, best[None], 0)[0]
    weight = REGION_ALPHA * resize_nearest(share, size)[..., None]
    colors = resize_nearest(np.where(share > 0, best, -1), size)
    drawn = blend(background(canvas), weight, np.array(palette, np.float32)[colors])
    draw_outlines(drawn, colors)
    return write_inside(drawn, colors, names)


def target_names(
    classes: Sequence[str], palette: Sequence[Color], num_things: int, separate_thing_regions: bool
) -> Names:
    """Names of the classes and of the region channels: stuff, then "any thing" or the things."""
    labels = region_labels(num_things, len(classes) - num_things, separate_thing_regions)
    names, colors = [*classes, 'any thing'], [*palette[: len(classes)], ANY_THING]
    return Names(classes, palette, [names[i] for i in labels], [colors[i] for i in labels])


def cell_box(cell: tuple[int, int], level_size: Sequence[int], size: Sequence[int]) -> Box:
    """Where a cell (row, column) of an (h, w) level is on a canvas of (H, W) pixels."""
    ratio = np.array(size) / level_size
    top, left = np.floor(ratio * cell).astype(int).tolist()
    bottom, right = np.ceil(ratio * (np.array(cell) + 1)).astype(int).tolist()
    return left, top, right, bottom


def background(canvas: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: grey and dark."""
    grey = cv2.cvtColor(canvas, cv2.COLOR_RGB2GRAY)
    return cv2.cvtColor((grey * BACKGROUND).astype(np.uint8), cv2.COLOR_GRAY2RGB)


def brightest(color: Color) -> tuple[float, ...]:
    """The same hue at full value: dark ones would not show on the background."""
    return tuple(255 * channel / max(*color, 1) for channel in color)


def _mask_on(canvas: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(H, W) uint8: a soft mask at the size of the canvas, at least its covered part."""
    size = canvas.shape[1::-1]
    drawn = cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR)
    # thin and tiny objects cover half of no cell
    return (drawn >= min(0.5, float(drawn.max()) / 2)).astype(np.uint8)


def _inner_box(mask: np.ndarray) -> Box:
    """About the largest square inside a mask: a text on it is on the object."""
    distance = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_C, 3)[1:-1, 1:-1]
    _, radius, _, (x, y) = cv2.minMaxLoc(distance)
    r = int(radius)
    return x - r, y - r, x + r, y + r
