"""Predictions of a test run, from the files that hold them, an image at a time."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.dataset import BaseDataset

from mmpfcn.evaluation.panoptic_maps import predicted_map, predicted_segments
from mmpfcn.evaluation.panoptic_quality import Segment
from mmpfcn.formats.panoptic_json import require_fields
from mmpfcn.formats.panoptic_png import read_panoptic_png
from mmpfcn.structures.label_map import find_runs

from .dumped import PackedTensor, load_dumped

PICKLES = ('.pkl', '.pickle')


class PredictedMap(NamedTuple):
    """A prediction.

    Attributes:
        ids: (H, W) integers.
        segments: those of the map by id, the rest is void.
        scores: by id; some or all may lack one.
    """

    ids: np.ndarray
    segments: dict[int, Segment]
    scores: dict[int, float]


class DumpedPrediction(NamedTuple):
    """One of ``tools/test.py --out``: its packed map, and what is said of the segments."""

    panoptic_seg: Mapping[str, Any]

    def load(self, img_path: str, num_classes: int) -> PredictedMap:
        """Unpack the map.

        Raises:
            ValueError: it is no panoptic map of these classes.
        """
        sem_seg = self.panoptic_seg['sem_seg']
        sem_seg = sem_seg.unpack() if isinstance(sem_seg, PackedTensor) else sem_seg
        panoptic_seg = {**self.panoptic_seg, 'sem_seg': sem_seg}
        sample = dict(img_path=img_path, pred_panoptic_seg=panoptic_seg)
        ids = predicted_map(sample)
        segments = predicted_segments(np.unique(find_runs(ids).values), sample, num_classes)
        infos = self.panoptic_seg.get('segments_info')
        if infos is None:
            return PredictedMap(ids, segments, {})
        unknown = set(segments) - {int(info['id']) for info in infos}
        if unknown:  # the void of a model with fewer classes is the label of a class
            raise ValueError(
                f'the prediction for {img_path} has the value {min(unknown)}, which is none of its '
                f'segments_info: {num_classes} is void for the {num_classes} classes of the data '
                'set, so the model has another number of classes. Give the config of the test run'
            )
        scores = {int(info['id']): float(info['score']) for info in infos if 'score' in info}
        return PredictedMap(ids, segments, scores)


class PngPrediction(NamedTuple):
    """One of a COCO panoptic JSON: its PNG, and labels and scores by id."""

    png: str
    labels: dict[int, int]
    scores: dict[int, float]

    def load(self, img_path: str, num_classes: int) -> PredictedMap:
        """Read the PNG.

        Raises:
            OSError, ValueError: it is not there, broken, or has ids that the JSON lacks.
        """
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


Prediction = DumpedPrediction | PngPrediction


def read_predictions(
    path: Path, png_dir: Path | None, dataset: BaseDataset
) -> list[DumpedPrediction] | list[PngPrediction]:
    """Find the prediction of each image of a data set.

    Args:
        path: the pickle of ``tools/test.py --out``, or a COCO panoptic JSON: that of
            ``outfile_prefix`` of the metric, or one with ``images`` and ``categories``, as for a
            ground truth, which are then matched by name.
        png_dir: folder of the JSON's PNGs; None for its path without ``.json``.
        dataset: of the ground truth.

    Returns:
        In the order of the data set.

    Raises:
        OSError: a file can not be read.
        ValueError: it is broken, or the predictions are not those for this data set.
    """
    if path.suffix in PICKLES:
        keys, found = range_of(dataset, 'img_id'), _read_pickle(path)
    else:
        content = _read_json(path)
        by_name = 'images' in content
        keys = [Path(name).name for name in range_of(dataset, 'img_path')] if by_name else None
        keys = keys or range_of(dataset, 'img_id')
        found = _parse_json(content, path, png_dir or path.with_suffix(''), dataset)
    return _in_order(keys, found, path)


def range_of(dataset: BaseDataset, field: str) -> list:
    """A field of all records."""
    return [dataset.get_data_info(index)[field] for index in range(len(dataset))]


def _in_order(keys: Sequence, found: Sequence[tuple], path: Path) -> list:
    """The found (key, prediction) in the order of the keys of a data set."""
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


def _read_pickle(path: Path) -> list[tuple[Any, DumpedPrediction]]:
    found = []
    for item in load_dumped(path):
        if not isinstance(item, dict) or 'img_id' not in item:
            raise ValueError(
                f'{path} does not hold the predictions of tools/test.py --out: an item has no '
                "'img_id' (PackPanopticInputs and PackDetInputs give it)"
            )
        if 'pred_panoptic_seg' not in item:
            raise ValueError(
                f'{path}: no pred_panoptic_seg for {item["img_id"]!r}: use a panoptic model, with '
                'panoptic_on=True in its test_cfg'
            )
        panoptic_seg = item['pred_panoptic_seg']
        keys = ('sem_seg', 'ignore_index', 'segments_info')
        kept = {key: panoptic_seg[key] for key in keys if key in panoptic_seg}
        found.append((item['img_id'], DumpedPrediction(kept)))
    return found


def _read_json(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{path} is no complete JSON ({error}): write it again') from error
    if not isinstance(content, dict) or not isinstance(content.get('annotations'), list):
        raise ValueError(
            f'{path} has no annotations: expected a COCO panoptic JSON, such as '
            'outfile_prefix of PanopticQualityMetric writes, or the .pkl of tools/test.py --out'
        )
    fields = ('image_id', 'file_name', 'segments_info')
    require_fields(str(path), 'annotations', content['annotations'], fields)
    return content


def _parse_json(
    content: dict, path: Path, folder: Path, dataset: BaseDataset
) -> list[tuple[Any, PngPrediction]]:
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
        prediction = PngPrediction(
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
        return dataset.cat2label
    classes = list(dataset.metainfo['classes'])
    names = {category['id']: category['name'] for category in content['categories']}
    if set(names.values()) != set(classes):
        other = sorted(set(names.values()) ^ set(classes))
        raise ValueError(
            f'{path} has {len(names)} classes, the data set {len(classes)}, and they differ in '
            f'{other[:5]}: the predictions are those of another data set'
        )
    return {id_: classes.index(name) for id_, name in names.items()}
