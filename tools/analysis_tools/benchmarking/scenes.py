"""Drawn images with a chosen number of objects, the same for every model."""

import math

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from mmpfcn import SegmentMasks

NODES = 24  # rows and columns of the lattice of which objects occupy rectangles
NUM_STUFF = 6  # stuff classes of an image, in upright bands; COCO images have 3 to 4, Cityscapes' 8


def place_objects(num_objects: int, nodes: int = NODES) -> Tensor:
    """Rectangles side by side in the lower two thirds of a square lattice of so many rows.

    Gives (G, 4) int64 (x1, y1, x2, y2) in nodes, at most a quarter of the lattice wide and high;
    ValueError when there is no room for G objects.
    """
    top, side = nodes // 3, max(nodes // 4, 1)
    height = nodes - top
    if num_objects > height * nodes:
        raise ValueError(
            f'{num_objects} objects do not fit into a lattice of {nodes} x {nodes}: at most '
            f'{height * nodes}'
        )
    columns = min(math.ceil(math.sqrt(num_objects * nodes / height)), nodes)
    columns = max(columns, math.ceil(num_objects / height), 1)
    rows = max(math.ceil(num_objects / columns), 1)
    index = torch.arange(num_objects)
    row, column = index // columns, index % columns
    y1, y2 = top + row * height // rows, top + (row + 1) * height // rows
    x1, x2 = column * nodes // columns, (column + 1) * nodes // columns
    return torch.stack([x1, y1, x2.minimum(x1 + side), y2.minimum(y1 + side)], dim=1)


def image_batch(size: tuple[int, int], out_size: tuple[int, int], batch_size: int) -> dict:
    """What a loader gives for testing: noise of ``size`` whose results are wanted at ``out_size``.

    Both sizes are (H, W) in pixels.
    """
    generator = torch.Generator().manual_seed(0)
    (h, w), (out_h, out_w) = size, out_size
    metainfo = dict(img_shape=size, ori_shape=out_size, scale_factor=(w / out_w, h / out_h))
    return dict(
        inputs=[
            torch.randint(0, 256, (3, h, w), dtype=torch.uint8, generator=generator)
            for _ in range(batch_size)
        ],
        data_samples=[DetDataSample(metainfo=metainfo) for _ in range(batch_size)],
    )


def training_batch(
    size: tuple[int, int],  # (H, W) in pixels
    batch_size: int,
    num_objects: int,  # ellipses in every image, on :data:`NUM_STUFF` bands of stuff
    class_counts: tuple[int, int],  # T, S; classes are given in turn
    bitmaps: bool,  # masks as mmdet's loading gives them, instead of ours
) -> dict:
    """What a loader gives for training: noise with drawn ground truth."""
    batch = image_batch(size, size, batch_size)
    index_map, boxes = draw_ellipses(size, num_objects)
    labels = torch.arange(num_objects) % class_counts[0]
    masks = SegmentMasks(index_map, range(1, num_objects + 1))
    if bitmaps:
        masks = BitmapMasks(masks.masks, *size)
    sem_seg = semantic_map(index_map, labels, class_counts)
    for sample in batch['data_samples']:
        sample.gt_instances = InstanceData(bboxes=boxes, labels=labels, masks=masks)
        sample.gt_sem_seg = PixelData(sem_seg=sem_seg[None])
    return batch


def draw_ellipses(size: tuple[int, int], num_objects: int) -> tuple[np.ndarray, Tensor]:
    """Ellipses in the rectangles of :func:`place_objects`, and their boxes (G, 4) in pixels.

    The first is (H, W) uint16, i + 1 on the i-th ellipse and else 0.
    """
    h, w = size
    index_map = np.zeros(size, np.uint16)
    boxes = place_objects(num_objects) * torch.tensor([w, h, w, h]) / NODES
    for i, (x1, y1, x2, y2) in enumerate(boxes.tolist(), start=1):
        rows, columns = np.ogrid[int(y1) : math.ceil(y2), int(x1) : math.ceil(x2)]
        across = (2 * columns + 1 - x1 - x2) / (x2 - x1)
        down = (2 * rows + 1 - y1 - y2) / (y2 - y1)
        part = index_map[int(y1) : math.ceil(y2), int(x1) : math.ceil(x2)]
        part[across**2 + down**2 <= 1] = i
    return index_map, boxes


def semantic_map(index_map: np.ndarray, labels: Tensor, class_counts: tuple[int, int]) -> Tensor:
    """(H, W) int64 labels: those of the objects, and bands of stuff behind them."""
    num_things, num_stuff = class_counts
    bands = min(NUM_STUFF, num_stuff)
    h, w = index_map.shape
    stuff = num_things + torch.arange(w) * bands // w
    index = torch.from_numpy(index_map.astype(np.int64))
    things = torch.cat([labels.new_zeros(1), labels])[index]
    return things.where(index > 0, stuff.expand(h, w))
