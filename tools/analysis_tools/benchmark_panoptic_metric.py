"""Time PanopticQualityMetric against mmdet's CocoPanopticMetric, and its memory on a large image.

python tools/analysis_tools/benchmark_panoptic_metric.py
"""

import argparse
import contextlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import torch
from mmdet.evaluation import INSTANCE_OFFSET as OFFSET
from mmdet.evaluation import CocoPanopticMetric
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from mmpfcn.commands.check import statistics
from mmpfcn.evaluation import PanopticQualityMetric
from mmpfcn.formats import write_panoptic_png

NUM_CLASSES = 20
NUM_THINGS = 10
NAMES = [f'class {label}' for label in range(NUM_CLASSES)]
META = dict(classes=NAMES, thing_classes=NAMES[:NUM_THINGS])
SCENES = ((480, 640, 11), (480, 640, 40), (1024, 2048, 60))
"""Height, width in pixels, number of segments."""

LARGE_SCENE = (3864, 5152, 60)
"""20 megapixels."""


def draw_segments(height: int, width: int, count: int) -> np.ndarray:
    """(H, W) int32 in [0, count): cells around random points, with wavy borders."""
    rng = np.random.default_rng(0)
    points = rng.random((count, 2)).astype(np.float32) * (height, width)
    sizes = height // 4, width // 4
    waves = rng.normal(size=(2, *sizes)).astype(np.float32)
    waves = np.stack([cv2.GaussianBlur(wave, (0, 0), 8) for wave in waves])
    place = np.mgrid[: sizes[0], : sizes[1]] * 4 + waves / waves.std() * height / 50
    nearest = np.full(sizes, np.inf)
    index = np.zeros(sizes, np.int32)
    for number, point in enumerate(points):
        distance = np.square(place - point[:, None, None]).sum(0)
        index[distance < nearest] = number
        nearest = np.minimum(nearest, distance)
    return cv2.resize(index, (width, height), interpolation=cv2.INTER_NEAREST)


def make_sample(folder: Path, height: int, width: int, count: int) -> dict:
    """A data sample, its ground truth in files and in memory; the prediction is shifted."""
    index = draw_segments(height, width, count)
    labels = np.arange(count) % NUM_CLASSES
    write_panoptic_png(folder / 'image.png', index + 1)
    areas = np.bincount(index.ravel(), minlength=count).tolist()
    segments = [
        dict(id=number + 1, category_id=label, category=label, iscrowd=0, area=area,
             is_thing=label < NUM_THINGS, bbox=[0, 0, width, height])
        for number, (label, area) in enumerate(zip(labels.tolist(), areas, strict=True))
    ]  # fmt: skip
    content = dict(
        images=[dict(id=1, file_name='image.jpg', height=height, width=width)],
        categories=[
            dict(id=label, name=name, isthing=int(label < NUM_THINGS))
            for label, name in enumerate(NAMES)
        ],
        annotations=[dict(image_id=1, file_name='image.png', segments_info=segments)],
    )
    (folder / 'panoptic.json').write_text(json.dumps(content))
    values = (labels + np.arange(1, count + 1) * OFFSET).astype(np.int32)
    infos = [
        dict(id=value, label=label, isthing=label < NUM_THINGS, iscrowd=False)
        for value, label in zip(values.tolist(), labels.tolist(), strict=True)
    ]
    gt = torch.from_numpy(values[index])[None]
    return dict(
        img_id=1,
        img_path='image.jpg',
        ori_shape=(height, width),
        seg_map_path=str(folder / 'image.png'),
        segments_info=segments,
        gt_panoptic_seg=dict(sem_seg=gt, segments_info=infos),
        pred_panoptic_seg=dict(sem_seg=gt.roll((5, 7), (1, 2))),
    )


