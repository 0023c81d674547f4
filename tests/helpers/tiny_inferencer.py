"""The tiny model as a user has it: a config, a checkpoint with class names, an inferencer."""

from pathlib import Path

import cv2
import numpy as np
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from helpers import tiny
from mmpfcn import PanopticInferencer

CLASSES = ['disc', 'square', 'star', 'cross', 'ring', 'bar', 'sand', 'sea', 'sky', 'grass']
ANY_PREDICTION = dict(center_thr=0.0, region_thr=0.0, score_thr=0.0, panoptic_score_thr=0.0)
"""Thresholds after which even an untrained model predicts something."""


def picture(height: int = 64, width: int = 96, seed: int = 0) -> np.ndarray:
    """Coarse noise, BGR."""
    shape = (-(-height // 8), -(-width // 8), 3)
    noise = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def config(**test_cfg) -> Config:
    """The tiny model with a test pipeline that resizes to 96 x 64 at most."""
    model = tiny.config()
    model.test_cfg.update(stuff_area_limit=64, **test_cfg)
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(96, 64), keep_ratio=True),
        dict(type='LoadPanopticGroundTruth', instances=False, panoptic=True),
        dict(type='PackPanopticInputs'),
    ]
    dataset = dict(type='PanopticDataset', ann_file='not/here.json', pipeline=pipeline)
    return Config(dict(model=model, test_dataloader=dict(dataset=dataset)))


def write_checkpoint(folder: Path, model_config: Config | None = None, **dataset_meta) -> str:
    """Random weights, always the same."""
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build((model_config or config()).model)
    model.init_weights()
    with torch.no_grad():  # maps that differ from place to place
        for name, parameter in model.named_parameters():
            new = ('.change.weight', '.class_embed.weight', '.class_path.out.weight')
            if name.endswith(new):  # 0 at the start
                parameter.normal_(std=0.1)
            elif name.endswith(('_out.weight', '_embed.weight')) and '.kernel_update.' not in name:
                parameter.mul_(30)
    meta = dict(dataset_meta=dict(classes=CLASSES, **dataset_meta))
    path = folder / 'tiny.pth'
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return str(path)


def inferencer(folder: Path, **test_cfg) -> PanopticInferencer:
    settings = {**ANY_PREDICTION, **test_cfg}
    return PanopticInferencer(config(**settings), write_checkpoint(folder), 'cpu', show_progress=False)
