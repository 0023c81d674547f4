"""From masks or ids of one image to its panoptic map, for the converters for data of your own."""

from collections.abc import Callable, Hashable

import numpy as np
from pycocotools import mask as mask_utils

# Odd, so n -> n * SPREAD mod 2^24 is one-to-one; neighbouring numbers get colours that differ.
SPREAD = 10368889
ROWS_AT_A_TIME = 256  # np.unique makes some 40 bytes of every pixel


def spread_id(number: int) -> int:
    """A segment's id from its number 1, 2, ...: the PNG can be looked at."""
    return number * SPREAD % 2**24


class Canvas:
    """Paint the segments of one image over each other, later ones on top.

    Args:
        height, width: pixels.
        things: ids of the categories with objects; each other category is one segment.
    """

    def __init__(self, height: int, width: int, things: frozenset[int]) -> None:
        self.ids = np.zeros((height, width), np.int32)
        self.segments: list[dict] = []
        self._things = things
        self._known: dict[Hashable, dict] = {}

    def paint(
        self, mask: np.ndarray, category: int | None, key: Hashable = None, crowd: bool = False
    ) -> None:
        """Paint a mask.

        Args:
            mask: (H, W) bool or 0/1.
            category: its category id; None is void.
            key: parts of an object that are painted one by one share it; None is an object of its
                own.
            crowd: a region of several objects of a thing class.
        """
        self.ids[mask.astype(bool, copy=False)] = (
            0 if category is None else self._segment(category, key, crowd)['id']
        )

    def _segment(self, category: int, key: Hashable, crowd: bool) -> dict:
        if category not in self._things:
            key, crowd = 'stuff', False
        elif crowd:
            key = 'crowd'
        known = self._known.get((category, key)) if key is not None else None
        if known is None:
            number = spread_id(len(self.segments) + 1)
            known = dict(id=number, category_id=category, iscrowd=int(crowd))
            self.segments.append(known)
            self._known[category, key] = known
        return known


def segments_of(
    codes: np.ndarray, describe: Callable[[int], tuple[int, bool] | None]
) -> tuple[np.ndarray, list[dict]]:
    """The panoptic map of an integer map.

    Args:
        codes: (H, W) integers; the pixels of a value are one segment.
        describe: value -> (category id, is a crowd), or None for void.

    Returns:
        (H, W) int32 ids and their segments.
    """
    ids, segments = np.zeros(codes.shape, np.int32), []
    known: dict[int, int] = {}
    for top in range(0, len(codes), ROWS_AT_A_TIME):
        block = codes[top : top + ROWS_AT_A_TIME]
        values, index = np.unique(block, return_inverse=True)
        for value in values.tolist():
            described = None if value in known else describe(value)
            if described is not None:
                known[value] = spread_id(len(segments) + 1)
                category, crowd = described
                segments.append(dict(id=known[value], category_id=category, iscrowd=int(crowd)))
        table = np.array([known.get(value, 0) for value in values.tolist()], np.int32)
        ids[top : top + ROWS_AT_A_TIME] = table[index].reshape(block.shape)
    return ids, segments


def outline_mask(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """Fill an outline as the COCO API does.

    Args:
        points: (N, 2) x, y in pixels, where a pixel reaches from its number to the next. Fewer than
            three points have no area.

    Returns:
        (H, W) uint8, 0 or 1.
    """
    if len(points) < 3:
        return np.zeros((height, width), np.uint8)
    outline = np.asarray(points, float).ravel().tolist()
    return mask_utils.decode(mask_utils.frPyObjects([outline], height, width))[..., 0]
