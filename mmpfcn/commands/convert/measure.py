"""What is measured of an id map: area and box of its segments."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy import ndimage

ROWS_AT_A_TIME = 256  # of an image: np.bincount makes 8 bytes of every pixel


def measure(ids: np.ndarray, segments: Sequence[dict]) -> tuple[list[dict], list[int]]:
    """Compute area and box of all segments in one pass over the pixels.

    Args:
        ids: (H, W) integer ids; 0 is void.
        segments: `id`, `category_id` and `iscrowd` of each segment.

    Returns:
        The segments that have pixels, with `area` in pixels and `bbox` [x, y, width, height]; and
        the ids other than 0 that are in the map but belong to no segment.

    Raises:
        ValueError: Two segments have the same id.
    """
    from mmpfcn.structures.label_map import segment_index

    segment_ids = [int(segment['id']) for segment in segments]
    twice = [key for key, count in Counter(segment_ids).items() if count > 1]
    if twice:
        raise ValueError(f'segment id {twice[0]} belongs to more than one segment')
    index = segment_index(ids, segment_ids)
    blocks = (index[top : top + ROWS_AT_A_TIME] for top in range(0, len(index), ROWS_AT_A_TIME))
    areas = sum(np.bincount(block.ravel(), minlength=len(segments) + 1) for block in blocks)
    boxes = ndimage.find_objects(index, max_label=len(segments))
    measured = []
    for segment, area, box in zip(segments, areas[1:], boxes, strict=True):
        if box is None:
            continue
        rows, cols = box
        whole = {key: int(segment[key]) for key in ('id', 'category_id', 'iscrowd')}
        box = [cols.start, rows.start, cols.stop - cols.start, rows.stop - rows.start]
        measured.append(dict(whole, area=int(area), bbox=box))
    unlisted = np.unique(ids[(index == 0) & (ids != 0)]).tolist()
    return measured, unlisted