def milliseconds(cases: Sequence[tuple[BaseMetric, dict]], repeats: int) -> list[float]:
    """Median of ``process`` of each metric, in turns, so that other programs disturb all alike."""
    times = [[] for _ in cases]
    for _ in range(repeats + 1):
        for (metric, sample), spent in zip(cases, times, strict=True):
            # CocoPanopticMetric changes the prediction
            pred = sample['pred_panoptic_seg']['sem_seg'].clone()
            fresh = dict(sample, pred_panoptic_seg=dict(sem_seg=pred))
            start = time.perf_counter()
            metric.process({}, [fresh])
            spent.append(1000 * (time.perf_counter() - start))
    return [statistics.median(spent[1:]) for spent in times]  # the first is a warm-up


def peak_growth(run: Callable[[], object]) -> int | None:
    """Bytes by which the resident memory grows while ``run`` runs; None where Linux is missing."""

    def resident(name: str) -> int:
        lines = Path('/proc/self/status').read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

    try:
        Path('/proc/self/clear_refs').write_text('5')  # forget the peak so far
    except OSError:
        return None
    before = resident('VmRSS')
    run()
    return resident('VmHWM') - before


def compare(scene: tuple[int, int, int], repeats: int) -> None:
    """A row of the table."""
    height, width, count = scene
    with tempfile.TemporaryDirectory() as folder:
        sample = make_sample(Path(folder), *scene)
        from_file = {k: v for k, v in sample.items() if k != 'gt_panoptic_seg'}
        with contextlib.redirect_stdout(None):
            stock = CocoPanopticMetric(ann_file=f'{folder}/panoptic.json', seg_prefix=folder)
        metrics = [stock, PanopticQualityMetric(), PanopticQualityMetric()]
        for metric in metrics:
            metric.dataset_meta = META
        cases = zip(metrics, (sample, sample, from_file), strict=True)
        theirs, *ours = milliseconds(list(cases), repeats)
        expected, *results = (metric.evaluate(repeats + 1) for metric in metrics)
    for result in results:
        np.testing.assert_allclose(
            list(result.values()), [expected[key] for key in result], atol=1e-9
        )
    cells = [f'{width} x {height}, {count} segments', f'{theirs:.1f} ms']
    cells += [f'{each:.1f} ms ({each / theirs:.3f})' for each in ours]
    print('|', ' | '.join(cells), '|', flush=True)


def report_memory(scene: tuple[int, int, int]) -> None:
    height, width, count = scene
    with tempfile.TemporaryDirectory() as folder:
        sample = make_sample(Path(folder), *scene)
        from_file = {k: v for k, v in sample.items() if k != 'gt_panoptic_seg'}
        for what, case in (('ground truth from the pipeline', sample), ('from the PNG', from_file)):
            metric = PanopticQualityMetric()
            metric.dataset_meta = META
            start = time.perf_counter()
            growth = peak_growth(lambda metric=metric, case=case: metric.process({}, [case]))
            seconds = time.perf_counter() - start
            memory = 'not measured (needs Linux)'
            if growth is not None:
                each = growth / height / width
                memory = f'{growth / 2**20:.1f} MiB, {each:.1f} bytes a pixel'
            print(
                f'{width} x {height}, {count} segments, {what}: {1000 * seconds:.0f} ms, {memory}'
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--repeats', type=int, default=15)
    args = parser.parse_args()
    if args.threads < 1 or args.repeats < 1:
        parser.error('--threads and --repeats are 1 or more')
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    MMLogger.get_current_instance().setLevel('WARNING')
    packages = ('torch', 'numpy', 'opencv-python', 'onedl-mmdetection')
    print(
        f'{platform.machine()}, {os.cpu_count()} cores, {args.threads} thread(s), Python '
        f'{platform.python_version()}, ' + ', '.join(f'{name} {version(name)}' for name in packages)
    )
    print(
        '| image | CocoPanopticMetric | PanopticQualityMetric (ratio) | and the PNG read (ratio) |'
    )
    print('|---|---|---|---|')
    for scene in SCENES:
        compare(scene, args.repeats)
    report_memory(LARGE_SCENE)


if __name__ == '__main__':
    main()
