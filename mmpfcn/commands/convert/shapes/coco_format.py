"""Writing scenes as COCO panoptic and COCO instance annotations.

Layout of a data set folder::

    {train,val}/000000000001.jpg
    annotations/panoptic_{train,val}.json       annotations/panoptic_{train,val}/000000000001.png
    annotations/instances_{train,val}.json
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as mask_utils

from mmpfcn.formats.atomic_files import write_atomic
from mmpfcn.formats.panoptic_png import write_panoptic_png

from ..segments import measure
from ..work_folder import Record, write_json
from .grounds import STUFF_COLORS
from .scene import Scene, Segment
from .things import THING_COLORS

SPLITS = ('train', 'val')
INFO = dict(description='Shapes: a drawn panoptic data set', version='1.0')
# Stuff ids start after a gap: category ids need not be contiguous in COCO either, and code that
# takes an id for a label is found out here.
CATEGORIES = [
    dict(supercategory=above, color=list(color), isthing=isthing, id=first + i, name=name)
    for above, isthing, first, colors in (
        ('shape', 1, 1, THING_COLORS),
        ('ground', 0, 11, STUFF_COLORS),
    )
    for i, (name, color) in enumerate(colors.items())
]
"""Ten classes: six things told apart by shape (and mostly colour), four stuff by texture."""

_BY_NAME = {category['name']: category for category in CATEGORIES}


def category_id(name: str) -> int:
    return _BY_NAME[name]['id']


def image_id_of(split: str, index: int) -> int:
    """Image id, unique over the splits and independent of their lengths (below a million)."""
    return SPLITS.index(split) * 1_000_000 + index + 1


def sample_paths(folder: Path, split: str, index: int) -> tuple[Path, Path]:
    stem = f'{image_id_of(split, index):012d}'
    return folder / split / f'{stem}.jpg', folder / 'annotations' / f'panoptic_{split}/{stem}.png'


def all_paths(folder: Path, counts: Mapping[str, int]) -> Iterator[Path]:
    """Every file of a data set with so many images in each split."""
    for split in SPLITS:
        for kind in ('panoptic', 'instances'):
            yield folder / 'annotations' / f'{kind}_{split}.json'
        for index in range(counts[split]):
            yield from sample_paths(folder, split, index)


def segment_ids(segments: Sequence[Segment], rng: np.random.Generator) -> list[int]:
    """Distinct ids R + 256 G + 256^2 B near the class's colour, so that the PNG is legible."""
    ids: list[int] = []
    while len(ids) < len(segments):
        color = _BY_NAME[segments[len(ids)].name]['color']
        jitter = rng.integers(-30, 31, 3)
        red, green, blue = (int(c) for c in np.clip(np.add(color, jitter), 1, 255))
        segment_id = red + 256 * green + 256**2 * blue
        if segment_id not in ids:
            ids.append(segment_id)
    return ids


def write_sample(
    folder: Path, split: str, index: int, scene: Scene, rng: np.random.Generator
) -> Record:
    """Write one image and its panoptic PNG; `annotation` has its part of both JSON files."""
    image_id = image_id_of(split, index)
    image_path, png_path = sample_paths(folder, split, index)
    ids = segment_ids(scene.segments, rng)
    id_map = np.array([0, *ids])[scene.segment_map]
    said = [
        dict(id=segment_id, category_id=category_id(segment.name), iscrowd=segment.iscrowd)
        for segment, segment_id in zip(scene.segments, ids, strict=True)
    ]
    segments_info, _ = measure(id_map, said)
    things = {i for i, s in zip(ids, scene.segments, strict=True) if s.name in THING_COLORS}
    height, width = id_map.shape
    jpeg = [cv2.IMWRITE_JPEG_QUALITY, 95]
    bgr = np.ascontiguousarray(scene.image[..., ::-1])
    write_atomic(image_path, cv2.imencode('.jpg', bgr, jpeg)[1].tobytes())
    write_panoptic_png(png_path, id_map)
    return Record(
        image=dict(id=image_id, file_name=image_path.name, height=height, width=width),
        annotation=dict(
            panoptic=dict(image_id=image_id, file_name=png_path.name, segments_info=segments_info),
            instances=[_instance(id_map, image_id, s) for s in segments_info if s['id'] in things],
        ),
        notes=[],
    )


def _instance(id_map: np.ndarray, image_id: int, segment: dict) -> dict:
    rle = mask_utils.encode(np.asfortranarray(id_map == segment['id'], dtype=np.uint8))
    rle['counts'] = rle['counts'].decode()
    shared = {key: segment[key] for key in ('category_id', 'iscrowd', 'bbox', 'area')}
    return dict(image_id=image_id, segmentation=rle, **shared)


def write_json_files(folder: Path, split: str, records: Sequence[Record]) -> None:
    images = [record.image for record in records]
    instances = [a for record in records for a in record.annotation['instances']]
    numbered = [dict(id=number, **annotation) for number, annotation in enumerate(instances, 1)]
    things = [category for category in CATEGORIES if category['isthing']]
    panoptic = [record.annotation['panoptic'] for record in records]
    for kind, annotations, categories in (
        ('panoptic', panoptic, CATEGORIES),
        ('instances', numbered, things),
    ):
        content = dict(info=INFO, images=images, annotations=annotations, categories=categories)
        write_json(folder / 'annotations' / f'{kind}_{split}.json', content)
