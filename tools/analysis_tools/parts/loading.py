"""Reading panoptic ground truth, against mmdet's LoadPanopticAnnotations.

    python tools/analysis_tools/benchmark_parts.py loading --data-root data/coco

Drawn maps of 640 x 480 pixels with 10, 60 and 200 segments, half of them things, and the
validation photos of a data set. Both transforms read the same PNGs.
"""

import argparse
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from mmdet.registry import TRANSFORMS

from mmpfcn.commands.options import from_1
from mmpfcn.datasets import PanopticDataset
from mmpfcn.formats import write_panoptic_png

from . import medians

STOCK, OURS = 'LoadPanopticAnnotations', 'LoadPanopticGroundTruth'
NUM_STUFF = 28


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--data-root', help='COCO folder, whose val2017 is timed as well')
    parser.add_argument('--images', type=from_1, default=100, help='images of the data set')


def draw_record(
    folder: str, size: tuple[int, int], num_segments: int, num_things: int = 50
) -> dict:
    """A PNG, (H, W), with the regions nearest to random points, and its record; half are things.

    There are so many labels of things, and :data:`NUM_STUFF` of stuff.
    """
    rng = np.random.default_rng(num_segments)
    points = np.ones(size, np.uint8)
    points.flat[rng.choice(points.size, num_segments, replace=False)] = 0
    _, cells = cv2.distanceTransformWithLabels(
        points, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    segment_ids = rng.choice(2**24 - 1, num_segments, replace=False) + 1
    path = f'{folder}/{size[0]}_{num_segments}.png'
    write_panoptic_png(path, np.append(0, segment_ids)[cells])
    areas = np.bincount(cells.ravel(), minlength=num_segments + 1)[1:].tolist()
    infos, boxes = [], []
    for i, (id_, area) in enumerate(zip(segment_ids.tolist(), areas, strict=True)):
        label = num_things + i % NUM_STUFF if i % 2 else i % num_things
        infos.append(dict(id=id_, category=label, is_thing=not i % 2, area=area))
        if not i % 2:
            boxes.append(dict(bbox=[0, 0, 9, 9], bbox_label=label, ignore_flag=0))
    return dict(seg_map_path=path, segments_info=infos, ori_shape=size, instances=boxes)


def real_records(data_root: str, number: int) -> list[dict]:
    dataset = PanopticDataset(
        data_root=data_root,
        ann_file='annotations/panoptic_val2017.json',
        data_prefix=dict(img='val2017/', seg='annotations/panoptic_val2017/'),
        test_mode=True,
        indices=number,
    )
    records = [dataset.get_data_info(i) for i in range(len(dataset))]
    return [dict(r, ori_shape=(r['height'], r['width'])) for r in records]


def measure_records(name: str, records: list[dict], rounds: int) -> dict[str, str]:
    """The row of records that both transforms read in turn, the next in every round."""

    def reader(transform: str):
        transform, endless = TRANSFORMS.build(dict(type=transform)), cycle(records)
        return lambda: transform(dict(next(endless)))

    times = medians({name: reader(name) for name in (STOCK, OURS)}, rounds)
    return {
        'images': name,
        **{name: f'{milliseconds:.1f} ms' for name, milliseconds in times.items()},
        'ratio': f'{times[OURS] / times[STOCK]:.2f}',
    }


def measure(args: argparse.Namespace) -> Iterator[dict[str, str]]:
    with TemporaryDirectory() as folder:
        for number in (10, 60, 200):
            records = [draw_record(folder, (480, 640), number)]
            yield measure_records(f'640 x 480, {number} segments', records, args.repeats)
    if args.data_root is not None:
        if not Path(args.data_root).is_dir():
            raise ValueError(f'--data-root {args.data_root} is no folder; give that of COCO')
        records = real_records(args.data_root, args.images)
        segments = np.mean([len(record['segments_info']) for record in records])
        name = f'{len(records)} photos, {segments:.0f} segments on average'
        yield measure_records(name, records, len(records))
