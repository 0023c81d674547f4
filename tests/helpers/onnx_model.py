"""The tiny model as an ONNX file, and the same model as a PanopticInferencer."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from mmengine.config import Config
from pycocotools import mask as coco_mask

from helpers import tiny_inferencer
from mmpfcn import PanopticInferencer

CHANGING = {'score', 'bbox', 'segmentation'}
IDS = [11, 12, 13, 14, 15, 16, 21, 22, 23, 24]


def write_model(folder: Path, change: Callable[[Config], None]) -> tuple[Path, Path]:
    """A config that finds something although its weights are random, and its checkpoint."""
    config = tiny_inferencer.config(**tiny_inferencer.ANY_PREDICTION)
    change(config)
    config.dump(folder / 'model.py')
    checkpoint = tiny_inferencer.write_checkpoint(folder, config, category_ids=IDS)
    return folder / 'model.py', Path(checkpoint).rename(folder / 'model.pth')


def shallow(config: Config) -> None:
    """Two convolutions in a head, as in lite0: exporting and quantising take their time for each."""
    config.model.panoptic_head.kernel_generator.num_convs = 2


def inferencer(folder: Path) -> PanopticInferencer:
    """Of what :func:`write_model` left."""
    config = Config.fromfile(folder / 'model.py')
    return PanopticInferencer(config, str(folder / 'model.pth'), 'cpu', show_progress=False)


def assert_same(theirs: object, ours: object, cell_pixels: float = 0) -> None:
    """Same segments and at least 99.9 % equal pixels.

    A thing's score is a mean over the cells of stride 4 whose probability exceeds the threshold. In
    a small mask, one cell that is as near to it as float32 can tell moves that mean by more than
    1e-4; ``cell_pixels``, pixels of the result to a cell, allows for one such cell.
    """
    assert theirs.panoptic_seg.shape == ours.panoptic_seg.shape
    assert ours.panoptic_seg.dtype == np.int32
    assert np.array_equal(theirs.image, ours.image)
    assert (theirs.panoptic_seg == ours.panoptic_seg).mean() >= 0.999
    exact = ('id', 'label', 'name', 'isthing', 'num_kernels')
    for a, b in zip(theirs.segments_info, ours.segments_info, strict=True):
        assert {key: a[key] for key in exact} == {key: b[key] for key in exact}
        assert set(a) == set(b)
        one_cell = cell_pixels / a['area'] if a['isthing'] else 0
        assert abs(a['score'] - b['score']) <= 1e-4 + one_cell * 0.6
        assert abs(a['area'] - b['area']) <= 0.001 * ours.panoptic_seg.size
        if a['area'] == b['area']:
            assert a['bbox'] == b['bbox']
    assert (theirs.semantic_seg is None) == (ours.semantic_seg is None)
    if ours.semantic_seg is not None:
        assert ours.semantic_seg.dtype == theirs.semantic_seg.dtype
        assert (theirs.semantic_seg == ours.semantic_seg).mean() >= 0.999
    assert (theirs.instances is None) == (ours.instances is None)
    for a, b in zip(theirs.instances or (), ours.instances or (), strict=True):
        assert {key: a[key] for key in a.keys() - CHANGING} == {key: b[key] for key in b.keys() - CHANGING}
        masks = [coco_mask.decode(x['segmentation']) for x in (a, b)]
        assert (masks[0] == masks[1]).mean() >= 0.999
        assert abs(a['score'] - b['score']) <= 1e-4 + cell_pixels / max(masks[0].sum(), 1) * 0.6
        if np.array_equal(*masks):
            assert a['bbox'] == b['bbox']
