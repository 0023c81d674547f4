"""Writing scenes as COCO panoptic and COCO instance annotations.

Layout of a data set folder::

    {train,val}/000000000001.jpg
    annotations/panoptic_{train,val}.json       annotations/panoptic_{train,val}/000000000001.png
    annotations/instances_{train,val}.json

While it is being made, `records/{train,val}/000000000001.json` holds each image's part of the JSON
files. A record is written after the image's other files, so its presence says they are whole.
"""

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as mask_utils

from .categories import CATEGORIES
from .scene import Scene

SPLITS = ('train', 'val')
JPEG_QUALITY = 95
INFO = dict(description='Shapes: a drawn panoptic data set', version='1.0')

_BY_NAME = {category['name']: category for category in CATEGORIES}


def image_id_of(split: str, index: int) -> int:
    """Image id, unique over the splits and independent of their lengths (below a million)."""
    return SPLITS.index(split) * 1_000_000 + index + 1


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that it is either absent or whole under its name."""
    temporary = path.with_name(f'{path.name}.{os.getpid()}.tmp')
    temporary.write_bytes(data)
    os.replace(temporary, path)


def _encode(extension: str, rgb: np.ndarray, options: list[int]) -> bytes:
    done, data = cv2.imencode(extension, np.ascontiguousarray(rgb[..., ::-1]), options)
    assert done
    return data.tobytes()


def make_folders(folder: Path) -> None:
    for split in SPLITS:
        for part in (split, f'annotations/panoptic_{split}', f'records/{split}'):
            (folder / part).mkdir(parents=True, exist_ok=True)


def record_path(folder: Path, split: str, index: int) -> Path:
    return folder / 'records' / split / f'{image_id_of(split, index):012d}.json'


def sample_paths(folder: Path, split: str, index: int) -> tuple[Path, Path]:
    """Where the image and its panoptic PNG lie."""
    stem = f'{image_id_of(split, index):012d}'
    return folder / split / f'{stem}.jpg', folder / 'annotations' / f'panoptic_{split}/{stem}.png'


def segment_ids(scene: Scene, rng: np.random.Generator) -> list[int]:
    """Distinct ids R + 256 G + 256^2 B near the class's colour, so that the PNG is legible."""
    ids: list[int] = []
    while len(ids) < len(scene.segments):
        color = _BY_NAME[scene.segments[len(ids)].name]['color']
        jitter = rng.integers(-30, 31, 3)
        red, green, blue = (int(c) for c in np.clip(np.add(color, jitter), 1, 255))
        segment_id = red + 256 * green + 256**2 * blue
        if segment_id not in ids:
            ids.append(segment_id)
    return ids


def _tight_box(mask: np.ndarray) -> list[int]:
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [int(v) for v in (cols[0], rows[0], cols[-1] - cols[0] + 1, rows[-1] - rows[0] + 1)]


def _annotate(scene: Scene, ids: list[int], image_id: int) -> tuple[list[dict], list[dict]]:
    """`segments_info` and the instance annotations (still without their own id) of an image."""
    segments_info, instances = [], []
    for index, (segment, segment_id) in enumerate(zip(scene.segments, ids, strict=True), start=1):
        mask = scene.segment_map == index
        category = _BY_NAME[segment.name]
        info = dict(
            category_id=category['id'],
            iscrowd=segment.iscrowd,
            bbox=_tight_box(mask),
            area=int(mask.sum()),
        )
        segments_info.append(dict(id=segment_id, **info))
        if category['isthing']:
            rle = mask_utils.encode(np.asfortranarray(mask, dtype=np.uint8))
            rle['counts'] = rle['counts'].decode()
            instances.append(dict(image_id=image_id, segmentation=rle, **info))
    return segments_info, instances


def write_sample(
    folder: Path, split: str, index: int, scene: Scene, rng: np.random.Generator
) -> None:
    """Write one image, its panoptic PNG and, last, its record."""
    image_id = image_id_of(split, index)
    image_path, png_path = sample_paths(folder, split, index)
    ids = segment_ids(scene, rng)
    id_map = np.array([0, *ids])[scene.segment_map]
    png = np.stack([id_map % 256, id_map // 256 % 256, id_map // 256**2], axis=-1).astype(np.uint8)
    segments_info, instances = _annotate(scene, ids, image_id)
    height, width = scene.segment_map.shape
    record = dict(
        image=dict(id=image_id, file_name=image_path.name, height=height, width=width),
        panoptic=dict(image_id=image_id, file_name=png_path.name, segments_info=segments_info),
        instances=instances,
    )
    write_atomic(image_path, _encode('.jpg', scene.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]))
    write_atomic(png_path, _encode('.png', png, []))
    write_atomic(record_path(folder, split, index), json.dumps(record).encode())


def merge_records(folder: Path, split: str, count: int) -> None:
    """Turn the records of a split into its two JSON files."""
    records = [json.loads(record_path(folder, split, i).read_bytes()) for i in range(count)]
    images = [record['image'] for record in records]
    panoptic = dict(
        info=INFO,
        images=images,
        annotations=[record['panoptic'] for record in records],
        categories=CATEGORIES,
    )
    instances = [annotation for record in records for annotation in record['instances']]
    things = dict(
        info=INFO,
        images=images,
        annotations=[dict(id=i, **annotation) for i, annotation in enumerate(instances, start=1)],
        categories=[category for category in CATEGORIES if category['isthing']],
    )
    for name, content in ((f'panoptic_{split}', panoptic), (f'instances_{split}', things)):
        write_atomic(folder / 'annotations' / f'{name}.json', json.dumps(content).encode())


def remove_records(folder: Path) -> None:
    shutil.rmtree(folder / 'records')
