"""Pictures of one image of a report: itself, ground truth, prediction, and what is wrong."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from mmengine.dataset import BaseDataset

from mmpfcn.datasets.inner_datasets import metainfo_of
from mmpfcn.datasets.load_image import picture
from mmpfcn.evaluation.segment_errors import KINDS, NO_ERROR, missed_kinds, wrong_kinds
from mmpfcn.formats.label_map import segment_index
from mmpfcn.visualization.colors import LEVELS, class_palette
from mmpfcn.visualization.drawing import Segment, draw_panoptic, resize

from ..page import THUMBNAIL_WIDTH, thumbnail
from .measuring import Comparer, Comparison, Job, Score

KIND_COLORS = {
    kind: LEVELS[number]
    for kind, number in {
        'missed': 4, 'false': 0, 'wrong class': 5, 'poor mask': 1, 'merged': 6, 'split': 2
    }.items()
}  # fmt: skip
"""The order of LEVELS does not suit: what is worst is warm."""


class Found(NamedTuple):
    """A wrong segment: its kind of error, label and id; in the ground truth or the prediction."""

    kind: str
    label: int
    id: int
    in_gt: bool


def make_example(job: Job, score: Score, comparer: Comparer, dataset: BaseDataset) -> dict:
    """Draw an image of a data set: panels by their title, as addresses that hold all of a JPEG.

    OSError or ValueError where it or a map is missing or broken, or they differ in size.
    """
    path = job.record['img_path']
    compared = comparer.compare(job)
    image = picture(dataset, path)
    if image.shape[:2] != compared.gt.shape:
        raise ValueError(
            f'image {path} is {image.shape[:2]} (H, W), its ground truth {compared.gt.shape}: make '
            'one of them anew'
        )
    size = (max(1, round(len(image) * THUMBNAIL_WIDTH / image.shape[1])), THUMBNAIL_WIDTH)
    image = resize(image, size)
    errors = _errors(compared)
    metainfo = metainfo_of(dataset)
    pred, classes, palette = compared.pred, metainfo['classes'], class_palette(metainfo)
    truth = [Segment(i, s.label, crowd=s.is_crowd) for i, s in compared.gt_segments.items()]
    found = [Segment(i, s.label, pred.scores.get(i)) for i, s in pred.segments.items()]
    panels = {'image': image}
    for title, ids, segments in (
        ('ground truth', compared.gt, truth),
        ('prediction', pred.ids, found),
    ):
        ids = resize(ids, image.shape[:2])
        panels[title] = draw_panoptic(image, ids, segments, classes, palette, hatch_void=True)
    if errors:
        panels['errors'] = _draw_errors(image, compared, errors, classes)
    facts = f'PQ {100 * score.quality:.1f}, {score.num_matches} matched, {score.num_errors} wrong'
    panels = {title: thumbnail(panel) for title, panel in panels.items()}
    texts = _texts(errors, classes)
    return dict(name=Path(path).name, facts=facts, panels=panels, errors=texts)


def _errors(compared: Comparison) -> list[Found]:
    """Wrong predictions first, so that missed segments are drawn over them."""
    matching, found = compared.matching, []
    sides = (
        (wrong_kinds(matching), compared.pred.segments, False),
        (missed_kinds(matching), compared.gt_segments, True),
    )
    for kinds, segments, in_gt in sides:
        for kind, (id_, segment) in zip(kinds.tolist(), segments.items(), strict=True):
            if kind != NO_ERROR:
                found.append(Found(KINDS[kind], segment.label, id_, in_gt))
    return found


def _draw_errors(
    image: np.ndarray, compared: Comparison, errors: list[Found], classes: list[str]
) -> np.ndarray:
    wrong = [error.id for error in errors if not error.in_gt]
    missed = [error.id for error in errors if error.in_gt]
    index = segment_index(compared.pred.ids, wrong).astype(np.int32)
    over = segment_index(compared.gt, missed).astype(np.int32)
    index = resize(np.where(over > 0, over + len(wrong), index), image.shape[:2])
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return draw_panoptic(
        cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB),
        index,
        [Segment(number + 1, number) for number in range(len(errors))],
        [f'{error.kind}: {classes[error.label]}' for error in errors],
        [KIND_COLORS[error.kind] for error in errors],
    )


def _texts(errors: list[Found], classes: list[str]) -> dict[str, str]:
    """Such as "2 star, tree predicted 3 bush" for each kind."""
    texts = {}
    for kind in KINDS:
        sides = []
        for in_gt, word in ((True, ''), (False, 'predicted ')):
            labels = (e.label for e in errors if e.kind == kind and e.in_gt == in_gt)
            counts = Counter(classes[label] for label in labels)
            names = [name if n == 1 else f'{n} {name}' for name, n in counts.items()]
            if names:
                sides.append(word + ', '.join(names))
        if sides:
            texts[kind] = '; '.join(sides)
    return texts
