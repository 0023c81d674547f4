"""What the network is taught about one image, made by its own preprocessor and head."""

from typing import NamedTuple

import numpy as np
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from mmpfcn import ImageTargets, LevelMaps, PanopticFCNAssigner, PanopticFCNHead
from mmpfcn.ops.soft_masks import soft_masks_of_stack
from mmpfcn.visualization.drawing import resize
from mmpfcn.visualization.targets import TargetObject

FIRST_STRIDE = 8  # of P3
MASK_STRIDE = 4  # of P2
PADDING = 48  # grey


class TrainingSample(NamedTuple):
    """One image as the head is trained on it."""

    image: np.ndarray  # (H, W, 3) uint8 RGB, the padded input
    size: tuple[int, int]  # (h, w) of it without padding
    targets: ImageTargets  # of every level
    objects: list[TargetObject]  # those of the ground truth


class TargetPipeline(NamedTuple):
    """The parts of a model that make targets, without its backbone."""

    preprocessor: BaseDataPreprocessor
    head: PanopticFCNHead

    def make(self, image: np.ndarray, data: dict) -> TrainingSample:
        """Targets of one image, as a batch of one gives them.

        The image is (h, w, 3) uint8 RGB of ``data['inputs']``; ValueError where the labels do not
        fit the class counts of the model, or there is no semantic map.
        """
        if 'gt_sem_seg' not in data['data_samples']:
            raise ValueError(
                'the pipeline loads no semantic map, which the regions are taught by: use '
                'LoadPanopticGroundTruth(semantic=True), or leave --targets out'
            )
        batch = {key: [value] for key, value in data.items()}
        batch = self.preprocessor(batch, training=True)
        (sample,) = batch['data_samples']
        padded = batch['inputs'].shape[-2:]
        h, w = sample.img_shape[:2]
        # all that the head takes from the network: sizes, of strided convolutions, rounded up
        strides = [FIRST_STRIDE * 2**i for i in range(len(self.head.assigner.scale_ranges))]
        mask_feats, *maps = (
            torch.empty(1, 1, *(-(-side // stride) for side in padded))
            for stride in (MASK_STRIDE, *strides)
        )
        levels = [LevelMaps(x, x, x) for x in maps]
        (targets,) = self.head.get_targets(levels, mask_feats, [sample])
        canvas = np.full((*padded, 3), PADDING, np.uint8)
        canvas[:h, :w] = resize(image, (h, w))  # a preprocessor may change the size
        gt = sample.gt_instances
        masks = gt.masks.to_tensor(torch.uint8, 'cpu')[:, :h, :w]
        seen = soft_masks_of_stack(masks, mask_feats.shape[-2:]).flatten(1).any(1)
        objects = target_objects(targets, gt.labels, gt.bboxes, seen)
        return TrainingSample(canvas, (h, w), targets, objects)


def target_objects(
    targets: ImageTargets, labels: Tensor, boxes: Tensor, seen: Tensor
) -> list[TargetObject]:
    """Gather per object what the targets of an image say per level.

    Of its objects there are labels (G,), boxes (G, 4) in pixels, and ``seen``, (G,) bool: whether
    the object is in ``targets.masks``.
    """
    masks = iter(targets.masks.numpy())
    row_levels: list[list[int]] = [[] for _ in range(len(targets.masks))]
    for number, level in enumerate(targets.levels):
        for row in level.objects.tolist():
            row_levels[row].append(number)
    levels = iter(row_levels)
    return [
        TargetObject(label, tuple(box), *((next(masks), next(levels)) if here else (None, [])))
        for label, box, here in zip(labels.tolist(), boxes.tolist(), seen.tolist(), strict=True)
    ]


def build_target_pipeline(cfg: Config) -> TargetPipeline:
    """From the config of a model with :class:`PanopticFCNHead`; ValueError for another."""
    model = cfg.get('model', {})
    assigner = (model.get('train_cfg') or {}).get('assigner') or {}
    if assigner.get('type') not in ('PanopticFCNAssigner', PanopticFCNAssigner):
        raise ValueError(
            'the model has no PanopticFCNAssigner in train_cfg.assigner: targets can be shown for '
            'Panoptic FCN only'
        )
    head = {**model['panoptic_head'], 'train_cfg': model['train_cfg']}
    return TargetPipeline(MODELS.build(model['data_preprocessor']), MODELS.build(head))
