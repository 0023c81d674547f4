"""Thresholds of inference and settings of training: every key of ``test_cfg`` and ``train_cfg``."""

from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from difflib import get_close_matches
from typing import Any, TypeVar

T = TypeVar('T')


@dataclass
class InferenceSettings:
    """``test_cfg`` of the head and the fusion head.

    Attributes:
        center_thr: the smoothed probability of an object centre must exceed it.
        region_thr: the mean probability of a stuff region on a level must exceed it.
        pool_sizes: per level the side of the window that smooths centres, in cells.
        similarity_thr: cosine similarity from which two thing kernels become one.
        mask_thr_binary: the probability of a pixel of an object must exceed it.
        score_thr: least score of an instance after rescoring by its mask.
        max_per_img: most instances of an image; half as many candidates, but at least one, are
            taken per level.
        panoptic_score_thr: least score of an instance in the panoptic map.
        mask_overlap: an instance is left out when more than this share of it is already taken.
        stuff_area_limit: least area of a stuff segment in output pixels.
        panoptic_on: return the panoptic map.
        instance_on: return instances, for AP.
        semantic_on: return the semantic map, for mIoU.
        fusion_iou_thr: two thing kernels become one only where the intersection of their masks is
            at least this share of the union, too. None, the published rule, doesn't look at masks.
    """

    center_thr: float
    region_thr: float
    pool_sizes: Sequence[int]
    similarity_thr: float
    mask_thr_binary: float
    score_thr: float
    max_per_img: int
    panoptic_score_thr: float
    mask_overlap: float
    stuff_area_limit: int
    panoptic_on: bool = True
    instance_on: bool = True
    semantic_on: bool = True
    fusion_iou_thr: float | None = None

    @property
    def peaks_per_level(self) -> int:
        """Candidates of objects that a level gives."""
        return max(self.max_per_img // 2, 1)


@dataclass
class TrainingSettings:
    """``train_cfg`` of the head.

    Attributes:
        assigner: config of :class:`PanopticFCNAssigner` without the class counts.
        num_positives: k, cells that speak for an object on a level.
        with_cp: keep nothing of kernel generator and feature encoder for the backward pass, which
            runs them again (activation checkpointing; the backbone has a ``with_cp`` of its own).
        sync_avg_factor: divide the losses by the mean counts of all processes, so that n processes
            with b images each train as one with n * b; else by those of the process, as published.
    """

    assigner: dict
    num_positives: int
    with_cp: bool = False
    sync_avg_factor: bool = True


def read_settings(settings: type[T], name: str, config: dict[str, Any] | None) -> T | None:
    """Build ``settings`` from a config dict; None of none.

    Raises:
        ValueError: names every unknown key (with the nearest known one) and every missing key.
    """
    if not config:
        return None
    known = [field.name for field in fields(settings)]
    problems = []
    for key in config:
        if key not in known:
            near = get_close_matches(key, known, 1)
            hint = f' (did you mean {near[0]!r}?)' if near else ''
            problems.append(f'unknown key {key!r}{hint}')
    for field in fields(settings):
        if field.default is MISSING and field.name not in config:
            problems.append(f'missing key {field.name!r}')
    if problems:
        raise ValueError(
            f'{name}: {", ".join(problems)}; known keys are {", ".join(known)} '
            '(configs/_base_/models/panoptic_fcn_r50.py shows them all)'
        )
    return settings(**config)
