"""Files of an evaluation that several processes write together."""

import csv
import io
import json
import tempfile
from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np

from ..formats.panoptic_png import write_atomic, write_panoptic_png
from ..formats.safe_names import name_below
from ..structures.label_map import segment_areas, segment_index

PER_IMAGE_COLUMNS = ('img_id', 'img_path', 'PQ', 'SQ', 'RQ', 'TP', 'FP', 'FN')


class PartFile:
    """What one process has to say, a record a line, in a temporary file beside the target.

    The file vanishes when it is closed or the process ends, after an error too.

    Args:
        target: the file that the main process will make of all parts.

    Raises:
        OSError: the folder of the target can not be written.
    """

    def __init__(self, target: str) -> None:
        folder = Path(target).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.NamedTemporaryFile(
                'w', encoding='utf-8', dir=folder, prefix=f'.{Path(target).name}.', suffix='.part'
            )
        except OSError as error:
            raise type(error)(
                f'can not write {target} ({error}): give per_image_file or outfile_prefix of '
                'PanopticQualityMetric a folder that can be written'
            ) from error
        self.path = str(Path(self._file.name).resolve())

    def add(self, record: object) -> None:
        print(json.dumps(record), file=self._file)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def read_parts(paths: Sequence[str]) -> Iterator:
    """Records of all processes in the order of the data set, which they went through in turn."""
    parts = []
    for path in paths:
        if not Path(path).is_file():
            raise FileNotFoundError(
                f'{path}, written by another process, is not there: all processes need one shared '
                'folder for per_image_file and outfile_prefix'
            )
        parts.append(Path(path).read_text(encoding='utf-8').splitlines())
    return (json.loads(line) for line in chain(*zip_longest(*parts)) if line is not None)


def write_per_image_file(path: str, parts: Sequence[str]) -> None:
    """A CSV with the columns :data:`PER_IMAGE_COLUMNS`, lowest PQ first, without PQ last."""
    pq = PER_IMAGE_COLUMNS.index('PQ')
    rows = sorted(read_parts(parts), key=lambda row: (row[pq] is None, row[pq]))
    text = io.StringIO(newline='')
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(PER_IMAGE_COLUMNS)
    writer.writerows([f'{x:.3f}' if isinstance(x, float) else x for x in row] for row in rows)
    write_atomic(path, text.getvalue().encode())


def write_coco_json(path: str, parts: Sequence[str]) -> None:
    """The JSON beside the PNGs of a submission to the COCO server.

    Raises:
        ValueError: two images have PNGs of the same name.
    """
    annotations, images = list(read_parts(parts)), {}
    for annotation in annotations:
        name, image = annotation['file_name'], annotation['image_id']
        if images.setdefault(name, image) != image:
            raise ValueError(
                f'the images {images[name]!r} and {image!r} both have the prediction {name}, so '
                "one is lost: add 'seg_file_name' to meta_keys of PackPanopticInputs and use "
                'PanopticDataset, which names the PNGs as the data set does'
            )
    write_atomic(path, json.dumps(dict(annotations=annotations)).encode())


def write_prediction(
    folder: str, name: str, pred: np.ndarray, ids: Sequence[int], category_ids: Sequence[int]
) -> list[dict]:
    """Write a panoptic map with ids numbered from 1.

    Args:
        folder: of the PNGs.
        name: of the PNG, may contain sub-folders; see :func:`name_below`.
        pred: (H, W) integers.
        ids: (n,) values of the map that are segments; the rest is void.
        category_ids: (n,) of the JSON.

    Returns:
        ``segments_info`` of the JSON: ``id``, ``category_id``, ``area`` in pixels.
    """
    name = name_below(name)
    index = segment_index(pred, ids)
    write_panoptic_png(Path(folder) / name, index.astype(np.int32))
    areas = segment_areas(index, len(ids))[1:].tolist()
    return [
        dict(id=number, category_id=category_id, area=area)
        for number, (category_id, area) in enumerate(zip(category_ids, areas, strict=True), 1)
    ]
