"""Results in COCO's panoptic format: a PNG of ids for each image, and one JSON."""

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from .atomic_files import open_atomic
from .panoptic_png import write_panoptic_png

PNG_FOLDER = 'panoptic'


def write_png(result: Any, folder: Path) -> None:
    """Write the map of ids to ``panoptic/<stem>.png`` in the folder."""
    write_panoptic_png(folder / PNG_FOLDER / f'{result.stem}.png', result.panoptic_seg)


def category_ids(dataset_meta: Mapping) -> list[int]:
    """The data set's own category ids by label; the labels where it is not known."""
    return list(dataset_meta.get('category_ids') or range(len(dataset_meta['classes'])))


def coco_record(result: Any) -> dict:
    """One image for :func:`write_coco_json`: ``stem``, ``image``, ``annotation``, ``instances``.

    A segment has COCO's ``id``, ``category_id``, ``area``, ``bbox`` and ``iscrowd``, and ``score``
    and ``num_kernels``. ``instances`` is there if they were asked for.

    Args:
        result: a ``PanopticResult``, or an ``OnnxResult``, which has no ``instances``.
    """
    height, width = result.panoptic_seg.shape
    ids = category_ids(result.dataset_meta)
    keys = ('id', 'area', 'bbox', 'score', 'num_kernels')
    segments = [
        dict(category_id=ids[segment['label']], iscrowd=0, **{key: segment[key] for key in keys})
        for segment in result.segments_info
    ]
    record = dict(
        stem=result.stem,
        image=dict(file_name=result.name, height=height, width=width),
        annotation=dict(file_name=f'{result.stem}.png', segments_info=segments),
    )
    if getattr(result, 'instances', None) is not None:
        record['instances'] = result.instances
    return record


def categories(dataset_meta: Mapping) -> list[dict]:
    """COCO's list of categories, in the order of labels."""
    things = set(dataset_meta['thing_classes'])
    return [
        dict(id=id_, name=name, isthing=int(name in things))
        for id_, name in zip(category_ids(dataset_meta), dataset_meta['classes'], strict=True)
    ]


def write_coco_json(records: Collection[dict], dataset_meta: Mapping, folder: Path) -> None:
    """Write ``panoptic.json`` and, if there are any, ``instances.json`` (COCO's result format).

    Args:
        records: of :func:`coco_record`; they are gone through several times, none is kept. Images
            are numbered from 0 in their order.
        dataset_meta: with ``classes`` and ``thing_classes``.
        folder: of the files, which appear when they are complete.
    """
    images = ({'id': i, **record['image']} for i, record in enumerate(records))
    annotations = ({'image_id': i, **record['annotation']} for i, record in enumerate(records))
    with open_atomic(folder / 'panoptic.json') as file:
        file.write(b'{"images": ')
        _write_list(file, images)
        file.write(b', "annotations": ')
        _write_list(file, annotations)
        file.write(f', "categories": {json.dumps(categories(dataset_meta))}}}\n'.encode())
    if any('instances' in record for record in records):
        with open_atomic(folder / 'instances.json') as file:
            instances = (
                {'image_id': i, **instance}
                for i, record in enumerate(records)
                for instance in record.get('instances', ())
            )
            _write_list(file, instances)


def _write_list(file: IO[bytes], entries: Iterable[dict]) -> None:
    """A JSON list, an entry in each line."""
    separator = b'[\n'
    for entry in entries:
        file.write(separator + json.dumps(entry).encode())
        separator = b',\n'
    file.write(b'[]' if separator == b'[\n' else b'\n]')
