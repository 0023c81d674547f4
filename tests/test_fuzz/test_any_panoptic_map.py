"""PQ of random ground truths and predictions, counted by us and by panopticapi from the files."""

import contextlib
import json
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers.fuzzing import EXAMPLES, cases
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mmdet.evaluation import INSTANCE_OFFSET
from mmengine.evaluator import Evaluator
from mmengine.structures import PixelData
from panopticapi.evaluation import pq_compute_single_core

from mmpfcn.datasets import PanopticDataset
from mmpfcn.formats.panoptic_png import write_panoptic_png

Scene = tuple[np.ndarray, list[tuple[int, int, bool]], np.ndarray]
"""Ids (H, W) of the ground truth, (id, label, crowd) of its segments, predicted map (H, W)."""
GROUPS = {'': None, '_th': True, '_st': False}


@st.composite
def categories(draw) -> list[dict]:
    """In any order, with any ids; the data set puts things first."""
    ids = draw(st.lists(st.integers(0, 400), min_size=1, max_size=7, unique=True))
    return [dict(id=id_, name=f'class {id_}', isthing=draw(st.integers(0, 1))) for id_ in ids]


@st.composite
def scenes(draw, num_classes: int) -> Scene:
    """The prediction resembles the ground truth more or less."""
    shape = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    count = draw(st.integers(0, 6))
    ids = draw(st.lists(st.integers(1, 2**24 - 1), min_size=count, max_size=count, unique=True))
    labels = draw(st.lists(st.integers(0, num_classes - 1), min_size=count, max_size=count))
    crowds = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    index = draw(arrays(np.int64, shape, elements=st.integers(0, count), fill=st.just(count)))
    guesses = [
        label if draw(st.booleans()) else draw(st.integers(0, num_classes))
        for label in (num_classes, *labels)
    ]
    values = [
        label if label == num_classes else label + number * INSTANCE_OFFSET
        for number, label in enumerate(guesses)
    ]
    moved = draw(arrays(bool, shape, fill=st.just(False)))
    other = draw(arrays(np.int64, shape, elements=st.integers(0, count)))
    pred = np.array(values)[np.where(moved, other, index)]
    return np.array([0, *ids])[index], list(zip(ids, labels, crowds, strict=True)), pred


data_sets = categories().flatmap(
    lambda found: st.tuples(st.just(found), st.lists(scenes(len(found)), min_size=1, max_size=3))
)


def by_label(categories: list[dict]) -> list[dict]:
    return sorted(categories, key=lambda category: not category['isthing'])


def write_ground_truth(folder: Path, categories: list[dict], images: list[Scene]) -> list[dict]:
    """A data set as users have it; the annotations of its JSON."""
    content = dict(categories=categories, images=[], annotations=[])
    for number, (gt, segments, _) in enumerate(images):
        height, width = gt.shape
        cv2.imwrite(f'{folder}/{number}.jpg', np.zeros((height, width, 3), np.uint8))
        write_panoptic_png(folder / 'gt' / f'{number}.png', gt)
        content['images'].append(dict(id=number, file_name=f'{number}.jpg', height=height, width=width))
        ids = [category['id'] for category in by_label(categories)]
        infos = [
            dict(id=i, category_id=ids[label], iscrowd=int(crowd), area=int((gt == i).sum()))
            for i, label, crowd in segments
        ]
        content['annotations'].append(dict(image_id=number, file_name=f'{number}.png', segments_info=infos))
    (folder / 'gt.json').write_text(json.dumps(content))
    return content['annotations']


def write_prediction(folder: Path, categories: list[dict], number: int, pred: np.ndarray) -> dict:
    """What the server of COCO wants; segments are numbered, void is 0."""
    values = np.unique(pred[pred % INSTANCE_OFFSET < len(categories)])
    png = np.zeros(pred.shape, int)
    for id_, value in enumerate(values, 1):
        png[pred == value] = id_
    write_panoptic_png(folder / 'pred' / f'{number}.png', png)
    labels = (values % INSTANCE_OFFSET).tolist()
    ids = [category['id'] for category in by_label(categories)]
    infos = [dict(id=i, category_id=ids[label]) for i, label in enumerate(labels, 1)]
    return dict(image_id=number, file_name=f'{number}.png', segments_info=infos)


