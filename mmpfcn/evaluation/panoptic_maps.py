"""The panoptic maps of a data sample: ground truth and prediction."""

from collections.abc import Mapping, Sequence

import numpy as np
from mmdet.evaluation import INSTANCE_OFFSET
from torch import Tensor

from ..formats.panoptic_png import read_panoptic_png
from .panoptic_quality import Matching, Segment, count_pairs, match_segments


def read_ground_truth(
    sample: Mapping, is_thing: Sequence[bool], backend_args: dict | None
) -> tuple[np.ndarray, dict[int, Segment]]:
    """``gt_panoptic_seg`` of a data sample where it is there, otherwise the PNG.

    With ``is_thing`` (C,) of each label: (H, W) integers, and value in the map to segment, in the
    order of the JSON. Raises ValueError where neither is there.
    """

    def segment(label: int, info: Mapping, key: str) -> Segment:
        # mmdet's data sets say it of crowds only by denying that they are things
        return Segment(label, bool(info.get('iscrowd') or is_thing[label] and not info[key]))

    gt = sample.get('gt_panoptic_seg')
    if gt is not None and 'segments_info' in gt:
        return as_map(gt['sem_seg'], sample), {
            info['id']: segment(info['label'], info, 'isthing') for info in gt['segments_info']
        }
    path, infos = sample.get('seg_map_path'), sample.get('segments_info')
    if path is None or infos is None:
        raise ValueError(
            f'no panoptic ground truth for {sample.get("img_path")}: put '
            "dict(type='LoadPanopticGroundTruth', panoptic=True) into the test pipeline and pack "
            "with PackPanopticInputs, or add 'seg_map_path' and 'segments_info' to meta_keys of "
            'PackDetInputs; a data set without annotations can only be tested with format_only=True'
        )
    return read_panoptic_png(path, backend_args), {
        info['id']: segment(info['category'], info, 'is_thing') for info in infos
    }


def match_sample(
    sample: Mapping, is_thing: Sequence[bool], backend_args: dict | None
) -> tuple[Matching, dict[int, Segment]]:
    """Match prediction and ground truth of a data sample, see :func:`read_ground_truth`.

    Returns the matching; and value in the predicted map to segment. Raises as what it calls.
    """
    pred = predicted_map(sample)
    gt, gt_segments = read_ground_truth(sample, is_thing, backend_args)
    check_sizes(gt, pred, sample)
    pairs, pixels = count_pairs(gt, pred)
    segments = predicted_segments(np.unique(pairs[:, 1]), sample, len(is_thing))
    return match_segments(pairs, pixels, gt_segments, segments), segments


def predicted_map(sample: Mapping) -> np.ndarray:
    """(H, W) integers; raises ValueError where the model predicted none."""
    if 'pred_panoptic_seg' not in sample:
        raise ValueError(
            f'no pred_panoptic_seg for {sample.get("img_path")}: use a panoptic model, with '
            'panoptic_on=True in its test_cfg'
        )
    return as_map(sample['pred_panoptic_seg']['sem_seg'], sample)


def predicted_segments(values: np.ndarray, sample: Mapping, num_classes: int) -> dict[int, Segment]:
    """Segments among the different values (n,) of a predicted map.

    Raises ValueError where a value has a label that is neither a class nor void.
    """
    labels = values % INSTANCE_OFFSET
    void = sample['pred_panoptic_seg'].get('ignore_index', num_classes)
    is_void = (labels == num_classes) | (labels == void)
    wrong = values[(values < 0) | (labels >= num_classes) & ~is_void]
    if len(wrong):
        raise ValueError(
            f'pred_panoptic_seg of {sample.get("img_path")} has the value {wrong[0]}, label '
            f'{wrong[0] % INSTANCE_OFFSET}, but labels run from 0 to {num_classes - 1} and '
            f'{num_classes} is void: the number of classes in the model and in the data set must '
            'agree'
        )
    kept = zip(values[~is_void].tolist(), labels[~is_void].tolist(), strict=True)
    return {value: Segment(label) for value, label in kept}


def predicted_scores(
    sample: Mapping, segments: Mapping[int, Segment], num_classes: int
) -> dict[int, float]:
    """Scores in [0, 1] by the value of the map, where the model gives them.

    Raises ValueError where the model names its segments and the map has another one.
    """
    infos = sample['pred_panoptic_seg'].get('segments_info')
    if infos is None:
        return {}
    unknown = set(segments) - {int(info['id']) for info in infos}
    if unknown:  # the void of a model with fewer classes is the label of a class
        raise ValueError(
            f'the prediction for {sample.get("img_path")} has the value {min(unknown)}, which is '
            f'none of its segments_info: {num_classes} is void for the {num_classes} classes of '
            'the data set, so the model has another number of classes. Give the config of the '
            'test run'
        )
    return {int(info['id']): float(info['score']) for info in infos if 'score' in info}


def check_sizes(gt: np.ndarray, pred: np.ndarray, sample: Mapping) -> None:
    """Raise ValueError unless the maps have one size."""
    if gt.shape != pred.shape:
        raise ValueError(
            f'the prediction for {sample.get("img_path")} is {pred.shape} (H, W), its '
            f'ground truth {gt.shape}: predict at the size of the file (rescale=True, '
            "'ori_shape' in meta_keys) and check that the PNG has the image's size"
        )


def as_map(sem_seg: Tensor | np.ndarray, sample: Mapping) -> np.ndarray:
    """(1, H, W) integers to (H, W) on the CPU; not a copy if they are there."""
    array = sem_seg.cpu().numpy() if isinstance(sem_seg, Tensor) else sem_seg
    if not np.issubdtype(array.dtype, np.integer) or array.ndim != 3 or len(array) != 1:
        raise ValueError(
            f'a panoptic map of {sample.get("img_path")} is {array.shape} {array.dtype}, expected '
            '(1, H, W) integers'
        )
    return array[0]
