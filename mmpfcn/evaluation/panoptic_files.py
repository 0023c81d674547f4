"""Files of an evaluation: a CSV of the images, and predictions for the COCO server."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..formats.atomic_files import require_writable, write_atomic
from ..formats.label_map import segment_areas, segment_index
from ..formats.panoptic_png import write_panoptic_png
from ..formats.safe_names import distinct, name_below

PER_IMAGE_COLUMNS = ('img_id', 'img_path', 'PQ', 'SQ', 'RQ', 'TP', 'FP', 'FN')


def check_writable(target: str) -> None:
    """Make the folder of a file that is written later, so that OSError, if any, comes at once."""
    try:
        require_writable(target)
        Path(target).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise type(error)(
            f'can not write {target} ({error}): give per_image_file or outfile_prefix of '
            'PanopticQualityMetric a folder that can be written'
        ) from error


def write_per_image_file(path: str, rows: Sequence[Sequence]) -> None:
    """A CSV with the columns :data:`PER_IMAGE_COLUMNS`, lowest PQ first, without PQ last."""
    pq = PER_IMAGE_COLUMNS.index('PQ')
    rows = sorted(rows, key=lambda row: (row[pq] is None, row[pq]))
    text = io.StringIO(newline='')
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(PER_IMAGE_COLUMNS)
    writer.writerows([f'{x:.3f}' if isinstance(x, float) else x for x in row] for row in rows)
    write_atomic(path, text.getvalue().encode())


def write_coco_json(path: str, annotations: Sequence[dict], categories: Sequence[dict]) -> None:
    """The JSON beside the PNGs of a submission to the COCO server.

    The names of the categories, which the server does not need, tell the report whose ids they are.
    """
    content = dict(annotations=annotations, categories=categories)
    write_atomic(path, json.dumps(content).encode())


class Wanted(NamedTuple):
    """What the files of a prediction are called where no other image has the same."""

    image_id: int | str
    file_name: str
    by_data_set: bool  # or by us, from the name of the image


def name_predictions(wanted: Sequence[Wanted]) -> list[tuple[int | str, str]]:
    """Id and PNG of each image of a data set, in its order: data sets that are joined may share
    some, see :func:`distinct`.

    Raises ValueError where two images would have a PNG that the data set has not named.
    """
    images: dict[str, int | str] = {}
    for image, name, by_data_set in wanted:
        if images.setdefault(name, image) != image and not by_data_set:
            raise ValueError(
                f'the images {images[name]!r} and {image!r} both have the prediction {name}, so '
                "one is lost: add 'seg_file_name' to meta_keys of PackPanopticInputs and use "
                'PanopticDataset, which names the PNGs as the data set does'
            )
    ids, names = set(), set()
    return [
        (distinct(one.image_id, ids), name_below(distinct(one.file_name, names))) for one in wanted
    ]


def write_prediction(
    folder: str, name: str, pred: np.ndarray, ids: Sequence[int], category_ids: Sequence[int]
) -> list[dict]:
    """Write a panoptic map, (H, W) integers, with ids numbered from 1 as ``folder/name``.

    The n values ``ids`` of the map are segments; the rest is void. Returns ``segments_info`` of the
    JSON: ``id``, ``category_id``, ``area`` in pixels.
    """
    index = segment_index(pred, ids)
    write_panoptic_png(Path(folder) / name_below(name), index.astype(np.int32))
    areas = segment_areas(index, len(ids))[1:].tolist()
    return [
        dict(id=number, category_id=category_id, area=area)
        for number, (category_id, area) in enumerate(zip(category_ids, areas, strict=True), 1)
    ]
