"""Results in COCO's panoptic format: a PNG of ids for each image, and one JSON."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .whole_files import write_panoptic_png, write_whole

PNG_FOLDER = 'panoptic'


def write_png(result: Any, folder: Path) -> None:
    """Write the map of ids to ``panoptic/<stem>.png`` in the folder."""
    write_panoptic_png(folder / PNG_FOLDER / f'{result.stem}.png', result.panoptic_seg)


def category_ids(dataset_meta: Mapping) -> list[int]:
    """The data set's own category ids by label; the labels where it is not known."""
    return list(dataset_meta.get('category_ids') or range(len(dataset_meta['classes'])))


def coco_record(result: Any, image_id: int) -> dict:
    """One image for :func:`write_coco_json`: ``image``, ``annotation`` and, if any, ``instances``.

    A segment has COCO's ``id``, ``category_id``, ``area``, ``bbox`` and ``iscrowd``, and ``score``
    and ``num_kernels``.

    Args:
        result: a ``PanopticResult``, or an ``OnnxResult``, which has no ``instances``.
        image_id: in the JSON.
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
    if getattr(result, 'instances', None) is not None:
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
