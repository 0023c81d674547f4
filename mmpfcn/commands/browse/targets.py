"""What a model is taught about one image, made by its own preprocessor and assigner."""

from typing import NamedTuple

import numpy as np
import torch
from mmdet.registry import MODELS, TASK_UTILS
from mmengine.config import Config
from mmengine.model import BaseDataPreprocessor
from mmengine.structures import InstanceData
from torch import Tensor

from mmpfcn import ImageTargets, PanopticFCNAssigner
from mmpfcn.visualization.drawing import resize
from mmpfcn.visualization.targets import TargetObject

FIRST_STRIDE = 8  # of P3
MASK_STRIDE = 4  # of P2
PADDING = 48  # grey


class TrainingSample(NamedTuple):
    """One image as the head is trained on it.

    Args:
        image: (H, W, 3) uint8 RGB, the padded input.
        size: (h, w) of it without padding.
        targets: Of every level.
        objects: Those of the ground truth.
    """

    image: np.ndarray
    size: tuple[int, int]
    targets: ImageTargets
    objects: list[TargetObject]


class TargetPipeline(NamedTuple):
    """The parts of a model that make targets, without its network."""

    preprocessor: BaseDataPreprocessor
    assigner: PanopticFCNAssigner

    def make(self, image: np.ndarray, data: dict) -> TrainingSample:
        """Targets of one image, as the head's ``get_targets`` makes them for a batch of one.

        Args:
            image: (h, w, 3) uint8 RGB of ``data['inputs']``.
            data: Of a training pipeline.

        Raises:
            ValueError: The labels do not fit the class counts of the model, or there is no semantic
                map.
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
        gt = sample.gt_instances
        objects = InstanceData(
            masks=gt.masks.to_tensor(torch.uint8, 'cpu')[:, :h, :w],
            labels=gt.labels,
            bboxes=gt.bboxes,
        )
        sem_seg = sample.gt_sem_seg.sem_seg[0, :h, :w]
        targets = self._assign(objects, sem_seg, padded)
        canvas = np.full((*padded, 3), PADDING, np.uint8)
        canvas[:h, :w] = resize(image, (h, w))  # a preprocessor may change the size
        seen = self._seen(objects, padded, len(targets.masks))
        return TrainingSample(
            canvas, (h, w), targets, target_objects(targets, gt.labels, gt.bboxes, seen)
        )

    def _assign(
        self, objects: InstanceData, sem_seg: Tensor, padded: tuple[int, int]
    ) -> ImageTargets:
        """With the sizes that strided convolutions give: halves, rounded up."""
        strides = [FIRST_STRIDE * 2**i for i in range(len(self.assigner.scale_ranges))]
        sizes = [tuple(-(-side // stride) for side in padded) for stride in strides]
        mask_size = tuple(-(-side // MASK_STRIDE) for side in padded)
        return self.assigner.assign(objects, sem_seg, sizes, mask_size)

    def _seen(self, objects: InstanceData, padded: tuple[int, int], count: int) -> Tensor:
        """(G,) bool: which objects are left at stride 4; ``count`` are."""
        if count == len(objects):
            return torch.ones(count, dtype=torch.bool)
        void = torch.full(objects.masks.shape[1:], 255)
        alone = [self._assign(objects[i : i + 1], void, padded) for i in range(len(objects))]
        return torch.tensor([len(targets.masks) > 0 for targets in alone])


def target_objects(
    targets: ImageTargets, labels: Tensor, boxes: Tensor, seen: Tensor
) -> list[TargetObject]:
    """Gather per object what the targets say per level.

    Args:
        targets: Of one image.
        labels: (G,) of its objects.
        boxes: (G, 4) in pixels.
        seen: (G,) bool: whether the object is in ``targets.masks``.
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
    """From the config of a model with :class:`PanopticFCNHead`.

    Raises:
        ValueError: It is another model.
    """
    model = cfg.get('model', {})
    head = model.get('panoptic_head', {})
    assigner = (model.get('train_cfg') or {}).get('assigner') or {}
    if assigner.get('type') not in ('PanopticFCNAssigner', PanopticFCNAssigner):
        raise ValueError(
            'the model has no PanopticFCNAssigner in train_cfg.assigner: targets can be shown for '
            'Panoptic FCN only'
        )
    keys = ('num_things_classes', 'num_stuff_classes', 'separate_thing_regions')
    counts = {key: head[key] for key in keys if key in head}
    return TargetPipeline(
        MODELS.build(model['data_preprocessor']), TASK_UTILS.build(assigner, default_args=counts)
    )