def panopticapi_quality(
    folder: Path, categories: list[dict], pairs: list[tuple[dict, dict]]
) -> tuple[np.ndarray, dict[str, float]]:
    """(C, 4) IoU, TP, FP, FN by label, and percentages."""
    known = {category['id']: category for category in categories}
    with contextlib.redirect_stdout(None):
        stat = pq_compute_single_core(0, pairs, f'{folder}/gt', f'{folder}/pred', known)
    rows = [stat[category['id']] for category in by_label(categories)]
    counts = np.array([(row.iou, row.tp, row.fp, row.fn) for row in rows], float)
    figures = {}
    for suffix, isthing in GROUPS.items():
        try:
            means, _ = stat.pq_average(known, isthing)
        except ZeroDivisionError:  # no class of this group is there
            means = {}
        for name in ('pq', 'sq', 'rq'):
            figures[f'coco_panoptic/{name.upper()}{suffix}'] = 100 * means.get(name, np.nan)
    return counts, figures


def our_quality(folder: Path, preds: list[np.ndarray], loaded: bool) -> tuple[np.ndarray, dict[str, float]]:
    """The same by data set, pipeline and evaluator; the ground truth is ``loaded`` by the pipeline, else
    by the metric."""
    load = [dict(type='LoadPanopticGroundTruth', instances=False, panoptic=True)] * loaded
    pipeline = [dict(type='LoadImageFromFile'), *load, dict(type='PackPanopticInputs')]
    where = dict(ann_file=f'{folder}/gt.json', data_prefix=dict(img=str(folder), seg=f'{folder}/gt'))
    # serialized, all garbage would be collected first
    dataset = PanopticDataset(**where, test_mode=True, serialize_data=False, pipeline=pipeline)
    evaluator = Evaluator(dict(type='PanopticQualityMetric'))
    evaluator.dataset_meta = dataset.metainfo
    samples = [dataset[i]['data_samples'] for i in range(len(dataset))]
    for sample, pred in zip(samples, preds, strict=True):
        sample.pred_panoptic_seg = PixelData(sem_seg=torch.from_numpy(pred)[None])
    evaluator.process(samples)
    [metric] = evaluator.metrics
    counts = np.zeros((len(dataset.metainfo['classes']), 4))
    for labels, statistics, _ in metric._images:
        np.add.at(counts, labels, statistics)
    return counts, evaluator.evaluate(len(samples))


TWO_CROWDS = (
    np.array([[5, 5, 5, 9, 9, 9]]),
    [(9, 0, True), (5, 0, True)],
    np.array([[1000, 1000, 1000, 2000, 2000, 2000]]),
)
"""Only the last crowd of a class excuses a prediction."""


@pytest.mark.filterwarnings('ignore:.*no pixel has the ids')
@settings(cases, max_examples=EXAMPLES or 150)
@given(data_sets)
@example(([dict(id=3, name='cat', isthing=1)], [TWO_CROWDS]))
def test_panoptic_quality(data_set):
    categories, images = data_set
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        truths = write_ground_truth(folder, categories, images)
        preds = [pred for _, _, pred in images]
        found = [write_prediction(folder, categories, i, pred) for i, pred in enumerate(preds)]
        pairs = [*zip(truths, found, strict=True)]
        counts, figures = panopticapi_quality(folder, categories, pairs)
        for loaded in (False, True):
            our_counts, our_figures = our_quality(folder, preds, loaded)
            assert our_counts == pytest.approx(counts, abs=1e-12)
            assert our_figures == pytest.approx(figures, abs=1e-9, nan_ok=True)
