"""Predictions of a test run, from the files that hold them, an image at a time."""

import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.dataset import BaseDataset

from mmpfcn.datasets.inner_datasets import inner_datasets, metainfo_of
from mmpfcn.evaluation.panoptic_quality import Segment
from mmpfcn.formats.file_content import read_content
from mmpfcn.formats.label_map import find_runs
from mmpfcn.formats.panoptic_json import require_fields
from mmpfcn.formats.panoptic_png import read_panoptic_png
from mmpfcn.formats.safe_names import distinct


class PredictedMap(NamedTuple):
    """A prediction."""

    ids: np.ndarray  # (H, W) integers
    segments: dict[int, Segment]  # those of the map by id, the rest is void
    scores: dict[int, float]  # by id; some or all may lack one


class Prediction(NamedTuple):
    """One of a COCO panoptic JSON: its PNG, and labels and scores by id."""

    png: str
    labels: dict[int, int]
    scores: dict[int, float]

    def load(self) -> PredictedMap:
        """Read the PNG; OSError or ValueError where it is broken, or has ids the JSON lacks."""
        ids = read_panoptic_png(self.png)
        here = set(np.unique(find_runs(ids).values).tolist()) - {0}
        unknown = here - set(self.labels)
        if unknown:
            raise ValueError(
                f'{self.png} has the id {min(unknown)}, which its segments_info in the JSON lacks: '
                'write both again'
            )
        segments = {id_: Segment(self.labels[id_]) for id_ in sorted(here)}
        return PredictedMap(ids, segments, self.scores)


def read_predictions(path: Path, png_dir: Path | None, dataset: BaseDataset) -> list[Prediction]:
    """The prediction of each image of a data set, in its order.

    Args:
        path: a COCO panoptic JSON: that of ``test.py --out``, of ``outfile_prefix`` of the metric,
            or one with ``images`` and ``categories``, as for a
            ground truth, which are then matched by name.
        png_dir: folder of the JSON's PNGs; None for its path without ``.json``.
        dataset: of the ground truth.

    Raises:
        OSError: a file can not be read.
        ValueError: it is broken, or the predictions are not those for this data set.
    """
    content = _read_json(path)
    by_name, records = 'images' in content, map(dataset.get_data_info, range(len(dataset)))
    taken = set()
    keys = [Path(r['img_path']).name if by_name else distinct(r['img_id'], taken) for r in records]
    found = _parse_json(content, path, png_dir or path.with_suffix(''), dataset)
    for where, names in (('the data set', keys), (path, [key for key, _ in found])):
        twice = [key for key, count in Counter(names).items() if count > 1]
        if twice:
            raise ValueError(f'{where} has several images {twice[0]!r}: they can not be told apart')
    by_key = dict(found)
    missing = [key for key in keys if key not in by_key]
    foreign = set(by_key) - set(keys)
    if missing or foreign:
        problem = (
            f'no prediction for {len(missing)} of the {len(keys)} images of the data set, such as '
            f'{missing[0]!r}'
            if missing
            else f'{len(foreign)} predictions for images that the data set lacks, such as '
            f'{min(foreign, key=str)!r}'
        )
        raise ValueError(
            f'{path} has {problem}: give the config and the --cfg-options of the test run that '
            'wrote it'
        )
    return [by_key[key] for key in keys]


def _read_json(path: Path) -> dict:
    try:
        content = json.loads(read_content(path))  # also behind a byte order mark
    except ValueError as error:
        raise ValueError(f'{path} is no complete JSON ({error}): write it again') from error
    if not isinstance(content, dict) or not isinstance(content.get('annotations'), list):
        raise ValueError(
            f'{path} has no annotations: expected a COCO panoptic JSON, such as '
            'tools/test.py --out writes'
        )
    fields = ('image_id', 'file_name', 'segments_info')
    require_fields(str(path), 'annotations', content['annotations'], fields)
    return content


def _parse_json(
    content: dict, path: Path, folder: Path, dataset: BaseDataset
) -> list[tuple[Any, Prediction]]:
    if not folder.is_dir():
        raise FileNotFoundError(f'the PNGs of {path} are not in {folder}: give --png')
    names = {image['id']: Path(image['file_name']).name for image in content.get('images', ())}
    labels = _labels(content, path, dataset)
    found = []
    for annotation in content['annotations']:
        infos = annotation['segments_info']
        require_fields(str(path), f'segments of {annotation["file_name"]}', infos,
                       ('id', 'category_id'))  # fmt: skip
        unknown = [i['category_id'] for i in infos if labels.get(i['category_id']) is None]
        if unknown:
            raise ValueError(
                f'{path}: a segment of {annotation["file_name"]} has the category_id {unknown[0]}, '
                'which is no class of the data set: give the config of the test run'
            )
        prediction = Prediction(
            str(folder / annotation['file_name']),
            {info['id']: labels[info['category_id']] for info in infos},
            {info['id']: info['score'] for info in infos if 'score' in info},
        )
        key = annotation['image_id']
        found.append((names.get(key, key), prediction))
    return found


def _labels(content: dict, path: Path, dataset: BaseDataset) -> dict[int, int | None]:
    """Label by category id: by the names of the JSON's categories, or the data set's ids."""
    if 'categories' not in content:
        return next(inner_datasets(dataset)).cat2label
    classes = list(metainfo_of(dataset)['classes'])
    names = {category['id']: category['name'] for category in content['categories']}
    if set(names.values()) != set(classes):
        other = sorted(set(names.values()) ^ set(classes))
        raise ValueError(
            f'{path} has {len(names)} classes, the data set {len(classes)}, and they differ in '
            f'{other[:5]}: the predictions are those of another data set'
        )
    return {id_: classes.index(name) for id_, name in names.items()}
