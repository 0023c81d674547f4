"""Time of reading panoptic ground truth, against mmdet's LoadPanopticAnnotations.

    python tools/analysis_tools/benchmark_loading.py
    python tools/analysis_tools/benchmark_loading.py --data-root data/coco

Without a data set it draws maps of 640 x 480 pixels with 10, 60 and 200 segments, half of them
things. Both transforms read the same PNGs in turn, in one thread.
"""

import argparse
import platform
import tempfile
import time

import cv2
import mmdet
import numpy as np
from mmdet.registry import DATASETS, TRANSFORMS
from mmengine.registry import init_default_scope

import mmpfcn  # noqa: F401 (registers)
from mmpfcn.formats import write_panoptic_png

STOCK, OURS = dict(type='LoadPanopticAnnotations'), dict(type='LoadPanopticGroundTruth')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--data-root', help='COCO folder, whose val2017 is timed as well')
    parser.add_argument('--images', type=int, default=100, help='images of the data set')
    parser.add_argument('--repeats', type=int, default=20, help='readings of a drawn map')
    return parser.parse_args()


def draw_record(
    folder: str, size: tuple[int, int], num_segments: int, num_things: int = 50
) -> dict:
    """A PNG with the regions nearest to random points, and its record; half are things.

    Args:
        folder: gets the PNG.
        size: (H, W).
        num_segments: points.
        num_things: labels of things; of stuff there are 28.
    """
    rng = np.random.default_rng(num_segments)
    points = np.ones(size, np.uint8)
    spots = rng.choice(points.size, num_segments, replace=False)
    points.flat[spots] = 0
    _, cells = cv2.distanceTransformWithLabels(
        points, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    segment_ids = rng.choice(2**24 - 1, num_segments, replace=False) + 1
    path = f'{folder}/{size[0]}_{num_segments}.png'
    write_panoptic_png(path, np.append(0, segment_ids)[cells])
    infos = [
        dict(
            id=int(id_),
            category=i % num_things if i % 2 == 0 else num_things + i % 28,
            is_thing=i % 2 == 0,
        )
        for i, id_ in enumerate(segment_ids)
    ]
    objects = [info for info in infos if info['is_thing']]
    return dict(
        seg_map_path=path,
        segments_info=infos,
        ori_shape=size,
        instances=[
            dict(bbox=[0, 0, 9, 9], bbox_label=o['category'], ignore_flag=0) for o in objects
        ],
    )


def milliseconds(records: list[dict]) -> list[float]:
    """Median time of a record by each transform, which take turns."""
    transforms = [TRANSFORMS.build(config) for config in (STOCK, OURS)]
    times = [[], []]
    for record in [records[0], *records]:
        for transform, its_times in zip(transforms, times, strict=True):
            start = time.perf_counter()
            transform(dict(record))
            its_times.append(time.perf_counter() - start)
    return [1000 * float(np.median(its_times[1:])) for its_times in times]


def real_records(data_root: str, number: int) -> list[dict]:
    dataset = DATASETS.build(
        dict(
            type='PanopticDataset',
            data_root=data_root,
            ann_file='annotations/panoptic_val2017.json',
            data_prefix=dict(img='val2017/', seg='annotations/panoptic_val2017/'),
            test_mode=True,
            indices=number,
        )
    )
    records = [dataset.get_data_info(i) for i in range(len(dataset))]
    return [dict(r, ori_shape=(r['height'], r['width'])) for r in records]


def main() -> None:
    args = parse_args()
    init_default_scope('mmdet')
    cv2.setNumThreads(1)
    print(
        f'{platform.processor() or platform.machine()}, Python {platform.python_version()}, '
        f'numpy {np.__version__}, OpenCV {cv2.__version__}, mmdet {mmdet.__version__}\n'
    )
    print(f'| images | {STOCK["type"]} | {OURS["type"]} | ratio |\n|---|---|---|---|')

    def print_row(name: str, stock: float, ours: float) -> None:
        print(f'| {name} | {stock:.1f} ms | {ours:.1f} ms | {ours / stock:.2f} |')

    with tempfile.TemporaryDirectory() as folder:
        for num_segments in (10, 60, 200):
            records = [draw_record(folder, (480, 640), num_segments)] * args.repeats
            print_row(f'640 x 480, {num_segments} segments', *milliseconds(records))
        if args.data_root is not None:
            records = real_records(args.data_root, args.images)
            segments = np.mean([len(record['segments_info']) for record in records])
            print_row(
                f'{len(records)} photos, {segments:.0f} segments on average', *milliseconds(records)
            )


if __name__ == '__main__':
    main()
