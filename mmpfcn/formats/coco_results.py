"""Results in COCO's panoptic format: a PNG of ids for each image, and one JSON."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

import numpy as np

from .atomic_files import open_atomic
from .panoptic_png import write_panoptic_png

PNG_FOLDER, PICTURE_FOLDER = 'panoptic', 'vis'  # in the folder of the results


@dataclass
class Segmentation:
    """What a model says about one image; sizes are those of the image.

    ``segments_info`` has for each segment, things (best first) before stuff: ``id`` in the map,
    ``label`` (things first, from 0), ``name`` of the class, ``isthing``, ``score`` in [0, 1],
    ``area`` in pixels, ``bbox`` [x, y, width, height] in pixels, and ``num_kernels``: of how many
    kernels it was merged (1: of none). What was asked for beside it, or None:

    Attributes:
        instances: in COCO's result format, best first; they may overlap. ``label``,
            ``category_id``, ``name``, ``score``, ``bbox`` [x, y, width, height] and RLE.
        semantic_seg: (H, W) int16 label of the best region class, the number of classes where that
            is "any thing" or nothing.
    """

    name: str  # where the image is from: path, address, ``image 3`` or ``clip.mp4#12``
    stem: str  # relative path, without suffix, for files made from it
    image: np.ndarray  # (H, W, 3) uint8 RGB
    panoptic_seg: np.ndarray  # (H, W) int32 segment ids, 0 where there is none
    segments_info: list[dict]
    dataset_meta: Mapping  # classes, thing_classes, and palette, category_ids where known
    instances: list[dict] | None = None
    semantic_seg: np.ndarray | None = None


Result = TypeVar('Result', bound=Segmentation)


def written(
    results: Iterable[Result],
    folder: Path,
    dataset_meta: Mapping,
    also: Callable[[Result], object] = lambda result: None,
) -> Iterator[Result]:
    """Write each result as it comes, ``panoptic/*.png``, and the JSON files when they end, for
    whatever reason; ``also`` is what else is to be done with each, such as drawing it.
    """
    records = []
    try:
        for result in results:
            write_png(result, folder)
            also(result)
            records.append(coco_record(result))
            yield result
    finally:
        if records:
            write_coco_json(records, dataset_meta, folder)


def write_png(result: Segmentation, folder: Path) -> None:
    """Write the map of ids to ``panoptic/<stem>.png`` in the folder."""
    write_panoptic_png(folder / PNG_FOLDER / f'{result.stem}.png', result.panoptic_seg)


def category_ids(dataset_meta: Mapping) -> list[int]:
    """The data set's own category ids by label; the labels where it is not known."""
    return list(dataset_meta.get('category_ids') or range(len(dataset_meta['classes'])))


def coco_instances(
    masks: Iterable[np.ndarray], labels: np.ndarray, scores: np.ndarray, dataset_meta: Mapping
) -> list[dict]:
    """``instances`` of a :class:`Segmentation`, of masks (H, W) bool as they come."""
    try:
        from pycocotools import mask as coco_mask
    except ImportError as error:
        raise ImportError(f'{error}: instances need "pip install pycocotools"') from error
    ids, classes, instances = category_ids(dataset_meta), dataset_meta['classes'], []
    for mask, label, score in zip(masks, labels.tolist(), scores.tolist(), strict=True):
        rle = coco_mask.encode(np.asfortranarray(mask, np.uint8))
        instances.append(
            dict(
                label=label,
                category_id=ids[label],
                name=classes[label],
                score=round(score, 6),
                bbox=coco_mask.toBbox(rle).astype(int).tolist(),
                segmentation=dict(size=list(rle['size']), counts=rle['counts'].decode()),
            )
        )
    return instances


def coco_record(result: Segmentation) -> dict:
    """One image for :func:`write_coco_json`: ``stem``, ``image``, ``annotation``, ``instances``.

    A segment has COCO's fields, ``score`` and ``num_kernels``. ``instances`` is there if they were
    asked for.
    """
    height, width = result.panoptic_seg.shape
    ids = category_ids(result.dataset_meta)
    keys = ('id', 'area', 'bbox', 'score', 'num_kernels')
    segments = [
        dict(category_id=ids[s['label']], iscrowd=0, **{key: s[key] for key in keys})
        for s in result.segments_info
    ]
    record = dict(
        stem=result.stem,
        image=dict(file_name=result.name, height=height, width=width),
        annotation=dict(file_name=f'{result.stem}.png', segments_info=segments),
    )
    if result.instances is not None:
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

    The records, of :func:`coco_record`, are gone through several times, none is kept; images are
    numbered from 0 in their order. The files appear when they are complete.
    """
    with open_atomic(folder / 'panoptic.json') as file:
        file.write(b'{"images": ')
        _write_list(file, (dict(id=i, **record['image']) for i, record in enumerate(records)))
        file.write(b', "annotations": ')
        annotations = (record['annotation'] for record in records)
        _write_list(file, (dict(image_id=i, **item) for i, item in enumerate(annotations)))
        file.write(f', "categories": {json.dumps(categories(dataset_meta))}}}\n'.encode())
    lists = enumerate(record.get('instances', ()) for record in records)
    instances = (dict(image_id=i, **instance) for i, items in lists for instance in items)
    if any('instances' in record for record in records):
        with open_atomic(folder / 'instances.json') as file:
            _write_list(file, instances)


def _write_list(file: IO[bytes], entries: Iterable[dict]) -> None:
    """A JSON list, an entry in each line."""
    separator = b'[\n'
    for entry in entries:
        file.write(separator + json.dumps(entry).encode())
        separator = b',\n'
    file.write(b'[]' if separator == b'[\n' else b'\n]')
