"""Results on disk, in COCO's panoptic format: a PNG for each image and one JSON."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import cv2

from ..datasets.panoptic_png import write_panoptic_png, write_whole
from .panoptic_result import PanopticResult, category_ids

PNG_FOLDER = 'panoptic'
PICTURE_FOLDER = 'vis'


def write_png(result: PanopticResult, folder: Path) -> None:
    """Write the map of ids to ``panoptic/<stem>.png`` in the folder."""
    write_panoptic_png(folder / PNG_FOLDER / f'{result.stem}.png', result.panoptic_seg)


def write_picture(result: PanopticResult, folder: Path) -> None:
    """Write the drawn result to ``vis/<stem>.jpg`` in the folder."""
    jpeg = cv2.imencode('.jpg', result.draw()[..., ::-1])[1]
    write_whole(folder / PICTURE_FOLDER / f'{result.stem}.jpg', jpeg.tobytes())


def coco_record(result: PanopticResult, image_id: int) -> dict:
    """One image for :func:`write_coco_json`: ``image``, ``annotation`` and, if any, ``instances``.

    A segment has COCO's ``id``, ``category_id``, ``area``, ``bbox`` and ``iscrowd``, and ``score``
    and ``num_kernels``.
    """
    height, width = result.panoptic_seg.shape
    ids = category_ids(result.dataset_meta)
    keys = ('id', 'area', 'bbox', 'score', 'num_kernels')
    segments = [
        dict(category_id=ids[segment['label']], iscrowd=0, **{key: segment[key] for key in keys})
        for segment in result.segments_info
    ]
    record = dict(
        image=dict(id=image_id, file_name=result.name, height=height, width=width),
        annotation=dict(image_id=image_id, file_name=f'{result.stem}.png', segments_info=segments),
    )
    if result.instances is not None:
        record['instances'] = [dict(image_id=image_id, **i) for i in result.instances]
    return record


def categories(dataset_meta: Mapping) -> list[dict]:
    """COCO's list of categories, in the order of labels."""
    things = set(dataset_meta['thing_classes'])
    return [
        dict(id=id_, name=name, isthing=int(name in things))
        for id_, name in zip(category_ids(dataset_meta), dataset_meta['classes'], strict=True)
    ]


def write_coco_json(records: Iterable[dict], dataset_meta: Mapping, folder: Path) -> None:
    """Write ``panoptic.json`` and, if there are any, ``instances.json`` (COCO's result format)."""
    records = list(records)
    content = dict(
        images=[record['image'] for record in records],
        annotations=[record['annotation'] for record in records],
        categories=categories(dataset_meta),
    )
    write_whole(folder / 'panoptic.json', json.dumps(content).encode())
    if any('instances' in record for record in records):
        instances = [entry for record in records for entry in record['instances']]
        write_whole(folder / 'instances.json', json.dumps(instances).encode())
