"""What is measured of an image: its size, and area and box of its segments."""

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from scipy import ndimage

EXIF_ORIENTATION = 0x0112
ROWS_AT_A_TIME = 256  # of an image: np.bincount makes 8 bytes of every pixel


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) in pixels as OpenCV decodes the image, that is, turned by its EXIF tag.

    The pixels are not decoded.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no image, or a JPEG or PNG that is cut off.
    """
    from mmpfcn.formats.panoptic_png import read_whole

    content = read_whole(str(path), 'image')
    try:
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
            turned = image.getexif().get(EXIF_ORIENTATION, 1) >= 5
    except Image.DecompressionBombError as error:
        raise ValueError(f'image {path} is refused: {error}: cut it into tiles') from error
    except (OSError, SyntaxError, ValueError) as error:
        reason = 'unknown format' if isinstance(error, UnidentifiedImageError) else error
        raise ValueError(f'{path} is no readable image ({reason}): copy it again') from error
    return (width, height) if turned else (height, width)


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
