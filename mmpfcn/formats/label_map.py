"""Maps of segment ids, by their runs: stretches of one value in a row of pixels.

A run is looked at once, a pixel hardly ever, and no segment costs a pass over the image.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from pycocotools import mask as mask_utils

from .panoptic_png import MAX_SEGMENTS


class Runs(NamedTuple):
    """Runs of a map, row by row; none goes on in the next row."""

    starts: np.ndarray  # (n,) place of the first pixel in the flattened map
    lengths: np.ndarray  # (n,) pixels
    values: np.ndarray  # (n,) value of the map


def find_runs(label_map: np.ndarray) -> Runs:
    """Runs of an (H, W) map of whole numbers."""
    is_start = np.ones(label_map.shape, bool)
    np.not_equal(label_map[:, 1:], label_map[:, :-1], out=is_start[:, 1:])
    starts = np.flatnonzero(is_start)
    lengths = np.diff(starts, append=label_map.size)
    return Runs(starts, lengths, label_map.ravel()[starts])


def segment_index(ids: np.ndarray, segment_ids: Sequence[int]) -> np.ndarray:
    """Where each segment lies in (H, W) whole numbers, by one look-up for all different ids.

    (H, W) uint16: i + 1 on the i-th segment, 0 where there is none of them. More than
    :data:`MAX_SEGMENTS` raise ValueError.
    """
    if len(segment_ids) > MAX_SEGMENTS:
        raise ValueError(
            f'an image has {len(segment_ids)} segments, at most {MAX_SEGMENTS} can be told apart: '
            'cut it into tiles'
        )
    if not len(segment_ids):
        return np.zeros(ids.shape, np.uint16)
    runs = find_runs(ids)
    segment_ids = np.asarray(segment_ids, np.int64)
    order = segment_ids.argsort()
    place = np.searchsorted(segment_ids, runs.values, sorter=order).clip(max=len(order) - 1)
    rows = order[place]
    found = np.where(segment_ids[rows] == runs.values, rows + 1, 0).astype(np.uint16)
    return np.repeat(found, runs.lengths).reshape(ids.shape)


def segment_areas(index: np.ndarray, num_segments: int) -> np.ndarray:
    """Pixels of 0 and of each segment, (num_segments + 1,) int64, in :func:`segment_index`."""
    runs = find_runs(index)
    return np.bincount(runs.values, runs.lengths, num_segments + 1).astype(np.int64)


def segment_boxes(index: np.ndarray, num_segments: int) -> np.ndarray:
    """Boxes around the segments of :func:`segment_index`: (num_segments, 4) int64 as x1, y1, x2, y2
    in pixels, x2 and y2 exclusive. One without pixels has the box 0, 0, 0, 0.
    """
    runs = find_runs(index)
    rows, columns = np.divmod(runs.starts, index.shape[1])
    low = np.full((2, num_segments + 1), index.size)
    high = np.zeros((2, num_segments + 1), np.int64)
    np.minimum.at(low[0], runs.values, columns)
    np.minimum.at(low[1], runs.values, rows)
    np.maximum.at(high[0], runs.values, columns + runs.lengths)
    np.maximum.at(high[1], runs.values, rows + 1)
    return np.concatenate([np.minimum(low, high), high])[:, 1:].T


def encode_segments(ids: np.ndarray, segment_ids: Sequence[int]) -> list[dict]:
    """The mask of each segment as COCO's compressed RLE, of (H, W) ids."""
    size, columns = list(ids.shape), np.ascontiguousarray(ids.T).reshape(1, -1)
    starts, lengths, values = find_runs(columns)
    rles = []
    for id_ in segment_ids:
        start, length = starts[values == id_], lengths[values == id_]
        bounds = np.append(np.stack([start, start + length], axis=1).ravel(), ids.size)
        counts = np.trim_zeros(np.diff(bounds, prepend=0), 'b').tolist()
        rle = mask_utils.frPyObjects(dict(size=size, counts=counts), *size)
        rles.append(dict(size=size, counts=rle['counts'].decode()))
    return rles


def decode_segments(
    rles: Sequence[dict], segment_ids: Sequence[int], shape: tuple[int, int]
) -> np.ndarray:
    """(H, W) int32 ids, 0 where no segment is, of what :func:`encode_segments` gives."""
    ids = np.zeros(shape, np.int32)
    for rle, id_ in zip(rles, segment_ids, strict=True):
        ids[mask_utils.decode(rle).astype(bool)] = id_
    return ids
