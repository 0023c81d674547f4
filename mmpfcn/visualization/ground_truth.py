"""The ground truth of a data sample, in any of its forms, as a map of ids and its segments."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from mmdet.evaluation import INSTANCE_OFFSET
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData

from ..formats import read_panoptic_png
from .drawing import Segment

VOID = -1


class GroundTruth(NamedTuple):
    """(H, W) integers ``ids`` and the segments among them, crowds last; other ids are void."""

    ids: np.ndarray
    segments: list[Segment]


def thing_labels(metainfo: Mapping) -> set[int]:
    """Labels of the thing classes of a data set; none where it does not say."""
    things = set(metainfo.get('thing_classes', ()))
    return {label for label, name in enumerate(metainfo['classes']) if name in things}


def from_objects(data_sample: DetDataSample, things: set[int]) -> GroundTruth:
    """The map that a training pipeline made: objects on the semantic map, where there is one.

    What has a label of ``things`` in the semantic map, but is no object, is a crowd.
    """
    objects = data_sample.gt_instances
    masks = objects.masks
    ids = np.full((masks.height, masks.width), VOID, np.int32)
    if 'gt_sem_seg' in data_sample:
        labels = data_sample.gt_sem_seg.sem_seg[0].numpy()
        ignored = data_sample.gt_sem_seg.metainfo.get('ignore_index', 255)
        np.copyto(ids, labels, where=labels != ignored, casting='unsafe')
    for number, label in enumerate(objects.labels.tolist(), 1):
        # one after the other: hundreds of masks of a large image do not fit into memory
        ids[masks[number - 1].to_ndarray()[0] > 0] = label + number * INSTANCE_OFFSET
    segments = []
    for value in np.unique(ids[ids != VOID]).tolist():
        label = value % INSTANCE_OFFSET
        segments.append(Segment(value, label, crowd=value == label and label in things))
    return GroundTruth(ids, _crowds_last(segments))


def from_map(panoptic_seg: PixelData) -> GroundTruth:
    """``gt_panoptic_seg`` of :class:`PackPanopticInputs`, at the size of the file."""
    segments = [
        Segment(info['id'], info['label'], crowd=bool(info['iscrowd']))
        for info in panoptic_seg.metainfo['segments_info']
        if info['area']
    ]
    return GroundTruth(panoptic_seg.sem_seg[0].cpu().numpy(), _crowds_last(segments))


def from_png(
    path: str, segments_info: Sequence[Mapping], things: set[int], backend_args: dict | None = None
) -> GroundTruth:
    """A COCO panoptic PNG with the ``segments_info`` of a data set's record.

    Those are ``id`` (value in the PNG), ``category`` (label) and ``is_thing``, which is False for
    crowds as well. Raises as :func:`read_panoptic_png`.
    """
    segments = []
    for info in segments_info:
        label = info['category']
        segments.append(Segment(info['id'], label, crowd=label in things and not info['is_thing']))
    return GroundTruth(read_panoptic_png(path, backend_args), _crowds_last(segments))


def _crowds_last(segments: list[Segment]) -> list[Segment]:
    """So that an object has the same shade in every form of the ground truth."""
    return sorted(segments, key=lambda segment: segment.crowd)
