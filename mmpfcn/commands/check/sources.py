"""Which files belong to a data set: from a JSON alone, or from a config."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import mmcv
from mmengine.config import Config

from mmpfcn.datasets.inner_datasets import inner_datasets
from mmpfcn.datasets.load_image import configured_rule
from mmpfcn.formats.pixels import COLOUR, PixelRule

from .annotations import Classes
from .problems import Findings, Problem

COCO_RANGES = ((1, 64), (32, 128), (64, 256), (128, 512), (256, 2048))
RESIZERS = ('Resize', 'ShortSideResize', 'RandomChoiceResize', 'RandomResize')


class Source(NamedTuple):
    """A data set to be checked, and how its images are resized."""

    json: Path
    images: Path
    pngs: Path
    type: str = 'PanopticDataset'
    metainfo: Mapping = {}
    scale: tuple[int, int] | None = None
    keep_ratio: bool = True
    scale_ranges: Sequence[tuple[float, float]] = COCO_RANGES
    filter_cfg: Mapping | None = None
    test_mode: bool = True
    rule: PixelRule = COLOUR

    def resized(self, height: int, width: int) -> tuple[float, float]:
        """(height, width) of an image that is resized by ``scale``, as in mmcv's ``Resize``."""
        if self.scale is None:
            return height, width
        if not self.keep_ratio:
            return self.scale[1], self.scale[0]
        return mmcv.rescale_size((width, height), self.scale)[::-1]


def from_json(path: Path, images: Path | None, pngs: Path | None) -> Source:
    """Folders are guessed where they are not given; ValueError where they are not as COCO's."""
    images = images or path.parent.parent / path.stem.removeprefix('panoptic_')
    pngs = pngs or path.with_suffix('')
    for folder, what, option in ((images, 'images', '--images'), (pngs, 'panoptic PNGs', '--png')):
        if not folder.is_dir():
            raise ValueError(f'the {what} are not in {folder}: give their folder by {option}')
    return Source(path, images, pngs)


def from_config(cfg: Config, split: str) -> list[Source]:
    """The data sets of a split, several where the config joins some; ValueError without any."""
    loader = cfg.get(f'{split}_dataloader')
    if not loader:
        raise ValueError(f'{cfg.filename} has no {split}_dataloader')
    ranges = cfg.get('model', {}).get('train_cfg') or {}
    ranges = ranges.get('assigner', {}).get('scale_ranges', COCO_RANGES)
    return [_source(dataset, ranges) for dataset in inner_datasets(loader.dataset)]


def _source(dataset: Mapping, scale_ranges: Sequence) -> Source:
    if not dataset.get('ann_file'):
        raise ValueError(f'the data set {dataset.get("type")} of the config has no ann_file')
    root, prefix = Path(dataset.get('data_root') or ''), dataset.get('data_prefix') or {}
    scale, keep_ratio = _training_scale(dataset.get('pipeline') or ())
    return Source(
        json=root / dataset['ann_file'],
        images=root / (prefix.get('img') or ''),
        pngs=root / (prefix.get('seg') or ''),
        type=dataset['type'],
        metainfo=dict(dataset.get('metainfo') or {}),
        scale=scale,
        keep_ratio=keep_ratio,
        scale_ranges=scale_ranges,
        filter_cfg=dataset.get('filter_cfg'),
        test_mode=dataset.get('test_mode', False),
        rule=configured_rule(dataset.get('pipeline') or ()),
    )


def _training_scale(pipeline: Sequence[Mapping]) -> tuple[tuple[int, int] | None, bool]:
    """The middle one of the scales that images are resized to, and whether the ratio is kept."""
    for step in pipeline:
        if step['type'] not in RESIZERS:
            continue
        scales = step.get('scales') or step.get('scale')
        if scales is None:
            return None, True
        if isinstance(scales[0], int):
            scales = [scales]
        scale = sorted(map(tuple, scales), key=lambda size: size[0] * size[1])[len(scales) // 2]
        low, high = step.get('ratio_range') or (1, 1)
        scale = tuple(round(side * (low + high) / 2) for side in scale)
        keep_ratio = {**step, **step.get('resize_cfg', {})}.get('keep_ratio', False)
        keep_ratio = keep_ratio or step['type'] == 'ShortSideResize'
        return scale, keep_ratio
    return None, True


def check_class_counts(model: Mapping[str, Any], classes: Classes, findings: Findings) -> None:
    """Compare the counts in the parts of a model with the data set's."""
    counts = dict(
        num_things_classes=classes.num_things,
        num_stuff_classes=len(classes.names) - classes.num_things,
    )
    for part in ('panoptic_head', 'panoptic_fusion_head'):
        for key, right in counts.items():
            has = (model.get(part) or {}).get(key)
            if has is not None and has != right:
                text = f'model.{part}.{key} is {has}: set model.{part}.{key}={right}'
                findings.add([Problem('class_counts', text)])
