"""A tiny Panoptic FCN and drawn images, for tests of behaviour."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict

from helpers.oracle import ROOT, add_ground_truth

CONFIGS = ROOT / 'configs' / 'panoptic_fcn'
NUM_THINGS, NUM_STUFF = 6, 4
STUFF = NUM_THINGS
"""Label of the first stuff class."""


def config() -> ConfigDict:
    """The model of r18_shapes with 16 channels and group norms of 4."""
    model = Config.fromfile(CONFIGS / 'r18_shapes.py').model
    model.backbone.base_channels = 16
    model.neck.update(in_channels=[16, 32, 64, 128], out_channels=16)
    norm_cfg = dict(type='GN', num_groups=4)
    for part in (model.panoptic_head.kernel_generator, model.panoptic_head.feature_encoder):
        part.update(in_channels=16, feat_channels=16, norm_cfg=norm_cfg)
    model.panoptic_head.feature_encoder.out_channels = 8
    return model


def build(**changes) -> torch.nn.Module:
    """Build :func:`config` with changes merged in, e.g. ``test_cfg=dict(center_thr=2.0)``."""
    model = config()
    _merge(model, changes)
    model = MODELS.build(model)
    model.init_weights()
    return model


def _merge(target: dict, changes: dict) -> None:
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = value


def sample(
    shape: tuple[int, int] = (64, 96),
    boxes: list[tuple] = ((8, 8, 40, 40), (50, 20, 90, 60)),
    labels: list[int] | None = None,
    stuff: bool = True,
    seed: int = 0,
) -> dict:
    """One drawn image of ``shape`` (H, W): ``boxes`` x1, y1, x2, y2 as things, labelled 0, 1, 2, ... by
    default, on two stuff classes (top half and bottom half) or on void."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (3, *shape), generator=generator, dtype=torch.uint8)
    labels = [i % NUM_THINGS for i in range(len(boxes))] if labels is None else labels
    sem_seg = torch.full((1, *shape), 255)
    if stuff:
        sem_seg[:, : shape[0] // 2] = STUFF
        sem_seg[:, shape[0] // 2 :] = STUFF + 1
    masks = np.zeros((len(boxes), *shape), np.uint8)
    for mask, (x1, y1, x2, y2), label in zip(masks, boxes, labels, strict=True):
        mask[y1:y2, x1:x2] = 1
        sem_seg[:, y1:y2, x1:x2] = label
    data_sample = DetDataSample(metainfo=dict(img_shape=shape, ori_shape=shape))
    add_ground_truth(data_sample, masks, labels, sem_seg)
    return dict(inputs=pixels, data_samples=data_sample)


def batch(*samples: dict) -> dict:
    return {key: [item[key] for item in samples] for key in ('inputs', 'data_samples')}


def losses(model: torch.nn.Module, *samples: dict) -> dict[str, torch.Tensor]:
    """One training forward."""
    data = model.train().data_preprocessor(batch(*samples), training=True)
    return model(**data, mode='loss')


@torch.no_grad()
def predict(model: torch.nn.Module, *samples: dict) -> list[DetDataSample]:
    return model.eval().test_step(batch(*samples))


@contextmanager
def saved_for_backward() -> Iterator[dict[int, int]]:
    """Bytes of the storages that autograd keeps of what is computed meanwhile, by their address."""
    sizes = {}

    def pack(x: torch.Tensor) -> torch.Tensor:
        sizes[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        yield sizes
