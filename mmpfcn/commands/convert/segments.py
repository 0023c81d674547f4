"""From masks or ids of one image to its panoptic map, and what is measured of it."""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence

import numpy as np

from mmpfcn.formats.label_map import find_runs, segment_areas, segment_boxes, segment_index

# Odd, so n -> n * SPREAD mod 2^24 is one-to-one; neighbouring numbers get colours that differ.
SPREAD = 10368889


Painted = tuple[np.ndarray, list[dict], dict[str, list]]  # see `Canvas.result`


def spread_id(number: int) -> int:
    """A segment's id from its number 1, 2, ...: the PNG can be looked at."""
    return number * SPREAD % 2**24


class Canvas:
    """Paint the annotations of one image over each other, later ones on top.

    `things` are the ids of the categories with objects; each other category is one segment.
    """

    def __init__(self, height: int, width: int, things: frozenset[int]) -> None:
        self._numbers = np.zeros((height, width), np.int32)  # of the call that painted a pixel
        self._ids = [0]  # by that number
        self._things = things
        self._segments: dict[Hashable, dict] = {}
        self._named: list[tuple[str, str, int]] = []

    def paint(
        self,
        mask: np.ndarray,  # (H, W) bool or 0/1, or the part of it that is at `where`
        category: int | None,  # None is void
        key: Hashable = None,  # of parts of one object that are painted one by one
        crowd: bool = False,  # a region of several objects of a thing class
        name: str | None = None,  # of an annotation, which is counted where no pixel remains
        where: tuple[slice, slice] = np.s_[:, :],  # rows and columns
    ) -> None:
        number, kind = len(self._ids), 'objects'
        if category not in self._things:
            key, crowd, kind = 'stuff', False, 'stuff regions'
        elif crowd:
            key = kind = 'crowd regions'
        mask = mask.astype(bool, copy=False)
        self._numbers[where][mask] = number
        if category is None:
            self._ids.append(0)
            return
        new = dict(id=spread_id(len(self._segments) + 1), category_id=category, iscrowd=int(crowd))
        key = (category, number if key is None else key)
        self._ids.append(self._segments.setdefault(key, new)['id'])
        if name is not None:
            reason = 'covered' if mask.any() else 'outside of the image, or without area'
            self._named.append((kind, f'{name} ({reason})', number))

    def result(self) -> Painted:
        """(H, W) int32 ids, their segments, and what was painted in vain.

        The last: objects, crowd regions and stuff regions -> [how many, names of those that have no
        pixel].
        """
        seen = np.zeros(len(self._ids), bool)
        seen[self._numbers] = True
        left_out: dict[str, list] = {}
        for kind, name, number in self._named:
            counted = left_out.setdefault(kind, [0, []])
            counted[0] += 1
            counted[1] += [] if seen[number] else [name]
        return np.array(self._ids, np.int32)[self._numbers], [*self._segments.values()], left_out


def segments_of(
    codes: np.ndarray, describe: Callable[[int], tuple[int, bool] | None]
) -> tuple[np.ndarray, list[dict]]:
    """(H, W) int32 ids and their segments, from a map (H, W) of integers, one for each segment.

    `describe` gives (category id, is a crowd) of a value, or None for void.
    """
    runs, segments = find_runs(codes), []
    values, index = np.unique(runs.values, return_inverse=True)
    table = np.zeros(len(values), np.int32)
    for place, value in enumerate(values.tolist()):
        described = describe(value)
        if described is not None:
            category, crowd = described
            table[place] = spread_id(len(segments) + 1)
            segments.append(dict(id=int(table[place]), category_id=category, iscrowd=int(crowd)))
    return np.repeat(table[index], runs.lengths).reshape(codes.shape), segments


def measure(ids: np.ndarray, segments: Sequence[dict]) -> tuple[list[dict], list[int]]:
    """The segments that have pixels, measured; and the ids of the map that belong to none.

    Args:
        ids: (H, W) integer ids; 0 is void.
        segments: `id`, `category_id` and `iscrowd`; added are `area` in pixels and `bbox` [x, y,
            width, height].

    Raises:
        ValueError: two segments have the same id, or there are more than a map can hold.
    """
    segment_ids = [int(segment['id']) for segment in segments]
    twice = [key for key, count in Counter(segment_ids).items() if count > 1]
    if twice:
        raise ValueError(f'segment id {twice[0]} belongs to more than one segment')
    index = segment_index(ids, segment_ids)
    areas = segment_areas(index, len(segments))[1:].tolist()
    boxes = segment_boxes(index, len(segments))
    boxes[:, 2:] -= boxes[:, :2]
    measured = [
        dict({k: int(s[k]) for k in ('id', 'category_id', 'iscrowd')}, area=area, bbox=box)
        for s, area, box in zip(segments, areas, boxes.tolist(), strict=True)
        if area
    ]
    return measured, np.unique(ids[(index == 0) & (ids != 0)]).tolist()


def check_segments(
    ids: np.ndarray, segments: Sequence[dict], category_ids: frozenset[int], where: str
) -> list[dict]:
    """:func:`measure`; ValueError where a category is unknown, or an id of the map.

    The latter has the message ``where``, in which the ids are put for ``{}``.
    """
    unknown = {segment['category_id'] for segment in segments} - category_ids
    if unknown:
        raise ValueError(f'category id {min(unknown)} is none of {sorted(category_ids)}')
    measured, unlisted = measure(ids, segments)
    if unlisted:
        raise ValueError(where.replace('{}', f'{unlisted[:5]}'))
    return measured
